//! The programs under measurement: small C programs that do one thing for a fixed time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{command, workspace};

/// Name of the workload that asks for a fixed number of waits.
pub(super) const STORM: &str = "storm-100k";

/// Name, program and arguments; the duration comes last.
const WORKLOADS: [(&str, &str, &[&str]); 8] = [
    ("mutex-4x2us", "mutex", &["4", "2000"]),
    ("mutex-8x200ns", "mutex", &["8", "200"]),
    ("mutex-4x100us", "mutex", &["4", "100000"]),
    ("uncontended", "uncontended", &[]),
    ("syscalls", "syscalls", &[]),
    ("switches-pinned", "switches", &["1"]),
    ("switches", "switches", &["0"]),
    (STORM, "storm", &["100000"]),
];

/// One compiled workload.
pub(super) struct Workload {
    pub(super) name: &'static str,
    program: PathBuf,
    arguments: &'static [&'static str],
}

/// A workload that has started and waits for the word to go.
pub(super) struct Ready {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// What a workload did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Done {
    pub(super) operations: u64,
    pub(super) seconds: f64,
}

impl Done {
    /// Operations per second.
    pub(super) fn rate(self) -> f64 {
        self.operations as f64 / self.seconds
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let operations = words.next()?.parse().ok()?;
        let seconds = words.nth(2)?.parse().ok()?;
        (seconds > 0.0).then_some(Self { operations, seconds })
    }
}

/// Compiles all workloads into `folder`.
pub(super) fn compile_all(folder: &Path) -> Result<Vec<Workload>> {
    let sources = workspace::root().join("tests/workloads/bench");
    let mut workloads = Vec::new();
    for (name, program, arguments) in WORKLOADS {
        let path = folder.join(program);
        if !path.exists() {
            command::run(
                Command::new("cc")
                    .args(["-O2", "-Wall", "-pthread", "-o"])
                    .arg(&path)
                    .arg(sources.join(program).with_extension("c")),
            )
            .with_context(|| format!("cannot compile the workload {program}: install gcc"))?;
        }
        workloads.push(Workload { name, program: path, arguments });
    }
    Ok(workloads)
}

impl Workload {
    /// Starts the program; it does nothing before [`Ready::go`].
    pub(super) fn start(&self, seconds: f64) -> Result<Ready> {
        let mut child = Command::new(&self.program)
            .args(self.arguments)
            .arg(seconds.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the workload {}", self.name))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("cannot talk to the workload {}", self.name);
        };
        let mut ready = Ready { child, stdin, stdout: BufReader::new(stdout) };
        let word = ready.line()?;
        if word != "ready" {
            bail!("the workload {} said `{word}` instead of `ready`", self.name);
        }
        Ok(ready)
    }
}

impl Ready {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it run and waits for its result and its end.
    pub(super) fn go(mut self) -> Result<Done> {
        let done = self.run()?;
        let status = self.child.wait().context("cannot wait for the workload")?;
        if !status.success() {
            bail!("the workload failed: {status}");
        }
        Ok(done)
    }

    fn run(&mut self) -> Result<Done> {
        writeln!(self.stdin, "go").context("cannot start the workload")?;
        let line = self.line()?;
        Done::parse(&line).with_context(|| format!("cannot read the workload's result `{line}`"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).context("cannot read what the workload says")?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Ready {
    /// Leaves no program behind when a measurement is given up.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may have ended since: then there is nothing to do.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Done;

    #[test]
    fn results_are_read() {
        let done = Done::parse("1000 operations in 0.500000 s").expect("a result");
        assert_eq!(done.operations, 1000);
        assert_eq!(done.rate(), 2000.0);
        assert_eq!(Done::parse("ready"), None);
        assert_eq!(Done::parse("1000 operations in 0 s"), None);
    }
}
