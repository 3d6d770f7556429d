//! The lock table: which record a word has, and its waiting integral.

use core::ffi::c_void;

use aya_ebpf::bindings::{BPF_NOEXIST, task_struct};
use aya_ebpf::helpers::generated::bpf_find_vma;
use contend_ebpf::blame;
use contend_ebpf::record::{LockKey, LockRecord, Lost};

use crate::atomic;
use crate::kernel::{layout, member};
use crate::maps::{self, LOCKS};
use crate::wait::Thread;

/// `VM_MAYSHARE` of `linux/mm.h`: the mapping's pages belong to the file.
const MAY_SHARE: u64 = 0x80;
const PAGE_BITS: u32 = 12;

/// The key of `word`: for shared memory the file and the offset in it, so that it is one lock in all
/// the processes that map it; otherwise the process's memory and the address.
#[inline(always)]
pub fn key(task: *mut task_struct, word: u64, memory: u64, shared: bool) -> LockKey {
    let private = LockKey { space: memory, word };
    if !shared {
        return private;
    }
    let mut search = Search { word, key: private };
    // SAFETY: the callback has the signature that the helper asks for, and `search` outlives the call.
    let found = unsafe { bpf_find_vma(task, word, shared_key as *mut c_void, (&raw mut search).cast(), 0) };
    if found != 0 {
        maps::lose(Lost::SharedKey);
    }
    search.key
}

#[repr(C)]
struct Search {
    word: u64,
    key: LockKey,
}

/// Called by the kernel with the mapping that holds the word.
unsafe extern "C" fn shared_key(_task: *mut c_void, vma: *const u8, search: *mut Search) -> i64 {
    // SAFETY: `vma` is a trusted mapping, locked by the helper; `search` is the caller's.
    unsafe {
        let file: *const u8 = member(vma, layout!(vma_file));
        let flags: u64 = member(vma, layout!(vma_flags));
        if file.is_null() || flags & MAY_SHARE == 0 {
            return 0;
        }
        let start: u64 = member(vma, layout!(vma_start));
        let page: u64 = member(vma, layout!(vma_pgoff));
        let inode: u64 = member(file, layout!(file_inode));
        (*search).key = LockKey { space: inode, word: (page << PAGE_BITS) + ((*search).word - start) };
    }
    0
}

#[inline(always)]
fn find_or_make(thread: &Thread) -> Option<*mut LockRecord> {
    if let Some(record) = LOCKS.get_ptr_mut(thread.lock) {
        return Some(record);
    }
    let record = LockRecord { epoch: thread.start, process: thread.process, ..LockRecord::default() };
    // Another CPU may have been faster: then its record is the one.
    let _ = LOCKS.insert(thread.lock, record, BPF_NOEXIST as u64);
    LOCKS.get_ptr_mut(thread.lock)
}

/// Adds the thread's wait to its lock's integral.
#[inline(always)]
pub fn open(thread: &mut Thread) {
    let Some(record) = find_or_make(thread) else {
        return maps::lose(Lost::LockTableFull);
    };
    // SAFETY: a map value; all that several CPUs change is changed atomically, in the order that
    // `blame` asks for.
    unsafe {
        if blame::is_full((&raw const (*record).waiters).read_volatile()) {
            return maps::lose(Lost::LockSaturated);
        }
        thread.epoch = (*record).epoch;
        // A record that another CPU has made since this wait began starts a little later.
        if thread.start < thread.epoch {
            thread.start = thread.epoch;
        }
        let change = blame::open(thread.start - thread.epoch);
        atomic::add_signed(&raw mut (*record).finished, change.finished);
        atomic::add(&raw mut (*record).waiters, change.waiters);
        (&raw mut (*record).last_wait).write_volatile(thread.start);
    }
}

/// The record in which the thread's wait was opened.
#[inline(always)]
pub fn record(thread: &Thread) -> Option<*mut LockRecord> {
    if thread.epoch == 0 {
        return None;
    }
    if let Some(record) = LOCKS.get_ptr_mut(thread.lock) {
        // SAFETY: a map value; the epoch does not change after the record is made.
        if unsafe { (*record).epoch } == thread.epoch {
            return Some(record);
        }
    }
    maps::lose(Lost::LockRetired);
    None
}

/// Ends the thread's wait in its lock's integral.
#[inline(always)]
pub fn close(thread: &Thread, now: u64) {
    if let Some(record) = record(thread) {
        end(record, thread.start, thread.epoch, now);
    }
}

/// Ends a wait in `record`.
#[inline(always)]
pub fn end(record: *mut LockRecord, start: u64, epoch: u64, now: u64) {
    let change = blame::close(start - epoch, now - epoch);
    // SAFETY: as in `open`.
    unsafe {
        atomic::add(&raw mut (*record).waiters, change.waiters);
        atomic::add_signed(&raw mut (*record).finished, change.finished);
    }
}

/// Waiting on the lock that nobody has been charged with yet; it counts as charged from now on. Zero
/// when other CPUs are changing the record all the while: a later release finds it.
#[inline(always)]
pub fn charge(record: *mut LockRecord, now: u64) -> u64 {
    // SAFETY: as in `open`.
    unsafe {
        let charged = (&raw const (*record).charged).read_volatile();
        let finished = &raw const (*record).finished;
        for _ in 0..4 {
            let before = finished.read_volatile();
            let waiters = atomic::read(&raw mut (*record).waiters);
            if finished.read_volatile() != before {
                continue;
            }
            let total = blame::waiting(waiters, before, now - (*record).epoch);
            let moved = total > charged && atomic::replace(&raw mut (*record).charged, charged, total);
            return if moved { total - charged } else { 0 };
        }
    }
    0
}
