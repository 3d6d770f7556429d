//! Mapped files, kept open so that they can be read after the process and its directory entry are
//! gone.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use super::build_id;
use super::maps::Entry;
use crate::target::ProcessDirectory;

/// Names a kept file; never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u64);

/// Device and inode as `/proc/PID/maps` shows them. While the file is open, no other gets them.
type Key = ((u32, u32), u64);

/// Tells a file from what it was before it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { modified: (metadata.mtime(), metadata.mtime_nsec()), size: metadata.size() }
    }
}

#[derive(Debug)]
struct KeptFile {
    file: File,
    key: Key,
    stamp: Stamp,
    /// Mappings that refer to it.
    references: usize,
    build_id: OnceCell<Option<String>>,
}

/// The kept files: each open once, until no mapping refers to it.
#[derive(Debug)]
pub(super) struct Files {
    newest: HashMap<Key, FileId>,
    files: HashMap<FileId, KeptFile>,
    most: usize,
    next: u64,
    /// Files left closed because too many are open.
    pub(super) refused: u64,
    /// Files that could not be opened or were not what is mapped.
    pub(super) unreadable: u64,
}

impl Files {
    /// Keeps `most` files open at most.
    pub(super) fn new(most: usize) -> Self {
        Self { newest: HashMap::new(), files: HashMap::new(), most, next: 0, refused: 0, unreadable: 0 }
    }

    /// The file behind a mapping of the process, with one more reference to it.
    pub(super) fn keep(&mut self, process: &ProcessDirectory, entry: &Entry) -> Option<FileId> {
        if entry.inode == 0 {
            return None;
        }
        let key = (entry.device, entry.inode);
        if let Some(&id) = self.newest.get(&key)
            && let Some(kept) = self.files.get_mut(&id)
            && kept.file.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == kept.stamp)
        {
            kept.references += 1;
            return Some(id);
        }
        if self.files.len() >= self.most {
            self.refused += 1;
            return None;
        }
        let Some((file, metadata)) = open_mapped(process, entry) else {
            self.unreadable += 1;
            return None;
        };
        let id = FileId(self.next);
        self.next += 1;
        let stamp = Stamp::of(&metadata);
        self.files.insert(id, KeptFile { file, key, stamp, references: 1, build_id: OnceCell::new() });
        self.newest.insert(key, id);
        Some(id)
    }

    /// Takes one reference back, and closes the file with the last one.
    pub(super) fn release(&mut self, id: FileId) {
        let Some(kept) = self.files.get_mut(&id) else {
            return;
        };
        kept.references -= 1;
        if kept.references == 0 {
            if self.newest.get(&kept.key) == Some(&id) {
                self.newest.remove(&kept.key);
            }
            self.files.remove(&id);
        }
    }

    /// Path by which this process can open the file.
    pub(super) fn path(&self, id: FileId) -> Option<PathBuf> {
        Some(format!("/proc/self/fd/{}", self.files.get(&id)?.file.as_raw_fd()).into())
    }

    /// Its build id, read when first asked for; empty when there is none.
    pub(super) fn build_id(&self, id: FileId) -> &str {
        self.files
            .get(&id)
            .and_then(|kept| kept.build_id.get_or_init(|| build_id::read(&kept.file)).as_deref())
            .unwrap_or_default()
    }

    /// Number of open files.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }
}

/// Opens what is mapped: through the mapping itself, or, without the privilege for that, by the path
/// in the process's root directory, if that is still the same file.
fn open_mapped(process: &ProcessDirectory, entry: &Entry) -> Option<(File, Metadata)> {
    let mapping = process.path(&format!("map_files/{:x}-{:x}", entry.start, entry.limit));
    if let Some(opened) = open_regular(&mapping, |_| true) {
        return Some(opened);
    }
    let mut by_path = process.path("root").into_os_string();
    by_path.push(OsStr::from_bytes(&entry.path));
    let same = |metadata: &Metadata| {
        let device = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
        (device, metadata.ino()) == (entry.device, entry.inode)
    };
    if entry.path.first() == Some(&b'/') { open_regular(&by_path.into(), same) } else { None }
}

/// Opens a regular file. The process chooses what lies at the path, and opening a device or a named
/// pipe can have effects, so it is looked at before it is opened.
fn open_regular(path: &PathBuf, wanted: impl Fn(&Metadata) -> bool) -> Option<(File, Metadata)> {
    let located = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path).ok()?;
    let metadata = located.metadata().ok()?;
    if !metadata.is_file() || !wanted(&metadata) {
        return None;
    }
    let file = File::open(format!("/proc/self/fd/{}", located.as_raw_fd())).ok()?;
    Some((file, metadata))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn entry(path: &std::path::Path) -> Entry {
        let metadata = std::fs::metadata(path).unwrap();
        Entry {
            // No mapping has these bounds, so that the file is only found by its path.
            start: 0x1000,
            limit: 0x2000,
            offset: 0,
            device: (libc::major(metadata.dev()), libc::minor(metadata.dev())),
            inode: metadata.ino(),
            path: path.as_os_str().as_bytes().to_vec(),
        }
    }

    #[test]
    fn by_path_only_the_file_that_is_mapped_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a\nb (deleted)");
        std::fs::write(&path, "x").unwrap();
        let process = ProcessDirectory::open(std::process::id()).unwrap();
        let right = entry(&path);
        let other = Entry { inode: right.inode + 1, ..right.clone() };
        assert!(open_mapped(&process, &right).is_some());
        assert!(open_mapped(&process, &other).is_none());
        let device = entry(std::path::Path::new("/dev/null"));
        assert!(open_mapped(&process, &device).is_none(), "not a regular file");
    }

    #[test]
    fn a_file_that_was_written_to_is_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("library");
        std::fs::write(&path, "x").unwrap();
        let process = ProcessDirectory::open(std::process::id()).unwrap();
        let mut files = Files::new(8);
        let first = files.keep(&process, &entry(&path)).unwrap();
        assert_eq!(files.keep(&process, &entry(&path)), Some(first));
        std::fs::write(&path, "longer").unwrap();
        let second = files.keep(&process, &entry(&path)).unwrap();
        assert_ne!(second, first);
        files.release(first);
        assert_eq!(files.len(), 2, "one reference is left");
        files.release(first);
        files.release(second);
        assert_eq!((files.len(), files.newest.len()), (0, 0));
    }
}
