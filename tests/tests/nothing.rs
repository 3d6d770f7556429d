//! Programs that do not wait for a lock have nothing recorded.

use contend_tests::agent::profile_command;
use contend_tests::requirements::alone;

#[track_caller]
fn check(name: &str, arguments: &[&str]) -> contend_tests::workload::Truth {
    let _alone = alone();
    let run = profile_command(&[], name, arguments);
    let truth = run.truth();
    let block = run.block(truth.pid);
    // A join at the end may have slept: the program knows.
    assert_eq!(
        block.contentions(),
        i64::try_from(truth.sleeps).expect("few"),
        "{}",
        block.stacks()
    );
    let mutex = run.mutex(truth.pid);
    assert!(
        mutex.contentions() <= block.contentions(),
        "{}",
        mutex.stacks()
    );
    truth
}

#[test]
fn uncontended_locks() {
    let truth = check("uncontended", &[]);
    assert!(truth.number("iterations") > 1e5, "{truth:?}");
}

#[test]
fn preempted_threads() {
    let truth = check("preempted", &[]);
    assert!(
        truth.number("preemptions") > 100.0,
        "the test needs preemption: {truth:?}"
    );
}

#[test]
fn sleep_and_io() {
    let truth = check("sleep_io", &[]);
    assert!(truth.number("rounds") > 10.0, "{truth:?}");
}

#[test]
fn calls_that_return_at_once() {
    let truth = check("eagain", &[]);
    assert!(truth.number("refused") > 1e5, "{truth:?}");
}
