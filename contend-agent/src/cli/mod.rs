//! The command line: what is asked for, and the run from probes to files.

mod args;
mod check;
mod intake;
mod record;
mod recorder;
mod report;
mod stop;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

pub use args::{Action, Arguments, LabelName, RecordArguments, RunQueue, Unwind};

/// Runs the agent as the command line says, and tells the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(&arguments.record);
    let result = match arguments.action {
        Some(Action::Check) => return check::run(),
        None => record::run(&arguments.record),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("contend-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(arguments: &RecordArguments) {
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    // What the libraries do inside is of no use to whoever looks for a lock.
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets([
        ("contend_agent", level),
        // The kernel side's messages bear the name of its program.
        ("contend", level),
    ]);
    let ansi = std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(ansi);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}
