//! Profiles as files, of which none is ever half there.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::profile::model::{ProcessIdentity, Profile};
use crate::profile::pprof;

/// Why profiles cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The directory does not exist.
    #[error("cannot write profiles to {0:?}: no such directory; create it or name another with --output")]
    Missing(PathBuf),
    /// Something else has its name.
    #[error("cannot write profiles to {0:?}: not a directory; name one with --output")]
    NotDirectory(PathBuf),
    /// The user may not create files there.
    #[error(
        "cannot write profiles to {0:?}: permission denied; make it writable or name another directory with --output"
    )]
    Denied(PathBuf),
    /// The file system is mounted read-only.
    #[error(
        "cannot write profiles to {0:?}: read-only file system; name a directory elsewhere with --output"
    )]
    ReadOnly(PathBuf),
    /// The disk or the user's part of it is full.
    #[error(
        "cannot write {0:?}: no space left on the disk; free some or name a directory elsewhere with --output"
    )]
    Full(PathBuf),
    /// Anything else that the system reports.
    #[error("cannot {operation} {path:?}: {reason}; name another directory with --output if this persists")]
    System {
        /// What was tried.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
}

/// Writes a process's profiles to `DIR/COMM-PID.mutex.pb.gz` and `DIR/COMM-PID.block.pb.gz` and
/// returns their paths, in this order. Existing files are replaced.
///
/// Both are complete on the disk before the first gets its name.
///
/// # Errors
///
/// When a file cannot be written; then none of the new ones is left, unless it was the second one's
/// naming that failed.
pub fn write_profile_pair(
    dir: &Path,
    process: &ProcessIdentity,
    mutex: Option<&Profile>,
    block: Option<&Profile>,
) -> Result<Vec<PathBuf>, OutputError> {
    let stem = format!("{}-{}", file_name_of(&process.comm), process.key.tgid);
    let profiles = [("mutex", mutex), ("block", block)];
    let mut pending = Vec::new();
    for (name, profile) in profiles {
        if let Some(profile) = profile {
            let path = dir.join(format!("{stem}.{name}.pb.gz"));
            pending.push((Temporary::write(dir, &path, &pprof::encode(profile))?, path));
        }
    }
    let mut written = Vec::new();
    for (temporary, path) in pending {
        temporary.rename(&path)?;
        written.push(path);
    }
    // Makes the names last, too. Not every file system can, and the files are there.
    let _ignored = File::open(dir).and_then(|dir| dir.sync_all());
    Ok(written)
}

/// Makes sure that profiles can be written to the directory by writing a file there, which is
/// removed again. To be called before a recording begins, so that none is lost.
///
/// # Errors
///
/// When they cannot.
pub fn check_output_dir(dir: &Path) -> Result<(), OutputError> {
    /// A page: a full disk may still have room for an empty file.
    const TRIAL: [u8; 4096] = [0; 4096];
    let metadata = dir.metadata().map_err(|reason| directory_error(dir, reason))?;
    if !metadata.is_dir() {
        return Err(OutputError::NotDirectory(dir.to_owned()));
    }
    Temporary::write(dir, &dir.join("contend"), &TRIAL).map(drop)
}

/// The process's name as a part of a file's name that starts with it.
///
/// A leading dot would hide the file, a leading dash would make it an option.
fn file_name_of(comm: &str) -> String {
    let safe = |c: char| if c == '/' || c.is_control() { '_' } else { c };
    let name: String = comm.chars().map(safe).collect();
    match name.chars().next() {
        None => "unnamed".to_owned(),
        Some('.' | '-') => format!("_{}", &name[1..]),
        Some(_) => name,
    }
}

/// A file under a name of its own until it is complete; removed when dropped before.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    /// Writes the file beside its later path, and through to the disk.
    fn write(dir: &Path, later: &Path, bytes: &[u8]) -> Result<Self, OutputError> {
        let (mut file, temporary) = Self::create(dir, later)?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|reason| file_error("write", &temporary.path, reason))?;
        Ok(temporary)
    }

    /// Creates the file, never opening what has its name already: that may be a link that someone
    /// has put there, or left by an agent that was killed.
    fn create(dir: &Path, later: &Path) -> Result<(File, Self), OutputError> {
        const ATTEMPTS: u32 = 100;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o644);
        let mut attempt = 0;
        loop {
            let path = temporary_path(dir, later, attempt);
            match options.open(&path) {
                Ok(file) => {
                    return Ok((file, Self { path, renamed: false }));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(reason) if reason.kind() == ErrorKind::AlreadyExists => {
                    return Err(file_error("create", &path, reason));
                }
                Err(reason) => return Err(directory_error(dir, reason)),
            }
        }
    }

    fn rename(mut self, path: &Path) -> Result<(), OutputError> {
        std::fs::rename(&self.path, path).map_err(|reason| file_error("replace", path, reason))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // There is nothing left to do when this fails, too.
            let _ignored = std::fs::remove_file(&self.path);
        }
    }
}

/// A hidden name: what looks for profiles by `*.pb.gz` does not find it.
fn temporary_path(dir: &Path, later: &Path, attempt: u32) -> PathBuf {
    let name = later.file_name().unwrap_or_default().to_string_lossy();
    dir.join(format!(".{name}.{}-{attempt}.tmp", std::process::id()))
}

/// An error that is the directory's.
fn directory_error(dir: &Path, reason: io::Error) -> OutputError {
    let path = dir.to_owned();
    match reason.kind() {
        ErrorKind::NotFound => OutputError::Missing(path),
        ErrorKind::NotADirectory => OutputError::NotDirectory(path),
        ErrorKind::PermissionDenied => OutputError::Denied(path),
        ErrorKind::ReadOnlyFilesystem => OutputError::ReadOnly(path),
        _ => file_error("create a file in", dir, reason),
    }
}

/// An error that is one file's.
fn file_error(operation: &'static str, path: &Path, reason: io::Error) -> OutputError {
    let path = path.to_owned();
    match reason.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OutputError::Full(path),
        _ => OutputError::System { operation, path, reason },
    }
}
