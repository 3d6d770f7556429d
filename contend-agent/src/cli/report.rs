//! The end of a recording: names, profiles, files and the summary.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::Context as _;
use contend_ebpf::record::{ProcessKey, Totals};
use tracing::info;

use super::args::{RecordArguments, RunQueue};
use super::recorder::Recording;
use super::stop::Stopped;
use crate::aggregate::Process;
use crate::output::summary::{Recorded, Summary, render};
use crate::output::{print, write_profile_pair};
use crate::profile::build::{Builder, Window};
use crate::profile::model::{ProcessIdentity, Profile, ProfileKind};
use crate::symbol::Names;

/// One process's profiles and where they are.
struct Written {
    identity: ProcessIdentity,
    totals: Totals,
    mutex: Option<Profile>,
    block: Option<Profile>,
    files: Vec<PathBuf>,
}

/// Writes the profiles and prints the summary.
///
/// # Errors
///
/// When a file cannot be written.
pub(super) fn write(
    arguments: &RecordArguments,
    targets: &[ProcessIdentity],
    mut recording: Recording,
) -> anyhow::Result<()> {
    let window = Window {
        start: recording.start,
        duration: recording.duration,
        split_run_queue: arguments.run_queue == RunQueue::Split,
    };
    let mut builder = Builder::new(window, &mut recording.spaces, Names::default());
    let mut written = Vec::new();
    let mut names = HashSet::new();
    for (key, process) in recording.aggregate.processes() {
        let is_target = targets.iter().any(|target| target.key == key);
        if !is_target && !has_something(process, arguments.is_targeted()) {
            continue;
        }
        let mut built = build(arguments, &mut builder, key, process);
        if is_target || !process.samples.is_empty() {
            let (mutex, block) = (built.mutex.as_ref(), built.block.as_ref());
            if !names.insert((built.identity.comm.clone(), key.tgid)) {
                // The id was given to another process of the same name: the start tells them apart.
                built.identity.comm = format!("{}-{}", built.identity.comm, key.start_ticks);
            }
            built.files = write_profile_pair(&arguments.output, &built.identity, mutex, block)?;
        }
        written.push(built);
    }
    info!("symbols: {:?}", builder.counters());
    info!("unwind tables: {:?}", recording.tables);
    for (reason, count) in recording.walks.iter().filter_map(|(end, count)| Some(((*end)?, count))) {
        if *count > 0 {
            info!("{count} {}", reason.meaning());
        }
    }
    let text = if arguments.quiet { file_names(&written) } else { summary(&recording, &written) };
    print(&text).context("cannot print the summary; the profiles are written")
}

/// Whether there is anything to show of a process that was not named. When others were, its totals may
/// only say that it released one of their locks in shared memory.
fn has_something(process: &Process, others_were_named: bool) -> bool {
    let Totals { waits, releases, .. } = process.totals;
    !process.samples.is_empty() || waits > 0 || (releases > 0 && !others_were_named)
}

fn build(
    arguments: &RecordArguments,
    builder: &mut Builder<'_>,
    key: ProcessKey,
    process: &Process,
) -> Written {
    let mut profile = |kind| builder.profile(kind, process);
    Written {
        identity: ProcessIdentity { key, comm: process.comm.clone() },
        totals: process.totals,
        mutex: (arguments.fraction() != 0).then(|| profile(ProfileKind::Mutex)),
        block: (arguments.rate() != 0).then(|| profile(ProfileKind::Block)),
        files: Vec::new(),
    }
}

fn file_names(written: &[Written]) -> String {
    written.iter().flat_map(|process| &process.files).map(|file| format!("{}\n", file.display())).collect()
}

fn summary(recording: &Recording, written: &[Written]) -> String {
    let processes: Vec<_> = written
        .iter()
        .map(|process| Recorded {
            process: &process.identity,
            totals: process.totals,
            mutex: process.mutex.as_ref(),
            block: process.block.as_ref(),
            files: &process.files,
        })
        .collect();
    let summary = Summary {
        elapsed: recording.duration,
        processes: &processes,
        still_waiting: recording.leftover.waiting,
        uncharged: recording.leftover.uncharged,
        stacks: &recording.walks,
        lost: &recording.lost,
        mutex_fraction: recording.settings.mutex_fraction,
        block_rate: recording.settings.block_rate,
        notes: &notes(recording),
    };
    render(&summary)
}

/// What else the user should know.
fn notes(recording: &Recording) -> Vec<String> {
    let mut notes = Vec::new();
    if let Stopped::CommandEnded(status) = recording.stopped
        && !status.success()
    {
        notes.push(format!("the command ended with {}", describe(status)));
    }
    let spaces = recording.spaces.counters();
    let tables = recording.tables;
    let refused = [
        (recording.aggregate.stacks_refused(), "stacks were not kept: there are too many different ones"),
        (
            tables.refused,
            "executables' unwind tables found no room: their code is followed by frame pointers",
        ),
        (tables.mappings_refused, "executable mappings are too many for one process: stacks end there"),
        (
            spaces.processes_refused,
            "processes were not looked at, there are too many: their frames have no names",
        ),
        (
            spaces.mappings_refused,
            "times a process had more mappings than are kept: some frames have no names",
        ),
        (spaces.files_refused, "files were not kept open, there are too many: their frames have no names"),
    ];
    notes.extend(
        refused.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")),
    );
    notes
}

fn describe(status: ExitStatus) -> String {
    // Prints as "exit status: 3" or "signal: 9 (SIGKILL)".
    status.to_string().replacen(": ", " ", 1)
}
