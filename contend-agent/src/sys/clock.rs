//! Clocks.

use nix::time::{ClockId, clock_gettime};

/// Now, in ns of the monotonic clock, which the kernel side stamps with.
#[must_use]
pub fn monotonic_now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has a monotonic clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}
