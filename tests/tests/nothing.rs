//! Programs that do not wait for a lock have nothing recorded.

use contend_tests::agent::Agent;
use contend_tests::requirements::alone;
use contend_tests::stats::assert_within;
use contend_tests::workload::{Truth, executable};

/// Runs the program and then, in the same recording, one that does wait: an agent that records
/// nothing at all must not pass.
#[track_caller]
fn check(name: &str) -> Truth {
    let _alone = alone();
    let script = format!("{} && {} 4 500 300", executable(name).display(), executable("hot_mutex").display());
    let run = Agent::start(["--", "sh", "-c", &script]).finish().expect_success();
    let truths = run.truths();
    assert_eq!(truths.len(), 2, "{}", run.stdout);
    let (truth, control) = (&truths[0], &truths[1]);
    assert_within("control", run.block(control.pid).contentions() as f64, control.sleeps as f64, 0.02);

    // A join at the end may have slept: the program knows.
    let block = run.block(truth.pid);
    assert_eq!(block.contentions(), i64::try_from(truth.sleeps).expect("few"), "{}", block.stacks());
    let mutex = run.mutex(truth.pid);
    assert!(mutex.contentions() <= block.contentions(), "{}", mutex.stacks());
    truth.clone()
}

#[test]
fn uncontended_locks() {
    let truth = check("uncontended");
    assert!(truth.number("iterations") > 1e5, "{truth:?}");
}

#[test]
fn preempted_threads() {
    let truth = check("preempted");
    assert!(truth.number("preemptions") > 100.0, "the test needs preemption: {truth:?}");
}

#[test]
fn sleep_and_io() {
    let truth = check("sleep_io");
    assert!(truth.number("rounds") > 10.0, "{truth:?}");
}

#[test]
fn calls_that_return_at_once() {
    let truth = check("eagain");
    assert!(truth.number("refused") > 1e5, "{truth:?}");
}
