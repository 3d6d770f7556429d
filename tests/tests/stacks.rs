//! Stacks of programs without frame pointers reach the thread's first function.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use contend_tests::agent::{Agent, Finished};
use contend_tests::requirements::alone;
use contend_tests::skip;

/// Complete stacks and all stacks, as the summary says.
fn stacks(run: &Finished) -> (u64, u64) {
    let line = run.stdout.lines().find_map(|line| line.trim().strip_prefix("stacks"));
    let line = line.unwrap_or_else(|| panic!("no line about stacks in\n{}", run.stdout)).trim();
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("not a number in `{line}`"));
    if let Some(all) = line.strip_prefix("all ") {
        let all = number(all.trim_end_matches(" complete"));
        return (all, all);
    }
    let (_, rest) = line.split_once(" of ").expect("a share of all");
    let (all, cut) = rest.split_once(" complete; cut short: ").expect("what was cut short");
    let cut: u64 = cut.split(", ").map(|part| number(part.split(' ').next().expect("a number first"))).sum();
    (number(all) - cut, number(all))
}

fn assert_complete(run: &Finished) {
    let (complete, all) = stacks(run);
    assert!(all > 100, "{all} stacks are too few to judge\n{}", run.stdout);
    assert!(complete as f64 >= 0.99 * all as f64, "{complete} of {all} are complete\n{}", run.stdout);
}

/// A program that waits for a line on its standard input before it begins.
fn gated(command: &mut Command) -> Child {
    command.env("CONTEND_GATE", "1").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("start")
}

fn attach_and_run(mut child: Child, flags: &[&str]) -> (Finished, u32) {
    let pid = child.id();
    let agent = Agent::attach(&[pid], flags);
    child.stdin.take().expect("the gate is a pipe").write_all(b"\n").expect("open the gate");
    assert!(child.wait().expect("wait for the program").success());
    (agent.finish().expect_success(), pid)
}

/// The blame workload as a distribution would build it.
fn stripped_blame(dir: &Path, flags: &[&str]) -> PathBuf {
    let program = dir.join("blame");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/blame.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-fomit-frame-pointer", "-s", "-pthread", "-o"]).arg(&program).arg(source);
    assert!(compiler.args(flags).status().expect("start the compiler").success());
    program
}

#[test]
fn a_stripped_program_without_frame_pointers() {
    let _alone = alone();
    for flags in [&[][..], &["-no-pie"], &["-static"]] {
        let dir = tempfile::tempdir().expect("a directory");
        let program = stripped_blame(dir.path(), flags);
        let (run, pid) = attach_and_run(gated(&mut Command::new(&program)), &[]);
        assert_complete(&run);
        let block = run.block(pid);
        let longest = block.samples.iter().map(|sample| sample.functions.len()).max().unwrap_or(0);
        assert!(longest >= 5, "{flags:?}: the longest stack has {longest} frames\n{}", block.stacks());
    }
}

#[test]
fn pythons_interpreter_lock() {
    let _alone = alone();
    let python = "/usr/bin/python3";
    if !Path::new(python).exists() {
        skip!("there is no {python}");
    }
    let script = "import sys, threading\n\
                  sys.stdin.readline()\n\
                  def work(): sum(i * i for i in range(2000000))\n\
                  threads = [threading.Thread(target=work) for _ in range(4)]\n\
                  [t.start() for t in threads]\n\
                  [t.join() for t in threads]\n";
    let (run, pid) = attach_and_run(gated(Command::new(python).args(["-c", script])), &[]);
    assert_complete(&run);
    assert!(run.block(pid).with("clone3").delay() + run.block(pid).with("clone").delay() > 0);
}

#[test]
fn frame_pointers_may_be_asked_for() {
    let _alone = alone();
    let program = contend_tests::workload::executable("blame");
    let (run, pid) = attach_and_run(gated(&mut Command::new(program)), &["--unwind", "frame-pointers"]);
    let (mutex, all) = (run.mutex(pid).with("hold_five_ms").delay(), run.mutex(pid).delay());
    assert!(mutex as f64 >= 0.95 * all as f64, "{mutex} of {all}");
    assert_eq!(stacks(&run).0, 0, "no table was loaded");
}

/// A stack like the thread's last one is told from it, and one that is the same is recognised.
#[test]
fn waits_at_one_place_from_several_callers() {
    let _alone = alone();
    let program = contend_tests::workload::executable("same_place");
    let (run, pid) = attach_and_run(gated(&mut Command::new(program)), &[]);
    let block = run.block(pid);
    assert_eq!(stacks(&run).0, stacks(&run).1, "{}", run.stdout);
    // Of 300 rounds, by the program's own rule.
    let rounds = |wanted: &dyn Fn(u32) -> bool| (0..300).filter(|i| wanted(i % 16)).count() as i64;
    let expected = [
        ("above_first", rounds(&|i| i < 13)),
        ("second_caller", rounds(&|i| i == 13)),
        ("also_above_first", rounds(&|i| i > 13)),
        ("first_caller", rounds(&|i| i != 13)),
    ];
    for (function, count) in expected {
        assert_eq!(block.with(function).contentions(), count, "{function}\n{}", block.stacks());
    }
}
