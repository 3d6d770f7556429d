//! Throughput with a profiler over throughput without, by alternating pairs.

use anyhow::Result;

use super::profiler::Profiler;
use super::report::Comparison;
use super::statistics::{median, quantile};
use super::workload::Workload;

/// Runs the pairs; every second one in the opposite order, so that drift favours neither side.
pub(super) fn compare(
    workload: &Workload,
    profiler: Profiler,
    pairs: u32,
    seconds: f64,
) -> Result<Comparison> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        if pair % 2 == 0 {
            without.push(alone(workload, seconds)?);
            with.push(watched(workload, profiler, seconds)?);
        } else {
            with.push(watched(workload, profiler, seconds)?);
            without.push(alone(workload, seconds)?);
        }
    }
    let ratios: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with / without).collect();
    Ok(Comparison {
        workload: workload.name.to_owned(),
        profiler: profiler.name().to_owned(),
        without: median(&without),
        with: median(&with),
        // Of the pairs, which drift together; not of the medians, which may come from different states of the machine.
        ratio: median(&ratios),
        ratio_low: quantile(&ratios, 0.25),
        ratio_high: quantile(&ratios, 0.75),
        runs_without: without,
        runs_with: with,
    })
}

fn alone(workload: &Workload, seconds: f64) -> Result<f64> {
    Ok(workload.start(seconds)?.go()?.rate())
}

fn watched(workload: &Workload, profiler: Profiler, seconds: f64) -> Result<f64> {
    let ready = workload.start(seconds)?;
    let running = profiler.start(ready.pid())?;
    let done = ready.go()?;
    running.stop()?;
    Ok(done.rate())
}
