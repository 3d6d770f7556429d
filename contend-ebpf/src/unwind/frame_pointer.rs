//! The kernel's own walk along the frame pointers.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::BPF_F_USER_STACK;
use aya_ebpf::helpers::generated::bpf_get_stack;
use aya_ebpf::programs::BtfTracePointContext;
use contend_ebpf::event::MAX_FRAMES;

use crate::maps::StackBuffer;

/// Writes the current thread's return addresses, the innermost first, and tells how many.
#[inline(always)]
pub fn unwind(ctx: &BtfTracePointContext, buffer: &mut StackBuffer) -> u32 {
    let room = (MAX_FRAMES * 8) as u32;
    let frames = buffer.frames.as_mut_ptr().cast();
    // SAFETY: the buffer has `room` bytes.
    let bytes = unsafe { bpf_get_stack(ctx.as_ptr(), frames, room, BPF_F_USER_STACK as u64) };
    if bytes > 0 { bytes as u32 / 8 } else { 0 }
}
