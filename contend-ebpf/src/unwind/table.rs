//! The walk by unwind tables.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use contend_ebpf::event::MAX_FRAMES;
use contend_ebpf::rule::{self, Reason, Registers};
use contend_ebpf::space::{self, NO_TABLE, PAGE_BITS, PageKey, Range};
use contend_ebpf::table;

use super::memo::Notes;
use crate::kernel::UserRegisters;
use crate::maps::{BLOCKS, PAGES, RULES, SPACES, STACK, StackBuffer};

/// What [`step`] says when the walk goes on, and when it is at the first function.
const GOES_ON: u32 = u32::MAX;
const COMPLETE: u32 = 0;
/// What [`find_rule`] says when there is none.
const NO_RULE: u32 = u32::MAX;
/// Rule of code without a table; the agent's rules begin with it in this place.
const FRAME_POINTER_RULE: u32 = 2;

/// A walk's end.
#[derive(Clone, Copy)]
pub struct Walked {
    /// Frames that were found.
    pub frames: u32,
    /// 0 when the last one is the thread's first function, else a [`Reason`].
    pub end: u32,
}

/// Which of the process's mappings are loaded, as a number that changes with them; nothing when none are.
#[inline(always)]
pub fn generation(process_id: u32) -> Option<u64> {
    let space = SPACES.get_ptr(process_id)?;
    // SAFETY: a map value, which only the agent replaces, as a whole.
    Some(unsafe { (*space).generation })
}

/// Writes the current thread's program counter and return addresses into this CPU's stack buffer, the
/// innermost first.
#[inline(always)]
pub fn unwind(process_id: u32, registers: UserRegisters) -> Walked {
    let Some(buffer) = STACK.get_ptr_mut(0) else { return Walked { frames: 0, end: Reason::NoTable as u32 } };
    // SAFETY: this CPU's own buffer, and programs that run on it do not nest.
    unsafe {
        (*buffer).at = Registers { pc: registers.ip(), sp: registers.sp(), fp: registers.fp(), exact: true };
        (*buffer).range = Range::NONE;
        (*buffer).notes.begin(registers.sp());
        (*buffer).process_id = process_id;
    }
    for index in 0..MAX_FRAMES as u32 {
        let end = step(index);
        if end != GOES_ON {
            return Walked { frames: index + 1, end };
        }
    }
    Walked { frames: MAX_FRAMES as u32, end: Reason::Depth as u32 }
}

/// Notes the frame that the walk has come to and goes to its caller's. Of its own, as are the functions
/// below, so that the verifier looks at it once and not for every frame.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step(index: u32) -> u32 {
    let Some(buffer) = STACK.get_ptr_mut(0) else { return Reason::NoTable as u32 };
    // SAFETY: this CPU's own buffer, and programs that run on it do not nest.
    let buffer: &mut StackBuffer = unsafe { &mut *buffer };
    if index as usize >= MAX_FRAMES {
        return Reason::Depth as u32;
    }
    buffer.frames[index as usize] = buffer.at.pc;
    let address = buffer.at.lookup_pc();
    if !buffer.range.holds(address) && find_range(address) == 0 {
        return Reason::NoMapping as u32;
    }
    let offset = address.wrapping_sub(buffer.range.base) as u32;
    let number = find_rule(buffer.range.executable, offset);
    let Some(rule) = RULES.get(number) else { return Reason::NoRow as u32 };
    let at = buffer.at;
    let notes = &raw mut buffer.notes;
    match rule::apply(rule, &at, |address| read(notes, address)) {
        Ok(Some(caller)) => buffer.at = caller,
        Ok(None) => return COMPLETE,
        Err(reason) => return reason as u32,
    }
    GOES_ON
}

/// A word of the thread's memory, noted.
#[inline(always)]
fn read(notes: *mut Notes, address: u64) -> Option<u64> {
    let mut word = 0u64;
    // SAFETY: `word` has room for 8 bytes; a bad user address is an error, not a fault.
    let error = unsafe { bpf_probe_read_user((&raw mut word).cast(), 8, address as *const _) };
    if error != 0 {
        return None;
    }
    // SAFETY: a place in this CPU's own buffer.
    unsafe { (*notes).add(address, word) };
    Some(word)
}

/// Finds the mapping that the address lies in and keeps it in the buffer; 0 when there is none.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_range(address: u64) -> u32 {
    let Some(buffer) = STACK.get_ptr_mut(0) else { return 0 };
    // SAFETY: as in `step`.
    let buffer: &mut StackBuffer = unsafe { &mut *buffer };
    let Some(space) = SPACES.get_ptr(buffer.process_id) else { return 0 };
    // SAFETY: a map value, which only the agent replaces, as a whole.
    let range = space::find(unsafe { &*space }, address);
    if !range.holds(address) {
        return 0;
    }
    buffer.range = *range;
    1
}

/// Number of the rule at an address of an executable.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_rule(executable: u32, address: u32) -> u32 {
    if executable == NO_TABLE {
        return FRAME_POINTER_RULE;
    }
    let Some(page) = PAGES.get_ptr(PageKey { executable, page: address >> PAGE_BITS }) else {
        return NO_RULE;
    };
    // SAFETY: a map value, which only the agent replaces, as a whole.
    let block = unsafe { &*page }.block(address);
    let Some(block) = BLOCKS.get_ptr(block) else { return NO_RULE };
    // SAFETY: as above.
    table::search(unsafe { &*block }, address as u64) as u32
}
