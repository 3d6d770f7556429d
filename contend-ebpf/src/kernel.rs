//! The running kernel's structures, read by the offsets that the agent gives at load.

use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};
use aya_ebpf::programs::BtfTracePointContext;
use contend_ebpf::futex::Call;
use contend_ebpf::layout::{ABSENT, CallNumbers, Layout, Registers};
use contend_ebpf::record::ProcessKey;

/// Overridden by the agent before the programs are loaded, and frozen: constants to the verifier.
#[unsafe(no_mangle)]
pub static LAYOUT: Layout = Layout {
    task_state: 0,
    task_pid: 0,
    task_tgid: 0,
    task_mm: 0,
    task_group_leader: 0,
    task_start_boottime: 0,
    task_clear_child_tid: 0,
    task_bpf_storage: 0,
    task_signal: 0,
    signal_live: 0,
    task_thread_status: 0,
    mm_start_code: 0,
    mm_end_code: 0,
    mm_mmap_base: 0,
    vma_start: 0,
    vma_pgoff: 0,
    vma_flags: 0,
    vma_file: 0,
    file_inode: 0,
    switch_has_state: 0,
    registers: Registers::X86_64,
    agent_tgid: 0,
};

/// A member of the layout.
macro_rules! layout {
    ($($member:tt)+) => {
        $crate::kernel::constant(&$crate::kernel::LAYOUT.$($member)+)
    };
}
pub(crate) use layout;

/// `TASK_INTERRUPTIBLE`: how futex waits sleep, unlike a page fault on the way into one.
const INTERRUPTIBLE: u32 = 1;
/// `TS_COMPAT` of x86's `thread_info.status`: in a 32-bit system call.
const COMPAT: u32 = 2;
/// One unit of [`ProcessKey::start_ticks`] in ns.
const TICK: u64 = 10_000_000;

/// Reads a constant that the agent overrides: the compiler must not use the value that it sees here.
#[inline(always)]
pub fn constant<T: Copy>(member: &'static T) -> T {
    // SAFETY: a reference is valid, aligned and initialized.
    unsafe { core::ptr::read_volatile(member) }
}

/// Reads a member of a kernel structure.
///
/// # Safety
///
/// `object` must be a kernel object that the verifier knows by its BTF type, and `offset` the place of
/// a member of type `T` in it. The kernel itself turns a bad address into zero.
#[inline(always)]
pub unsafe fn member<T: Copy, S>(object: *const S, offset: u32) -> T {
    // SAFETY: the caller's promise.
    unsafe { core::ptr::read_volatile(object.cast::<u8>().add(offset as usize).cast::<T>()) }
}

/// Whether the thread that `sched_switch` takes off the CPU goes to sleep so that a signal may end it.
#[inline(always)]
pub fn sleeps_interruptibly(ctx: &BtfTracePointContext, previous: *mut task_struct) -> bool {
    // SAFETY: `previous` is the tracepoint's trusted task.
    let now: u32 = unsafe { member(previous, layout!(task_state)) };
    // Older kernels keep a thread with a pending signal runnable and still report the state it had meant.
    let decided = if layout!(switch_has_state) != 0 { ctx.arg::<u64>(3) as u32 } else { now };
    now != 0 && decided & INTERRUPTIBLE != 0
}

/// The current thread.
#[inline(always)]
pub fn current() -> *mut task_struct {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task_btf() }
}

/// Whether it may have a record: most threads never wait, and asking this is cheaper than to look one up.
#[inline(always)]
pub fn has_storage(task: *const task_struct) -> bool {
    // SAFETY: `task` is a trusted task of a tracepoint or helper, as everywhere in this module.
    let storage: u64 = unsafe { member(task, layout!(task_bpf_storage)) };
    storage != 0
}

/// Its id: what user space calls a thread id.
#[inline(always)]
pub fn thread_id(task: *const task_struct) -> u32 {
    // SAFETY: as in `has_storage`.
    unsafe { member(task, layout!(task_pid)) }
}

/// The id of its process.
#[inline(always)]
pub fn process_id(task: *const task_struct) -> u32 {
    // SAFETY: as in `has_storage`.
    unsafe { member(task, layout!(task_tgid)) }
}

/// Its process.
#[inline(always)]
pub fn process(task: *const task_struct) -> ProcessKey {
    // SAFETY: as in `has_storage`; the leader is a task as well.
    let start: u64 = unsafe {
        let leader: *const task_struct = member(task, layout!(task_group_leader));
        member(leader, layout!(task_start_boottime))
    };
    ProcessKey { tgid: process_id(task), start_ticks: (start / TICK) as u32 }
}

/// Its memory, as an opaque number; 0 for a kernel thread.
#[inline(always)]
pub fn memory(task: *const task_struct) -> u64 {
    // SAFETY: as in `has_storage`.
    unsafe { member(task, layout!(task_mm)) }
}

/// Where its code can be.
#[derive(Clone, Copy)]
pub struct CodeRange {
    /// First address of the executable's code.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Address that libraries lie near.
    pub mappings: u64,
}

/// Where the code of a thread that is not a kernel thread can be.
#[inline(always)]
pub fn code_range(task: *const task_struct) -> CodeRange {
    // SAFETY: as in `has_storage`; the thread's memory is there as long as it runs.
    unsafe {
        let mm: *const u8 = member(task, layout!(task_mm));
        CodeRange {
            start: member(mm, layout!(mm_start_code)),
            end: member(mm, layout!(mm_end_code)),
            mappings: member(mm, layout!(mm_mmap_base)),
        }
    }
}

/// Whether all threads of its process have begun to exit.
#[inline(always)]
pub fn is_process_dead(task: *const task_struct) -> bool {
    // SAFETY: as in `has_storage`; a task's `signal` stays until the task is released.
    let live: u32 = unsafe {
        let signal: *const u8 = member(task, layout!(task_signal));
        member(signal, layout!(signal_live))
    };
    live == 0
}

/// Whether it is in a system call of a 32-bit program.
#[inline(always)]
pub fn is_compat(task: *const task_struct) -> bool {
    if layout!(task_thread_status) == ABSENT {
        return false;
    }
    // SAFETY: as in `has_storage`.
    let status: u32 = unsafe { member(task, layout!(task_thread_status)) };
    status & COMPAT != 0
}

/// The futex that the kernel wakes when the thread exits.
#[inline(always)]
pub fn exit_word(task: *const task_struct) -> u64 {
    // SAFETY: as in `has_storage`.
    unsafe { member(task, layout!(task_clear_child_tid)) }
}

/// The user registers of a thread that is in the kernel.
#[derive(Clone, Copy)]
pub struct UserRegisters(*const u64);

impl UserRegisters {
    /// The thread's; it must not be a kernel thread, which has none.
    #[inline(always)]
    pub fn of(task: *mut task_struct) -> Option<Self> {
        // SAFETY: `task` is trusted.
        let registers = unsafe { bpf_task_pt_regs(task) } as *const u64;
        if registers.is_null() { None } else { Some(Self(registers)) }
    }

    #[inline(always)]
    fn word(self, index: u32) -> u64 {
        // SAFETY: `index` is a register of this architecture's `pt_regs`.
        unsafe { member(self.0, index * 8) }
    }

    /// Number of the system call, or what is no number when the thread came by an interrupt.
    #[inline(always)]
    pub fn number(self) -> u64 {
        self.word(layout!(registers.number))
    }

    /// Instruction pointer.
    #[inline(always)]
    pub fn ip(self) -> u64 {
        self.word(layout!(registers.ip))
    }

    /// Stack pointer.
    #[inline(always)]
    pub fn sp(self) -> u64 {
        self.word(layout!(registers.sp))
    }

    /// Frame pointer, if the program uses the register for it.
    #[inline(always)]
    pub fn fp(self) -> u64 {
        self.word(layout!(registers.fp))
    }

    /// The whole system call.
    #[inline(always)]
    pub fn call(self) -> Call {
        Call {
            number: self.number(),
            arguments: [
                self.word(layout!(registers.arguments[0])),
                self.word(layout!(registers.arguments[1])),
                self.word(layout!(registers.arguments[2])),
                self.word(layout!(registers.arguments[3])),
                self.word(layout!(registers.arguments[4])),
                self.word(layout!(registers.arguments[5])),
            ],
        }
    }
}

/// The numbers of the system calls.
#[inline(always)]
pub fn calls() -> CallNumbers {
    layout!(registers.calls)
}
