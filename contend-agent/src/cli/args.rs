//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::TypedValueParser as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Finds lock contention in any process, in any language, without a restart or a code change.
///
/// Records every futex wait and who ended it, and writes for each process two profiles in Go's format:
/// mutex (blames the code that held the lock) and block (blames the code that waited).
#[derive(Debug, Parser)]
#[command(name = "contend-agent", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to do other than to record.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// What to record, and how.
    #[command(flatten)]
    pub record: RecordArguments,
}

const EXAMPLES: &str = "\
Examples:
  sudo contend-agent --pid 1234                  one process, until Ctrl-C
  sudo contend-agent --pid 1234 --duration 30s
  sudo contend-agent -- ./server --flag          a command and its children, from its first instruction
  sudo contend-agent --duration 10s -o /tmp      the whole host, at sampling rates fit for production
  go tool pprof -http=: server-1234.mutex.pb.gz

Every flag has an environment twin: --block-rate is CONTEND_BLOCK_RATE. The command line wins.
Exit codes: 0, 1 for a failure, 2 for wrong usage.";

/// Subcommands.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Action {
    /// Tell what this kernel and these privileges allow, and the remedy for what they don't.
    Check,
}

/// What to record, and how.
#[derive(Args, Clone, Debug)]
pub struct RecordArguments {
    /// Only this process, all its threads; may be given several times [default: every process].
    #[arg(short, long = "pid", value_name = "PID", env = "CONTEND_PID", value_delimiter = ',')]
    #[arg(allow_negative_numbers = true, conflicts_with = "command", value_parser = parse_pid)]
    pub pids: Vec<i64>,

    /// Stop after this time, such as 30s or 5m [default: at Ctrl-C, SIGTERM, or when the target ends].
    #[arg(short, long, value_name = "DUR", env = "CONTEND_DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Mutex profile: record one release in N; 0 is off [default: 1 with --pid or a command, else 100].
    #[arg(long, value_name = "N", env = "CONTEND_MUTEX_FRACTION", allow_negative_numbers = true)]
    pub mutex_fraction: Option<i64>,

    /// Block profile: keep a wait of d with probability d/DUR, such as 10us or plain ns; 1 keeps every
    /// wait, 0 is off [default: 1 with --pid or a command, else 10us].
    #[arg(long, value_name = "DUR", env = "CONTEND_BLOCK_RATE", value_parser = parse_rate)]
    #[arg(allow_negative_numbers = true)]
    pub block_rate: Option<u64>,

    /// Directory that the profiles are written to.
    #[arg(short, long, value_name = "DIR", env = "CONTEND_OUTPUT", default_value = ".")]
    pub output: PathBuf,

    /// Sample labels beside `kind`: thread, lock_address; or none
    /// [default: both with --pid or a command, else none].
    #[arg(long, value_name = "LIST", env = "CONTEND_LABELS", value_delimiter = ',')]
    pub labels: Option<Vec<LabelName>>,

    /// Time from wake to run: inside `delay`, or as samples of its own (label phase=run_queue).
    #[arg(long, value_name = "HOW", env = "CONTEND_RUN_QUEUE", default_value = "fold")]
    pub run_queue: RunQueue,

    /// How stacks are unwound: by the executables' unwind tables, which needs nothing of the program, or
    /// along frame pointers, which is cheaper and right only for code that keeps them.
    #[arg(long, value_name = "HOW", env = "CONTEND_UNWIND", default_value = "tables")]
    pub unwind: Unwind,

    /// Print nothing but errors and the files' names.
    #[arg(short, long, env = "CONTEND_QUIET", value_parser = flag())]
    pub quiet: bool,

    /// Tell more; twice: with the kernel side's own messages.
    #[arg(short, long, action = clap::ArgAction::Count, env = "CONTEND_VERBOSE")]
    pub verbose: u8,

    /// A command to start and record from its first instruction, with its children.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Also accepts 1 and 0, as environment variables are written.
fn flag() -> impl clap::builder::TypedValueParser<Value = bool> {
    clap::builder::BoolishValueParser::new().map(|on| on)
}

/// A label that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LabelName {
    /// The thread's name.
    Thread,
    /// The address of the lock word.
    LockAddress,
    /// No label but those that are always written.
    None,
    /// Always written.
    Kind,
}

/// How run-queue time is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunQueue {
    /// Part of the delay, as in Go.
    Fold,
    /// Samples of its own, with count 0 and label `phase=run_queue`.
    Split,
}

/// How stacks are unwound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Unwind {
    /// By unwind tables; along frame pointers where there is none.
    Tables,
    /// Along frame pointers.
    FramePointers,
}

impl RecordArguments {
    /// Whether single processes are recorded: then everything is, by default.
    #[must_use]
    pub fn is_targeted(&self) -> bool {
        !self.pids.is_empty() || !self.command.is_empty()
    }

    /// The mutex profile's fraction; 0 is off.
    #[must_use]
    pub fn fraction(&self) -> u64 {
        let default = if self.is_targeted() { 1 } else { 100 };
        u64::try_from(self.mutex_fraction.unwrap_or(default)).unwrap_or(0)
    }

    /// The block profile's rate in ns; 0 is off.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let default = if self.is_targeted() { 1 } else { 10_000 };
        self.block_rate.unwrap_or(default)
    }

    /// Whether samples carry this label.
    #[must_use]
    pub fn has_label(&self, label: LabelName) -> bool {
        match &self.labels {
            Some(labels) => labels.contains(&label),
            None => self.is_targeted(),
        }
    }
}

fn parse_pid(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(pid) if pid >= 1 => Ok(pid),
        _ => {
            Err("process ids are numbers from 1 on; give a running process's id, as `ps` shows it".to_owned())
        }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 30s or 5m"))?;
    if duration.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(duration) }
}

/// The kernel side compares with waits in 32 bits of ns when it draws.
const LONGEST_RATE: u64 = u32::MAX as u64;

fn parse_rate(text: &str) -> Result<u64, String> {
    let rate = match text.parse::<i64>() {
        Ok(number) => u64::try_from(number).unwrap_or(0),
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("{error}; write it like 10us, or as a number of ns"))
            .map(|rate| u64::try_from(rate.as_nanos()).unwrap_or(u64::MAX))?,
    };
    if rate > LONGEST_RATE { Err("must be at most 4s".to_owned()) } else { Ok(rate) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{Arguments, LabelName};

    fn parse(arguments: &[&str]) -> Arguments {
        let arguments = ["contend-agent"].iter().chain(arguments);
        Arguments::try_parse_from(arguments).expect("these are good arguments")
    }

    fn refuses(arguments: &[&str]) -> bool {
        Arguments::try_parse_from(["contend-agent"].iter().chain(arguments)).is_err()
    }

    #[test]
    fn a_target_is_recorded_in_full_and_a_host_sampled() {
        for targeted in [&["--pid", "7"][..], &["--", "true"]] {
            let record = parse(targeted).record;
            assert_eq!((record.fraction(), record.rate()), (1, 1));
            assert!(record.has_label(LabelName::Thread));
        }
        let host = parse(&[]).record;
        assert_eq!((host.fraction(), host.rate()), (100, 10_000));
        assert!(!host.has_label(LabelName::LockAddress));
    }

    #[test]
    fn rates_are_durations_or_nanoseconds_and_off_at_zero_and_below() {
        assert_eq!(parse(&["--block-rate", "10us"]).record.rate(), 10_000);
        assert_eq!(parse(&["--block-rate", "250"]).record.rate(), 250);
        assert_eq!(parse(&["--block-rate", "0"]).record.rate(), 0);
        assert_eq!(parse(&["--block-rate", "-1"]).record.rate(), 0);
        assert_eq!(parse(&["--mutex-fraction", "-1"]).record.fraction(), 0);
    }

    #[test]
    fn wrong_values_are_refused() {
        for wrong in [
            &["--pid", "x"][..],
            &["--pid", "0"],
            &["--pid", "-1"],
            &["--duration", "0s"],
            &["--duration", "soon"],
            &["--block-rate", "1h"],
            &["--block-rate", "fast"],
            &["--mutex-fraction", "1.5"],
            &["--labels", "colour"],
            &["--run-queue", "drop"],
            &["--unwind", "magic"],
            &["--nonsense"],
            &["--pid", "1", "--", "true"],
            &["true"],
        ] {
            assert!(refuses(wrong), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn several_processes_may_be_named() {
        assert_eq!(parse(&["-p", "1", "--pid", "2,3"]).record.pids, [1, 2, 3]);
    }

    #[test]
    fn no_labels_may_be_asked_for() {
        let record = parse(&["--pid", "1", "--labels", "none"]).record;
        assert!(!record.has_label(LabelName::Thread) && !record.has_label(LabelName::LockAddress));
    }
}
