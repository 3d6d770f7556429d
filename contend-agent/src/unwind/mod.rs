//! Unwind tables: from an executable's call frame information to the blocks that the kernel side searches.
//!
//! [`build`] takes the bytes of an ELF object and gives a [`Table`] with rules of its own; a [`RuleSet`]
//! numbers the rules of all tables, and [`RuleSet::adopt`] makes a table speak in those numbers. All of it
//! is computation on values: who needs a table, and where it is loaded, is decided elsewhere.
//!
//! The objects are strangers': whatever the bytes are, building ends soon, takes bounded memory and does
//! not panic.

mod build;
mod functions;
mod image;
mod rules;
mod translate;

#[cfg(test)]
mod capture_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod test_objects;

pub use build::{MAX_ROWS, Table, build};
pub use functions::{MAX_FRAME_BYTES, MAX_FUNCTIONS};
pub use image::{Code, Segment};
pub use rules::{FIXED_RULES, FRAME_POINTER_RULE, NO_RULE, RuleSet, Shared, UNSUPPORTED_RULE};

/// Why an object has no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The headers do not make sense.
    #[error(
        "build unwind table: not a whole 64-bit little-endian ELF object ({0}); its stacks are cut short"
    )]
    NotElf(&'static str),
    /// Another architecture.
    #[error("build unwind table: ELF machine {0} is not supported; its stacks are cut short")]
    Machine(u16),
    /// Nothing in it can run.
    #[error("build unwind table: no executable segment; nothing to unwind")]
    NoCode,
    /// Neither `.eh_frame` nor `.debug_frame` says anything.
    #[error(
        "build unwind table: no call frame information; build with -fasynchronous-unwind-tables \
         or -fno-omit-frame-pointer"
    )]
    NoFrames,
    /// More than any real object has.
    #[error("build unwind table: more than {limit} {what}; its stacks are cut short")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: usize,
    },
}
