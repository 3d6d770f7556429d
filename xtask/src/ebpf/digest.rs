//! The digest that ties the committed object to the sources that it was made from.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::prebuilt;
use crate::workspace;

/// Fails, with the remedy, when the committed object was made from other sources than these.
pub(crate) fn check() -> Result<()> {
    let path = path();
    let committed = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}: run `cargo xtask ebpf build`", path.display()))?;
    let sources = of_sources()?;
    if committed.trim() != sources {
        bail!(
            "the BPF object in contend-ebpf/prebuilt was made from other sources than those in \
             contend-ebpf (digest {} there, {sources} here): run `cargo xtask ebpf build` and \
             commit contend-ebpf/prebuilt",
            committed.trim()
        );
    }
    Ok(())
}

/// Records that the object beside the digest was made from these sources.
pub(crate) fn write() -> Result<()> {
    let path = path();
    std::fs::write(&path, of_sources()? + "\n").with_context(|| format!("cannot write {}", path.display()))
}

fn path() -> PathBuf {
    prebuilt().join("sources.sha256")
}

fn of_sources() -> Result<String> {
    let root = workspace::ebpf();
    let mut files = vec![root.join("Cargo.toml")];
    collect(&root.join("src"), &mut files)?;
    let mut named = Vec::new();
    for file in files {
        let contents =
            std::fs::read(&file).with_context(|| format!("cannot read the source {}", file.display()))?;
        let name = file.strip_prefix(&root).unwrap_or(&file);
        named.push((name.to_string_lossy().into_owned(), contents));
    }
    Ok(digest(named))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot list the sources in {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// SHA-256 over names and contents, in the order of the names; lengths keep them apart.
fn digest(mut files: Vec<(String, Vec<u8>)>) -> String {
    files.sort();
    let mut hash = Sha256::new();
    for (name, contents) in files {
        hash.update(format!("{} {name} {}\n", name.len(), contents.len()));
        hash.update(contents);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes every write");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::digest;

    fn file(name: &str, contents: &str) -> (String, Vec<u8>) {
        (name.to_owned(), contents.as_bytes().to_vec())
    }

    #[test]
    fn order_of_listing_does_not_matter() {
        let one = digest(vec![file("src/a.rs", "a"), file("src/b.rs", "b")]);
        let two = digest(vec![file("src/b.rs", "b"), file("src/a.rs", "a")]);
        assert_eq!(one, two);
        assert_eq!(one.len(), 64);
    }

    #[test]
    fn contents_and_names_matter() {
        let base = digest(vec![file("src/a.rs", "a"), file("src/b.rs", "b")]);
        assert_ne!(base, digest(vec![file("src/a.rs", "b"), file("src/b.rs", "a")]));
        assert_ne!(base, digest(vec![file("src/a.rs", "a"), file("src/c.rs", "b")]));
        assert_ne!(base, digest(vec![file("src/a.rs", "a")]));
    }

    #[test]
    fn a_known_value() {
        // printf '1 a 1\nx' | sha256sum
        assert_eq!(
            digest(vec![file("a", "x")]),
            "e00d9a4ec6d7885a666f41192cb1ee5a218fea2e44ca659d064a6272a47ce694"
        );
    }
}
