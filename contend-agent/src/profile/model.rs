//! A profile as values: what the outputs write, whatever their format.

use std::time::{Duration, SystemTime};

use contend_ebpf::record::ProcessKey;

pub use contend_ebpf::record::Profile as ProfileKind;

/// One profile of one process, or of the whole host.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Mutex or block.
    pub kind: ProfileKind,
    /// Start of the recording.
    pub start: SystemTime,
    /// Length of the recording.
    pub duration: Duration,
    /// Executables and libraries; [`Location::mapping`] is an index into it.
    pub mappings: Vec<Mapping>,
    /// Places in the code; [`Sample::stack`] holds indexes into it.
    pub locations: Vec<Location>,
    /// What was recorded.
    pub samples: Vec<Sample>,
}

/// A mapped executable file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub limit: u64,
    /// Offset in the file of the first address.
    pub file_offset: u64,
    /// Path as the process sees it.
    pub file: String,
    /// GNU build id as lower-case hexadecimal digits; empty when there is none.
    pub build_id: String,
}

/// One place in the code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// Address within the process: non-zero, unique in the profile, the same in every profile of the process.
    pub address: u64,
    /// The mapping that it is in.
    pub mapping: Option<usize>,
    /// Function and line; more than one where functions were inlined, the innermost first. Empty when
    /// no name was found.
    pub lines: Vec<Line>,
}

/// One function at a location.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Demangled name.
    pub function: String,
    /// Source file; empty when unknown.
    pub file: String,
    /// Line number from 1; 0 when unknown.
    pub line: u32,
}

/// Contentions and delay of one stack and one set of labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Indexes into [`Profile::locations`], the innermost first.
    pub stack: Vec<usize>,
    /// Number of contentions, scaled.
    pub contentions: u64,
    /// Delay in ns, scaled.
    pub delay: u64,
    /// Sorted by key, no key twice.
    pub labels: Vec<Label>,
}

/// A sample's label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// Its name.
    pub key: &'static str,
    /// Its value.
    pub value: LabelValue,
}

/// A label's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LabelValue {
    /// A text.
    Text(String),
    /// A number and its unit, which may be empty.
    Number(i64, &'static str),
}

/// Who a profile is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Id and start.
    pub key: ProcessKey,
    /// The process's name, as `/proc/PID/comm`.
    pub comm: String,
}
