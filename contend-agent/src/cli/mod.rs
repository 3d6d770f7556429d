//! The command line: what is asked for, and the run from probes to files.

mod args;
mod check;
mod record;
mod recorder;
mod report;
mod stop;

use std::process::ExitCode;

use clap::Parser as _;
use tracing::level_filters::LevelFilter;

pub use args::{Action, Arguments, LabelName, RecordArguments, RunQueue};

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
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false).init();
}
