//! Delay within 2 % of the program's own clocks and count within 1 % of its own sleeps, at rate 1.

use contend_tests::agent::profile_command;
use contend_tests::profile::Profile;
use contend_tests::requirements::alone;
use contend_tests::stats::assert_within;
use contend_tests::workload::Truth;

#[track_caller]
fn assert_true(block: &Profile, truth: &Truth) {
    assert!(truth.sleeps > 100, "too few waits to say anything: {truth:?}");
    let name = &truth.workload;
    assert_within(&format!("{name}: delay"), block.delay() as f64, truth.delay_ns as f64, 0.02);
    assert_within(&format!("{name}: count"), block.contentions() as f64, truth.sleeps as f64, 0.01);
}

#[track_caller]
fn check(name: &str, arguments: &[&str]) {
    let _alone = alone();
    let run = profile_command(&["--mutex-fraction", "1", "--block-rate", "1"], name, arguments);
    let truth = run.truth();
    assert_true(&run.block(truth.pid), &truth);
}

#[test]
fn hot_pthread_mutex() {
    check("hot_mutex", &[]);
}

#[test]
fn rust_std_mutex() {
    check("std_mutex", &[]);
}

#[test]
fn condvar_handoff() {
    check("condvar_handoff", &[]);
}

#[test]
fn semaphore() {
    check("semaphore", &[]);
}

#[test]
fn rwlock() {
    check("rwlock", &[]);
}

#[test]
fn timed_semaphore() {
    check("timed_wait", &["sem"]);
}

#[test]
fn timed_condvar() {
    check("timed_wait", &["cond"]);
}

#[test]
fn timed_mutex() {
    check("timed_wait", &["mutex"]);
}

#[test]
fn barrier() {
    check("barrier", &[]);
}

#[test]
fn short_lived_program() {
    check("hot_mutex", &["8", "200", "50"]);
}

#[test]
fn process_shared_mutex() {
    let _alone = alone();
    let run = profile_command(&[], "shared_mutex", &[]);
    let truths = run.truths();
    assert_eq!(truths.len(), 2, "{}", run.stdout);
    for truth in &truths {
        assert_true(&run.block(truth.pid), truth);
    }
    // Each process waits for the other as well as for itself: what both are charged with is what
    // both waited, less the time from wake to run.
    let blamed: i64 = truths.iter().map(|t| run.mutex(t.pid).delay()).sum();
    let waited: i64 = truths.iter().map(|t| run.block(t.pid).delay()).sum();
    assert!(blamed <= waited, "{blamed} ns charged for {waited} ns of waiting");
    assert_within("mutex delay of both", blamed as f64, waited as f64, 0.05);
}

/// No probe may lengthen what it measures: the critical sections are naps of a fixed length, so
/// the number of releases in a fixed time says how long they were.
#[test]
fn the_agent_does_not_lengthen_the_critical_section() {
    let _alone = alone();
    let bare = contend_tests::workload::run("hot_mutex", &[]);
    let run = profile_command(&[], "hot_mutex", &[]);
    assert_within("releases", run.truth().number("releases"), bare[0].number("releases"), 0.1);
}
