//! Atomic operations on map values.
//!
//! `core::sync::atomic` has no read-modify-write for BPF: the target declares no compare-and-swap. The
//! intrinsics compile to the instructions of BPF's version 3.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

const ORDER: AtomicOrdering = AtomicOrdering::SeqCst;

/// Adds, wrapping.
///
/// # Safety
///
/// `target` must point into a map value, 8-byte aligned.
#[inline(always)]
pub unsafe fn add(target: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { atomic_xadd::<u64, u64, ORDER>(target, value) };
}

/// Adds, wrapping, to a signed number.
///
/// # Safety
///
/// As [`add`].
#[inline(always)]
pub unsafe fn add_signed(target: *mut i64, value: i64) {
    // SAFETY: the caller's promise; the two types have one layout and one wrapping addition.
    unsafe { add(target.cast(), value as u64) };
}

/// Reads with the ordering of a full barrier: what this CPU reads before and after stays there.
///
/// # Safety
///
/// As [`add`].
#[inline(always)]
pub unsafe fn read(target: *mut u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { atomic_xadd::<u64, u64, ORDER>(target, 0) }
}

/// Replaces `old` by `new`; false when something else is there.
///
/// # Safety
///
/// As [`add`].
#[inline(always)]
pub unsafe fn replace(target: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: the caller's promise.
    unsafe { atomic_cxchg::<u64, ORDER, ORDER>(target, old, new).0 == old }
}
