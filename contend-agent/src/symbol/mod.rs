//! Names for addresses, which stay available when the process has ended and its files are gone.
//!
//! [`AddressSpaces`] notes, while a process lives, what is mapped where and keeps the mapped files
//! open; [`Names`] reads function names, files and lines from them; [`LocationTable`] gathers what
//! one profile needs.

mod build_id;
mod files;
mod location;
mod maps;
mod names;
mod space;
#[cfg(test)]
mod test_program;

pub use files::FileId;
pub use location::LocationTable;
pub use names::{NameCounters, Names};
pub use space::{AddressSpaces, Bounds, MappingId, Place, PlacedMapping, SpaceCounters};
