//! Who is watched: processes named by id, their end, and a command started to be watched.

mod command;
mod exit;
mod process;

pub use command::{RunningCommand, StoppedCommand};
pub use exit::ExitWatch;
pub use process::{ProcessDirectory, Stat, identify, is_initial_pid_namespace, parse_stat, resolve};

use std::io;

/// Why a target cannot be watched. Each message is one line and names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Zero or negative.
    #[error("cannot watch pid {0}: process ids start at 1; give a running process's id, as `ps` shows it")]
    NotAPid(i64),
    /// Nothing has this id.
    #[error("cannot watch pid {0}: no such process; see `ps -e` for the processes that run")]
    NoSuchProcess(i64),
    /// A thread of the kernel itself.
    #[error(
        "cannot watch pid {pid} ({comm}): it is a kernel thread and has no user code; give a program's process id"
    )]
    KernelThread {
        /// Its id.
        pid: u32,
        /// Its name.
        comm: String,
    },
    /// It has ended and waits for its parent.
    #[error(
        "cannot watch pid {pid} ({comm}): it has already ended (zombie); give the id of a running process"
    )]
    Ended {
        /// Its id.
        pid: u32,
        /// Its name.
        comm: String,
    },
    /// A thread that is not its process's first.
    #[error(
        "cannot watch pid {tid}: it is a thread of process {pid}; give --pid {pid}, which covers all its threads"
    )]
    Thread {
        /// The id given.
        tid: u32,
        /// The id to give.
        pid: u32,
    },
    /// It ended before anything of it could be recorded.
    #[error(
        "cannot watch pid {0}: it ended while contend was attaching; give the id of a process that stays"
    )]
    EndedWhileAttaching(u32),
    /// Process ids mean something else here than in the kernel's records.
    #[error(
        "cannot watch pid {0}: the agent is not in the host's pid namespace; run it on the host, or its container \
         with the host's (docker --pid=host, hostPID: true)"
    )]
    ForeignNamespace(i64),
    /// `/proc` could not be read.
    #[error("cannot read {path}: {source}; mount /proc and run as root")]
    Procfs {
        /// What was being read.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Its end cannot be watched.
    #[error(
        "cannot watch for the end of process {pid}: {source}; Linux 5.3 or later and a free file descriptor are needed"
    )]
    Watch {
        /// Its id.
        pid: u32,
        /// Why it failed.
        source: io::Error,
    },
    /// No program was named.
    #[error("cannot start a command: none was given; write it behind `--`")]
    NoCommand,
    /// The program does not exist.
    #[error("cannot start `{0}`: command not found; check its spelling and PATH, or give its full path")]
    CommandNotFound(String),
    /// The program exists and cannot be run.
    #[error(
        "cannot start `{0}`: permission denied, or not a program; make it executable (chmod +x) or name another"
    )]
    CommandNotExecutable(String),
    /// The system could not start the program.
    #[error("cannot start `{command}`: {source}; check that the file and its interpreter run from a shell")]
    Start {
        /// The program.
        command: String,
        /// Why it failed.
        source: io::Error,
    },
}
