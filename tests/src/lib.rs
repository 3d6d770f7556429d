//! End-to-end tests: real programs that count their own waits, under the real agent.
//!
//! Every test runs alone on the machine ([`requirements::alone`]), fails when the machine does not
//! allow it to run, and skips ([`skip!`]) only what the kernel does not have.

pub mod agent;
pub mod kernel;
pub mod profile;
pub mod requirements;
pub mod stats;
pub mod workload;

use std::path::PathBuf;

/// The workspace's target directory.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")), PathBuf::from)
}

/// Ends the test that it stands in, because the machine does not have what it is about: says why
/// and notes it in the file that `CONTEND_SKIPS` names, whose lines the runner counts.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::requirements::note_skipped(module_path!(), &format!($($reason)*));
        return;
    }};
}
