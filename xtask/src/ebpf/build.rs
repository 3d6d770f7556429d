//! Compiling the kernel side.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::toolchain::{self, LLVM_PREFIX, TARGET, Toolchain};
use crate::{command, workspace};

/// Separates flags in `CARGO_ENCODED_RUSTFLAGS`.
const UNIT_SEPARATOR: &str = "\x1f";

/// Builds the kernel side with `folder` as cargo's target folder and returns the object, without
/// its debug information.
pub(super) fn build(folder: &Path) -> Result<Vec<u8>> {
    let toolchain = toolchain::find()?;
    println!("Building the kernel side with {toolchain}");
    command::run(
        toolchain
            .cargo()
            .args(["--locked", "--profile", "bpf", "--package", "contend-ebpf"])
            .args(["--bin", "contend", "--features", "kernel"])
            .args(["--target", TARGET, "--target-dir"])
            .arg(folder)
            .env("CARGO_ENCODED_RUSTFLAGS", flags(&toolchain)),
    )
    .context("cannot build the kernel side")?;
    let built = folder.join(TARGET).join("bpf/contend");
    stripped(&built)
}

fn flags(toolchain: &Toolchain) -> String {
    let mut flags = vec![
        // aya-ebpf's register layouts want one architecture. The programs do not use them: the
        // agent gives register layouts at load, so the object serves every little-endian machine.
        "--cfg=bpf_target_arch=\"x86_64\"".to_owned(),
        // BTF and verifying functions on their own need full debug information.
        "-Cdebuginfo=2".to_owned(),
        // Atomic operations whose result is used exist from v3 on.
        "-Ctarget-cpu=v3".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        "-Clinker=bpf-linker".to_owned(),
    ];
    // The line information in BTF names files: the same names wherever it was built.
    flags.push(remap(&workspace::root(), ""));
    for registry in registries() {
        flags.push(remap(&registry, "registry"));
    }
    if let Some(sysroot) = toolchain.sysroot() {
        flags.push(remap(&sysroot.join("lib/rustlib/src/rust"), "rust"));
    }
    flags.join(UNIT_SEPARATOR)
}

fn remap(from: &Path, to: &str) -> String {
    format!("--remap-path-prefix={}={to}", from.display())
}

/// Folders of unpacked crates: one for each registry, named after its host.
fn registries() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let folders = home.and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
    folders.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The object without DWARF, a tenth of its size; BTF and relocations stay.
fn stripped(built: &Path) -> Result<Vec<u8>> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read the object {}", path.display()))
    };
    let Some(strip) = find_strip() else {
        println!("No llvm-strip here: the object keeps its debug information.");
        return read(built);
    };
    let stripped = built.with_extension("stripped.o");
    command::run(Command::new(strip).args(["--strip-debug", "-o"]).arg(&stripped).arg(built))
        .context("cannot strip the object")?;
    read(&stripped)
}

fn find_strip() -> Option<PathBuf> {
    let debian = Path::new(LLVM_PREFIX).join("bin/llvm-strip");
    debian.is_file().then_some(debian).or_else(|| command::find("llvm-strip"))
}
