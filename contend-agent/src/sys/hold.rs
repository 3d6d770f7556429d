//! Holds a child process between fork and exec.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Descriptors of a held child. They must stay open until [`Command::spawn`] has returned.
#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    /// The child waits for a byte from here and does not run the program when it ends instead.
    pub gate: BorrowedFd<'a>,
    /// The other end of `gate`. The child closes its copy, or it would never see the end.
    pub opener: BorrowedFd<'a>,
    /// The child writes its process id here, as four bytes of the machine's order.
    pub report: BorrowedFd<'a>,
}

/// Makes the child of `command` wait right before exec, as [`Hold`] says.
pub fn hold_before_exec(command: &mut Command, hold: Hold<'_>) {
    let (gate, opener, report) = (hold.gate.as_raw_fd(), hold.opener.as_raw_fd(), hold.report.as_raw_fd());
    // SAFETY: the closure runs in the forked child, where only async-signal-safe calls are allowed:
    // it makes system calls, and neither allocates nor locks.
    unsafe {
        command.pre_exec(move || wait_in_child(gate, opener, report));
    }
}

fn wait_in_child(gate: RawFd, opener: RawFd, report: RawFd) -> io::Result<()> {
    default_on_signal(libc::SIGINT);
    default_on_signal(libc::SIGTERM);
    // SAFETY: getpid and close touch no memory; this is the child's own copy of the descriptor,
    // which nothing in the child uses.
    let pid = unsafe {
        libc::close(opener);
        libc::getpid()
    };
    let bytes = pid.to_ne_bytes();
    // SAFETY: the buffer is valid for its length.
    let written = unsafe { libc::write(report, bytes.as_ptr().cast(), bytes.len()) };
    if written < 0 {
        return Err(io::Error::last_os_error());
    }
    loop {
        let mut byte = 0_u8;
        // SAFETY: the buffer is one byte long.
        match unsafe { libc::read(gate, (&raw mut byte).cast(), 1) } {
            1 => return Ok(()),
            0 => return Err(io::Error::from_raw_os_error(libc::ECANCELED)),
            _ if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

/// Until exec resets them, the child has its parent's signal handlers, which would answer Ctrl-C
/// on behalf of the parent; ignored signals stay ignored, as `nohup` wants.
fn default_on_signal(signal: libc::c_int) {
    // SAFETY: an all-zero sigaction is a value of the type, the kernel fills it in, and both calls
    // are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction != libc::SIG_IGN
        {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}
