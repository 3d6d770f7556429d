//! The programs: what runs in the kernel, and where it is attached.
//!
//! Two tracepoints do the work. `sched_switch` opens a wait when a thread leaves the CPU inside a
//! futex wait and closes it when it runs again; `sched_waking` stamps the wake and charges the
//! unlocker. Three more follow processes. See the modules for each step.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(
    target_arch = "bpf",
    feature(core_intrinsics),
    expect(internal_features, reason = "BPF has atomic add and compare-exchange only as intrinsics")
)]

#[cfg(target_arch = "bpf")]
mod atomic;
#[cfg(target_arch = "bpf")]
mod kernel;
#[cfg(target_arch = "bpf")]
mod lock;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod process;
#[cfg(target_arch = "bpf")]
mod release;
#[cfg(target_arch = "bpf")]
mod tally;
#[cfg(target_arch = "bpf")]
mod unwind;
#[cfg(target_arch = "bpf")]
mod wait;

#[cfg(not(target_arch = "bpf"))]
fn main() {
    panic!("this program runs in the kernel: build it with `cargo xtask ebpf build`");
}

#[cfg(target_arch = "bpf")]
mod entry {
    use aya_ebpf::bindings::task_struct;
    use aya_ebpf::macros::btf_tracepoint;
    use aya_ebpf::programs::BtfTracePointContext;

    use crate::{kernel, process, release, wait};

    /// A thread leaves the CPU, another one comes.
    #[btf_tracepoint(function = "sched_switch")]
    pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
        let preempted: u64 = ctx.arg(0);
        let previous: *mut task_struct = ctx.arg(1);
        let next: *mut task_struct = ctx.arg(2);
        wait::close(&ctx, next);
        if preempted & 0xff == 0 && kernel::sleeps_interruptibly(&ctx, previous) {
            wait::open(previous);
        }
        0
    }

    /// The current thread, or an interrupt on top of it, is about to wake a thread.
    #[btf_tracepoint(function = "sched_waking")]
    pub fn sched_waking(ctx: BtfTracePointContext) -> i32 {
        release::woken(&ctx, ctx.arg(0));
        0
    }

    /// A process or thread is made.
    #[btf_tracepoint(function = "sched_process_fork")]
    pub fn sched_process_fork(ctx: BtfTracePointContext) -> i32 {
        process::forked(ctx.arg(0), ctx.arg(1));
        0
    }

    /// A process has begun another program.
    #[btf_tracepoint(function = "sched_process_exec")]
    pub fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
        process::executed(ctx.arg(0));
        0
    }

    /// A thread ends.
    #[btf_tracepoint(function = "sched_process_exit")]
    pub fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
        process::exited(ctx.arg(0));
        0
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// The kernel lets only programs under a GPL-compatible licence use the helpers needed here.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}
