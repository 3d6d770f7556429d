//! The results, as a table for people and as JSON for programs.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::machine::Machine;

/// Everything measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Machine,
    pairs: u32,
    seconds: f64,
    pub(super) comparisons: Vec<Comparison>,
    pub(super) cost: Option<Cost>,
    pub(super) skipped: Vec<Skipped>,
}

/// Throughput of one workload without and with one profiler, in operations per second.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) workload: String,
    pub(super) profiler: String,
    /// Median without the profiler.
    pub(super) without: f64,
    /// Median with it.
    pub(super) with: f64,
    /// The second median over the first.
    pub(super) ratio: f64,
    /// Lower quartile of the ratios of the pairs.
    pub(super) ratio_low: f64,
    /// Upper quartile of the ratios of the pairs.
    pub(super) ratio_high: f64,
    pub(super) runs_without: Vec<f64>,
    pub(super) runs_with: Vec<f64>,
}

/// What the agent itself uses.
#[derive(Debug, Serialize)]
pub(super) struct Cost {
    /// Median, from start to probes attached on the whole host.
    pub(super) attach_seconds: f64,
    /// Resident memory on the whole host, idle.
    pub(super) idle_rss_kib: u64,
    /// Its peak since the start.
    pub(super) idle_rss_peak_kib: u64,
    /// Events lost in all runs of the storm.
    pub(super) storm_lost: u64,
    pub(super) programs: Vec<ProgramCost>,
    pub(super) usage: Vec<Usage>,
}

/// One BPF program under one workload.
#[derive(Debug, Serialize)]
pub(super) struct ProgramCost {
    pub(super) workload: String,
    pub(super) profiler: String,
    pub(super) program: String,
    pub(super) runs: u64,
    pub(super) ns_per_run: f64,
}

/// The agent's process under one workload.
#[derive(Debug, Serialize)]
pub(super) struct Usage {
    pub(super) workload: String,
    pub(super) profiler: String,
    pub(super) operations_per_second: f64,
    /// Of one CPU.
    pub(super) cpu_percent: f64,
    pub(super) rss_kib: u64,
    pub(super) rss_peak_kib: u64,
    pub(super) lost: u64,
}

/// A row that was not measured.
#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    pub(super) row: String,
    pub(super) reason: String,
}

impl Report {
    pub(super) fn new(machine: Machine, pairs: u32, seconds: f64) -> Self {
        Self { machine, pairs, seconds, comparisons: Vec::new(), cost: None, skipped: Vec::new() }
    }

    /// Writes it as JSON.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).context("cannot write the report as JSON")?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, pairs, seconds, comparisons, cost, skipped } = self;
        writeln!(formatter, "{machine}; medians of {pairs} alternating pairs of {seconds} s\n")?;
        writeln!(
            formatter,
            "| workload | profiler | without, op/s | with, op/s | ratio | quartiles |\n|---|---|---:|---:|---:|---|"
        )?;
        for row in comparisons {
            writeln!(
                formatter,
                "| {} | {} | {:.0} | {:.0} | {:.3} | {:.3}–{:.3} |",
                row.workload, row.profiler, row.without, row.with, row.ratio, row.ratio_low, row.ratio_high
            )?;
        }
        for Skipped { row, reason } in skipped {
            writeln!(formatter, "| {row} | not measured: {reason} | | | | |")?;
        }
        if let Some(cost) = cost {
            write!(formatter, "\n{cost}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attach_seconds, idle_rss_kib, idle_rss_peak_kib, storm_lost, programs, usage } = self;
        writeln!(
            formatter,
            "Start to probes attached {attach_seconds:.2} s; memory on the idle host {:.1} MiB, at most {:.1}; \
             events lost in the storm {storm_lost}\n",
            mib(*idle_rss_kib),
            mib(*idle_rss_peak_kib)
        )?;
        writeln!(
            formatter,
            "| workload | agent | CPU, % of one | RSS, MiB | peak, MiB | lost | ns per run (runs) |\n\
             |---|---|---:|---:|---:|---:|---|"
        )?;
        for row in usage {
            let runs: Vec<_> = programs
                .iter()
                .filter(|program| program.workload == row.workload && program.profiler == row.profiler)
                .map(|program| format!("{} {:.0} ({})", program.program, program.ns_per_run, program.runs))
                .collect();
            writeln!(
                formatter,
                "| {} | {} | {:.1} | {:.1} | {:.1} | {} | {} |",
                row.workload,
                row.profiler,
                row.cpu_percent,
                mib(row.rss_kib),
                mib(row.rss_peak_kib),
                row.lost,
                runs.join(", ")
            )?;
        }
        Ok(())
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
