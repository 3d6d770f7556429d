//! The walk along the frame pointers.
//!
//! Not by the kernel's own helper: in code without frame pointers the register holds anything, and each
//! read of a wild address costs the helper a fault, on the unlocker's path at that, and what is read there
//! makes a new stack of every event. Here a frame pointer must look like one before it is followed, and a
//! return address must lie where code can be.

use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use contend_ebpf::event::MAX_FRAMES;

use crate::kernel::{self, CodeRange, UserRegisters};
use crate::maps::STACK;

/// Largest frame that is believed, in bytes.
const LARGEST_FRAME: u64 = 1 << 20;
/// Mappings lie this near to where the kernel begins to place them, in either direction.
const MAPPINGS_REACH: u64 = 1 << 40;

/// Writes the current thread's instruction pointer and return addresses into this CPU's stack buffer,
/// the innermost first, and tells how many.
#[inline(always)]
pub fn unwind(task: *const task_struct, registers: UserRegisters) -> u32 {
    let Some(buffer) = STACK.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own buffer, and programs that run on it do not nest.
    unsafe { (*buffer).code = kernel::code_range(task) };
    walk(registers.ip(), registers.sp(), registers.fp())
}

/// What a frame pointer points to: the caller's, and where the function returns to.
#[repr(C)]
#[derive(Clone, Copy)]
struct Frame {
    caller: u64,
    return_address: u64,
}

/// Of its own, so that the verifier walks the loop once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk(ip: u64, sp: u64, fp: u64) -> u32 {
    let Some(buffer) = STACK.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own buffer, and programs that run on it do not nest; index 0 is within it.
    unsafe { (*buffer).frames[0] = ip };
    let (mut lowest, mut fp) = (sp, fp);
    for index in 1..MAX_FRAMES {
        if fp & 7 != 0 || fp < lowest || fp - lowest > LARGEST_FRAME {
            return index as u32;
        }
        let mut frame = Frame { caller: 0, return_address: 0 };
        let size = size_of::<Frame>() as u32;
        // SAFETY: `frame` has room for `size` bytes; a bad user address is an error, not a fault.
        let error = unsafe { bpf_probe_read_user((&raw mut frame).cast(), size, fp as *const _) };
        let address = frame.return_address;
        // SAFETY: as above.
        if error != 0 || !is_code(unsafe { (*buffer).code }, address) {
            return index as u32;
        }
        // SAFETY: as above; `index` is within the array.
        unsafe { (*buffer).frames[index] = address };
        lowest = fp + size as u64;
        fp = frame.caller;
    }
    MAX_FRAMES as u32
}

#[inline(always)]
fn is_code(range: CodeRange, address: u64) -> bool {
    let in_executable = address >= range.start && address < range.end;
    let from_base = address.wrapping_sub(range.mappings);
    in_executable || from_base < MAPPINGS_REACH || from_base.wrapping_neg() < MAPPINGS_REACH
}
