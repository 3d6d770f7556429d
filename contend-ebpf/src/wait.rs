//! A thread's waits: opened when it goes to sleep in a futex wait, closed when it runs again.

use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_ktime_get_ns};
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use contend_ebpf::futex::{self, Family, Wait};
use contend_ebpf::record::{COMM_LEN, LockKey, Lost, ProcessKey, Settings};

use crate::kernel::{self, UserRegisters, layout};
use crate::maps::{self, THREADS};
use crate::release::Release;
use crate::unwind::{At, Memo};
use crate::{lock, tally, unwind};

/// The x32 ABI's mark in a system call's number.
const X32: u64 = 0x4000_0000;
/// i386's `futex` and `futex_time64`.
const COMPAT_FUTEX: [u64; 2] = [240, 422];

/// Where a thread is in its wait.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No wait is open.
    Running = 0,
    /// Asleep.
    Waiting,
    /// Woken, not yet on a CPU.
    Woken,
}

/// A thread's record. All zeros is one that has never waited.
#[repr(C)]
pub struct Thread {
    /// Its process.
    pub process: ProcessKey,
    /// Where it is; the members below are those of the wait that is open or was last.
    pub phase: Phase,
    /// A [`Family`].
    pub family: u32,
    /// When it left the CPU, in ns of the monotonic clock.
    pub start: u64,
    /// When it was woken.
    pub woken: u64,
    /// The lock word's address in the process.
    pub word: u64,
    /// See [`Wait::second`].
    pub second: u64,
    /// Its memory as an opaque number.
    memory: u64,
    /// The record in the lock table.
    pub lock: LockKey,
    /// That record's epoch, or 0 when this wait is not in one.
    pub epoch: u64,
    /// Stack at the wait.
    pub stack: u64,
    /// The two stacks of this thread that the agent was last found to have.
    pub sent: [u64; 2],
    /// The last stack at a wait and the last one at a release.
    pub memos: [Memo; 2],
    /// See [`Wait::timed`].
    pub timed: bool,
    /// See [`Wait::shared`].
    pub shared: bool,
    /// Its waker released the lock word.
    pub paired: bool,
    /// Registers of the call, which stay the same when it is restarted.
    pub ip: u64,
    /// As `ip`.
    pub sp: u64,
    /// The thread's name, when samples are told apart by it.
    pub name: [u8; COMM_LEN],
    /// What it last released.
    pub release: Release,
}

impl Thread {
    /// Notes the memory. Volatile, because to the verifier the number read back is a number, and the
    /// one in the register still a pointer, with which it allows no arithmetic.
    #[inline(always)]
    pub fn set_memory(&mut self, memory: u64) {
        // SAFETY: a reference is valid and aligned.
        unsafe { core::ptr::write_volatile(&raw mut self.memory, memory) };
    }

    /// The memory.
    #[inline(always)]
    pub fn memory(&self) -> u64 {
        // SAFETY: a reference is valid, aligned and initialized.
        unsafe { core::ptr::read_volatile(&raw const self.memory) }
    }
}

/// A thread goes to sleep: opens a wait if it does so in a futex wait.
#[inline(always)]
pub fn open(task: *mut task_struct) {
    let memory = kernel::memory(task);
    if memory == 0 {
        return;
    }
    let Some(registers) = UserRegisters::of(task) else { return };
    let number = registers.number();
    let calls = kernel::calls();
    if kernel::is_compat(task) || number & X32 != 0 {
        return refuse_compat(task, number & !X32, calls.futex as u64);
    }
    let is_restart = number == calls.restart_syscall as u64;
    let is_futex = number == calls.futex as u64
        || number == calls.futex_wait as u64
        || number == calls.futex_waitv as u64;
    if !is_futex && !is_restart {
        return;
    }
    let process_id = kernel::process_id(task);
    let Some(settings) = maps::settings() else { return };
    if process_id == layout!(agent_tgid) || !maps::is_watched(settings, process_id) {
        return;
    }
    let (thread, wait) = if is_restart {
        let Some(thread) = THREADS.get(task) else { return };
        let Some(wait) = restarted(thread, registers) else { return };
        (thread, wait)
    } else {
        let Some(wait) = futex::wait(&registers.call(), &calls) else { return };
        let Some(thread) = THREADS.get_or_create(task) else { return };
        (thread, wait)
    };
    thread.set_memory(memory);
    thread.ip = registers.ip();
    thread.sp = registers.sp();
    begin(settings, task, thread, registers, wait);
}

#[inline(always)]
fn begin(
    settings: &Settings,
    task: *mut task_struct,
    thread: &mut Thread,
    registers: UserRegisters,
    wait: Wait,
) {
    if thread.process.tgid == 0 {
        thread.process = kernel::process(task);
    }
    thread.word = wait.word;
    thread.second = wait.second;
    thread.family = wait.family as u32;
    thread.timed = wait.timed;
    thread.shared = wait.shared;
    thread.paired = false;
    thread.woken = 0;
    thread.epoch = 0;
    if settings.label_thread != 0 {
        thread.name = bpf_get_current_comm().unwrap_or_default();
    }
    thread.stack =
        if settings.block_rate != 0 { unwind::stack(task, thread, registers, At::Wait) } else { 0 };
    thread.lock = lock::key(task, wait.word, thread.memory(), wait.shared);
    // SAFETY: the helper has no preconditions.
    thread.start = unsafe { bpf_ktime_get_ns() };
    // Which of several words ends the wait is known only at the wake.
    if wait.family != Family::Several {
        lock::open(thread);
    }
    thread.phase = Phase::Waiting;
}

/// The wait that goes on by `restart_syscall` after a stop. The call's number is lost then, its other
/// registers are as they were when this thread last waited.
#[inline(always)]
fn restarted(thread: &Thread, registers: UserRegisters) -> Option<Wait> {
    let word = registers.call().arguments[0];
    if thread.word != word || thread.ip != registers.ip() || thread.sp != registers.sp() {
        return None;
    }
    let family = match thread.family {
        1 => Family::PriorityInheriting,
        2 => Family::ConditionRequeue,
        3 => Family::Several,
        _ => Family::Plain,
    };
    Some(Wait { word, second: thread.second, family, shared: thread.shared, timed: thread.timed })
}

#[inline(always)]
fn refuse_compat(task: *mut task_struct, number: u64, native_futex: u64) {
    let is_futex = if kernel::is_compat(task) {
        number == COMPAT_FUTEX[0] || number == COMPAT_FUTEX[1]
    } else {
        number == native_futex
    };
    let watched = maps::settings().is_some_and(|s| maps::is_watched(s, kernel::process_id(task)));
    if is_futex && watched {
        maps::lose(Lost::CompatCall);
    }
}

/// A thread comes on a CPU: closes its wait, if one is open.
#[inline(always)]
pub fn close(ctx: &BtfTracePointContext, task: *mut task_struct) {
    let Some(thread) = THREADS.get(task) else { return };
    if thread.phase == Phase::Running {
        return;
    }
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let mut run_queue = 0;
    if thread.phase == Phase::Woken {
        run_queue = now - thread.woken;
    } else {
        // The wake came between the thread's decision to sleep and its leaving the CPU.
        debug!(ctx, "thread {} runs, no wake was seen", kernel::thread_id(task));
        lock::close(thread, now);
    }
    thread.phase = Phase::Running;
    tally::wait(thread, now - thread.start, run_queue);
}
