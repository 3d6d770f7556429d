//! Sums: exact ones for each process, sampled ones for each stack.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_get_prandom_u32;
use contend_ebpf::record::{Lost, ProcessKey, Profile, SampleKey, SampleSums, Settings, Totals};
use contend_ebpf::sample::{self, Weight};

use crate::atomic;
use crate::maps::{self, PROCESSES, SAMPLES_0, SAMPLES_1};
use crate::wait::Thread;

#[inline(always)]
fn totals(process: ProcessKey) -> Option<*mut Totals> {
    if let Some(totals) = PROCESSES.get_ptr_mut(process) {
        return Some(totals);
    }
    // Another CPU may have been faster: then its entry is the one.
    let _ = PROCESSES.insert(process, Totals::default(), BPF_NOEXIST as u64);
    let totals = PROCESSES.get_ptr_mut(process);
    if totals.is_none() {
        maps::lose(Lost::ProcessTableFull);
    }
    totals
}

/// A wait of `thread` is over.
#[inline(always)]
pub fn wait(thread: &Thread, delay: u64, run_queue: u64) {
    if let Some(totals) = totals(thread.process) {
        // SAFETY: a map value, changed atomically.
        unsafe {
            atomic::add(&raw mut (*totals).waits, 1);
            atomic::add(&raw mut (*totals).delay, delay);
            atomic::add(&raw mut (*totals).run_queue, run_queue);
            atomic::add(&raw mut (*totals).paired, thread.paired as u64);
        }
    }
    let Some(settings) = maps::settings() else { return };
    // SAFETY: the helper has no preconditions.
    let random = unsafe { bpf_get_prandom_u32() };
    let Some(weight) = sample::block(delay, run_queue, settings.block_rate, random) else { return };
    let key = SampleKey {
        process: thread.process,
        stack: thread.stack,
        lock: if settings.label_lock != 0 { thread.word } else { 0 },
        thread: thread.name,
        profile: Profile::Block as u32,
        family: thread.family,
    };
    sample(settings, &key, weight);
}

/// `process` has released a lock, or woken a further waiter of a release that is counted already.
#[inline(always)]
pub fn release(process: ProcessKey, charged: u64, first: bool) {
    if let Some(totals) = totals(process) {
        // SAFETY: a map value, changed atomically.
        unsafe {
            atomic::add(&raw mut (*totals).releases, first as u64);
            atomic::add(&raw mut (*totals).charged, charged);
        }
    }
}

/// Adds a sample to the buffer that is being filled.
#[inline(always)]
pub fn sample(settings: &Settings, key: &SampleKey, weight: Weight) {
    let buffer = if settings.buffer == 0 { &SAMPLES_0 } else { &SAMPLES_1 };
    let sums = match buffer.get_ptr_mut(key) {
        Some(sums) => Some(sums),
        None => {
            // Another CPU may have been faster: then its entry is the one.
            let _ = buffer.insert(key, SampleSums::default(), BPF_NOEXIST as u64);
            buffer.get_ptr_mut(key)
        }
    };
    let Some(sums) = sums else { return maps::lose(Lost::SampleBufferFull) };
    // SAFETY: a map value, changed atomically.
    unsafe {
        atomic::add(&raw mut (*sums).contentions, weight.contentions);
        atomic::add(&raw mut (*sums).delay, weight.delay);
        atomic::add(&raw mut (*sums).run_queue, weight.run_queue);
    }
}
