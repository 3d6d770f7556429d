use super::{DEPTH, Kind, kind};

fn label(stack: &[&str]) -> &'static str {
    kind(stack.iter().copied()).label()
}

#[test]
fn glibc_with_internal_names() {
    for (stack, expected) in [
        (&["__lll_lock_wait", "___pthread_mutex_lock", "work"][..], "mutex"),
        (&["futex_wait", "__GI___lll_lock_wait_private", "malloc"], "mutex"),
        (&["__futex_abstimed_wait_common64", "___pthread_cond_wait", "work"], "condvar"),
        (&["__futex_abstimed_wait_common", "__pthread_clockjoin_ex", "main"], "join"),
        (&["__futex_abstimed_wait_common", "__new_sem_wait_slow64.constprop.0"], "semaphore"),
        (&["do_futex_wait.constprop.0", "__new_sem_wait_slow.constprop.0"], "semaphore"),
        (&["__pthread_rwlock_rdlock_full64", "___pthread_rwlock_rdlock"], "rwlock_read"),
        (&["__pthread_rwlock_wrlock_full64", "___pthread_rwlock_wrlock"], "rwlock_write"),
        (&["futex_wait", "___pthread_barrier_wait"], "barrier"),
        (&["__pthread_once_slow.isra.0"], "once"),
        (&["__GI___futex_lock_pi64", "__pthread_mutex_lock_full"], "mutex"),
        (&["pthread_cond_wait@@GLIBC_2.3.2"], "condvar"),
    ] {
        assert_eq!(label(stack), expected, "{stack:?}");
    }
}

#[test]
fn exported_names_alone_are_enough() {
    for (name, expected) in [
        ("pthread_mutex_timedlock", "mutex"),
        ("pthread_mutex_unlock", "mutex"),
        ("pthread_cond_broadcast", "condvar"),
        ("pthread_rwlock_timedrdlock", "rwlock_read"),
        ("pthread_rwlock_unlock", "rwlock_write"),
        ("sem_post", "semaphore"),
        ("pthread_join", "join"),
        ("mtx_lock", "mutex"),
        ("cnd_signal", "condvar"),
    ] {
        assert_eq!(label(&["syscall", name, "main"]), expected, "{name}");
    }
}

#[test]
fn musl() {
    assert_eq!(label(&["__timedwait_cp", "__pthread_mutex_timedlock"]), "mutex");
    assert_eq!(label(&["__wait", "__lock", "malloc"]), "mutex");
    assert_eq!(label(&["__timedwait_cp", "__pthread_cond_timedwait"]), "condvar");
    assert_eq!(label(&["__timedwait_cp", "__pthread_timedjoin_np"]), "join");
    assert_eq!(label(&["__wait", "__pthread_once_full"]), "once");
    assert_eq!(label(&["lock", "main"]), "unknown", "a function of the program");
}

#[test]
fn rust_with_both_manglings() {
    for (stack, expected) in [
        (&["std::sys::sync::mutex::futex::Mutex::lock_contended"][..], "mutex"),
        (&["<std::sys::sync::mutex::futex::Mutex>::lock_contended"], "mutex"),
        (&["std::sys::unix::locks::futex_mutex::Mutex::lock_contended"], "mutex"),
        (&["syscall", "core::ptr::drop_in_place<std::sync::poison::mutex::MutexGuard<u64>>"], "mutex"),
        (&["<std::sync::mutex::MutexGuard<T> as core::ops::drop::Drop>::drop"], "mutex"),
        (&["std::sys::sync::condvar::futex::Condvar::wait_optional_timeout"], "condvar"),
        (&["std::sync::poison::condvar::Condvar::wait_while<T, F>"], "condvar"),
        (&["std::sys::sync::rwlock::futex::RwLock::read_contended"], "rwlock_read"),
        (&["<std::sys::sync::rwlock::futex::RwLock>::write_contended"], "rwlock_write"),
        (&["std::sync::poison::rwlock::RwLock<T>::read"], "rwlock_read"),
        (&["std::sync::poison::rwlock::RwLock<T>::write"], "rwlock_write"),
        (&["std::sys::sync::once::futex::Once::call"], "once"),
        (&["syscall", "std::thread::park", "std::sync::mpmc::context::Context::wait_until"], "park"),
        (&["std::thread::park_timeout"], "park"),
        (&["syscall", "<std::thread::thread::Thread>::park_timeout", "app::idle"], "park"),
        (&["<std::sys::sync::thread_parking::futex::Parker>::unpark"], "park"),
        (&["std::sys::pal::unix::thread::Thread::join", "app::main"], "join"),
    ] {
        assert_eq!(label(stack), expected, "{stack:?}");
    }
}

#[test]
fn libstdcxx() {
    for (name, expected) in [
        ("std::mutex::lock()", "mutex"),
        ("void std::condition_variable::wait<f()::{lambda()#1}>(std::unique_lock<std::mutex>&)", "condvar"),
        ("std::__condvar::wait(std::mutex&)", "condvar"),
        ("std::shared_mutex::lock_shared()", "rwlock_read"),
        ("std::shared_mutex::lock()", "rwlock_write"),
        ("std::counting_semaphore<1l>::acquire()", "semaphore"),
        ("std::latch::wait() const", "barrier"),
        ("std::barrier<std::__empty_completion>::arrive_and_wait(long)", "barrier"),
        ("std::thread::join()", "join"),
        ("__cxa_guard_acquire", "once"),
        ("void std::call_once<void (&)()>(std::once_flag&, void (&)())", "once"),
        ("app::queue<std::mutex>::push(std::mutex&)", "unknown"),
    ] {
        assert_eq!(label(&["syscall", name, "main"]), expected, "{name}");
    }
}

#[test]
fn the_innermost_decisive_name_counts() {
    let relock = ["__lll_lock_wait", "__pthread_mutex_cond_lock", "___pthread_cond_wait", "f"];
    assert_eq!(label(&relock), "mutex");
    let within_once = ["___pthread_cond_wait", "init", "__pthread_once_slow", "main"];
    assert_eq!(label(&within_once), "condvar");
}

#[test]
fn functions_made_of_primitives_decide_over_them() {
    let gil = ["__futex_abstimed_wait_common", "pthread_cond_timedwait", "take_gil", "PyEval"];
    assert_eq!(label(&gil), "gil");
    assert_eq!(label(&["pthread_mutex_lock", "take_gil.lto_priv.0"]), "gil");
    assert_eq!(label(&["pthread_cond_signal", "drop_gil"]), "gil");
    let barrier = ["std::sys::sync::condvar::futex::Condvar::wait", "std::sync::barrier::Barrier::wait"];
    assert_eq!(label(&barrier), "barrier");
}

#[test]
fn only_the_leaf_ward_frames_are_looked_at() {
    let mut stack = vec!["f"; DEPTH - 1];
    stack.push("pthread_mutex_lock");
    assert_eq!(label(&stack), "mutex");
    stack.insert(0, "f");
    assert_eq!(label(&stack), "unknown");
}

#[test]
fn nothing_known_is_unknown() {
    assert_eq!(label(&[]), "unknown");
    assert_eq!(label(&["syscall", "my_lock", "main"]), "unknown");
    assert_eq!(Kind::default(), Kind::Unknown);
}
