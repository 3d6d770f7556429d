//! What the tests need of the machine. What is missing fails the test: a machine that can run none
//! of them must not look like one where all passed.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::sync::OnceLock;

use crate::{agent, kernel, target_dir};

/// Holds the machine for one test; see [`alone`].
#[derive(Debug)]
pub struct Alone {
    _lock: File,
}

/// Waits until no other test runs, in this process or another, and checks that the machine can run
/// the agent.
///
/// # Panics
///
/// When the machine lacks something that the tests need.
#[must_use]
pub fn alone() -> Alone {
    static CHECKED: OnceLock<()> = OnceLock::new();
    CHECKED.get_or_init(check);
    alone_without_agent()
}

/// As [`alone`], for a test that runs workloads only.
///
/// # Panics
///
/// When the lock's file cannot be made.
#[must_use]
pub fn alone_without_agent() -> Alone {
    let lock = state_file("running");
    lock.lock().expect("lock the machine for one test");
    Alone { _lock: lock }
}

fn check() {
    let owner = fs::metadata("/proc/self").expect("look at this process").uid();
    assert!(owner == 0, "the end-to-end tests load BPF programs: run them as root");
    assert!(
        agent::binary().is_file(),
        "no agent at {}: build it with `cargo build --release -p contend-agent` or name it in CONTEND_AGENT",
        agent::binary().display()
    );
    let go = Command::new("go").args(["tool", "pprof", "-h"]).output();
    assert!(go.is_ok(), "`go` is not on the path: install Go, whose pprof reads the profiles back");
    assert_eq!(kernel::programs_alive(&[]), [0; 0]);
}

/// Notes a skipped test; use [`crate::skip!`].
///
/// # Panics
///
/// When the note cannot be written.
pub fn note_skipped(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
    let Some(path) = std::env::var_os("CONTEND_SKIPS") else { return };
    let notes = OpenOptions::new().create(true).append(true).open(path);
    let mut notes = notes.expect("open the file of the skips that CONTEND_SKIPS names");
    writeln!(notes, "{test}: {reason}").expect("note a skipped test");
}

fn state_file(name: &str) -> File {
    let dir = target_dir().join("contend-tests");
    fs::create_dir_all(&dir).expect("create the tests' directory");
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join(name))
        .expect("open a file of the tests' state")
}
