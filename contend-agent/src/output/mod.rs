//! What a person or a tool gets: files, the summary, progress.

pub mod files;
pub mod progress;
mod quantity;
pub mod summary;

pub use files::{OutputError, check_output_dir, write_profile_pair};
