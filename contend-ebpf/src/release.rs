//! Wakes: who ended a wait, and what the unlocker is charged with.

use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_prandom_u32, bpf_ktime_get_ns};
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use contend_ebpf::futex::{self, Family, WAITV_MAX, Wake};
use contend_ebpf::record::{COMM_LEN, LockKey, LockRecord, Profile, SampleKey, Settings};
use contend_ebpf::sample;

use crate::kernel::{self, UserRegisters, layout};
use crate::maps::{self, THREADS};
use crate::unwind::At;
use crate::wait::{Phase, Thread};
use crate::{lock, tally, unwind};

/// The release that a thread is in or was last in: one release may wake many.
#[repr(C)]
pub struct Release {
    lock: LockKey,
    ip: u64,
    sp: u64,
    /// How many it may wake, and how many it has woken.
    most: u64,
    woken: u64,
    /// When it woke its first waiter, in ns of the monotonic clock.
    first_wake: u64,
    /// The stack, when it is sampled.
    stack: u64,
    sampled: bool,
}

const SAME_PAGE: u64 = 0xfff;

/// `task` is about to be woken by the current thread, or by an interrupt on top of it.
#[inline(always)]
pub fn woken(ctx: &BtfTracePointContext, task: *mut task_struct) {
    let Some(thread) = THREADS.get(task) else { return };
    if thread.phase != Phase::Waiting {
        return;
    }
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    thread.woken = now;
    thread.phase = Phase::Woken;
    let waker = kernel::current();
    let release = released_word(waker, thread);
    let paired = release.word != 0;
    let record = if thread.family == Family::Several as u32 {
        if paired { several(task, thread, release.word) } else { None }
    } else {
        lock::record(thread)
    };
    let Some(record) = record else {
        thread.paired = paired;
        return;
    };
    lock::end(record, thread.start, thread.epoch, now);
    if !paired {
        debug!(ctx, "thread {} woken, not by a release", kernel::thread_id(task));
        return;
    }
    thread.paired = true;
    if release.requeues {
        // SAFETY: a map value; a torn or lost write only costs the pairing of one later wait.
        unsafe { (&raw mut (*record).requeued_to).write_volatile(release.second) };
    }
    charge(waker, thread, record, &release, now);
}

/// No release: nothing can wait on address 0.
///
/// Not an `Option`: what is undefined in its empty case is copied all the same, and kernels before 6.3 refuse
/// programs that read what they have not written.
const NO_RELEASE: Wake = Wake { word: 0, second: 0, most: 0, requeues: false, indirect: false };

/// The current thread's wake, if it is on the word that `thread` waits on. The context alone proves
/// nothing: a timer's interrupt wakes on top of whatever runs. The address does.
#[inline(always)]
fn released_word(waker: *mut task_struct, thread: &Thread) -> Wake {
    let memory = kernel::memory(waker);
    if memory == 0 || kernel::is_compat(waker) {
        return NO_RELEASE;
    }
    let Some(registers) = UserRegisters::of(waker) else { return NO_RELEASE };
    let calls = kernel::calls();
    if registers.number() == calls.exit as u64 {
        let word = kernel::exit_word(waker);
        let joined = memory == thread.memory() && word == thread.word;
        return if joined { Wake { word, most: 1, ..NO_RELEASE } } else { NO_RELEASE };
    }
    let Some(mut wake) = futex::wake(&registers.call(), &calls) else { return NO_RELEASE };
    if wake.indirect {
        read_words(&mut wake);
    }
    if memory != thread.memory() {
        // The same page seen by two processes: only the offset within it is the same.
        let same = |word: u64| word != 0 && (word ^ thread.word) & SAME_PAGE == 0;
        let meets = thread.shared && (same(wake.word) || same(wake.second));
        return if meets { wake } else { NO_RELEASE };
    }
    let meets = |word: u64| word != 0 && (wake.word == word || wake.second == word);
    let requeue_target = thread.family == Family::ConditionRequeue as u32 && meets(thread.second);
    if meets(thread.word) || requeue_target || was_moved(thread, &wake) { wake } else { NO_RELEASE }
}

/// Whether `thread` may have been requeued to, or may be waiting on, another word than its record says.
/// Without a timeout only a release can wake it, so a wake from within one is that release.
#[inline(always)]
fn was_moved(thread: &Thread, wake: &Wake) -> bool {
    if !thread.timed {
        return true;
    }
    if thread.family == Family::Several as u32 {
        return waits_on(thread.word, thread.second, wake.word) != 0;
    }
    // SAFETY: a map value; see where it is written.
    lock::record(thread).is_some_and(|record| unsafe { (*record).requeued_to } == wake.word)
}

/// The user structure of `futex_waitv` and `futex_requeue` (ABI, `linux/futex.h`).
#[repr(C)]
#[derive(Clone, Copy)]
struct FutexWaitv {
    value: u64,
    word: u64,
    flags: u32,
    reserved: u32,
}

/// The word of an entry of the array; 0 when it cannot be read.
#[inline(always)]
fn read_word(address: u64) -> u64 {
    let mut entry = FutexWaitv { value: 0, word: 0, flags: 0, reserved: 0 };
    let size = size_of::<FutexWaitv>() as u32;
    // SAFETY: `entry` has room for `size` bytes; a bad user address is an error, not a fault.
    let error = unsafe { bpf_probe_read_user((&raw mut entry).cast(), size, address as *const _) };
    if error == 0 { entry.word } else { 0 }
}

/// Puts the words of a requeue in place of the array's address that holds them.
#[inline(always)]
fn read_words(wake: &mut Wake) {
    let array = wake.word;
    wake.word = read_word(array);
    wake.second = read_word(array + size_of::<FutexWaitv>() as u64);
}

/// Whether `word` is one of the `count` entries of the array at `entries`. Of its own, so that the
/// verifier walks the loop once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn waits_on(entries: u64, count: u64, word: u64) -> u32 {
    for index in 0..WAITV_MAX {
        if index >= count {
            return 0;
        }
        match read_word(entries + index * size_of::<FutexWaitv>() as u64) {
            0 => return 0,
            found if found == word => return 1,
            _ => {}
        }
    }
    0
}

/// The record of a wait on several words: the one that woke it, opened late for the whole of the wait.
#[inline(always)]
fn several(task: *mut task_struct, thread: &mut Thread, word: u64) -> Option<*mut LockRecord> {
    thread.word = word;
    thread.lock = lock::key(task, thread.word, thread.memory(), false);
    lock::open(thread);
    lock::record(thread)
}

#[inline(always)]
fn charge(waker: *mut task_struct, waiter: &Thread, record: *mut LockRecord, wake: &Wake, now: u64) {
    let delay = lock::charge(record, now);
    let Some(unlocker) = THREADS.get_or_create(waker) else { return };
    let Some(registers) = UserRegisters::of(waker) else { return };
    if unlocker.process.tgid == 0 {
        unlocker.process = kernel::process(waker);
    }
    unlocker.set_memory(kernel::memory(waker));
    let (ip, sp) = (registers.ip(), registers.sp());
    let last = &mut unlocker.release;
    // A wake of many takes all its waiters off the queue before it wakes the first: whoever waited
    // since before that is the same release's, as long as it may wake more.
    let is_further = last.lock == waiter.lock
        && last.ip == ip
        && last.sp == sp
        && last.most == wake.most
        && last.woken < wake.most
        && waiter.start < last.first_wake;
    last.woken += 1;
    tally::release(unlocker.process, delay, !is_further);
    let Some(settings) = maps::settings() else { return };
    if !is_further {
        // SAFETY: the helper has no preconditions.
        let random = unsafe { bpf_get_prandom_u32() };
        let wanted =
            unlocker.process.tgid != layout!(agent_tgid) && maps::is_watched(settings, unlocker.process.tgid);
        let sampled = wanted && sample::mutex(settings.mutex_fraction, random);
        let stack = if sampled { unwind::stack(waker, unlocker, registers, At::Release) } else { 0 };
        let most = wake.most;
        unlocker.release =
            Release { lock: waiter.lock, ip, sp, most, woken: 1, first_wake: now, stack, sampled };
    }
    if unlocker.release.sampled {
        record_sample(settings, unlocker, waiter, delay, !is_further);
    }
}

#[inline(always)]
fn record_sample(settings: &Settings, unlocker: &Thread, waiter: &Thread, delay: u64, first: bool) {
    let mut thread = [0; COMM_LEN];
    if settings.label_thread != 0 {
        thread = bpf_get_current_comm().unwrap_or_default();
    }
    let key = SampleKey {
        process: unlocker.process,
        stack: unlocker.release.stack,
        lock: if settings.label_lock != 0 { waiter.word } else { 0 },
        thread,
        profile: Profile::Mutex as u32,
        family: waiter.family,
    };
    tally::sample(settings, &key, sample::mutex_weight(settings.mutex_fraction, delay, first));
}
