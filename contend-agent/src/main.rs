//! contend-agent: see `contend-agent --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    contend_agent::cli::run()
}
