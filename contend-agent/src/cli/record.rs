//! A recording from start to end.

use std::time::Instant;

use anyhow::Context as _;
use contend_ebpf::record::Settings;
use tracing::info;

use super::args::{LabelName, RecordArguments};
use super::recorder::Recorder;
use super::report;
use super::stop::StopConditions;
use crate::output::check_output_dir;
use crate::probe::{Probes, Setup};
use crate::profile::model::ProcessIdentity;
use crate::target::{self, ExitWatch, StoppedCommand, TargetError};

/// Records as the command line says and writes the profiles.
///
/// # Errors
///
/// When a target cannot be watched, the kernel refuses, or a profile cannot be written.
pub(super) fn run(arguments: &RecordArguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(record(arguments))
}

async fn record(arguments: &RecordArguments) -> anyhow::Result<()> {
    let began = Instant::now();
    check_output_dir(&arguments.output)?;
    let mut targets: Vec<ProcessIdentity> = Vec::new();
    for pid in &arguments.pids {
        targets.push(target::resolve(*pid)?);
    }
    let watches = targets.iter().map(|target| ExitWatch::new(target.key)).collect::<Result<Vec<_>, _>>()?;
    let (mut probes, events) =
        Probes::load(&Setup { settings: settings(arguments), kernel_log: arguments.verbose >= 2 })?;
    let command = match arguments.command.as_slice() {
        [] => None,
        command => Some(StoppedCommand::spawn(command)?),
    };
    if let Some(command) = &command {
        targets.push(command.identity().clone());
    }
    for target in &targets {
        probes.maps.watch(target.key.tgid, command.is_some())?;
    }
    let mut stop = StopConditions::new(watches, command).context("cannot catch signals")?;
    probes.attach()?;
    info!("attached after {} ms", began.elapsed().as_millis());
    for target in &targets {
        // From here on an end is noticed; one before would have left nothing to record.
        if target::identify(target.key.tgid).map(|now| now.key).ok() != Some(target.key) {
            return Err(TargetError::EndedWhileAttaching(target.key.tgid).into());
        }
    }
    let mut recorder = Recorder::new(probes, events, &targets, arguments)?;
    stop.start(arguments.duration)?;
    let stopped = recorder.run(&mut stop).await?;
    let recording = recorder.finish(stopped).await?;
    report::write(arguments, &targets, recording)
}

fn settings(arguments: &RecordArguments) -> Settings {
    Settings {
        buffer: 0,
        only_watched: u32::from(arguments.is_targeted()),
        label_thread: u32::from(arguments.has_label(LabelName::Thread)),
        label_lock: u32::from(arguments.has_label(LabelName::LockAddress)),
        mutex_fraction: arguments.fraction(),
        block_rate: arguments.rate(),
    }
}
