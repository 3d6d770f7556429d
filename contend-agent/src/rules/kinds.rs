//! The table of lock functions' names.

use Pattern::{Contains, Is, Prefix, Raw, Suffix};

use super::Kind::{self, Barrier, Condvar, Gil, Join, Mutex, Once, Park, RwlockRead, RwlockWrite, Semaphore};
use super::name::Name;

/// How a name is compared; all but [`Self::Raw`] look at the bare name.
pub(super) enum Pattern {
    /// The whole name as it is.
    Raw(&'static str),
    /// The whole name.
    Is(&'static str),
    /// Its beginning.
    Prefix(&'static str),
    /// Its end.
    Suffix(&'static str),
    /// Any part of it.
    Contains(&'static str),
}

impl Pattern {
    pub(super) fn matches(&self, name: &Name<'_>) -> bool {
        match self {
            Self::Raw(raw) => name.raw == *raw,
            Self::Is(bare) => name.bare == *bare,
            Self::Prefix(start) => name.bare.starts_with(start),
            Self::Suffix(end) => name.bare.ends_with(end),
            Self::Contains(part) => name.bare.contains(part),
        }
    }
}

/// What a function is in a stack.
#[derive(PartialEq, Eq)]
pub(super) enum Part {
    /// It decides when no other decisive one is within it.
    Primitive,
    /// It never calls the user's code: whatever it waits on, the wait is its own.
    Whole,
}

/// One rule.
pub(super) struct Row {
    pub(super) pattern: Pattern,
    pub(super) kind: Kind,
    pub(super) part: Part,
}

const fn row(pattern: Pattern, kind: Kind) -> Row {
    Row { pattern, kind, part: Part::Primitive }
}

const fn whole(pattern: Pattern, kind: Kind) -> Row {
    Row { pattern, kind, part: Part::Whole }
}

/// The rules; of those that match one name, the first counts.
pub(super) static ROWS: &[Row] = &[
    // glibc and musl: exported functions and their internal variants.
    row(Prefix("pthread_mutex_"), Mutex),
    row(Prefix("pthread_spin_"), Mutex),
    row(Prefix("pthread_cond_"), Condvar),
    row(Prefix("pthread_rwlock_rdlock"), RwlockRead),
    row(Prefix("pthread_rwlock_timedrdlock"), RwlockRead),
    row(Prefix("pthread_rwlock_clockrdlock"), RwlockRead),
    row(Prefix("pthread_rwlock_tryrdlock"), RwlockRead),
    // The unlock functions serve both sides; what waits longest for a lock is a writer's section.
    row(Prefix("pthread_rwlock_"), RwlockWrite),
    row(Prefix("pthread_barrier_wait"), Barrier),
    row(Prefix("pthread_join"), Join),
    row(Prefix("pthread_timedjoin"), Join),
    row(Prefix("pthread_clockjoin"), Join),
    row(Prefix("pthread_once"), Once),
    row(Is("mtx_lock"), Mutex),
    row(Is("mtx_timedlock"), Mutex),
    row(Is("mtx_unlock"), Mutex),
    row(Prefix("cnd_"), Condvar),
    row(Is("thrd_join"), Join),
    row(Is("call_once"), Once),
    row(Is("sem_wait"), Semaphore),
    row(Is("sem_timedwait"), Semaphore),
    row(Is("sem_clockwait"), Semaphore),
    row(Is("sem_post"), Semaphore),
    // glibc only.
    row(Prefix("lll_"), Mutex),
    row(Prefix("futex_lock_pi"), Mutex),
    row(Prefix("condvar_"), Condvar),
    row(Prefix("new_sem_"), Semaphore),
    row(Prefix("old_sem_"), Semaphore),
    // In spite of its name, a part of the semaphores.
    row(Is("do_futex_wait"), Semaphore),
    row(Is("flockfile"), Mutex),
    row(Is("libc_allocate_once_slow"), Once),
    // musl only.
    row(Raw("__lock"), Mutex),
    row(Raw("__unlock"), Mutex),
    row(Raw("__lockfile"), Mutex),
    row(Raw("__unlockfile"), Mutex),
    row(Raw("__tl_lock"), Mutex),
    row(Raw("__tl_unlock"), Mutex),
    row(Is("private_cond_signal"), Condvar),
    // Rust's standard library: the part on futexes, then the public types, with and without
    // poisoning, and where both were in earlier releases.
    row(Contains("std::sys::sync::mutex::"), Mutex),
    row(Contains("std::sys::sync::condvar::"), Condvar),
    row(Contains("std::sys::sync::rwlock::futex::RwLock::read"), RwlockRead),
    row(Contains("std::sys::sync::rwlock::"), RwlockWrite),
    row(Contains("std::sys::sync::once::"), Once),
    row(Contains("std::sys::sync::thread_parking::"), Park),
    row(Contains("::locks::futex_mutex::"), Mutex),
    row(Contains("::locks::futex_condvar::"), Condvar),
    row(Contains("::locks::futex_rwlock::RwLock::read"), RwlockRead),
    row(Contains("::locks::futex_rwlock::"), RwlockWrite),
    row(Prefix("std::sys_common::once::"), Once),
    row(Prefix("std::sys_common::thread_parking::"), Park),
    row(Prefix("std::sys_common::thread_parker::"), Park),
    row(Prefix("std::sync::mutex::"), Mutex),
    row(Prefix("std::sync::poison::mutex::"), Mutex),
    row(Prefix("std::sync::nonpoison::mutex::"), Mutex),
    row(Prefix("std::sync::reentrant_lock::"), Mutex),
    row(Prefix("std::sync::condvar::"), Condvar),
    row(Prefix("std::sync::poison::condvar::"), Condvar),
    row(Prefix("std::sync::nonpoison::condvar::"), Condvar),
    row(Prefix("std::sync::rwlock::RwLockReadGuard"), RwlockRead),
    row(Prefix("std::sync::poison::rwlock::RwLockReadGuard"), RwlockRead),
    row(Prefix("std::sync::nonpoison::rwlock::RwLockReadGuard"), RwlockRead),
    row(Suffix("::rwlock::RwLock::read"), RwlockRead),
    row(Prefix("std::sync::rwlock::"), RwlockWrite),
    row(Prefix("std::sync::poison::rwlock::"), RwlockWrite),
    row(Prefix("std::sync::nonpoison::rwlock::"), RwlockWrite),
    row(Prefix("std::sync::once::"), Once),
    row(Prefix("std::sync::poison::once::"), Once),
    row(Prefix("std::sync::once_lock::"), Once),
    row(Prefix("std::sync::lazy_lock::"), Once),
    row(Prefix("std::thread::park"), Park),
    row(Prefix("std::thread::functions::park"), Park),
    row(Prefix("std::thread::Thread::park"), Park),
    row(Prefix("std::thread::Thread::unpark"), Park),
    row(Prefix("std::thread::thread::Thread::park"), Park),
    row(Prefix("std::thread::thread::Thread::unpark"), Park),
    row(Suffix("thread::Thread::join"), Join),
    row(Suffix("thread::unix::Thread::join"), Join),
    row(Prefix("std::thread::JoinHandle::join"), Join),
    row(Prefix("std::thread::join_handle::JoinHandle::join"), Join),
    // Made of a mutex and a condition variable.
    whole(Prefix("std::sync::barrier::Barrier::wait"), Barrier),
    // libstdc++. Template functions begin with the type that they return.
    row(Contains("std::condition_variable"), Condvar),
    row(Contains("std::__condvar::"), Condvar),
    // Futures wait for a word to change.
    row(Contains("std::__atomic_futex_unsigned_base::"), Condvar),
    row(Contains("std::shared_mutex::lock_shared"), RwlockRead),
    row(Contains("std::shared_mutex::unlock_shared"), RwlockRead),
    row(Contains("std::shared_timed_mutex::lock_shared"), RwlockRead),
    row(Contains("std::shared_timed_mutex::unlock_shared"), RwlockRead),
    row(Contains("std::__shared_mutex_pthread::lock_shared"), RwlockRead),
    row(Contains("std::shared_mutex::"), RwlockWrite),
    row(Contains("std::shared_timed_mutex::"), RwlockWrite),
    row(Contains("std::__shared_mutex_pthread::"), RwlockWrite),
    row(Contains("std::mutex::"), Mutex),
    row(Contains("std::timed_mutex::"), Mutex),
    row(Contains("std::recursive_mutex::"), Mutex),
    row(Contains("std::recursive_timed_mutex::"), Mutex),
    row(Contains("std::counting_semaphore"), Semaphore),
    row(Contains("std::__atomic_semaphore::"), Semaphore),
    row(Contains("std::__platform_semaphore::"), Semaphore),
    row(Contains("std::barrier"), Barrier),
    row(Contains("std::__tree_barrier"), Barrier),
    row(Contains("std::latch::"), Barrier),
    row(Contains("std::thread::join"), Join),
    row(Contains("std::call_once"), Once),
    row(Is("cxa_guard_acquire"), Once),
    row(Is("cxa_guard_release"), Once),
    row(Is("cxa_guard_abort"), Once),
    // CPython's global lock is made of a mutex and a condition variable.
    whole(Is("take_gil"), Gil),
    whole(Is("drop_gil"), Gil),
    whole(Is("drop_gil_impl"), Gil),
];
