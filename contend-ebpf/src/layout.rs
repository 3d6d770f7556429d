//! What the kernel side must be told about the running kernel and machine, as constants at load.
//!
//! The agent reads the structure offsets from the kernel's BTF and overrides [`Layout`] in the
//! program's read-only data, so that the verifier sees constants.

/// Marks a structure member that the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Byte offsets of the structure members that the programs read, and the register layout.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `task_struct.__state`, or `state` before Linux 5.14.
    pub task_state: u32,
    /// `task_struct.pid`: what user space calls the thread id.
    pub task_pid: u32,
    /// `task_struct.tgid`: what user space calls the process id.
    pub task_tgid: u32,
    /// `task_struct.mm`.
    pub task_mm: u32,
    /// `task_struct.group_leader`.
    pub task_group_leader: u32,
    /// `task_struct.start_boottime`, or `real_start_time` before Linux 5.5.
    pub task_start_boottime: u32,
    /// `task_struct.clear_child_tid`: the futex that a thread's exit wakes.
    pub task_clear_child_tid: u32,
    /// `task_struct.bpf_storage`: null for a thread without a record.
    pub task_bpf_storage: u32,
    /// `task_struct.signal`.
    pub task_signal: u32,
    /// `signal_struct.live`: threads of the process not yet exiting.
    pub signal_live: u32,
    /// `task_struct.thread_info.status`, or [`ABSENT`] where the architecture keeps compat state elsewhere.
    pub task_thread_status: u32,
    /// `mm_struct.start_code`: where the executable's code begins.
    pub mm_start_code: u32,
    /// `mm_struct.end_code`.
    pub mm_end_code: u32,
    /// `mm_struct.mmap_base`: libraries and other mappings lie near it.
    pub mm_mmap_base: u32,
    /// `vm_area_struct.vm_start`.
    pub vma_start: u32,
    /// `vm_area_struct.vm_pgoff`.
    pub vma_pgoff: u32,
    /// `vm_area_struct.vm_flags`.
    pub vma_flags: u32,
    /// `vm_area_struct.vm_file`.
    pub vma_file: u32,
    /// `file.f_inode`.
    pub file_inode: u32,
    /// 1 when `sched_switch` passes the previous task's state as its fourth argument (Linux 5.18).
    pub switch_has_state: u32,
    /// Where the registers of a system call are.
    pub registers: Registers,
    /// Process id of the agent, whose own waits are not recorded.
    pub agent_tgid: u32,
}

/// Indexes, in 8-byte words, into the architecture's `pt_regs` (ABI, from `asm/ptrace.h`), and
/// the numbers of the system calls that the programs know.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// System call number: `orig_ax` on x86-64, `x8` on arm64.
    pub number: u32,
    /// The first six arguments.
    pub arguments: [u32; 6],
    /// Instruction pointer.
    pub ip: u32,
    /// Stack pointer.
    pub sp: u32,
    /// Frame pointer: `rbp` on x86-64, `x29` on arm64.
    pub fp: u32,
    /// The architecture's system call numbers.
    pub calls: CallNumbers,
}

/// System call numbers of the architecture (ABI, from `asm/unistd.h`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallNumbers {
    /// `futex`.
    pub futex: u32,
    /// `futex_waitv` (Linux 5.16).
    pub futex_waitv: u32,
    /// `futex_wake` (Linux 6.7).
    pub futex_wake: u32,
    /// `futex_wait` (Linux 6.7).
    pub futex_wait: u32,
    /// `futex_requeue` (Linux 6.7).
    pub futex_requeue: u32,
    /// `restart_syscall`: how a timed wait goes on after a stop.
    pub restart_syscall: u32,
    /// `exit`: wakes the joiner through `clear_child_tid`.
    pub exit: u32,
}

impl Registers {
    /// x86-64's registers and system call numbers.
    pub const X86_64: Self = Self {
        number: 15,
        arguments: [14, 13, 12, 7, 9, 8],
        ip: 16,
        sp: 19,
        fp: 4,
        calls: CallNumbers {
            futex: 202,
            futex_waitv: 449,
            futex_wake: 454,
            futex_wait: 455,
            futex_requeue: 456,
            restart_syscall: 219,
            exit: 60,
        },
    };

    /// arm64's registers and system call numbers.
    pub const AARCH64: Self = Self {
        number: 8,
        arguments: [0, 1, 2, 3, 4, 5],
        ip: 32,
        sp: 31,
        fp: 29,
        calls: CallNumbers {
            futex: 98,
            futex_waitv: 449,
            futex_wake: 454,
            futex_wait: 455,
            futex_requeue: 456,
            restart_syscall: 128,
            exit: 93,
        },
    };
}

// SAFETY: `repr(C)`, only 32-bit numbers, hence without padding, and every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Layout {}
