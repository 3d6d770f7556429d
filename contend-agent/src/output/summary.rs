//! The summary at the end of a run, as plain text for people.
//!
//! Lines fit 100 columns; only paths are never cut.

mod stacks;
mod table;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use contend_ebpf::record::{Lost, Totals};
use contend_ebpf::rule::Reason;

use super::quantity::{count, duration, mean, share, shorten};
use crate::profile::model::{ProcessIdentity, Profile};
use table::Row;

/// Processes that the table of a run on many shows.
const PROCESSES: usize = 10;

/// Files that are listed.
const FILES: usize = 10;

/// What a run recorded.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    /// How long it recorded.
    pub elapsed: Duration,
    /// Every process that was recorded, in any order.
    pub processes: &'a [Recorded<'a>],
    /// Threads whose wait had not ended at the end.
    pub still_waiting: u64,
    /// Waiting of finished waits that no release followed, in ns: in the block profiles only.
    pub uncharged: u64,
    /// How many stacks were complete (`None`), and how many were cut short for which reason.
    pub stacks: &'a [(Option<Reason>, u64)],
    /// Events lost, by reason; zeros are not shown.
    pub lost: &'a [(Lost, u64)],
    /// The mutex profile's sampling in force: one release in so many; 0 is off.
    pub mutex_fraction: u64,
    /// The block profile's sampling rate in force, in ns; 0 is off.
    pub block_rate: u64,
    /// What else is to be said, a line each.
    pub notes: &'a [String],
}

/// What was recorded of one process.
#[derive(Clone, Debug)]
pub struct Recorded<'a> {
    /// Which.
    pub process: &'a ProcessIdentity,
    /// Exact sums.
    pub totals: Totals,
    /// None when it is off.
    pub mutex: Option<&'a Profile>,
    /// None when it is off.
    pub block: Option<&'a Profile>,
    /// Files that were written for it.
    pub files: &'a [PathBuf],
}

impl Recorded<'_> {
    /// Name and id in at most so many columns.
    fn title(&self, width: usize) -> String {
        let pid = format!(" (pid {})", self.process.key.tgid);
        shorten(&self.process.comm, width.saturating_sub(pid.len())) + &pid
    }

    fn is_empty(&self) -> bool {
        let samples = |profile: Option<&Profile>| profile.is_none_or(|p| p.samples.is_empty());
        self.totals == Totals::default() && samples(self.mutex) && samples(self.block)
    }
}

/// The summary's text, which ends with a line end.
pub fn render(summary: &Summary<'_>) -> String {
    let mut processes: Vec<&Recorded<'_>> = summary.processes.iter().collect();
    processes.sort_by_key(|recorded| (std::cmp::Reverse(recorded.totals.delay), recorded.process.key));
    let mut paragraphs = vec![title(summary, &processes)];
    if processes.iter().all(|recorded| recorded.is_empty()) {
        paragraphs.push(nothing_recorded(summary));
    } else {
        paragraphs.push(totals(summary));
        if processes.len() > 1 {
            paragraphs.push(process_table(&processes));
        }
        paragraphs.extend(stacks::paragraphs(summary, &processes));
    }
    paragraphs.extend(lost(summary.lost));
    paragraphs.extend(notes(summary.notes));
    paragraphs.extend(files(&processes));
    paragraphs.join("\n")
}

fn title(summary: &Summary<'_>, processes: &[&Recorded<'_>]) -> String {
    let who = match processes {
        [] => "no process".to_owned(),
        [one] => one.title(60),
        many => format!("{} processes", many.len()),
    };
    format!("{who}, recorded for {}\n", duration(nanoseconds(summary.elapsed)))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The exact sums and how the rest was sampled.
fn totals(summary: &Summary<'_>) -> String {
    let mut sum = Totals::default();
    for recorded in summary.processes {
        sum.add(&recorded.totals);
    }
    let mut lines = vec![
        (
            "waits",
            match sum.waits {
                0 => "none ended".to_owned(),
                waits => {
                    format!("{waits}, {} delay in all, mean {}", duration(sum.delay), mean(sum.delay, waits))
                }
            },
        ),
        (
            "run queue",
            format!(
                "{} from wake to run, {} of the delay",
                duration(sum.run_queue),
                share(sum.run_queue, sum.delay)
            ),
        ),
        (
            "paired",
            format!("{} of the waits: the thread that ended them is known", share(sum.paired, sum.waits)),
        ),
        ("releases", format!("{} found waiters, charged with {}", sum.releases, duration(sum.charged))),
    ];
    if summary.uncharged > 0 {
        let uncharged = duration(summary.uncharged);
        lines.push(("uncharged", format!("{uncharged} waited on locks that nobody released afterwards")));
    }
    lines.extend(still_waiting(summary).map(|text| ("waiting", text)));
    lines.extend(stacks_taken(summary).map(|text| ("stacks", text)));
    lines.push(("sampling", sampling(summary)));
    lines.iter().map(|(name, text)| format!("  {name:<10}{text}\n")).collect()
}

fn still_waiting(summary: &Summary<'_>) -> Option<String> {
    let threads = count(summary.still_waiting, "thread");
    (summary.still_waiting > 0).then(|| format!("{threads} still waiting at the end, not included"))
}

/// How many stacks reached the thread's first function, and why the others did not.
fn stacks_taken(summary: &Summary<'_>) -> Option<String> {
    let number = |wanted: Option<Reason>| {
        summary.stacks.iter().filter(|(end, _)| *end == wanted).map(|(_, count)| count).sum::<u64>()
    };
    let all: u64 = summary.stacks.iter().map(|(_, count)| count).sum();
    let cut: Vec<String> = Reason::ALL
        .into_iter()
        .filter(|reason| number(Some(*reason)) > 0)
        .map(|reason| format!("{} {}", number(Some(reason)), reason.name()))
        .collect();
    let complete = share(number(None), all);
    match cut.as_slice() {
        _ if all == 0 => None,
        [] => Some(format!("all {all} complete")),
        cut => Some(format!("{complete} of {all} complete; cut short: {}", cut.join(", "))),
    }
}

fn sampling(summary: &Summary<'_>) -> String {
    let mutex = match summary.mutex_fraction {
        0 => "no release (off)".to_owned(),
        1 => "every release".to_owned(),
        fraction => format!("1 in {fraction} releases"),
    };
    let block = match summary.block_rate {
        0 => "no wait (off)".to_owned(),
        1 => "every wait".to_owned(),
        rate => format!("waits from {} on, shorter ones in proportion", duration(rate)),
    };
    format!("{mutex}; {block}")
}

fn process_table(processes: &[&Recorded<'_>]) -> String {
    let whole = processes.iter().map(|recorded| recorded.totals.delay).sum();
    let mut text = String::from("Processes by delay\n");
    text += &table::header("waits", "process");
    for recorded in processes.iter().take(PROCESSES) {
        let Totals { delay, waits, .. } = recorded.totals;
        let title = recorded.title(table::TEXT_WIDTH);
        text += &Row { delay, whole, count: waits, lines: vec![title] }.to_string();
    }
    if let Some(more) = processes.get(PROCESSES..).filter(|more| !more.is_empty()) {
        let delay: u64 = more.iter().map(|recorded| recorded.totals.delay).sum();
        let more =
            if more.len() == 1 { "1 more process".into() } else { format!("{} more processes", more.len()) };
        text += &table::remark(&format!("and {more}, {} delay", duration(delay)));
    }
    text
}

/// What it means that there is nothing to show.
fn nothing_recorded(summary: &Summary<'_>) -> String {
    let mut text = String::from(
        "Nothing recorded: no thread slept in a futex wait and ran again in this time.\n\n\
         What to check:\n  \
         - Did it have to wait at all? A lock that is free is taken without the kernel.\n  \
         - Is it the right pid, and was there load while recording? Workers may be processes of\n    \
         their own: give each with --pid, or leave --pid out to record all.\n  \
         - Only futex waits are seen: mutexes, condition variables, semaphores and what is made of\n    \
         them. Sleeping, input and output, and spinning are not.\n  \
         - Waits that have not ended are not included: record for longer than the longest wait.\n",
    );
    if let Some(waiting) = still_waiting(summary) {
        text += &format!("    Here: {waiting}.\n");
    }
    if summary.mutex_fraction == 0 && summary.block_rate == 0 {
        text += "  - Both profiles are off: set --mutex-fraction or --block-rate.\n";
    }
    text
}

fn lost(lost: &[(Lost, u64)]) -> Option<String> {
    let mut text = String::from("Lost\n");
    for (reason, events) in lost.iter().filter(|(_, events)| *events > 0) {
        text += &format!("  {events:>8}  {}\n{:12}{}\n", reason.name(), "", reason.meaning());
    }
    text.contains("  ").then_some(text)
}

fn notes(notes: &[String]) -> Option<String> {
    let lines = notes.iter().map(|note| format!("  {note}\n"));
    (!notes.is_empty()).then(|| format!("Notes\n{}", lines.collect::<String>()))
}

/// The files, and how to open those of the process with the most delay.
fn files(processes: &[&Recorded<'_>]) -> Option<String> {
    let files: Vec<&Path> =
        processes.iter().flat_map(|recorded| recorded.files).map(PathBuf::as_path).collect();
    let mut text = String::from("Files\n");
    for file in files.iter().take(FILES) {
        text += &format!("  {}\n", shell_word(file));
    }
    if files.len() > FILES {
        text += &format!("  and {} more\n", files.len() - FILES);
    }
    text += "\nOpen them with\n";
    let first = processes.iter().find(|recorded| !recorded.files.is_empty())?;
    for option in ["-top", "-http=:"] {
        for file in first.files {
            text += &format!("  go tool pprof {option} {}\n", shell_word(file));
        }
    }
    Some(text)
}

/// The path as a shell takes it for one word.
fn shell_word(path: &Path) -> String {
    let path = shorten(&path.to_string_lossy(), usize::MAX);
    let plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,".contains(c);
    match path.chars().all(plain) && !path.starts_with('-') {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}
