//! User stacks: taken, named by a number, and sent to the agent when they are new.
//!
//! By [`mod@table`]s once the agent has loaded the process's, until then along the [`frame_pointer`]s.

mod frame_pointer;
mod memo;
mod table;

pub use memo::{Memo, Notes};

use aya_ebpf::bindings::{BPF_ANY, task_struct};
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use contend_ebpf::event::{EventType, MAX_FRAMES, StackHeader};
use contend_ebpf::record::{Lost, ProcessKey};
use contend_ebpf::rule::Reason;

use crate::kernel::UserRegisters;
use crate::maps::{self, EVENTS, STACK, STACKS_SENT, WALKS};
use crate::wait::Thread;

/// Where a stack is taken: a thread's are the same again and again at each.
#[derive(Clone, Copy)]
pub enum At {
    /// At a wait.
    Wait = 0,
    /// At a release.
    Release = 1,
}

/// The user stack of `task`, the current thread, with its record and registers, as a number that names it
/// in its process, or 0.
#[inline(always)]
pub fn stack(task: *const task_struct, thread: &mut Thread, registers: UserRegisters, at: At) -> u64 {
    let process_id = thread.process.tgid;
    let memory = thread.memory();
    let Some(generation) = table::generation(process_id) else {
        count_walk(Reason::NoTable as u32);
        let frames = frame_pointer::unwind(task, registers);
        return known(thread, frames).unwrap_or(0);
    };
    let memo = &thread.memos[at as usize];
    if memo.holds(memory, generation, registers) {
        count_walk(memo.end);
        return memo.stack;
    }
    let walked = table::unwind(process_id, registers);
    count_walk(walked.end);
    let Some(stack) = known(thread, walked.frames) else { return 0 };
    // Only a stack that the agent has need not be sent when it is met again.
    if thread.sent[0] == stack || thread.sent[1] == stack {
        thread.memos[at as usize].keep(memory, generation, registers, stack, walked.end);
    }
    stack
}

#[inline(always)]
fn count_walk(end: u32) {
    if let Some(walks) = WALKS.get_ptr_mut(end) {
        // SAFETY: a value of this CPU's own, and programs that run on it do not nest.
        unsafe { *walks += 1 };
    }
}

/// The name of the stack in this CPU's buffer, which the agent is sent if it is new.
#[inline(always)]
fn known(thread: &mut Thread, frames: u32) -> Option<u64> {
    if frames == 0 {
        maps::lose(Lost::StackUnreadable);
        return None;
    }
    let stack = name(frames, thread.memory() ^ ((thread.process.tgid as u64) << 32));
    if thread.sent[0] == stack || thread.sent[1] == stack {
        return Some(stack);
    }
    // SAFETY: a value is not read, only its being there is asked for.
    if unsafe { STACKS_SENT.get(stack) }.is_some() || send(thread.process, stack, frames) {
        thread.sent = [stack, thread.sent[0]];
    }
    Some(stack)
}

/// A number for the first `frames` frames in this CPU's buffer; never 0. The memory in `seed` tells
/// apart the programs that one process runs one after the other.
///
/// Of its own, so that the verifier walks the loop once.
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
        hash = mix(hash, frame);
    }
    hash | 1
}

/// Takes one more word into a hash: multiplicative, by an odd constant (2^64 divided by the golden ratio).
#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// Sends the stack and tells whether it could; it stays unsent, and is tried again at its next use, when the ring is full.
#[inline(always)]
fn send(process: ProcessKey, stack: u64, frames: u32) -> bool {
    let Some(buffer) = STACK.get_ptr_mut(0) else { return false };
    // SAFETY: this CPU's own buffer, and programs that run on it do not nest.
    let buffer = unsafe { &mut *buffer };
    buffer.header = StackHeader { event: EventType::Stack as u32, frames, process, stack };
    // The mask is for the verifier; the compiler, which knows that frames are at most MAX_FRAMES, would
    // leave it out if it knew what is read.
    // SAFETY: a reference is valid, aligned and initialized.
    let frames = unsafe { core::ptr::read_volatile(&raw const buffer.header.frames) } as u64;
    let size = size_of::<StackHeader>() as u64 + 8 * (frames & MAX_FRAMES as u64);
    let event = &raw mut buffer.header;
    let ring = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: `size` bytes of the buffer are initialized.
    let error = unsafe { bpf_ringbuf_output(ring, event.cast(), size, 0) };
    if error != 0 {
        maps::lose(Lost::RingFull);
        return false;
    }
    // A failure only means that the stack is sent again.
    let _ = STACKS_SENT.insert(stack, 1u32, BPF_ANY as u64);
    true
}
