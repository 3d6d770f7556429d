//! The workloads by themselves: what they say about themselves is what the other tests believe.

use contend_tests::requirements::alone_without_agent;
use contend_tests::workload;

/// Programs that wait, and the least number of sleeps in a short run of each.
const WAITING: [(&str, &[&str], u64); 17] = [
    ("hot_mutex", &["8", "500", "300"], 200),
    ("std_mutex", &["8", "500", "300"], 200),
    ("condvar_handoff", &["1000", "300"], 100),
    ("semaphore", &["1000", "300"], 200),
    ("rwlock", &["800", "300"], 50),
    ("timed_wait", &["sem", "5000", "300"], 100),
    ("timed_wait", &["cond", "5000", "300"], 100),
    ("timed_wait", &["mutex", "5000", "300"], 100),
    ("barrier", &["800", "300"], 50),
    ("blame", &["20"], 140),
    ("blame_shared", &["10"], 60),
    ("nested", &["1000", "300"], 100),
    ("migration", &["20"], 20),
    ("tid_reuse", &["200"], 200),
    ("sleepers", &["500", "100"], 500),
    ("timer_wakes", &["2000", "200"], 100),
    ("storm", &["200"], 1000),
];

#[test]
fn waiting_programs_know_their_waits() {
    let _alone = alone_without_agent();
    for (name, arguments, least) in WAITING {
        let truths = workload::run(name, arguments);
        assert_eq!(truths.len(), 1, "{name}");
        let truth = &truths[0];
        assert!(truth.absent.is_some() || truth.sleeps >= least, "{name}: {truth:?}");
        assert!(truth.absent.is_some() || truth.delay_ns > 0, "{name}: {truth:?}");
    }
}

#[test]
fn programs_of_several_processes_report_each() {
    let _alone = alone_without_agent();
    for (name, arguments, processes) in [
        ("shared_mutex", ["800", "200"], 2),
        ("fork_children", ["3", "200"], 4),
        ("exec_chain", ["3", "150"], 3),
    ] {
        let truths = workload::run(name, &arguments);
        assert_eq!(truths.len(), processes, "{name}: {truths:?}");
        assert!(truths.iter().all(|t| t.sleeps > 0), "{name}: {truths:?}");
    }
}

#[test]
fn programs_without_waits_have_none() {
    let _alone = alone_without_agent();
    for (name, argument) in
        [("uncontended", "200"), ("sleep_io", "200"), ("eagain", "1000"), ("preempted", "200")]
    {
        let truths = workload::run(name, &[argument]);
        // The joins at the end may sleep on a machine that does something else at the same time.
        assert!(truths[0].sleeps <= 2, "{name}: {truths:?}");
    }
}

/// Seven of eight threads wait at any time: the program's own clocks must add up to about that.
#[test]
fn the_clocks_add_up() {
    let _alone = alone_without_agent();
    let truth = &workload::run("hot_mutex", &["8", "500", "500"])[0];
    let most = 8.0 * 0.6e9;
    assert!(truth.delay_ns as f64 > 0.5 * most && (truth.delay_ns as f64) < 2.0 * most, "{truth:?}");
}

#[test]
fn every_futex_operation_sleeps_or_is_absent() {
    let _alone = alone_without_agent();
    let truth = &workload::run("futex_ops", &["5", "1000"])[0];
    assert_eq!(truth.operations.len(), 11);
    for (name, operation) in &truth.operations {
        assert!(operation.absent || operation.sleeps >= 4, "{name}: {operation:?}");
    }
}

#[test]
fn a_stopped_wait_leaves_out_the_stop() {
    let _alone = alone_without_agent();
    let truth = &workload::run("stopped_wait", &["400"])[0];
    assert_eq!(truth.sleeps, 2, "{truth:?}");
    assert!((250_000_000..400_000_000).contains(&truth.delay_ns), "{truth:?}");
}
