//! The end of a process.

use std::os::fd::OwnedFd;

use contend_ebpf::record::ProcessKey;
use tokio::io::unix::AsyncFd;

use super::{TargetError, identify};
use crate::sys::pidfd::pidfd_open;
use crate::sys::readiness::await_readable;

/// Tells when a process has ended, without being its parent.
#[derive(Debug)]
pub struct ExitWatch {
    descriptor: AsyncFd<OwnedFd>,
}

impl ExitWatch {
    /// Watches exactly this process; one that has ended and not been reaped is reported at once.
    ///
    /// # Errors
    ///
    /// [`TargetError::NoSuchProcess`] when it has gone, [`TargetError::Watch`] when it cannot be
    /// watched.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn new(process: ProcessKey) -> Result<Self, TargetError> {
        let pid = process.tgid;
        let descriptor = pidfd_open(pid).map_err(|source| match source.raw_os_error() {
            Some(libc::ESRCH) => TargetError::NoSuchProcess(pid.into()),
            _ => TargetError::Watch { pid, source },
        })?;
        // While the descriptor is open, what `/proc` shows is either this process or, if that was
        // gone before, one that the start time tells apart.
        if identify(pid)?.key != process {
            return Err(TargetError::NoSuchProcess(pid.into()));
        }
        let descriptor = await_readable(descriptor).map_err(|source| TargetError::Watch { pid, source })?;
        Ok(Self { descriptor })
    }

    /// Returns when the process's last thread has ended, at once if it has; can be awaited again
    /// and dropped at any time.
    pub async fn ended(&self) {
        // An error means that the runtime is shutting down: nothing is left to wait for. The
        // readiness is not cleared, as the end of a process lasts.
        let _ = self.descriptor.readable().await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;
    use tokio::time::timeout;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn ends_with_the_process_and_not_before() {
        runtime().block_on(async {
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let watch = ExitWatch::new(identify(child.id()).unwrap().key).unwrap();
            assert!(timeout(Duration::from_millis(20), watch.ended()).await.is_err(), "still running");
            drop(child.stdin.take());
            watch.ended().await;
            watch.ended().await;
            child.wait().unwrap();
            watch.ended().await;
        });
    }

    #[test]
    fn a_process_that_has_gone_or_changed_is_refused() {
        runtime().block_on(async {
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let key = identify(child.id()).unwrap().key;
            let earlier = ProcessKey { start_ticks: key.start_ticks.wrapping_sub(1), ..key };
            assert!(matches!(ExitWatch::new(earlier), Err(TargetError::NoSuchProcess(_))));
            drop(child.stdin.take());
            child.wait().unwrap();
            assert!(matches!(ExitWatch::new(key), Err(TargetError::NoSuchProcess(_))));
        });
    }
}
