//! What kind of wait a stack is, by the names of its functions.

mod kinds;
mod name;
#[cfg(test)]
mod tests;

use kinds::{Part, ROWS};
use name::Name;

/// Frames that are looked at, from the leaf. Lock functions are at the leaf; a name further out
/// belongs to the code that uses them.
const DEPTH: usize = 12;

/// What a thread waited on or released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A lock held by one thread.
    Mutex,
    /// A read-write lock, for reading.
    RwlockRead,
    /// A read-write lock, for writing. Also a release of one whose name does not tell which.
    RwlockWrite,
    /// A condition variable.
    Condvar,
    /// A semaphore.
    Semaphore,
    /// A barrier.
    Barrier,
    /// The end of another thread.
    Join,
    /// A piece of code that runs once.
    Once,
    /// A thread parked until another unparks it.
    Park,
    /// An interpreter's global lock.
    Gil,
    /// No name tells.
    #[default]
    Unknown,
}

impl Kind {
    /// Value of the sample label `kind`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::RwlockRead => "rwlock_read",
            Self::RwlockWrite => "rwlock_write",
            Self::Condvar => "condvar",
            Self::Semaphore => "semaphore",
            Self::Barrier => "barrier",
            Self::Join => "join",
            Self::Once => "once",
            Self::Park => "park",
            Self::Gil => "gil",
            Self::Unknown => "unknown",
        }
    }
}

/// The kind of wait or release that a stack is, from its function names, the innermost first and
/// inlined ones included.
///
/// The innermost name that is in the table decides: a condition variable's wait that is taking its
/// mutex again waits for a mutex. Functions that never call the user's code, but are made of other
/// primitives, such as an interpreter's `take_gil`, decide over what is within them.
pub fn kind<'a>(names_leaf_first: impl Iterator<Item = &'a str>) -> Kind {
    let mut innermost = None;
    for raw in names_leaf_first.take(DEPTH) {
        let name = Name::new(raw);
        match ROWS.iter().find(|row| row.pattern.matches(&name)) {
            Some(row) if row.part == Part::Whole => return row.kind,
            Some(row) => innermost = innermost.or(Some(row.kind)),
            None => {}
        }
    }
    innermost.unwrap_or_default()
}
