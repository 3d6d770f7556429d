//! Comparing the committed object with one built from the sources.

use anyhow::{Context as _, Result, bail};

use super::contents::Contents;
use super::{build, digest, object_path};
use crate::workspace;

/// Builds from source, leaves the result beside the build, and compares it with the committed object.
pub(super) fn verify() -> Result<()> {
    digest::check()?;
    let committed = std::fs::read(object_path())
        .with_context(|| format!("cannot read {}: run `cargo xtask ebpf build`", object_path().display()))?;
    let folder = workspace::target().join("bpf-verify");
    let built = build::build(&folder)?;
    if built == committed {
        println!("The committed BPF object is byte for byte what the sources give.");
        return Ok(());
    }
    let path = folder.join("contend.bpf.o");
    std::fs::write(&path, &built).with_context(|| format!("cannot write {}", path.display()))?;
    let differences = Contents::read(&committed)?.differences(&Contents::read(&built)?);
    if !differences.is_empty() {
        bail!(
            "the committed BPF object is not what the sources give: {}; run `cargo xtask ebpf build`",
            differences.join("; ")
        );
    }
    println!(
        "The committed BPF object has the programs, maps and constants that the sources give, but \
         not the same bytes, as happens with another compiler. To run the tests on the one built \
         now:\n    CONTEND_BPF_OBJECT={} cargo xtask test",
        path.display()
    );
    Ok(())
}
