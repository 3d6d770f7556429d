//! Processes as `/proc` shows them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use contend_ebpf::record::ProcessKey;

use super::TargetError;
use crate::profile::model::ProcessIdentity;

/// `PF_KTHREAD` of the kernel's `sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// `/proc/self/ns/pid` in the initial pid namespace: `PROC_PID_INIT_INO` is ABI.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The members of `/proc/PID/stat` that the agent uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Name, at most 15 bytes; invalid UTF-8 replaced.
    pub comm: String,
    /// Scheduler state letter, of the first thread.
    pub state: u8,
    /// `PF_` flags.
    pub flags: u64,
    /// Number of threads, an ended first one included.
    pub threads: u64,
    /// Start since boot in units of 10 ms, as [`ProcessKey::start_ticks`].
    pub start_ticks: u32,
}

impl Stat {
    /// Whether nothing of the process runs any more. A process goes on without its first thread.
    pub fn ended(&self) -> bool {
        matches!(self.state, b'X' | b'x') || (self.state == b'Z' && self.threads <= 1)
    }
}

/// Reads the text of `/proc/PID/stat`; `None` when it is not of that form.
///
/// The name may hold spaces, parentheses and line ends: it is what lies between the first opening
/// and the last closing parenthesis, as only numbers follow.
pub fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let comm = text.get(open + 1..close)?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc(5) counts from 1, and the first of these is the third.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        comm: String::from_utf8_lossy(comm).into_owned(),
        state: *fields.first()?.as_bytes().first()?,
        flags: number(9)?,
        threads: number(20)?,
        #[expect(clippy::cast_possible_truncation, reason = "the kernel side truncates the same way")]
        start_ticks: number(22)? as u32,
    })
}

/// A process's directory in `/proc`, held open: it never turns into that of a later process with
/// the same id; reads fail with `ESRCH` once the process is gone.
#[derive(Debug)]
pub struct ProcessDirectory {
    directory: File,
    pid: u32,
}

impl ProcessDirectory {
    /// Opens the directory of whatever process or thread has this id now.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none.
    pub fn open(pid: u32) -> io::Result<Self> {
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(format!("/proc/{pid}"))?;
        Ok(Self { directory, pid })
    }

    /// Opens the directory of exactly this process.
    ///
    /// # Errors
    ///
    /// `NotFound` when it has gone, even if its id has been given to another process.
    pub fn of(process: ProcessKey) -> io::Result<Self> {
        let directory = Self::open(process.tgid)?;
        if directory.stat()?.start_ticks == process.start_ticks {
            Ok(directory)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Path by which this process can reach `name` in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{name}", self.directory.as_raw_fd()).into()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What `/proc/PID/stat` says.
    ///
    /// # Errors
    ///
    /// Those of reading it; `InvalidData` when it cannot be understood.
    pub fn stat(&self) -> io::Result<Stat> {
        let text = std::fs::read(self.path("stat"))?;
        parse_stat(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The process's name, as `/proc/PID/comm`; invalid UTF-8 replaced.
    ///
    /// # Errors
    ///
    /// Those of reading it.
    pub fn comm(&self) -> io::Result<String> {
        let text = std::fs::read(self.path("comm"))?;
        Ok(String::from_utf8_lossy(text.strip_suffix(b"\n").unwrap_or(&text)).into_owned())
    }

    /// Id of the process that this thread or process belongs to.
    fn tgid(&self) -> io::Result<u32> {
        let text = std::fs::read(self.path("status"))?;
        // The name precedes it in a line of its own, with line ends escaped.
        String::from_utf8_lossy(&text)
            .lines()
            .find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Key and name of process `pid`, whatever its state.
///
/// # Errors
///
/// [`TargetError::NoSuchProcess`], or [`TargetError::Procfs`] when `/proc` cannot be read.
pub fn identify(pid: u32) -> Result<ProcessIdentity, TargetError> {
    let directory = ProcessDirectory::open(pid).map_err(|error| explain(pid, "", error))?;
    let stat = directory.stat().map_err(|error| explain(pid, "stat", error))?;
    identity(&directory, &stat)
}

/// Key and name of the process that a user has asked to watch.
///
/// # Errors
///
/// A [`TargetError`] that says why it cannot be watched.
pub fn resolve(pid: i64) -> Result<ProcessIdentity, TargetError> {
    if pid <= 0 {
        return Err(TargetError::NotAPid(pid));
    }
    in_initial_namespace(pid)?;
    let pid = u32::try_from(pid).map_err(|_| TargetError::NoSuchProcess(pid))?;
    let directory = ProcessDirectory::open(pid).map_err(|error| explain(pid, "", error))?;
    let stat = directory.stat().map_err(|error| explain(pid, "stat", error))?;
    if stat.flags & KERNEL_THREAD != 0 {
        return Err(TargetError::KernelThread { pid, comm: stat.comm });
    }
    let tgid = directory.tgid().map_err(|error| explain(pid, "status", error))?;
    if tgid != pid {
        return Err(TargetError::Thread { tid: pid, pid: tgid });
    }
    if stat.ended() {
        return Err(TargetError::Ended { pid, comm: stat.comm });
    }
    identity(&directory, &stat)
}

fn identity(directory: &ProcessDirectory, stat: &Stat) -> Result<ProcessIdentity, TargetError> {
    let pid = directory.pid();
    Ok(ProcessIdentity {
        key: ProcessKey { tgid: pid, start_ticks: stat.start_ticks },
        comm: directory.comm().map_err(|error| explain(pid, "comm", error))?,
    })
}

/// Whether process ids mean the same here as in the kernel's records.
pub fn is_initial_pid_namespace() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| is_initial_namespace(&link.to_string_lossy()))
}

fn in_initial_namespace(pid: i64) -> Result<(), TargetError> {
    let path = "/proc/self/ns/pid";
    let namespace =
        std::fs::read_link(path).map_err(|source| TargetError::Procfs { path: path.into(), source })?;
    if is_initial_namespace(&namespace.to_string_lossy()) {
        Ok(())
    } else {
        Err(TargetError::ForeignNamespace(pid))
    }
}

fn is_initial_namespace(link: &str) -> bool {
    link == INITIAL_PID_NAMESPACE
}

fn explain(pid: u32, name: &str, source: io::Error) -> TargetError {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => TargetError::NoSuchProcess(pid.into()),
        _ => TargetError::Procfs { path: format!("/proc/{pid}/{name}"), source },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::process::Command;

    const TAIL: &str = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 7 0 123456 8 9";

    #[test]
    fn names_with_spaces_and_parentheses() {
        for name in ["sleep", "a) R 1 2 (b", "((()", "", "tmux: server", "x\n) Z 0"] {
            let stat = parse_stat(format!("17 ({name}) S {TAIL}\n").as_bytes()).unwrap();
            let expected =
                Stat { comm: name.into(), state: b'S', flags: 4_194_560, threads: 7, start_ticks: 123_456 };
            assert_eq!(stat, expected);
        }
    }

    #[test]
    fn malformed_stat_is_refused() {
        for text in
            ["", "17", "17 (a", ")(", "17 (a) S 1 2", "17 (a) S 1 1 1 0 -1 x 1 2 3 4 5 6 7 8 20 0 7 0 12"]
        {
            assert_eq!(parse_stat(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn start_beyond_32_bits_is_truncated_as_in_the_kernel_side() {
        let text = format!("1 (a) S {}", TAIL.replace("123456", "4294967299"));
        assert_eq!(parse_stat(text.as_bytes()).unwrap().start_ticks, 3);
    }

    #[test]
    fn a_process_without_its_first_thread_has_not_ended() {
        let stat = |state: char, threads: u32| {
            let tail = TAIL.replace(" 7 0 123456", &format!(" {threads} 0 123456"));
            parse_stat(format!("1 (a) {state} {tail}").as_bytes()).unwrap().ended()
        };
        assert!(stat('Z', 1));
        assert!(stat('X', 1));
        assert!(!stat('Z', 2));
        assert!(!stat('S', 1));
    }

    #[test]
    fn own_process() {
        let pid = std::process::id();
        let found = resolve(pid.into()).unwrap();
        assert_eq!(found.key.tgid, pid);
        assert_eq!(found, identify(pid).unwrap());
        assert_eq!(
            format!("{}\n", found.comm),
            std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap()
        );
    }

    #[test]
    fn wrong_ids_say_what_to_do() {
        let message = |pid: i64| resolve(pid).unwrap_err().to_string();
        assert!(matches!(resolve(0), Err(TargetError::NotAPid(0))));
        assert!(matches!(resolve(-3), Err(TargetError::NotAPid(-3))));
        assert!(matches!(resolve(4_194_305), Err(TargetError::NoSuchProcess(4_194_305))));
        assert!(matches!(resolve(i64::MAX), Err(TargetError::NoSuchProcess(i64::MAX))));
        assert!(matches!(resolve(2), Err(TargetError::KernelThread { pid: 2, .. })), "{}", message(2));
        for pid in [0, -3, 4_194_305, 2] {
            assert!(message(pid).starts_with("cannot watch pid"), "{}", message(pid));
            assert!(!message(pid).contains('\n'));
        }
    }

    #[test]
    fn a_zombie_is_told_from_a_running_process() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        while !identify_state(pid).ended() {
            std::thread::yield_now();
        }
        assert!(matches!(resolve(pid.into()), Err(TargetError::Ended { .. })));
        assert_eq!(identify(pid).unwrap().key.tgid, pid);
        child.wait().unwrap();
        assert!(matches!(resolve(pid.into()), Err(TargetError::NoSuchProcess(_))));
    }

    fn identify_state(pid: u32) -> Stat {
        ProcessDirectory::open(pid).unwrap().stat().unwrap()
    }

    #[test]
    fn a_thread_names_its_process() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            sender.send(nix::unistd::gettid().as_raw()).unwrap();
            let _ = stopped.recv();
        });
        let tid = receiver.recv().unwrap();
        let error = resolve(tid.into()).unwrap_err();
        assert!(matches!(error, TargetError::Thread { pid, .. } if pid == std::process::id()), "{error}");
        assert!(error.to_string().contains(&format!("--pid {}", std::process::id())));
        drop(stop);
        thread.join().unwrap();
    }

    #[test]
    fn a_reused_id_is_another_process() {
        let own = identify(std::process::id()).unwrap().key;
        assert!(ProcessDirectory::of(own).is_ok());
        let earlier = ProcessKey { start_ticks: own.start_ticks.wrapping_sub(1), ..own };
        assert_eq!(ProcessDirectory::of(earlier).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_the_initial_pid_namespace_is_accepted() {
        assert!(is_initial_namespace("pid:[4026531836]"));
        assert!(!is_initial_namespace("pid:[4026532201]"));
        let message = TargetError::ForeignNamespace(7).to_string();
        assert!(message.contains("--pid=host") && !message.contains('\n'), "{message}");
    }
}
