//! Signal dispositions.

use std::io;

use nix::sys::signal::{SigHandler, Signal, signal};

/// Gives signals back their default effect.
///
/// # Errors
///
/// Those of sigaction(2).
pub fn restore_default(signals: impl IntoIterator<Item = Signal>) -> io::Result<()> {
    for number in signals {
        // SAFETY: the default disposition runs no code of this process.
        unsafe { signal(number, SigHandler::SigDfl) }?;
    }
    Ok(())
}
