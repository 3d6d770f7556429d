//! Installing a BPF compiler and linker on Debian.

use anyhow::{Context as _, Result, bail};

use super::toolchain::{self, LLVM_PREFIX};
use crate::{command, debian};

/// Debian's rustc with the BPF target's core library, and the LLVM of the same release.
const PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev-bpf", "llvm-22-dev"];
const LINKER_VERSION: &str = "0.13.0";

/// Installs what is missing and says what it does.
pub(super) fn install() -> Result<()> {
    if toolchain::find().is_ok() {
        println!("A compiler for BPF and bpf-linker are here already.");
        return Ok(());
    }
    if toolchain::debian().is_none() {
        println!("Installing Debian's rustc, which has the BPF target; rustup's stays the default.");
        debian::install(&PACKAGES)?;
    }
    if command::find("bpf-linker").is_none() {
        install_linker()?;
    }
    let found = toolchain::find().context("the installation has not brought a BPF compiler")?;
    println!("Compiler for BPF: {found}");
    Ok(())
}

fn install_linker() -> Result<()> {
    if !std::path::Path::new(LLVM_PREFIX).is_dir() {
        bail!("cannot build bpf-linker: no {LLVM_PREFIX}; install the Debian package llvm-22-dev");
    }
    // bpf-linker compiles C++ against LLVM's static libraries.
    if command::find("g++").is_none() {
        debian::install(&["g++"])?;
    }
    println!("Installing bpf-linker {LINKER_VERSION} with cargo (a minute or two)");
    // Without the prefix the build takes the first llvm-config it meets and fails to link.
    command::run(command::cargo().env("LLVM_PREFIX", LLVM_PREFIX).args([
        "install",
        "bpf-linker",
        "--version",
        LINKER_VERSION,
        "--no-default-features",
        "--features",
        "llvm-22",
    ]))
    .context("cannot install bpf-linker")
}
