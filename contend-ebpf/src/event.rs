//! What the kernel side sends through the ring buffer: stacks seen for the first time, and the
//! lives of processes. Waits are not sent one by one; they are summed in maps.

use crate::record::{COMM_LEN, ProcessKey};

/// Most frames of one stack, as the kernel's `PERF_MAX_STACK_DEPTH`.
pub const MAX_FRAMES: usize = 127;

/// What an event is; the first word of each.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// A [`StackHeader`] and its frames.
    Stack = 1,
    /// A [`Notice`]: a process starts another program.
    Exec = 2,
    /// A [`Notice`]: the last thread of a process ends.
    Exit = 3,
    /// A [`Notice`]: a watched process has a child.
    Fork = 4,
}

/// A stack that is new in this process; `frames` addresses follow, the innermost first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackHeader {
    /// [`EventType::Stack`].
    pub event: u32,
    /// How many addresses follow.
    pub frames: u32,
    /// The process.
    pub process: ProcessKey,
    /// Names the stack within the process; never 0.
    pub stack: u64,
}

/// A change in a process's life.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// An [`EventType`].
    pub event: u32,
    /// Process id of the parent for [`EventType::Fork`], else 0.
    pub parent: u32,
    /// The process.
    pub process: ProcessKey,
    /// Its name.
    pub comm: [u8; COMM_LEN],
}
