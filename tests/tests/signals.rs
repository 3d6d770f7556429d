//! How a run ends.

use std::thread;
use std::time::{Duration, Instant};

use contend_tests::agent::{Agent, Finished};
use contend_tests::requirements::alone;
use contend_tests::workload::Running;
use nix::sys::signal::Signal;

/// A program that contends for longer than any of these tests.
fn contended() -> Running {
    let mut program = Running::start("hot_mutex", &["4", "500", "60000"]);
    program.open_gate();
    program
}

#[track_caller]
fn assert_profiles(run: &Finished, pid: u32) {
    assert!(run.block(pid).contentions() > 0, "{}{}", run.stdout, run.stderr);
    assert!(run.mutex(pid).contentions() > 0, "{}{}", run.stdout, run.stderr);
    assert_eq!(run.files().len(), 2, "{:?}", run.files());
}

#[track_caller]
fn ends_by(signal: Signal) {
    let _alone = alone();
    let program = contended();
    let agent = Agent::attach(&[program.pid()], &[]);
    thread::sleep(Duration::from_millis(500));
    agent.signal(signal);
    let run = agent.finish().expect_success();
    assert_profiles(&run, program.pid());
}

#[test]
fn interrupt_writes_the_profiles() {
    ends_by(Signal::SIGINT);
}

#[test]
fn terminate_writes_the_profiles() {
    ends_by(Signal::SIGTERM);
}

/// Two at once: the second may come before or while the profiles are written, so what is there is
/// whole or absent, and the agent is gone.
#[test]
fn second_interrupt_ends_at_once() {
    let _alone = alone();
    let program = contended();
    let agent = Agent::attach(&[program.pid()], &[]);
    thread::sleep(Duration::from_millis(200));
    agent.signal(Signal::SIGINT);
    agent.signal(Signal::SIGINT);
    thread::sleep(Duration::from_millis(1));
    agent.signal(Signal::SIGINT);
    let run = agent.finish();
    for file in run.finished_files() {
        assert!(contend_tests::profile::is_whole(&file), "{}", file.display());
    }
}

#[test]
fn ends_with_its_target() {
    let _alone = alone();
    let mut program = Running::start("hot_mutex", &["4", "500", "700"]);
    let pid = program.pid();
    let agent = Agent::attach(&[pid], &[]);
    program.open_gate();
    let truths = program.finish();
    let run = agent.finish().expect_success();
    assert_profiles(&run, pid);
    // Attached before the gate opened and there to the end: it saw every wait, and the names
    // survive the program.
    let block = run.block(pid);
    let sleeps = i64::try_from(truths[0].sleeps).expect("fits");
    assert!((block.contentions() - sleeps).abs() * 100 <= sleeps, "{} of {sleeps}", block.contentions());
    assert!(block.with("hot_section").contentions() * 100 >= 95 * block.contentions(), "{}", block.stacks());
}

#[test]
fn ends_with_the_last_of_its_targets() {
    let _alone = alone();
    let mut first = Running::start("hot_mutex", &["4", "500", "200"]);
    let mut second = Running::start("hot_mutex", &["4", "500", "1200"]);
    let (a, b) = (first.pid(), second.pid());
    let mut agent = Agent::attach(&[a, b], &[]);
    first.open_gate();
    second.open_gate();
    let _ = first.finish();
    assert!(agent.runs(), "one target is still there");
    let truths = second.finish();
    let run = agent.finish().expect_success();
    assert!(run.block(a).contentions() > 0, "{}", run.stdout);
    let sleeps = i64::try_from(truths[0].sleeps).expect("fits");
    assert!((run.block(b).contentions() - sleeps).abs() * 100 <= sleeps, "{}", run.stdout);
}

#[test]
fn ends_after_the_duration() {
    let _alone = alone();
    let program = contended();
    let start = Instant::now();
    let pid = program.pid().to_string();
    let run = Agent::start(["--pid", &pid, "--duration", "1s"]).finish().expect_success();
    assert!(start.elapsed() >= Duration::from_secs(1), "it ended early");
    assert_profiles(&run, program.pid());
}

#[test]
fn a_failing_command_is_no_crash() {
    let _alone = alone();
    let run = Agent::start(["--", "sh", "-c", "exit 3"]).finish();
    // As `perf record`: the code is the command's, or the agent's own success; never a crash.
    assert!(matches!(run.status.code(), Some(0 | 3)), "{} {}", run.status, run.stderr);
}
