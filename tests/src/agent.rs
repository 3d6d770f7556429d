//! The real agent, by its command line.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use contend_ebpf::record::Lost;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::profile::Profile;
use crate::workload::{self, Truth};
use crate::{kernel, target_dir};

/// The longest that a run may take before it is taken for stuck.
const STUCK: Duration = Duration::from_secs(120);

/// Programs that the agent attaches at least: one to each of its two tracepoints.
const LINKS: usize = 2;

/// Path of the agent: `CONTEND_AGENT`, or that of the release build.
#[must_use]
pub fn binary() -> PathBuf {
    let named = std::env::var_os("CONTEND_AGENT");
    let path = named.map_or_else(|| target_dir().join("release/contend-agent"), PathBuf::from);
    // The agent is started in a directory of its own, where a relative path means something else.
    path.canonicalize().unwrap_or(path)
}

/// An agent that runs; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    dir: TempDir,
}

impl Agent {
    /// Starts it with these arguments and an output directory of its own.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let dir = tempfile::tempdir().expect("create an output directory");
        let mut command = Command::new(binary());
        command.arg("--output").arg(dir.path()).args(arguments);
        Self::spawn(command, dir)
    }

    /// Starts it on a process and waits until its probes are attached.
    ///
    /// # Panics
    ///
    /// When it cannot be started or ends before that.
    #[must_use]
    pub fn attach(pids: &[u32], arguments: &[&str]) -> Self {
        let targets = pids.iter().flat_map(|pid| ["--pid".to_owned(), pid.to_string()]);
        let mut agent = Self::start(targets.chain(arguments.iter().map(|&a| a.to_owned())));
        agent.wait_attached();
        agent
    }

    fn spawn(mut command: Command, dir: TempDir) -> Self {
        // The tester's own settings must not become the agent's; another BPF object may be what is tested.
        let ours = |key: &str| key.starts_with("CONTEND_") && key != "CONTEND_BPF_OBJECT";
        for (key, _) in std::env::vars_os().filter(|(key, _)| ours(&key.to_string_lossy())) {
            command.env_remove(key);
        }
        command.current_dir(dir.path());
        let out = File::create(dir.path().join(OUT)).expect("create the file for the agent's output");
        let errors = File::create(dir.path().join(ERRORS)).expect("create the file for the agent's errors");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn().expect("start the agent");
        Self { child, dir }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it writes.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until its probes are attached.
    ///
    /// # Panics
    ///
    /// When it ends before that or takes too long.
    pub fn wait_attached(&mut self) {
        let start = Instant::now();
        while kernel::links_of(self.pid()) < LINKS {
            let ended = self.child.try_wait().expect("look after the agent");
            assert!(ended.is_none(), "the agent ended before it was attached: {}", read(self.dir(), ERRORS));
            assert!(start.elapsed() < STUCK, "the agent does not attach its probes");
            thread::sleep(Duration::from_millis(5));
        }
        // The second probe is attached; what the agent still does after it is brief.
        thread::sleep(Duration::from_millis(300));
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it has been waited for.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id is positive");
        kill(Pid::from_raw(pid), signal).expect("signal the agent");
    }

    /// Whether it still runs.
    ///
    /// # Panics
    ///
    /// When it cannot be looked after.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("look after the agent").is_none()
    }

    /// Waits until it ends.
    ///
    /// # Panics
    ///
    /// When it does not end.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait for the agent") {
                break status;
            }
            assert!(start.elapsed() < STUCK, "the agent does not end: {}", read(self.dir(), ERRORS));
            thread::sleep(Duration::from_millis(10));
        };
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().expect("create a directory"));
        Finished { status, stdout: read(dir.path(), OUT), stderr: read(dir.path(), ERRORS), dir }
    }

    /// Interrupts it as Ctrl-C does and waits for the profiles.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[must_use]
    pub fn interrupt(self) -> Finished {
        self.signal(Signal::SIGINT);
        self.finish().expect_success()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended; there is nothing left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const OUT: &str = "agent.stdout";
const ERRORS: &str = "agent.stderr";

fn read(dir: &Path, name: &str) -> String {
    String::from_utf8_lossy(&fs::read(dir.join(name)).unwrap_or_default()).into_owned()
}

/// Runs a workload as the agent's command, from its first instruction to its end.
///
/// # Panics
///
/// When the agent or the workload fails.
#[must_use]
pub fn profile_command(options: &[&str], name: &str, arguments: &[&str]) -> Finished {
    let program = workload::executable(name).display().to_string();
    let command = ["--", &program];
    let all = options.iter().chain(&command).chain(arguments).map(OsStr::new);
    Agent::start(all).finish().expect_success()
}

/// Runs a command that contains the agent, such as one that takes privileges away first.
///
/// # Panics
///
/// When it cannot be started or does not end.
#[must_use]
pub fn run_command(command: Command) -> Finished {
    Agent::spawn(command, tempfile::tempdir().expect("create an output directory")).finish()
}

/// Runs the agent to its end with an output directory given in the arguments.
///
/// # Panics
///
/// When it cannot be started or does not end.
#[must_use]
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Finished {
    let mut command = Command::new(binary());
    command.args(arguments);
    run_command(command)
}

/// An agent that has ended and what it left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output: the command's and the summary.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    dir: TempDir,
}

impl Finished {
    /// Asserts that it ended well.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[must_use]
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.status.success(), "the agent failed: {}\n{}", self.status, self.stderr);
        self
    }

    /// Asserts that it failed with this code and one line on standard error with each of `words`.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn assert_error(&self, code: i32, words: &[&str]) {
        let said = &self.stderr;
        assert_eq!(self.status.code(), Some(code), "exit code; it said: {said}");
        let lower = said.to_lowercase();
        for word in words {
            assert!(lower.contains(&word.to_lowercase()), "no {word:?} in: {said}");
        }
        assert!(!lower.contains("panicked"), "it panicked: {said}");
        if code == 1 {
            assert_eq!(said.trim_end().lines().count(), 1, "an error is one line: {said}");
        }
    }

    /// What the command that it ran said of itself.
    #[must_use]
    pub fn truths(&self) -> Vec<Truth> {
        workload::truths(&self.stdout)
    }

    /// The only one of [`Self::truths`].
    ///
    /// # Panics
    ///
    /// When there is not exactly one.
    #[must_use]
    #[track_caller]
    pub fn truth(&self) -> Truth {
        let truths = self.truths();
        assert_eq!(truths.len(), 1, "one truth in: {}", self.stdout);
        truths.into_iter().next().expect("counted")
    }

    /// What the summary says was lost: lines of a number and a reason's name. A sample without a
    /// stack is no loss of a wait and left out.
    #[must_use]
    pub fn lost(&self) -> Vec<(Lost, u64)> {
        let number = |line: &str, reason: Lost| line.trim().strip_suffix(reason.name())?.trim().parse().ok();
        let reasons = Lost::ALL.into_iter().filter(|&reason| reason != Lost::StackUnreadable);
        reasons
            .flat_map(|reason| {
                self.stdout.lines().filter_map(move |line| Some((reason, number(line, reason)?)))
            })
            .collect()
    }

    /// All files that it left, sorted by name.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        profiles_in(self.dir.path())
    }

    /// Path of a process's `mutex` or `block` profile, if it was written.
    #[must_use]
    pub fn path(&self, pid: u32, kind: &str) -> Option<PathBuf> {
        let end = format!("-{pid}.{kind}.pb.gz");
        self.files().into_iter().find(|f| f.to_string_lossy().ends_with(&end))
    }

    /// The files under the names that users look for; a killed agent may leave unfinished ones under others.
    #[must_use]
    pub fn finished_files(&self) -> Vec<PathBuf> {
        let mut files = self.files();
        files.retain(|f| f.to_string_lossy().ends_with(".pb.gz"));
        files
    }

    /// A process's profile; an empty one when none was written because nothing was recorded.
    ///
    /// # Panics
    ///
    /// When there is a file that cannot be read.
    #[must_use]
    pub fn profile(&self, pid: u32, kind: &str) -> Profile {
        self.path(pid, kind).map_or_else(Profile::default, |path| Profile::read(&path))
    }

    /// A process's block profile.
    ///
    /// # Panics
    ///
    /// As [`Self::profile`].
    #[must_use]
    pub fn block(&self, pid: u32) -> Profile {
        self.profile(pid, "block")
    }

    /// A process's mutex profile.
    ///
    /// # Panics
    ///
    /// As [`Self::profile`].
    #[must_use]
    pub fn mutex(&self, pid: u32) -> Profile {
        self.profile(pid, "mutex")
    }
}

/// Everything in a directory but the agent's own output, sorted.
#[must_use]
pub fn profiles_in(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir).map(|entries| entries.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    files.retain(|f| f.file_name().is_some_and(|n| n != OUT && n != ERRORS));
    files.sort();
    files
}
