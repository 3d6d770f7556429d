//! Each a mistake that a profiler of this kind has made.

use contend_tests::agent::{Finished, profile_command};
use contend_tests::kernel::Setting;
use contend_tests::requirements::alone;
use contend_tests::skip;
use contend_tests::stats::assert_within;
use contend_tests::workload::Truth;

/// Delay within 2 %, count within 1 %, and nothing said to be lost.
#[track_caller]
fn assert_exact(run: &Finished, truth: &Truth) {
    let block = run.block(truth.pid);
    let name = &truth.workload;
    assert_within(&format!("{name}: delay"), block.delay() as f64, truth.delay_ns as f64, 0.02);
    assert_within(&format!("{name}: count"), block.contentions() as f64, truth.sleeps as f64, 0.01);
    assert_nothing_lost(run);
}

#[track_caller]
fn assert_nothing_lost(run: &Finished) {
    assert_eq!(run.lost(), [], "{}", run.stdout);
}

#[test]
fn waiter_moved_between_processors() {
    let _alone = alone();
    let run = profile_command(&[], "migration", &[]);
    let truth = run.truth();
    if let Some(absent) = &truth.absent {
        skip!("this machine lacks {absent}");
    }
    assert!(truth.number("moved") > 100.0, "the test needs migrations: {truth:?}");
    assert_exact(&run, &truth);
}

#[test]
fn thread_ids_used_again() {
    let _alone = alone();
    // So low that nine thousand threads use each about twice; ids above it that are in use stay valid.
    let Some(_lowered) = Setting::change("/proc/sys/kernel/pid_max", "4096") else {
        skip!("/proc/sys/kernel/pid_max cannot be changed here");
    };
    let run = profile_command(&[], "tid_reuse", &["9000"]);
    let truth = run.truth();
    assert!(truth.number("reused") > 100.0, "no thread id was used again: {truth:?}");
    assert_exact(&run, &truth);
}

#[test]
fn ten_thousand_sleepers() {
    let _alone = alone();
    let run = profile_command(&[], "sleepers", &["10000", "2000"]);
    assert_exact(&run, &run.truth());
}

#[test]
fn timers_name_no_unlocker() {
    let _alone = alone();
    let run = profile_command(&[], "timer_wakes", &[]);
    let truth = run.truth();
    assert_exact(&run, &truth);
    let mutex = run.mutex(truth.pid);
    assert_eq!((mutex.contentions(), mutex.delay()), (0, 0), "{}", mutex.stacks());
}

#[test]
fn every_futex_operation() {
    let _alone = alone();
    let run = profile_command(&["--labels", "thread"], "futex_ops", &[]);
    let truth = run.truth();
    let block = run.block(truth.pid);
    let mut absent = Vec::new();
    let mut wrong = Vec::new();
    for (name, operation) in &truth.operations {
        if operation.absent {
            absent.push(name.as_str());
            continue;
        }
        let seen = block.labelled("thread", name);
        let count_off = seen.contentions() - i64::try_from(operation.sleeps).expect("few");
        let delay_off = seen.delay() as f64 / operation.delay_ns as f64 - 1.0;
        // One wait in forty would be 2.5 %: counts must be exact.
        if count_off != 0 || delay_off.abs() > 0.02 {
            wrong.push(format!("{name}: count {count_off:+}, delay {:+.1} %", 100.0 * delay_off));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), block.stacks());
    if !absent.is_empty() {
        skip!("this kernel lacks {}", absent.join(", "));
    }
}

/// Each wait was ended by a futex wake of the main thread, whatever the operation: it is blamed for
/// all of them.
#[test]
fn every_futex_wake() {
    let _alone = alone();
    let run = profile_command(&["--run-queue", "split"], "futex_ops", &[]);
    let pid = run.truth().pid;
    let (mutex, block) = (run.mutex(pid), run.block(pid));
    let waited = block.only(|s| !s.labels.contains_key("phase"));
    let kinds = |p: &contend_tests::profile::Profile| p.stacks();
    assert_within("mutex delay", mutex.delay() as f64, waited.delay() as f64, 0.02);
    assert!(mutex.contentions() > 0, "{}\n{}", kinds(&mutex), kinds(&block));
}

#[test]
fn stopped_and_continued() {
    let _alone = alone();
    let run = profile_command(&[], "stopped_wait", &[]);
    let truth = run.truth();
    let block = run.block(truth.pid);
    assert_eq!(block.contentions(), 2, "{}", block.stacks());
    assert_within("delay without the stop", block.delay() as f64, truth.delay_ns as f64, 0.02);
}

#[test]
fn system_calls_of_32_bits() {
    let _alone = alone();
    let run = profile_command(&[], "compat_call", &[]);
    let truth = run.truth();
    if let Some(absent) = &truth.absent {
        skip!("this kernel lacks {absent}");
    }
    let block = run.block(truth.pid);
    if block.contentions() == 0 {
        let said = format!("{}{}", run.stdout, run.stderr).to_lowercase();
        assert!(said.contains("32-bit"), "neither decoded nor said to be unsupported:\n{said}");
    } else {
        assert_exact(&run, &truth);
    }
}

#[test]
fn first_stack_is_present() {
    let _alone = alone();
    // One thread, one wait: the only stack of the run is its first.
    let run = profile_command(&[], "sleepers", &["1", "100"]);
    let truth = run.truth();
    let block = run.block(truth.pid);
    let waits = block.only(|s| !s.functions.is_empty());
    assert_eq!(waits.contentions(), i64::try_from(truth.sleeps).expect("few"), "{}", block.stacks());
}

#[test]
fn mutex_inside_a_condvar_is_counted_once() {
    let _alone = alone();
    let run = profile_command(&[], "nested", &[]);
    assert_exact(&run, &run.truth());
}

#[test]
fn a_storm_of_waits_loses_nothing() {
    let _alone = alone();
    let run = profile_command(&[], "storm", &["3000"]);
    let truth = run.truth();
    let count = run.block(truth.pid).contentions() as f64;
    assert_within("storm: count", count, truth.sleeps as f64, 0.001);
    assert_nothing_lost(&run);
}

#[test]
fn exec_keeps_the_waits_of_before() {
    let _alone = alone();
    let run = profile_command(&[], "exec_chain", &["3", "500"]);
    let truths = run.truths();
    assert_eq!(truths.len(), 3, "{}", run.stdout);
    let block = run.block(truths[0].pid);
    let sleeps: u64 = truths.iter().map(|t| t.sleeps).sum();
    let delay: u64 = truths.iter().map(|t| t.delay_ns).sum();
    assert_within("exec: count", block.contentions() as f64, sleeps as f64, 0.01);
    assert_within("exec: delay", block.delay() as f64, delay as f64, 0.02);
    // Addresses change with each exec; the names must not be those of another life.
    let named = block.with("link_section").delay() as f64;
    assert_within("exec: named", named, block.delay() as f64, 0.02);
}
