//! The messages of pprof's `profile.proto`, by their published field numbers.
//!
//! Every text is an index into [`Profile::string_table`], whose first entry is empty; every id is
//! not zero.

/// A profile.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Profile {
    /// What the values of each sample are, in their order.
    #[prost(message, repeated, tag = "1")]
    pub sample_type: Vec<ValueType>,
    /// What was recorded.
    #[prost(message, repeated, tag = "2")]
    pub sample: Vec<Sample>,
    /// Mapped files, the main executable first.
    #[prost(message, repeated, tag = "3")]
    pub mapping: Vec<Mapping>,
    /// Places in the code.
    #[prost(message, repeated, tag = "4")]
    pub location: Vec<Location>,
    /// Functions that the locations are in.
    #[prost(message, repeated, tag = "5")]
    pub function: Vec<Function>,
    /// All texts; the first is empty.
    #[prost(string, repeated, tag = "6")]
    pub string_table: Vec<String>,
    /// Text: pattern of functions to drop together with what they call.
    #[prost(int64, tag = "7")]
    pub drop_frames: i64,
    /// Text: pattern of functions to keep in spite of [`Self::drop_frames`].
    #[prost(int64, tag = "8")]
    pub keep_frames: i64,
    /// When it was recorded, in ns since 1970 UTC.
    #[prost(int64, tag = "9")]
    pub time_nanos: i64,
    /// How long it was recorded, in ns; 0 when that says nothing.
    #[prost(int64, tag = "10")]
    pub duration_nanos: i64,
    /// What is counted between two samples.
    #[prost(message, optional, tag = "11")]
    pub period_type: Option<ValueType>,
    /// How many of them.
    #[prost(int64, tag = "12")]
    pub period: i64,
    /// Texts for people.
    #[prost(int64, repeated, tag = "13")]
    pub comment: Vec<i64>,
    /// Text: the type of the value that tools show first.
    #[prost(int64, tag = "14")]
    pub default_sample_type: i64,
    /// Text: address of a page on this profile.
    #[prost(int64, tag = "15")]
    pub doc_url: i64,
}

/// Type and unit of a value.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ValueType {
    /// Text: what it is.
    #[prost(int64, tag = "1")]
    pub r#type: i64,
    /// Text: its unit.
    #[prost(int64, tag = "2")]
    pub unit: i64,
}

/// Values of one stack and one set of labels.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sample {
    /// Ids of the locations, the innermost first.
    #[prost(uint64, repeated, tag = "1")]
    pub location_id: Vec<u64>,
    /// One per [`Profile::sample_type`].
    #[prost(int64, repeated, tag = "2")]
    pub value: Vec<i64>,
    /// Its labels.
    #[prost(message, repeated, tag = "3")]
    pub label: Vec<Label>,
}

/// A label: a text or a number.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Label {
    /// Text: its name.
    #[prost(int64, tag = "1")]
    pub key: i64,
    /// Text: its value; 0 for a number.
    #[prost(int64, tag = "2")]
    pub str: i64,
    /// Its value when it is a number.
    #[prost(int64, tag = "3")]
    pub num: i64,
    /// Text: the number's unit.
    #[prost(int64, tag = "4")]
    pub num_unit: i64,
}

/// A mapped file.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Mapping {
    /// Names it within the profile.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// First address.
    #[prost(uint64, tag = "2")]
    pub memory_start: u64,
    /// First address behind it.
    #[prost(uint64, tag = "3")]
    pub memory_limit: u64,
    /// Offset in the file of the first address.
    #[prost(uint64, tag = "4")]
    pub file_offset: u64,
    /// Text: path.
    #[prost(int64, tag = "5")]
    pub filename: i64,
    /// Text: build id.
    #[prost(int64, tag = "6")]
    pub build_id: i64,
    /// Its locations have functions: no tool needs to look for them.
    #[prost(bool, tag = "7")]
    pub has_functions: bool,
    /// They have source files.
    #[prost(bool, tag = "8")]
    pub has_filenames: bool,
    /// They have line numbers.
    #[prost(bool, tag = "9")]
    pub has_line_numbers: bool,
    /// Inlined functions are among them.
    #[prost(bool, tag = "10")]
    pub has_inline_frames: bool,
}

/// A place in the code.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Location {
    /// Names it within the profile.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Id of its mapping; 0 for none.
    #[prost(uint64, tag = "2")]
    pub mapping_id: u64,
    /// Address within the process.
    #[prost(uint64, tag = "3")]
    pub address: u64,
    /// Functions that are here, the innermost of those inlined first.
    #[prost(message, repeated, tag = "4")]
    pub line: Vec<Line>,
    /// Several functions of the program share this code.
    #[prost(bool, tag = "5")]
    pub is_folded: bool,
}

/// A function at a location.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Line {
    /// Id of the function.
    #[prost(uint64, tag = "1")]
    pub function_id: u64,
    /// Line number from 1; 0 when unknown.
    #[prost(int64, tag = "2")]
    pub line: i64,
    /// Column from 1; 0 when unknown.
    #[prost(int64, tag = "3")]
    pub column: i64,
}

/// A function.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Function {
    /// Names it within the profile.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Text: name for people.
    #[prost(int64, tag = "2")]
    pub name: i64,
    /// Text: name in the symbol table.
    #[prost(int64, tag = "3")]
    pub system_name: i64,
    /// Text: source file.
    #[prost(int64, tag = "4")]
    pub filename: i64,
    /// First line of the function; 0 when unknown.
    #[prost(int64, tag = "5")]
    pub start_line: i64,
}
