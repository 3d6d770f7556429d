//! The programs in `workloads/`: compiled once per state of their sources, run, and their truth read.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde::Deserialize;

use crate::target_dir;

/// What a program said of its own waits when it ended.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Truth {
    /// The program's name for itself, which tells a parent from its children.
    pub workload: String,
    /// Its process id.
    pub pid: u32,
    /// Voluntary switches during the marked calls.
    pub sleeps: u64,
    /// Time in those calls that slept, in ns.
    pub delay_ns: u64,
    /// Σ(R/d − 1) of the waits d shorter than R, for the rates R of [`RATES_NS`].
    #[serde(default)]
    pub count_variance: Vec<f64>,
    /// Σ d(R − d) of the same, in ns².
    #[serde(default)]
    pub delay_variance: Vec<f64>,
    /// What the machine lacks for this program.
    #[serde(default)]
    pub absent: Option<String>,
    /// Truth by operation, of `futex_ops`.
    #[serde(default)]
    pub operations: BTreeMap<String, Operation>,
    /// What else the program counted.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// The block rates that [`Truth`] has variances for, in ns.
pub const RATES_NS: [u64; 3] = [1_000, 10_000, 1_000_000];

/// The truth about one futex operation.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Operation {
    /// The kernel does not have it.
    pub absent: bool,
    /// Voluntary switches in it.
    pub sleeps: u64,
    /// Time in it, in ns.
    pub delay_ns: u64,
}

impl Truth {
    /// One of the program's further numbers.
    ///
    /// # Panics
    ///
    /// When the program did not print it.
    #[must_use]
    pub fn number(&self, key: &str) -> f64 {
        self.more
            .get(key)
            .and_then(serde_json::Value::as_f64)
            .unwrap_or_else(|| panic!("{key} of {}", self.workload))
    }
}

/// The truths in an output, which may have other lines.
///
/// # Panics
///
/// When a line that begins as a truth is not one.
#[must_use]
pub fn truths(output: &str) -> Vec<Truth> {
    output
        .lines()
        .filter_map(|line| line.find("{\"workload\"").map(|at| &line[at..]))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect()
}

/// A command that runs the compiled program.
///
/// # Panics
///
/// When it does not compile.
#[must_use]
pub fn compiled(name: &str) -> Command {
    Command::new(executable(name))
}

/// The compiled program's path.
///
/// # Panics
///
/// When it does not compile.
#[must_use]
pub fn executable(name: &str) -> PathBuf {
    let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/workloads"));
    let rust = sources.join(format!("{name}.rs"));
    let (source, header) = if rust.is_file() {
        (rust, sources.join("truth.rs"))
    } else {
        (sources.join(format!("{name}.c")), sources.join("truth.h"))
    };
    let mut digest = DefaultHasher::new();
    for file in [&source, &header] {
        fs::read(file).unwrap_or_else(|error| panic!("read {}: {error}", file.display())).hash(&mut digest);
    }
    let dir = target_dir().join("contend-tests").join(format!("{name}-{:016x}", digest.finish()));
    let program = dir.join(name);
    if !program.is_file() {
        compile(&source, &dir, &program);
    }
    program
}

fn compile(source: &Path, dir: &Path, program: &Path) {
    fs::create_dir_all(dir).expect("create the workloads' directory");
    let unfinished = dir.join(format!("unfinished-{}", std::process::id()));
    let mut compiler;
    if source.extension().is_some_and(|e| e == "rs") {
        compiler = Command::new("rustc");
        compiler.args(["--edition", "2024", "-O", "-g", "-C", "force-frame-pointers=yes"]);
    } else {
        compiler = Command::new("cc");
        compiler.args([
            "-O2",
            "-g",
            "-Wall",
            "-Wextra",
            "-fno-omit-frame-pointer",
            "-fno-optimize-sibling-calls",
        ]);
        compiler.arg("-pthread");
    }
    let output = compiler.arg("-o").arg(&unfinished).arg(source).output().expect("start the compiler");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "compile {}:\n{errors}", source.display());
    fs::rename(&unfinished, program).expect("put the compiled workload in place");
}

/// A program that has been started and waits to be let through its gate.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts it; it does nothing before [`Self::open_gate`].
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let child = compiled(name)
            .args(arguments)
            .env("CONTEND_GATE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the workload");
        Self { child }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it begin its work.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn open_gate(&mut self) {
        let gate = self.child.stdin.as_mut().expect("the gate is a pipe");
        gate.write_all(b"\n").expect("open the workload's gate");
    }

    /// Waits until it ends and returns what it said.
    ///
    /// # Panics
    ///
    /// When it failed.
    #[must_use]
    pub fn finish(mut self) -> Vec<Truth> {
        let mut output = String::new();
        let mut pipe = self.child.stdout.take().expect("its output is a pipe");
        pipe.read_to_string(&mut output).expect("read the workload's output");
        let status: ExitStatus = self.child.wait().expect("wait for the workload");
        assert!(status.success(), "the workload failed: {status}");
        truths(&output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended; there is nothing left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program without an agent.
///
/// # Panics
///
/// When it fails.
#[must_use]
pub fn run(name: &str, arguments: &[&str]) -> Vec<Truth> {
    let output = compiled(name).args(arguments).output().expect("start the workload");
    assert!(output.status.success(), "{name} failed: {}", output.status);
    truths(&String::from_utf8_lossy(&output.stdout))
}
