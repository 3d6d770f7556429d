//! What the agent itself uses: time in its programs, CPU, memory, time to attach, events lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::sys::{Stats, enable_stats};

use super::profiler::{Profiler, Running};
use super::report::{Cost, ProgramCost, Usage};
use super::statistics::median;
use super::workload::{STORM, Workload};

/// Starts measured for the time to attach.
const STARTS: usize = 5;
/// How long an agent on an idle host runs before its memory is read.
const IDLE: Duration = Duration::from_secs(3);
/// /proc counts CPU time in hundredths of a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Runs every workload once under the agent, every event recorded, with the kernel's clock on the
/// programs; not in the pairs, because that clock costs time.
pub(super) fn measure(workloads: &[Workload], seconds: f64) -> Result<Cost> {
    eprintln!("measuring the agent's own cost");
    let (attach_seconds, idle_rss_kib, idle_rss_peak_kib) = idle()?;
    let mut programs = Vec::new();
    let mut usage = Vec::new();
    let clock =
        enable_stats(Stats::RunTime).context("cannot switch on the kernel's statistics of BPF programs")?;
    for workload in workloads {
        for profiler in [Profiler::AgentEvery, Profiler::AgentProduction] {
            let ready = workload.start(seconds)?;
            let running = profiler.start(ready.pid())?;
            let before = Snapshot::take(&running);
            // The agent leaves soon after its only target: its last numbers are taken while it lives.
            let watcher = std::thread::spawn({
                let pid = running.pid();
                move || last_snapshot(pid, seconds)
            });
            let done = ready.go()?;
            let after = watcher.join().unwrap_or_default();
            let said = running.stop()?;
            programs.extend(after.programs_since(&before, workload.name, profiler.name()));
            usage.push(Usage {
                workload: workload.name.to_owned(),
                profiler: profiler.name().to_owned(),
                operations_per_second: done.rate(),
                cpu_percent: 100.0 * (after.cpu_seconds - before.cpu_seconds)
                    / after.at.duration_since(before.at).as_secs_f64(),
                rss_kib: after.rss_kib,
                rss_peak_kib: after.rss_peak_kib,
                lost: lost(&said),
            });
        }
    }
    drop(clock);
    let storm_lost = usage.iter().filter(|usage| usage.workload == STORM).map(|usage| usage.lost).sum();
    Ok(Cost { attach_seconds, idle_rss_kib, idle_rss_peak_kib, storm_lost, programs, usage })
}

/// Median time to attach, then memory on an idle host and its peak in KiB.
fn idle() -> Result<(f64, u64, u64)> {
    let mut times = Vec::new();
    let (mut rss_kib, mut peak_kib) = (0, 0);
    for start in 0..STARTS {
        let running = Profiler::AgentProduction.start(std::process::id())?;
        times.push(running.attach_time.as_secs_f64());
        if start == 0 {
            std::thread::sleep(IDLE);
            let idle = Snapshot::take(&running);
            (rss_kib, peak_kib) = (idle.rss_kib, idle.rss_peak_kib);
        }
        running.stop()?;
    }
    Ok((median(&times), rss_kib, peak_kib))
}

/// Snapshots of a process until shortly before the workload ends.
fn last_snapshot(pid: u32, seconds: f64) -> Snapshot {
    std::thread::sleep(Duration::from_secs_f64(seconds * 0.9));
    Snapshot::of(pid)
}

/// What a process has used up to an instant.
struct Snapshot {
    at: Instant,
    cpu_seconds: f64,
    rss_kib: u64,
    rss_peak_kib: u64,
    programs: BTreeMap<u32, ProgramTime>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct ProgramTime {
    name: String,
    runs: u64,
    nanoseconds: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { at: Instant::now(), cpu_seconds: 0.0, rss_kib: 0, rss_peak_kib: 0, programs: BTreeMap::new() }
    }
}

impl Snapshot {
    fn take(running: &Running) -> Self {
        Self::of(running.pid())
    }

    fn of(pid: u32) -> Self {
        let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = read("status");
        Self {
            at: Instant::now(),
            cpu_seconds: cpu_ticks(&read("stat")) as f64 / TICKS_PER_SECOND,
            rss_kib: number(&status, "VmRSS:"),
            rss_peak_kib: number(&status, "VmHWM:"),
            programs: program_times(pid),
        }
    }

    fn programs_since(&self, before: &Self, workload: &str, profiler: &str) -> Vec<ProgramCost> {
        let cost = |(id, after): (&u32, &ProgramTime)| {
            let zero = ProgramTime::default();
            let start = before.programs.get(id).unwrap_or(&zero);
            let runs = after.runs.saturating_sub(start.runs);
            let nanoseconds = after.nanoseconds.saturating_sub(start.nanoseconds);
            (runs > 0).then(|| ProgramCost {
                workload: workload.to_owned(),
                profiler: profiler.to_owned(),
                program: after.name.clone(),
                runs,
                ns_per_run: nanoseconds as f64 / runs as f64,
            })
        };
        self.programs.iter().filter_map(cost).collect()
    }
}

/// User and system time in ticks from the text of /proc/PID/stat.
fn cpu_ticks(stat: &str) -> u64 {
    // The name in parentheses may hold anything; the fields after it are numbered from 3.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let tick = |number: usize| fields.split(' ').nth(number - 3).and_then(|field| field.parse::<u64>().ok());
    tick(14).unwrap_or(0) + tick(15).unwrap_or(0)
}

/// The number after a label at the start of a line, or 0.
fn number(text: &str, label: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(label)?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Ids of the BPF programs that a process holds open.
pub(super) fn programs_of(pid: u32) -> Vec<u32> {
    let mut ids: Vec<u32> =
        descriptors(pid).iter().map(|text| number(text, "prog_id:") as u32).filter(|id| *id != 0).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn descriptors(pid: u32) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else {
        return Vec::new();
    };
    entries.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect()
}

fn program_times(pid: u32) -> BTreeMap<u32, ProgramTime> {
    let held = programs_of(pid);
    let mut times = BTreeMap::new();
    // A program's name is not in fdinfo, so all comes from the kernel's list of programs.
    for program in aya::programs::loaded_programs().flatten() {
        if held.contains(&program.id()) {
            times.insert(
                program.id(),
                ProgramTime {
                    name: program.name_as_str().unwrap_or("?").to_owned(),
                    runs: program.run_count(),
                    nanoseconds: u64::try_from(program.run_time().as_nanos()).unwrap_or(u64::MAX),
                },
            );
        }
    }
    times
}

/// The sum of the numbers that the agent's summary calls lost; it prints none when nothing was.
fn lost(summary: &str) -> u64 {
    summary
        .lines()
        .filter(|line| line.contains("lost"))
        .flat_map(|line| line.split(|c: char| !c.is_ascii_digit() && c != '.' && c != 'x'))
        .filter_map(|word| word.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::{cpu_ticks, lost, number};

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a ) b (c) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20";
        assert_eq!(cpu_ticks(stat), 150);
    }

    #[test]
    fn labels_are_whole() {
        let text = "VmPeak:\t  10 kB\nVmRSS:\t   2048 kB\n";
        assert_eq!(number(text, "VmRSS:"), 2048);
        assert_eq!(number(text, "VmHWM:"), 0);
    }

    #[test]
    fn losses_add_up() {
        assert_eq!(lost("10 waits in 3 s\n"), 0);
        assert_eq!(lost("lost: 12 (stacks full)\nlost: 3 (locks full)\n"), 15);
    }
}
