//! Installing Debian packages.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command;

/// Installs the packages with apt-get, or says what to type when that cannot be done from here.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if command::find("apt-get").is_none() {
        bail!("no apt-get here: install what Debian calls {list} and run this again");
    }
    if !command::is_root() {
        bail!("not root: run `sudo apt-get install {list}` and then this again");
    }
    println!("Installing with apt-get: {list}");
    // Without its lists, as in a fresh container, apt-get knows no package.
    command::run(&mut apt_get(&["update", "-qq"])).context("cannot read Debian's package lists")?;
    command::run(apt_get(&["install", "-y", "-qq", "--no-install-recommends"]).args(packages))
        .with_context(|| format!("cannot install {list}"))
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}
