//! `cargo xtask test`: everything that can fail, with counts at the end.

mod counts;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use counts::Counts;

use crate::{command, debian, ebpf};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the tests whose names contain this
    filter: Option<String>,
}

/// Names the file to which a test that cannot run here appends a line, `NAME: REASON`.
const SKIPS: &str = "CONTEND_SKIPS";

/// Runs all tests; an error when one fails.
pub(crate) fn main(arguments: &Arguments) -> Result<()> {
    let mut counts = Counts::default();
    install_missing()?;
    println!("== Building the agent");
    command::build_agent()?;

    println!("== Unit tests: no kernel, no privileges");
    let unit = ["--workspace", "--exclude", "contend-tests", "--no-fail-fast"];
    run_tests(&unit, None, arguments, &mut counts)?;

    println!("== Is the committed BPF object made from these sources?");
    match ebpf::check() {
        Ok(()) => counts.pass(),
        Err(error) => counts.fail("the digest of the BPF object's sources", &format!("{error:#}")),
    }

    println!("== End to end: real programs under the real agent, known answers (as root)");
    if !command::is_root() {
        println!("Not root: these tests need eBPF. Run `sudo -E cargo xtask test` for all of them.");
    }
    let skips = tempfile::NamedTempFile::new().context("cannot make a file for the skips")?;
    // Probes see the whole machine, and one test's load disturbs another's clocks.
    let end_to_end = ["--package", "contend-tests", "--no-fail-fast"];
    run_tests(&end_to_end, Some(skips.path()), arguments, &mut counts)?;
    counts.add_skips(&std::fs::read_to_string(skips.path()).context("cannot read the file of the skips")?);

    print!("{counts}");
    if counts.failed() > 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// A C compiler for the workloads, and Go for its pprof, which reads our profiles back.
fn install_missing() -> Result<()> {
    let mut packages = Vec::new();
    if command::find("gcc").is_none() {
        packages.push("gcc");
    }
    if !Path::new("/usr/include/stdio.h").exists() {
        packages.push("libc6-dev");
    }
    if command::find("go").is_none() && !Path::new("/usr/local/go/bin/go").exists() {
        packages.push("golang-go");
    }
    debian::install(&packages)
}

fn run_tests(
    select: &[&str],
    skips: Option<&Path>,
    arguments: &Arguments,
    counts: &mut Counts,
) -> Result<()> {
    let mut command = command::cargo();
    command.args(["test", "--release"]).args(select);
    command.args(&arguments.filter);
    command.args(["--", "--test-threads=1"]);
    if let Some(skips) = skips {
        command.env(SKIPS, skips);
    }
    follow(&mut command, counts)
}

/// Runs a `cargo test`, showing its output as it comes and counting the results in it.
fn follow(command: &mut Command, counts: &mut Counts) -> Result<()> {
    let name = command::display(command);
    eprintln!("+ {name}");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run `{name}`"))?;
    let Some(stdout) = child.stdout.take() else {
        bail!("cannot read the output of `{name}`");
    };
    let failed_before = counts.failed();
    for line in BufReader::new(stdout).lines() {
        let line = line.with_context(|| format!("cannot read the output of `{name}`"))?;
        println!("{line}");
        counts.read_line(&line);
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{name}`"))?;
    // A test program that does not compile, or dies, prints no result of its own.
    if !status.success() && counts.failed() == failed_before {
        counts.fail(&name, &format!("ended with {status} before it gave results"));
    }
    Ok(())
}
