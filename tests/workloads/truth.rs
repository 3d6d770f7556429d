// What every workload counts of itself; the same as truth.h. Included, so that a workload is one
// file to the compiler and needs no package.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

static SLEEPS: AtomicI64 = AtomicI64::new(0);
static DELAY_NS: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static MINE: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

/// `struct rusage`: two times, then fourteen counters, of which `ru_nvcsw` is the last but one.
#[repr(C)]
struct Usage {
    times: [i64; 4],
    counters: [i64; 14],
}

unsafe extern "C" {
    fn getrusage(who: i32, usage: *mut Usage) -> i32;
    fn prctl(option: i32, argument: u64) -> i32;
}

fn voluntary_switches() -> i64 {
    const RUSAGE_THREAD: i32 = 1;
    let mut usage = Usage { times: [0; 4], counters: [0; 14] };
    // SAFETY: the structure has the size and layout of the kernel's.
    unsafe { getrusage(RUSAGE_THREAD, &mut usage) };
    usage.counters[12]
}

/// Makes a call and counts it when it slept.
#[inline(always)]
fn waiting<T>(call: impl FnOnce() -> T) -> T {
    let switches = voluntary_switches();
    let start = Instant::now();
    let answer = call();
    let delay = start.elapsed().as_nanos() as i64;
    let slept = voluntary_switches() - switches;
    if slept > 0 {
        let (sleeps, sum) = MINE.get();
        MINE.set((sleeps + slept, sum + delay));
    }
    answer
}

fn tally_add() {
    let (sleeps, delay) = MINE.replace((0, 0));
    SLEEPS.fetch_add(sleeps, Ordering::Relaxed);
    DELAY_NS.fetch_add(delay, Ordering::Relaxed);
}

fn argument(index: usize, otherwise: u64) -> u64 {
    std::env::args().nth(index).and_then(|a| a.parse().ok()).unwrap_or(otherwise)
}

fn gate() {
    const PR_SET_TIMERSLACK: i32 = 29;
    // SAFETY: takes a number.
    unsafe { prctl(PR_SET_TIMERSLACK, 1000) };
    if std::env::var_os("CONTEND_GATE").is_some() {
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
}

/// Waits for the threads by naps, so that joining, which is a futex wait, rarely sleeps.
fn finish(workers: Vec<std::thread::JoinHandle<()>>) {
    while !workers.iter().all(|w| w.is_finished()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(5));
    for worker in workers {
        waiting(|| worker.join().unwrap());
    }
    tally_add();
}

fn report(workload: &str) {
    println!(
        "{{\"workload\":\"{workload}\",\"pid\":{},\"sleeps\":{},\"delay_ns\":{}}}",
        std::process::id(),
        SLEEPS.load(Ordering::Relaxed),
        DELAY_NS.load(Ordering::Relaxed)
    );
}
