//! `cargo xtask ebpf`: the kernel side, from its sources to the object that is committed.

mod build;
mod contents;
mod digest;
mod install;
mod toolchain;
mod verify;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

pub(crate) use digest::check;

use crate::workspace;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(clap::Subcommand)]
enum Step {
    /// Install a compiler for BPF and its linker (Debian, as root)
    Install,
    /// Build the kernel side from its sources and replace the committed object
    Build,
    /// Fail when the committed object was made from other sources than these
    Check,
    /// Build from the sources elsewhere and compare with the committed object
    Verify,
}

/// Does the step asked for.
pub(crate) fn main(arguments: &Arguments) -> Result<()> {
    match arguments.step {
        Step::Install => install::install(),
        Step::Build => build_prebuilt(),
        Step::Check => {
            check()?;
            println!("The committed BPF object was made from these sources.");
            Ok(())
        }
        Step::Verify => verify::verify(),
    }
}

fn build_prebuilt() -> Result<()> {
    let object = build::build(&workspace::target().join("bpf"))?;
    let folder = prebuilt();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    std::fs::write(object_path(), &object)
        .with_context(|| format!("cannot write {}", object_path().display()))?;
    digest::write()?;
    println!("{}: {} bytes\n{}", object_path().display(), object.len(), contents::Contents::read(&object)?);
    Ok(())
}

fn prebuilt() -> PathBuf {
    workspace::ebpf().join("prebuilt")
}

fn object_path() -> PathBuf {
    prebuilt().join("contend.bpf.o")
}
