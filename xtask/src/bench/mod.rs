//! `cargo xtask bench`: what the agent costs the programs it watches, and its peers in the same way.

mod cost;
mod machine;
mod pairs;
mod profiler;
mod report;
mod statistics;
mod workload;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use profiler::Profiler;
use report::{Report, Skipped};
use workload::Workload;

use crate::{command, workspace};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Pairs of runs, without and with the profiler, for each row
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Length of a run
    #[arg(long, default_value_t = 4.0, value_name = "SECONDS")]
    seconds: f64,
    /// Only rows whose `WORKLOAD/PROFILER` contains this, and `cost` for the agent's own costs; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Where the numbers go as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Arguments {
    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| row.contains(part.as_str()))
    }
}

/// Measures, prints one table and writes it as JSON.
pub(crate) fn main(arguments: &Arguments) -> Result<()> {
    if !command::is_root() {
        bail!("cannot bench: eBPF needs root; run `sudo -E cargo xtask bench`");
    }
    if !(arguments.seconds > 0.0 && arguments.seconds <= 3600.0) {
        bail!("--seconds must be above 0 and at most 3600");
    }
    command::build_agent()?;
    let folder = tempfile::tempdir().context("cannot make a folder for the workloads")?;
    let workloads = workload::compile_all(folder.path())?;
    let mut report = Report::new(machine::read(), arguments.pairs, arguments.seconds);
    compare(arguments, &workloads, &mut report)?;
    if arguments.wants("cost") {
        report.cost = Some(cost::measure(&workloads, arguments.seconds)?);
    }
    print!("{report}");
    let json = arguments.json.clone().unwrap_or_else(|| workspace::target().join("bench.json"));
    report.write(&json)?;
    println!("As JSON: {}", json.display());
    Ok(())
}

fn compare(arguments: &Arguments, workloads: &[Workload], report: &mut Report) -> Result<()> {
    for profiler in Profiler::ALL {
        if let Err(reason) = profiler.available() {
            report.skipped.push(Skipped { row: profiler.name().to_owned(), reason: reason.to_string() });
            continue;
        }
        for workload in workloads {
            let row = format!("{}/{}", workload.name, profiler.name());
            if !arguments.wants(&row) {
                continue;
            }
            eprintln!("measuring {row}");
            match pairs::compare(workload, profiler, arguments.pairs, arguments.seconds) {
                Ok(comparison) => report.comparisons.push(comparison),
                // Without a peer the table is still worth having; without the agent it is not.
                Err(error) if profiler.is_peer() => {
                    report.skipped.push(Skipped { row, reason: first_line(&format!("{error:#}")) })
                }
                Err(error) => return Err(error.context(format!("cannot measure {row}"))),
            }
        }
    }
    Ok(())
}

/// A row of the table is one line.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().replace('|', "/")
}
