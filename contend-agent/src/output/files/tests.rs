#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::{Duration, UNIX_EPOCH};

use contend_ebpf::record::ProcessKey;
use nix::mount::{MsFlags, mount, umount};
use tempfile::TempDir;

use super::*;
use crate::profile::model::{Location, ProfileKind, Sample};

fn process(comm: &str) -> ProcessIdentity {
    ProcessIdentity { key: ProcessKey { tgid: 77, start_ticks: 1 }, comm: comm.into() }
}

fn profile(kind: ProfileKind) -> Profile {
    Profile {
        kind,
        start: UNIX_EPOCH,
        duration: Duration::from_secs(1),
        mappings: vec![],
        locations: vec![Location { address: 1, ..Location::default() }],
        samples: vec![Sample { stack: vec![0], contentions: 1, delay: 9, labels: vec![] }],
    }
}

/// Names in the directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let entries = dir.read_dir().unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write(dir: &Path) -> Result<Vec<PathBuf>, OutputError> {
    let (mutex, block) = (profile(ProfileKind::Mutex), profile(ProfileKind::Block));
    write_profile_pair(dir, &process("server"), Some(&mutex), Some(&block))
}

/// The error in one line, as the command prints it.
fn one_line(error: &OutputError) -> String {
    let text = error.to_string();
    assert!(!text.contains('\n') && std::error::Error::source(error).is_none());
    text
}

#[test]
fn a_pair_is_written_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let paths = write(dir.path()).unwrap();
    let expected = ["server-77.block.pb.gz", "server-77.mutex.pb.gz"];
    assert_eq!(names(dir.path()), expected);
    assert_eq!(paths, [dir.path().join(expected[1]), dir.path().join(expected[0])]);
    for path in paths {
        assert_eq!(pprof::decode(&std::fs::read(&path).unwrap()).unwrap().sample[0].value, [1, 9]);
        let mode = path.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode & !0o644, 0, "{mode:o}");
        assert_eq!(mode & 0o600, 0o600, "{mode:o}");
    }
}

#[test]
fn a_profile_that_is_off_has_no_file() {
    let dir = TempDir::new().unwrap();
    let block = profile(ProfileKind::Block);
    let paths = write_profile_pair(dir.path(), &process("a"), None, Some(&block)).unwrap();
    assert_eq!(paths, [dir.path().join("a-77.block.pb.gz")]);
    assert_eq!(write_profile_pair(dir.path(), &process("b"), None, None).unwrap().len(), 0);
    assert_eq!(names(dir.path()), ["a-77.block.pb.gz"]);
}

#[test]
fn existing_files_and_links_are_replaced_not_written_through() {
    let dir = TempDir::new().unwrap();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    let path = dir.path().join("server-77.mutex.pb.gz");
    symlink(&victim, &path).unwrap();
    std::fs::write(dir.path().join("server-77.block.pb.gz"), "old").unwrap();
    let paths = write(dir.path()).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    assert!(path.symlink_metadata().unwrap().is_file());
    assert!(pprof::decode(&std::fs::read(&paths[1]).unwrap()).is_ok());
}

#[test]
fn a_link_at_the_temporary_name_is_not_followed() {
    let dir = TempDir::new().unwrap();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    let trap = temporary_path(dir.path(), Path::new("server-77.mutex.pb.gz"), 0);
    symlink(&victim, &trap).unwrap();
    write(dir.path()).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    assert!(trap.symlink_metadata().unwrap().is_symlink(), "what is not ours stays");
}

#[test]
fn a_failed_rename_leaves_no_temporary_file() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("server-77.mutex.pb.gz")).unwrap();
    let error = one_line(&write(dir.path()).unwrap_err());
    assert!(error.starts_with("cannot replace ") && error.contains("server-77.mutex.pb.gz"), "{error}");
    assert_eq!(names(dir.path()), ["server-77.mutex.pb.gz"]);
}

#[test]
fn names_of_processes_are_made_safe() {
    for (comm, expected) in [
        ("server", "server"),
        ("kworker/0:1", "kworker_0:1"),
        ("../etc", "_._etc"),
        (".", "_"),
        ("-rf", "_rf"),
        ("a\nb\u{7f}\u{85}", "a_b__"),
        ("", "unnamed"),
        ("Web Content", "Web Content"),
        ("ünï", "ünï"),
    ] {
        assert_eq!(file_name_of(comm), expected, "{comm:?}");
    }
}

#[test]
fn a_good_directory_is_left_as_it_was() {
    let dir = TempDir::new().unwrap();
    check_output_dir(dir.path()).unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_directory_that_is_missing_or_none_is_refused_with_the_remedy() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("missing\n");
    let error = one_line(&check_output_dir(&missing).unwrap_err());
    assert!(error.contains("no such directory; create it or name another with --output"), "{error}");
    assert_eq!(one_line(&write(&missing).unwrap_err()), error);
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for file in [file.clone(), file.join("below")] {
        let error = one_line(&check_output_dir(&file).unwrap_err());
        assert!(error.contains("not a directory; name one with --output"), "{error}");
    }
}

#[test]
fn a_directory_without_permission_is_refused() {
    let dir = TempDir::new().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    if File::create(dir.path().join("trial")).is_ok() {
        println!("skipped: this user may write to any directory");
        return;
    }
    let error = one_line(&check_output_dir(dir.path()).unwrap_err());
    assert!(error.contains("permission denied; make it writable"), "{error}");
}

/// A small file system in memory, unmounted when dropped; none when it may not be mounted.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(flags: MsFlags) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        match mount(Some("none"), dir.path(), Some("tmpfs"), flags, Some("size=8k")) {
            Ok(()) => Some(Self(dir)),
            Err(reason) => {
                println!("skipped: a tmpfs cannot be mounted: {reason}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount(self.0.path()).unwrap();
    }
}

#[test]
fn a_read_only_directory_is_refused() {
    if let Some(disk) = SmallDisk::mount(MsFlags::MS_RDONLY) {
        let error = one_line(&check_output_dir(disk.0.path()).unwrap_err());
        assert!(error.contains("read-only file system; name a directory elsewhere"), "{error}");
    }
}

#[test]
fn a_full_disk_is_named_and_nothing_half_is_left() {
    let Some(disk) = SmallDisk::mount(MsFlags::empty()) else {
        return;
    };
    let dir = disk.0.path();
    check_output_dir(dir).unwrap();
    write(dir).unwrap();
    let before = std::fs::read(dir.join("server-77.mutex.pb.gz")).unwrap();
    assert!(matches!(check_output_dir(dir), Err(OutputError::Full(_))));
    let error = one_line(&write(dir).unwrap_err());
    assert!(error.contains("no space left on the disk; free some"), "{error}");
    assert_eq!(names(dir), ["server-77.block.pb.gz", "server-77.mutex.pb.gz"]);
    assert_eq!(std::fs::read(dir.join("server-77.mutex.pb.gz")).unwrap(), before);
}
