//! Waiting for a file descriptor to become readable.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What owns a file descriptor.
///
/// # Safety
///
/// The descriptor must stay open and the same one for as long as its owner lives.
pub unsafe trait OwnsDescriptor: AsRawFd {}

// SAFETY: that is what the type is for.
unsafe impl OwnsDescriptor for OwnedFd {}
// SAFETY: it holds its map, which holds the descriptor, and lets go of neither.
unsafe impl OwnsDescriptor for RingBuf<MapData> {}
// SAFETY: it holds a ring buffer that holds the descriptor, and lets go of neither.
unsafe impl<T: log::Log> OwnsDescriptor for EbpfLogger<T> {}

/// Makes the readability of a descriptor awaitable.
///
/// # Errors
///
/// Those of `epoll_ctl`.
///
/// # Panics
///
/// Outside a tokio runtime with I/O enabled.
pub fn await_readable<T: OwnsDescriptor>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the trait's promise, and the owner lives inside the `AsyncFd`.
    unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE) }.map_err(|error| {
        let (_owner, error) = error.into_parts();
        error
    })
}
