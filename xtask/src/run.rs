//! `cargo xtask run`: the agent, built and started as root.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{command, workspace};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Arguments of contend-agent, as `--pid 1234 --duration 30s`; none profiles the whole host
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    agent: Vec<OsString>,
}

/// Builds the agent and becomes it.
pub(crate) fn main(arguments: &Arguments) -> Result<()> {
    command::build_agent()?;
    let agent = workspace::agent();
    let mut command = if command::is_root() {
        Command::new(&agent)
    } else if let Some(sudo) = command::find("sudo") {
        // sudo drops the environment; the agent's own variables must get through.
        let mut command = Command::new(sudo);
        command.arg("--preserve-env").arg(&agent);
        command
    } else {
        bail!("cannot run the agent: eBPF needs root and there is no sudo here; become root first");
    };
    command.args(&arguments.agent);
    eprintln!("+ {}", command::display(&command));
    Err(command.exec()).with_context(|| format!("cannot run {}", agent.display()))
}
