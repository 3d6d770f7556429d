//! The event loop of a recording: what the kernel side tells is taken in until something ends it.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use aya::maps::{MapData, RingBuf};
use contend_ebpf::record::{Lost, ProcessKey, Settings};
use contend_ebpf::rule::Reason;
use tokio::io::unix::AsyncFd;
use tokio::time::MissedTickBehavior;
use tracing::debug;

use super::args::RecordArguments;
use super::intake::Intake;
use super::stop::{StopConditions, Stopped};
use crate::aggregate::Aggregate;
use crate::event::Event;
use crate::output::progress::{Progress, ProgressState};
use crate::probe::{LockLeftover, Logger, Probes, TableCounters};
use crate::profile::model::ProcessIdentity;
use crate::symbol::AddressSpaces;
use crate::sys::clock::monotonic_now;
use crate::sys::readiness::await_readable;

/// How often the samples are taken out of the kernel, and the progress is shown.
const TURN: Duration = Duration::from_secs(1);
/// How often lock records are looked through for idle ones, in turns.
const RETIRE_EVERY: u64 = 10;
/// How long a program that was running when it was detached may need to end, generously.
const QUIESCENCE: Duration = Duration::from_millis(20);

/// A recording under way.
pub(super) struct Recorder {
    probes: Probes,
    events: AsyncFd<RingBuf<MapData>>,
    logger: Option<AsyncFd<Logger>>,
    intake: Intake,
    /// Processes that ended in the last turn: their last waits may still be on their way.
    ended: Vec<ProcessKey>,
    uncharged: u64,
    progress: Progress<std::io::Stderr>,
    start: SystemTime,
    clock: Instant,
    turns: u64,
}

/// A recording that is over.
pub(super) struct Recording {
    /// What was recorded.
    pub aggregate: Aggregate,
    /// Where the stacks' places are; of ended processes as well, until their profiles are written.
    pub spaces: AddressSpaces,
    /// When it began.
    pub start: SystemTime,
    /// How long it lasted.
    pub duration: Duration,
    /// What was lost.
    pub lost: Vec<(Lost, u64)>,
    /// How many stacks were complete (`None`) or cut short, and why.
    pub walks: Vec<(Option<Reason>, u64)>,
    /// The unwind tables.
    pub tables: TableCounters,
    /// What no unlocker was charged with.
    pub leftover: LockLeftover,
    /// The settings in force at the end.
    pub settings: Settings,
    /// Why it ended.
    pub stopped: Stopped,
}

impl Recorder {
    /// The clock of the recording starts.
    ///
    /// # Errors
    ///
    /// When the kernel's file descriptors cannot be watched.
    pub(super) fn new(
        mut probes: Probes,
        events: RingBuf<MapData>,
        targets: &[ProcessIdentity],
        arguments: &RecordArguments,
    ) -> anyhow::Result<Self> {
        let logger = match arguments.verbose {
            0 | 1 => None,
            _ => Some(probes.logger().context("cannot read the kernel side's messages")?),
        };
        let mut intake = Intake::new(arguments.unwind);
        for target in targets {
            intake.aggregate.process_mut(target.key).comm.clone_from(&target.comm);
            // A command that is held has yet to map what it will run.
            if arguments.command.is_empty() {
                intake.spaces.observe(target.key);
                intake.load_tables(target.key, &mut probes.tables)?;
            }
        }
        Ok(Self {
            probes,
            events: await_readable(events).context("cannot watch the ring buffer")?,
            logger,
            intake,
            ended: Vec::new(),
            uncharged: 0,
            progress: if arguments.quiet { Progress::off() } else { Progress::on_stderr() },
            start: SystemTime::now(),
            clock: Instant::now(),
            turns: 0,
        })
    }

    /// Records until something ends it.
    ///
    /// # Errors
    ///
    /// When the maps cannot be read.
    pub(super) async fn run(&mut self, stop: &mut StopConditions) -> anyhow::Result<Stopped> {
        let mut turn = tokio::time::interval_at(tokio::time::Instant::now() + TURN, TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                stopped = stop.stopped() => return stopped.context("cannot wait for the target"),
                ready = self.events.readable_mut() => {
                    ready.context("cannot watch the ring buffer")?.clear_ready();
                    self.take_events()?;
                }
                ready = readable(&mut self.logger) => ready.context("cannot read the kernel side's messages")?,
                _ = turn.tick() => self.turn()?,
            }
        }
    }

    fn take_events(&mut self) -> anyhow::Result<()> {
        while let Some(record) = self.events.get_mut().next() {
            match Event::parse(&record) {
                Some(event) => self.intake.take(event, &mut self.probes.tables)?,
                None => debug!("a record of {} bytes is not understood", record.len()),
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        self.take_events()?;
        let maps = &mut self.probes.maps;
        let aggregate = &mut self.intake.aggregate;
        aggregate.add_samples(maps.turn_samples()?);
        aggregate.set_totals(maps.totals()?);
        for process in std::mem::replace(&mut self.ended, std::mem::take(&mut self.intake.ended)) {
            aggregate.set_totals(maps.take_totals(process).map(|totals| (process, totals)));
        }
        self.turns += 1;
        if self.turns.is_multiple_of(RETIRE_EVERY) {
            self.uncharged += maps.retire_locks(monotonic_now())?.uncharged;
        }
        self.show_progress()
    }

    fn show_progress(&mut self) -> anyhow::Result<()> {
        if !self.progress.is_on() {
            return Ok(());
        }
        let mut state = ProgressState { elapsed: self.clock.elapsed(), ..ProgressState::default() };
        for (_, process) in self.intake.aggregate.processes() {
            state.waits += process.totals.waits;
            state.delay += process.totals.delay;
            state.processes += u64::from(process.totals.waits > 0);
        }
        state.lost = self.probes.maps.lost()?.iter().map(|(_, count)| count).sum();
        self.progress.draw(&state);
        Ok(())
    }

    /// Detaches the programs and takes in all that they have recorded.
    ///
    /// # Errors
    ///
    /// When the maps cannot be read.
    pub(super) async fn finish(mut self, stopped: Stopped) -> anyhow::Result<Recording> {
        self.progress.clear();
        let (mut maps, mut tables) = self.probes.detach();
        let duration = self.clock.elapsed();
        tokio::time::sleep(QUIESCENCE).await;
        while let Some(record) = self.events.get_mut().next() {
            if let Some(event) = Event::parse(&record) {
                self.intake.take(event, &mut tables)?;
            }
        }
        let Intake { mut aggregate, spaces, .. } = self.intake;
        aggregate.add_samples(maps.take_all_samples()?);
        aggregate.set_totals(maps.totals()?);
        let mut leftover = maps.lock_leftover()?;
        leftover.uncharged += self.uncharged;
        Ok(Recording {
            aggregate,
            spaces,
            start: self.start,
            duration,
            lost: maps.lost()?,
            walks: tables.walks()?,
            tables: tables.counters(),
            leftover,
            settings: maps.settings(),
            stopped,
        })
    }
}

/// Passes on the kernel side's messages when there are some.
async fn readable(logger: &mut Option<AsyncFd<Logger>>) -> std::io::Result<()> {
    match logger {
        Some(logger) => {
            let mut ready = logger.readable_mut().await?;
            ready.get_inner_mut().flush();
            ready.clear_ready();
            Ok(())
        }
        None => std::future::pending().await,
    }
}
