//! Who is profiled and who is not.

use contend_tests::agent::{Agent, profile_command};
use contend_tests::requirements::alone;
use contend_tests::stats::assert_within;
use contend_tests::workload::Running;

#[test]
fn only_the_process_that_was_named() {
    let _alone = alone();
    let mut target = Running::start("hot_mutex", &["4", "500", "800"]);
    let mut other = Running::start("semaphore", &["1000", "800"]);
    let (a, b) = (target.pid(), other.pid());
    let agent = Agent::attach(&[a], &[]);
    target.open_gate();
    other.open_gate();
    let (truths, others) = (target.finish(), other.finish());
    let run = agent.finish().expect_success();
    assert!(others[0].sleeps > 0, "the other one waited");
    assert_within("target", run.block(a).contentions() as f64, truths[0].sleeps as f64, 0.01);
    assert!(run.path(b, "block").is_none() && run.path(b, "mutex").is_none(), "{:?}", run.files());
    assert_eq!(run.files().len(), 2, "{:?}", run.files());
}

#[test]
fn children_of_a_command_have_files_of_their_own() {
    let _alone = alone();
    let run = profile_command(&[], "fork_children", &[]);
    let truths = run.truths();
    assert_eq!(truths.len(), 4, "{}", run.stdout);
    for truth in truths {
        let block = run.block(truth.pid);
        assert_within(
            &format!("{}: count", truth.workload),
            block.contentions() as f64,
            truth.sleeps as f64,
            0.01,
        );
        assert_within(
            &format!("{}: delay", truth.workload),
            block.delay() as f64,
            truth.delay_ns as f64,
            0.02,
        );
        assert!(run.path(truth.pid, "mutex").is_some(), "{:?}", run.files());
    }
}

#[test]
fn grandchildren_of_a_shell() {
    let _alone = alone();
    let program = contend_tests::workload::executable("hot_mutex").display().to_string();
    let script = format!("{program} 4 500 300; ({program} 4 500 300)");
    let run = Agent::start(["--", "sh", "-c", &script]).finish().expect_success();
    let truths = run.truths();
    assert_eq!(truths.len(), 2, "{}", run.stdout);
    for truth in truths {
        assert_within("grandchild", run.block(truth.pid).contentions() as f64, truth.sleeps as f64, 0.02);
    }
}

#[test]
fn whole_host_sees_all() {
    let _alone = alone();
    let mut first = Running::start("hot_mutex", &["4", "500", "800"]);
    let mut second = Running::start("semaphore", &["1000", "800"]);
    let (a, b) = (first.pid(), second.pid());
    let agent = Agent::attach(&[], &["--mutex-fraction", "1", "--block-rate", "1"]);
    first.open_gate();
    second.open_gate();
    let (one, two) = (first.finish(), second.finish());
    let run = agent.interrupt();
    assert_within("first", run.block(a).contentions() as f64, one[0].sleeps as f64, 0.01);
    assert_within("second", run.block(b).contentions() as f64, two[0].sleeps as f64, 0.01);
}

/// The whole host at its defaults: sampled, so only what is surely seen.
#[test]
fn whole_host_at_production_rates() {
    let _alone = alone();
    let mut program = Running::start("hot_mutex", &["8", "500", "1000"]);
    let pid = program.pid();
    let agent = Agent::attach(&[], &[]);
    program.open_gate();
    let truths = program.finish();
    let run = agent.interrupt();
    // Waits longer than the rate of 10 µs are all kept.
    assert_within("delay", run.block(pid).delay() as f64, truths[0].delay_ns as f64, 0.02);
}

#[test]
fn two_agents_do_not_disturb_each_other() {
    let _alone = alone();
    let mut program = Running::start("hot_mutex", &["8", "500", "1500"]);
    let pid = program.pid();
    let (first, second) = (Agent::attach(&[pid], &[]), Agent::attach(&[pid], &[]));
    program.open_gate();
    let truths = program.finish();
    let (one, two) = (first.finish().expect_success(), second.finish().expect_success());
    for run in [&one, &two] {
        assert_within("count", run.block(pid).contentions() as f64, truths[0].sleeps as f64, 0.01);
        assert_within("delay", run.block(pid).delay() as f64, truths[0].delay_ns as f64, 0.02);
    }
    let (a, b) = (one.mutex(pid).delay() as f64, two.mutex(pid).delay() as f64);
    assert_within("mutex delay of both", a, b, 0.01);
}
