//! `contend-agent check`: what this kernel and these privileges allow.

use std::process::ExitCode;

use contend_ebpf::record::Settings;

use crate::output::print;
use crate::probe::{Capability, Privileges, ProbeError, Probes, Setup, kernel_layout};
use crate::target::is_initial_pid_namespace;

/// One line of the answer.
struct Finding {
    subject: String,
    /// What is wrong and what to do about it.
    problem: Option<String>,
    /// Whether recording is impossible with the problem.
    fatal: bool,
}

impl Finding {
    fn new(subject: impl Into<String>, problem: Option<String>, fatal: bool) -> Self {
        Self { subject: subject.into(), problem, fatal }
    }
}

/// Checks, prints, and tells whether the agent can record here.
pub(super) fn run() -> ExitCode {
    let mut findings = vec![kernel(), types()];
    findings.extend([Capability::Bpf, Capability::Perfmon, Capability::SysPtrace].map(capability));
    findings.push(namespace());
    findings.extend(programs());
    let fatal = findings.iter().any(|f| f.fatal && f.problem.is_some());
    let mut text = String::new();
    for Finding { subject, problem, fatal } in &findings {
        text += &match problem {
            None => format!("ok    {subject}\n"),
            Some(problem) if *fatal => format!("FAIL  {subject}: {problem}\n"),
            Some(problem) => format!("warn  {subject}: {problem}\n"),
        };
    }
    text += if fatal { "contend cannot record here.\n" } else { "contend can record here.\n" };
    let printed = print(&text).is_ok();
    if fatal || !printed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    Finding::new(format!("kernel {release} on {}", std::env::consts::ARCH), old_kernel(release), true)
}

/// The helper that reads a thread's registers came with Linux 5.15.
fn old_kernel(release: &str) -> Option<String> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    (version < (5, 15)).then(|| "contend needs Linux 5.15 or later".to_owned())
}

fn types() -> Finding {
    Finding::new("kernel type information (BTF)", kernel_layout().err().map(|e| e.to_string()), true)
}

fn capability(capability: Capability) -> Finding {
    let missing = !Privileges::own().has(capability);
    let remedy = "missing; run as root (sudo) or grant it".to_owned();
    Finding::new(capability.name(), missing.then_some(remedy), true)
}

fn namespace() -> Finding {
    let problem = (!is_initial_pid_namespace()).then(|| {
        "in a namespace of its own, where --pid cannot be used; give the container the host's".to_owned()
    });
    Finding::new("pid namespace", problem, false)
}

/// Loads and attaches the programs for a moment, recording nothing.
fn programs() -> Vec<Finding> {
    let nothing = Settings { only_watched: 1, ..Settings::default() };
    let programs = |problem: Option<ProbeError>| {
        Finding::new("eBPF programs and maps", problem.map(|e| e.to_string()), true)
    };
    match Probes::load(&Setup { settings: nothing, kernel_log: false }) {
        Ok((mut probes, _events)) => {
            let problem = probes.attach().err().map(|e| e.to_string());
            vec![programs(None), Finding::new("tracepoints", problem, true)]
        }
        Err(error) => vec![programs(Some(error))],
    }
}

#[cfg(test)]
mod tests {
    use super::old_kernel;

    #[test]
    fn kernels_before_5_15_are_refused() {
        for old in ["5.10.0-28-amd64", "4.19.0", "5.14.21-150500"] {
            assert!(old_kernel(old).is_some(), "{old}");
        }
        for good in ["5.15.0-91-generic", "6.18.44", "6.1.0-18-cloud-amd64", "7.0"] {
            assert!(old_kernel(good).is_none(), "{good}");
        }
    }
}
