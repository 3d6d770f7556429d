//! Bad input and faults: one line that names the remedy, and nothing half done.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use contend_tests::agent::{Agent, Finished, binary, profiles_in, run, run_command};
use contend_tests::kernel::{programs_alive, programs_of};
use contend_tests::profile::is_whole;
use contend_tests::requirements::alone;
use contend_tests::skip;
use contend_tests::workload::{Running, executable};
use nix::sys::signal::Signal;

fn contended() -> Running {
    let mut program = Running::start("hot_mutex", &["4", "500", "60000"]);
    program.open_gate();
    program
}

#[test]
fn wrong_usage_is_2() {
    let _alone = alone();
    let wrong: [&[&str]; 9] = [
        &["--no-such-flag"],
        &["--pid", "many"],
        &["--pid", "-1"],
        &["--pid"],
        &["--duration", "soon", "--pid", "1"],
        &["--block-rate", "fast", "--pid", "1"],
        &["--mutex-fraction", "1.5", "--pid", "1"],
        &["--run-queue", "sideways", "--pid", "1"],
        &["--labels", "no-such-label", "--pid", "1"],
    ];
    for arguments in wrong {
        let run = run(arguments);
        assert_eq!(run.status.code(), Some(2), "{arguments:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty(), "{arguments:?} said nothing");
    }
}

#[test]
fn pid_zero() {
    let _alone = alone();
    let run = run(["--pid", "0"]);
    assert!(matches!(run.status.code(), Some(1 | 2)), "{} {}", run.status, run.stderr);
    assert!(run.stderr.contains("pid"), "{}", run.stderr);
}

#[test]
fn no_such_pid() {
    let _alone = alone();
    // Above the largest that the kernel can be told to give.
    run(["--pid", "4194305"]).assert_error(1, &["4194305", "no such process"]);
}

#[test]
fn kernel_thread() {
    let _alone = alone();
    if !fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm == "kthreadd\n") {
        skip!("no kernel threads in this pid namespace");
    }
    run(["--pid", "2"]).assert_error(1, &["kernel thread", "2"]);
}

#[test]
fn zombie() {
    let _alone = alone();
    let mut child = Command::new("true").stdout(Stdio::null()).spawn().expect("start true");
    let stat = format!("/proc/{}/stat", child.id());
    while !fs::read_to_string(&stat).expect("not waited for yet").contains(") Z ") {
        thread::sleep(Duration::from_millis(5));
    }
    run(["--pid", &child.id().to_string()]).assert_error(1, &[&child.id().to_string(), "zombie"]);
    child.wait().expect("wait for true");
}

#[test]
fn no_such_command() {
    let _alone = alone();
    run(["--", "/no/such/command"]).assert_error(1, &["/no/such/command"]);
}

/// At every moment of the target's life and just after it: profiles or one line, never a hang, a
/// panic or a probe that stays.
#[test]
fn target_that_exits_while_it_is_attached() {
    let _alone = alone();
    for step in 0..20_u32 {
        let mut child =
            Command::new("sleep").arg(format!("0.{:03}", step * 15)).spawn().expect("start sleep");
        let pid = child.id().to_string();
        let reaper = thread::spawn(move || child.wait().expect("wait for sleep"));
        let run = Agent::start(["--pid", &pid]).finish();
        reaper.join().expect("the reaper ends");
        assert!(matches!(run.status.code(), Some(0 | 1)), "{} {}", run.status, run.stderr);
        if run.status.code() == Some(1) {
            run.assert_error(1, &[&pid]);
        }
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        assert!(run.files().iter().all(|f| is_whole(f)), "{:?}", run.files());
    }
}

/// A copy of the agent that everybody may run, in a directory where everybody may write.
fn copy_for_everybody() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().tempdir_in("/tmp").expect("create a directory");
    fs::copy(binary(), dir.path().join("contend-agent")).expect("copy the agent");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("open the directory");
    dir
}

fn with_less(setpriv: &[&str]) -> Finished {
    let dir = copy_for_everybody();
    let mut command = Command::new("setpriv");
    command.args(setpriv).arg(dir.path().join("contend-agent"));
    command.args(["--duration", "1s", "--output"]).arg(dir.path());
    run_command(command)
}

#[test]
fn not_root() {
    let _alone = alone();
    let run = with_less(&["--reuid=65534", "--regid=65534", "--clear-groups"]);
    run.assert_error(1, &["root"]);
    run.assert_error(1, &["CAP_BPF", "CAP_PERFMON"]);
}

#[test]
fn root_without_capabilities() {
    let _alone = alone();
    let run = with_less(&["--bounding-set=-bpf,-perfmon,-sys_admin", "--inh-caps=-bpf,-perfmon,-sys_admin"]);
    run.assert_error(1, &["CAP_BPF", "CAP_PERFMON"]);
}

#[test]
fn kernel_without_btf() {
    let _alone = alone();
    let script = "mount --make-rprivate / && mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(binary()).args(["--duration", "1s"]);
    run_command(command).assert_error(1, &["btf"]);
}

#[test]
fn check_says_what_is_allowed() {
    let _alone = alone();
    let run = run(["check"]);
    assert_eq!(run.status.code(), Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.to_lowercase().contains("btf"), "{}", run.stdout);
}

fn into(dir: &Path) -> Finished {
    let dir = dir.display().to_string();
    let program = executable("hot_mutex").display().to_string();
    run(["--output", &dir, "--", &program, "4", "300", "200"])
}

/// The directory is looked at before the recording, not after half an hour of it.
#[test]
fn output_directory_is_missing() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("create a directory");
    let missing = dir.path().join("missing");
    let run = into(&missing);
    run.assert_error(1, &["missing", "directory"]);
    assert!(run.truths().is_empty(), "the command ran although its profiles have no place to go");
}

#[test]
fn output_is_not_a_directory() {
    let _alone = alone();
    let file = tempfile::NamedTempFile::new().expect("create a file");
    let run = into(file.path());
    run.assert_error(1, &["directory"]);
    assert!(run.truths().is_empty(), "the command ran although its profiles have no place to go");
}

/// A file system of one page that is mounted for a test.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(options: &str) -> Self {
        let dir = tempfile::tempdir().expect("create a directory");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(dir.path()).status();
        assert!(status.expect("start mount").success(), "mount a file system for the test");
        Self(dir)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The directory's own removal says it when this fails.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn output_directory_is_read_only() {
    let _alone = alone();
    let mounted = Mounted::new("size=4k,ro");
    into(mounted.0.path()).assert_error(1, &["read-only"]);
    assert!(profiles_in(mounted.0.path()).is_empty());
}

#[test]
fn output_directory_is_full() {
    let _alone = alone();
    let mounted = Mounted::new("size=4k");
    fs::write(mounted.0.path().join("filler"), [0; 4096]).expect("fill it");
    into(mounted.0.path()).assert_error(1, &["space"]);
    let left: Vec<_> = profiles_in(mounted.0.path()).into_iter().filter(|f| !f.ends_with("filler")).collect();
    assert!(left.is_empty(), "half written: {left:?}");
}

#[test]
fn killed_agent_leaves_nothing() {
    let _alone = alone();
    let program = contended();
    let mut agent = Agent::attach(&[program.pid()], &[]);
    let programs = programs_of(agent.pid());
    assert!(programs.len() >= 2, "its programs: {programs:?}");
    assert_eq!(programs_alive(&programs), programs);
    agent.signal(Signal::SIGKILL);
    while agent.runs() {
        thread::sleep(Duration::from_millis(5));
    }
    // The kernel frees them a little after the last descriptor is closed.
    let start = Instant::now();
    while !programs_alive(&programs).is_empty() && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(programs_alive(&programs), [0; 0], "programs of a killed agent");
    let files = profiles_in(agent.dir());
    assert!(files.iter().all(|f| is_whole(f)), "{files:?}");
}

/// Killed at every moment of writing: what has its final name is whole.
#[test]
fn killed_while_it_writes() {
    let _alone = alone();
    let program = contended();
    for step in 0..8_u64 {
        let agent = Agent::attach(&[program.pid()], &[]);
        agent.signal(Signal::SIGINT);
        thread::sleep(Duration::from_millis(step * 5));
        agent.signal(Signal::SIGKILL);
        let run = agent.finish();
        for file in run.finished_files() {
            assert!(is_whole(&file), "{}", file.display());
        }
    }
}

#[test]
fn the_environment_is_the_flags_twin() {
    let _alone = alone();
    let mut command = Command::new(binary());
    command.env("CONTEND_PID", "4194305");
    run_command(command).assert_error(1, &["4194305"]);
    let mut command = Command::new(binary());
    command.env("CONTEND_BLOCK_RATE", "fast").args(["--pid", "1"]);
    assert_eq!(run_command(command).status.code(), Some(2));
}
