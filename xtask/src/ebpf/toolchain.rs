//! Finding a compiler that can build for BPF.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;

/// The target of both architectures that the agent runs on: little-endian BPF.
pub(super) const TARGET: &str = "bpfel-unknown-none";
/// Where Debian keeps the LLVM that its rustc is built with.
pub(super) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A compiler for BPF.
#[derive(Debug)]
pub(super) enum Toolchain {
    /// A stable rustc that has the BPF target's core library, as Debian ships it.
    Stable {
        /// The compiler.
        rustc: PathBuf,
    },
    /// rustup's nightly, which builds the core library from rust-src.
    Nightly,
}

impl Toolchain {
    /// A `cargo` for this compiler; the caller adds what to build.
    pub(super) fn cargo(&self) -> Command {
        let mut cargo = match self {
            Self::Stable { rustc } => {
                let mut cargo = command::cargo();
                // The kernel side needs atomics that are intrinsics, which a stable compiler hides.
                cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                cargo.arg("build");
                cargo
            }
            Self::Nightly => {
                let mut cargo = Command::new("rustup");
                cargo.current_dir(crate::workspace::root()).env_remove("RUSTC").env_remove("CARGO");
                cargo.args(["run", "nightly", "cargo", "build", "-Zbuild-std=core"]);
                cargo
            }
        };
        // Wrappers and flags meant for the host's compiler would reach the BPF one as well.
        for variable in ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
            cargo.env_remove(variable);
        }
        cargo
    }

    /// Where the compiler keeps its own library, to be cut from the paths in the object.
    pub(super) fn sysroot(&self) -> Option<PathBuf> {
        let mut rustc = match self {
            Self::Stable { rustc } => Command::new(rustc),
            Self::Nightly => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", "nightly", "rustc"]);
                rustup
            }
        };
        sysroot(&mut rustc)
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stable { rustc } => write!(formatter, "{} with its BPF target", rustc.display()),
            Self::Nightly => formatter.write_str("rustup's nightly with rust-src"),
        }
    }
}

/// A compiler and the linker, or what to do about their absence.
pub(super) fn find() -> Result<Toolchain> {
    let Some(toolchain) = debian().or_else(nightly) else {
        bail!(
            "no compiler for BPF: run `cargo xtask ebpf install` as root on Debian, elsewhere \
             `rustup toolchain install nightly --component rust-src`"
        );
    };
    if command::find("bpf-linker").is_none() {
        bail!(
            "no bpf-linker on PATH: run `cargo xtask ebpf install`, or take a release of it from \
             https://github.com/aya-rs/bpf-linker"
        );
    }
    Ok(toolchain)
}

/// Debian's rustc, when it has the BPF target.
pub(super) fn debian() -> Option<Toolchain> {
    let rustc = Path::new(DEBIAN_RUSTC);
    let libraries = sysroot(&mut Command::new(rustc))?.join("lib/rustlib").join(TARGET).join("lib");
    let has_core = std::fs::read_dir(libraries)
        .ok()?
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"));
    has_core.then(|| Toolchain::Stable { rustc: rustc.to_path_buf() })
}

fn nightly() -> Option<Toolchain> {
    let sysroot = sysroot(Command::new("rustup").args(["run", "nightly", "rustc"]))?;
    let source = sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs");
    source.is_file().then_some(Toolchain::Nightly)
}

fn sysroot(rustc: &mut Command) -> Option<PathBuf> {
    let path = command::output(rustc.args(["--print", "sysroot"])).ok()?;
    Some(PathBuf::from(path.trim()))
}
