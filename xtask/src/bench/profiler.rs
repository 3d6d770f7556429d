//! The profilers compared: the agent in two settings, and peers where they are installed.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::cost;
use crate::{command, workspace};

/// How long a profiler may take to attach, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// A peer does not say when it has attached: its programs are seen, and this much is added.
const SETTLE: Duration = Duration::from_secs(1);

/// The sum of futex calls by user stack, as one writes it at a prompt.
const FUTEX_ONE_LINER: &str = "tracepoint:syscalls:sys_enter_futex /pid == PID/ { @start[tid] = nsecs; } \
     tracepoint:syscalls:sys_exit_futex /@start[tid]/ { @ns[ustack] = sum(nsecs - @start[tid]); \
     @calls[ustack] = count(); delete(@start[tid]); }";

/// A profiler in one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profiler {
    /// The agent on the workload alone, every event recorded.
    AgentEvery,
    /// The agent on the whole host at production rates.
    AgentProduction,
    /// bpftrace's futex one-liner on the workload alone.
    Bpftrace,
    /// libbpf-tools' offcputime on the workload alone.
    Offcputime,
}

impl Profiler {
    /// In the order of the table.
    pub(super) const ALL: [Self; 4] =
        [Self::AgentEvery, Self::AgentProduction, Self::Bpftrace, Self::Offcputime];

    /// As the table and `--only` name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AgentEvery => "agent-every-event",
            Self::AgentProduction => "agent-production",
            Self::Bpftrace => "bpftrace-futex",
            Self::Offcputime => "offcputime",
        }
    }

    /// Whether it is here to compare with only.
    pub(super) fn is_peer(self) -> bool {
        matches!(self, Self::Bpftrace | Self::Offcputime)
    }

    /// An error that names the package when it is not installed.
    pub(super) fn available(self) -> Result<()> {
        let (program, package) = match self {
            Self::AgentEvery | Self::AgentProduction => return Ok(()),
            Self::Bpftrace => ("bpftrace", "bpftrace"),
            Self::Offcputime => ("offcputime", "libbpf-tools"),
        };
        if command::find(program).is_none() {
            bail!("not installed (Debian package {package})");
        }
        let events = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];
        if self == Self::Bpftrace && !events.iter().any(|folder| Path::new(folder).is_dir()) {
            bail!("it needs tracefs (mount -t tracefs nodev /sys/kernel/tracing)");
        }
        Ok(())
    }

    fn command(self, pid: u32) -> Command {
        let pid = pid.to_string();
        let program = |name: &str| Command::new(command::find(name).unwrap_or_else(|| name.into()));
        match self {
            Self::AgentEvery => {
                let mut agent = Command::new(workspace::agent());
                agent.args(["-v", "--pid", &pid, "--mutex-fraction", "1", "--block-rate", "1"]);
                agent
            }
            Self::AgentProduction => {
                let mut agent = Command::new(workspace::agent());
                agent.args(["-v", "--mutex-fraction", "100", "--block-rate", "10us"]);
                agent
            }
            Self::Bpftrace => {
                let mut bpftrace = program("bpftrace");
                bpftrace.args(["-e", &FUTEX_ONE_LINER.replace("PID", &pid)]);
                bpftrace
            }
            Self::Offcputime => {
                let mut offcputime = program("offcputime");
                offcputime.args(["-p", &pid]);
                offcputime
            }
        }
    }

    /// Starts it on the process (or on the host, as its setting says) and waits until its probes are attached.
    pub(super) fn start(self, pid: u32) -> Result<Running> {
        let folder = tempfile::tempdir().context("cannot make a folder for the profiles")?;
        let mut command = self.command(pid);
        let shown = command::display(&command);
        let report = folder.path().join("stdout");
        let stdout = File::create(&report).context("cannot make a file for the profiler's report")?;
        let started = Instant::now();
        let mut child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let stderr = child.stderr.take().map(BufReader::new);
        let (attached, seen) = mpsc::channel();
        let reader = std::thread::spawn(move || read_stderr(stderr, &attached));
        let mut running = Running { child, stderr: Some(reader), folder, attach_time: Duration::ZERO };
        let instant = if self.is_peer() {
            wait_for_programs(&mut running.child, &seen)
        } else {
            seen.recv_timeout(PATIENCE).map_err(anyhow::Error::from)
        };
        match instant {
            Ok(instant) => running.attach_time = instant - started,
            Err(_) => bail!("`{shown}` did not attach: {}", running.complaint()),
        }
        Ok(running)
    }
}

/// Collects what is said, and reports the instant at which the agent says that it has attached.
fn read_stderr(stderr: Option<impl std::io::BufRead>, attached: &mpsc::Sender<Instant>) -> String {
    let mut text = String::new();
    for line in stderr.into_iter().flat_map(|stderr| stderr.lines()) {
        let Ok(line) = line else { break };
        if line.contains("attached") {
            // Nobody listens any more once it is attached.
            let _ = attached.send(Instant::now());
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn wait_for_programs(child: &mut Child, ended: &Receiver<Instant>) -> Result<Instant> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if !cost::programs_of(child.id()).is_empty() {
            std::thread::sleep(SETTLE);
            return Ok(Instant::now());
        }
        // The channel closes with the peer's standard error, when it has ended.
        if let Err(RecvTimeoutError::Disconnected) = ended.recv_timeout(Duration::from_millis(20)) {
            bail!("it ended");
        }
    }
    bail!("no program of it was seen")
}

/// An attached profiler.
pub(super) struct Running {
    child: Child,
    stderr: Option<JoinHandle<String>>,
    folder: TempDir,
    /// From its start to its probes attached; of a peer only an upper bound.
    pub(super) attach_time: Duration,
}

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as Ctrl-C does and returns what it printed, both streams.
    pub(super) fn stop(mut self) -> Result<String> {
        // It ends by itself when its only target has: then there is nothing to signal.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT);
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for the profiler")? {
                break status;
            }
            if Instant::now() > deadline {
                bail!("the profiler did not end on SIGINT: {}", self.complaint());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let complaint = self.complaint();
        if !status.success() {
            bail!("the profiler failed: {status}: {complaint}");
        }
        let report =
            std::fs::read(self.folder.path().join("stdout")).context("cannot read the profiler's report")?;
        Ok(String::from_utf8_lossy(&report).into_owned() + &complaint)
    }

    /// Ends the process if it still runs and returns its standard error.
    fn complaint(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let text = self.stderr.take().map(JoinHandle::join);
        text.and_then(Result::ok).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
