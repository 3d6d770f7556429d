//! What a person or a tool gets: files, the summary, progress.

pub mod files;
pub mod progress;
mod quantity;
pub mod summary;

use std::io::{ErrorKind, Write as _};

pub use files::{OutputError, check_output_dir, write_profile_pair};

/// Prints to standard output. A reader that has gone, as `head` does, is no failure.
///
/// # Errors
///
/// When standard output cannot be written to for another reason.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
