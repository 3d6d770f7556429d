//! What ends a recording.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::sys::signal::restore_default;
use crate::target::{ExitWatch, RunningCommand, StoppedCommand, TargetError};

/// Why the recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Its time was over.
    Duration,
    /// Ctrl-C or SIGTERM.
    Signal,
    /// All its targets have ended.
    TargetsEnded,
    /// Its command has ended.
    CommandEnded(ExitStatus),
}

/// All that may end a recording.
pub(super) struct StopConditions {
    interrupt: Signal,
    terminate: Signal,
    deadline: Option<Instant>,
    targets: Vec<ExitWatch>,
    stopped: Option<StoppedCommand>,
    command: Option<RunningCommand>,
}

impl StopConditions {
    /// From now on a signal does not end the agent at once.
    ///
    /// # Errors
    ///
    /// When signals cannot be caught.
    pub(super) fn new(targets: Vec<ExitWatch>, command: Option<StoppedCommand>) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            deadline: None,
            targets,
            stopped: command,
            command: None,
        })
    }

    /// Starts the clock, and the command if there is one.
    ///
    /// # Errors
    ///
    /// When the command cannot be started.
    pub(super) fn start(&mut self, duration: Option<Duration>) -> Result<(), TargetError> {
        self.deadline = duration.map(|duration| Instant::now() + duration);
        self.command = self.stopped.take().map(StoppedCommand::release).transpose()?;
        Ok(())
    }

    /// Waits until something ends the recording. After a signal the next one ends the agent at once.
    ///
    /// # Errors
    ///
    /// When the command cannot be waited for.
    pub(super) async fn stopped(&mut self) -> io::Result<Stopped> {
        let Self { interrupt, terminate, deadline, targets, stopped: _, command } = self;
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = reached(*deadline) => return Ok(Stopped::Duration),
            status = ended(command) => return status.map(Stopped::CommandEnded),
            () = all_ended(targets) => return Ok(Stopped::TargetsEnded),
        }
        restore_default([nix::sys::signal::SIGINT, nix::sys::signal::SIGTERM])?;
        Ok(Stopped::Signal)
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn ended(command: &mut Option<RunningCommand>) -> io::Result<ExitStatus> {
    match command {
        Some(command) => command.wait().await,
        None => std::future::pending().await,
    }
}

async fn all_ended(targets: &[ExitWatch]) {
    if targets.is_empty() {
        return std::future::pending().await;
    }
    for target in targets {
        target.ended().await;
    }
}
