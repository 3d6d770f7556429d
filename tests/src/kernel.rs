//! What the kernel says about a process's BPF programs, and switches of the kernel that a test
//! changes and puts back.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workload;

/// Ids of the BPF programs that a process has open or attached, by `/proc/PID/fdinfo`.
#[must_use]
pub fn programs_of(pid: u32) -> Vec<u32> {
    let mut ids: Vec<u32> = descriptors(pid).iter().filter_map(|info| field(info, "prog_id:")).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// How many BPF links a process holds: its attached programs.
#[must_use]
pub fn links_of(pid: u32) -> usize {
    descriptors(pid).iter().filter(|info| info.contains("link_id:")).count()
}

/// Those of the programs that are still loaded.
///
/// # Panics
///
/// When the kernel refuses to say, for want of privileges or of BPF.
#[must_use]
pub fn programs_alive(ids: &[u32]) -> Vec<u32> {
    let output = workload::compiled("bpf_alive")
        .args(ids.iter().map(u32::to_string))
        .output()
        .expect("start bpf_alive");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the kernel refuses bpf(2), which the tests need: {errors}");
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|id| id.parse().ok()).collect()
}

fn descriptors(pid: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else {
        return Vec::new();
    };
    entries.flatten().filter_map(|e| fs::read_to_string(e.path()).ok()).collect()
}

fn field(info: &str, key: &str) -> Option<u32> {
    info.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}

/// A setting of the kernel that is put back when this is dropped.
#[derive(Debug)]
pub struct Setting {
    path: PathBuf,
    before: String,
}

impl Setting {
    /// Sets it, or returns `None` when this machine does not allow that.
    #[must_use]
    pub fn change(path: impl AsRef<Path>, value: &str) -> Option<Self> {
        let path = path.as_ref().to_path_buf();
        let before = fs::read_to_string(&path).ok()?.trim().to_owned();
        fs::write(&path, value).ok()?;
        Some(Self { path, before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.before) {
            eprintln!("put {} back to {}: {error}", self.path.display(), self.before);
        }
    }
}
