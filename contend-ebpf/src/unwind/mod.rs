//! User stacks: taken, named by a number, and sent to the agent when they are new.
//!
//! [`stack`] is the seam: how the frames are found is [`frame_pointer`]'s affair.

mod frame_pointer;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use aya_ebpf::programs::BtfTracePointContext;
use contend_ebpf::event::{EventType, MAX_FRAMES, StackHeader};
use contend_ebpf::record::{Lost, ProcessKey};

use crate::maps::{self, EVENTS, STACK, STACKS_SENT, StackBuffer};
use crate::wait::Thread;

/// The user stack of `thread`, the current one, as a number that names it in its process, or 0.
#[inline(always)]
pub fn stack(ctx: &BtfTracePointContext, thread: &Thread) -> u64 {
    let Some(buffer) = STACK.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own buffer, and programs that run on it do not nest.
    let buffer = unsafe { &mut *buffer };
    let frames = frame_pointer::unwind(ctx, buffer);
    if frames == 0 {
        maps::lose(Lost::StackUnreadable);
        return 0;
    }
    let stack = name(frames, thread.memory() ^ ((thread.process.tgid as u64) << 32));
    // SAFETY: a value is not read, only its being there is asked for.
    if unsafe { STACKS_SENT.get(stack) }.is_none() {
        send(buffer, thread.process, stack, frames);
    }
    stack
}

/// A number for the first `frames` frames in this CPU's buffer; never 0. The memory in `seed` tells
/// apart the programs that one process runs one after the other.
///
/// Of its own, so that the verifier walks the loop once. The mixing is that of a multiplicative hash
/// with an odd constant (2^64 divided by the golden ratio).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn name(frames: u32, seed: u64) -> u64 {
    let Some(buffer) = STACK.get_ptr(0) else { return 0 };
    let mut hash = seed;
    for index in 0..MAX_FRAMES {
        if index as u32 >= frames {
            break;
        }
        // SAFETY: `index` is within the array.
        let frame = unsafe { (*buffer).frames[index] };
        hash = (hash ^ frame).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    hash | 1
}

/// Sends the stack; it stays unsent, and is tried again at its next use, when the ring is full.
#[inline(always)]
fn send(buffer: &mut StackBuffer, process: ProcessKey, stack: u64, frames: u32) {
    buffer.header = StackHeader { event: EventType::Stack as u32, frames, process, stack };
    // The mask is for the verifier: frames are at most MAX_FRAMES.
    let size = size_of::<StackHeader>() as u64 + 8 * (frames as u64 & MAX_FRAMES as u64);
    let ring = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: `size` bytes of the buffer are initialized.
    let error = unsafe { bpf_ringbuf_output(ring, (&raw mut *buffer).cast(), size, 0) };
    if error != 0 {
        return maps::lose(Lost::RingFull);
    }
    // A failure only means that the stack is sent again.
    let _ = STACKS_SENT.insert(stack, 1u32, BPF_ANY as u64);
}
