//! File descriptors that stand for processes.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A descriptor of process `pid` that is readable from the moment when its last thread has ended.
///
/// # Errors
///
/// `ESRCH` when there is no such process, `EINVAL` or `ENOENT` when the id is a thread's,
/// `ENOSYS` before Linux 5.3.
pub fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    let flags: libc::c_uint = 0;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = RawFd::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us, and no one else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
