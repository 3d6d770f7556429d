//! The machine that the numbers come from.

use std::fmt;

use serde::Serialize;

/// What a reader must know to compare the numbers with those of another machine.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    kernel: String,
    cpu: String,
    cpus: usize,
    memory_mib: u64,
}

/// This machine.
pub(super) fn read() -> Machine {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let memory_kib = memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
    Machine {
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: memory_kib.unwrap_or(0) / 1024,
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, cpu, cpus, memory_mib } = self;
        write!(formatter, "Linux {kernel}, {cpu}, {cpus} CPUs, {memory_mib} MiB")
    }
}
