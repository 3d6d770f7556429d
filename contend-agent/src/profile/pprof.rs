//! Profiles in pprof's format, in the shape of Go's mutex and block profiles.

mod decode;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::Write as _;
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;

use super::model::{self, Label, LabelValue};
use super::proto;

pub use decode::{DECODED_LIMIT, DecodeError, decode, decode_bounded};

/// Encodes a profile, compressed with gzip.
///
/// The same profile gives the same bytes, in whatever order its samples are. Samples with the same
/// stack and labels become one; samples without any value are left out. What an index out of range
/// would point to is left out, too.
pub fn encode(profile: &model::Profile) -> Vec<u8> {
    let message = Encoder::new(profile).profile();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&message.encode_to_vec())
        .and_then(|()| gzip.finish())
        .expect("writing to memory does not fail")
}

/// Builds the message; everything gets its id when it is first met.
struct Encoder<'a> {
    source: &'a model::Profile,
    strings: Strings,
    functions: Vec<proto::Function>,
    function_ids: HashMap<(&'a str, &'a str), u64>,
    locations: Vec<proto::Location>,
    location_ids: HashMap<usize, u64>,
    facts: Vec<MappingFacts>,
}

/// What holds for all locations of a mapping.
#[derive(Clone, Copy)]
struct MappingFacts {
    used: bool,
    functions: bool,
    files: bool,
    lines: bool,
    inlined: bool,
}

impl MappingFacts {
    const NONE_SEEN: Self = Self { used: false, functions: true, files: true, lines: true, inlined: false };

    fn see(&mut self, location: &model::Location) {
        let every =
            |known: fn(&model::Line) -> bool| !location.lines.is_empty() && location.lines.iter().all(known);
        self.used = true;
        self.functions &= every(|line| !line.function.is_empty());
        self.files &= every(|line| !line.file.is_empty());
        self.lines &= every(|line| line.line != 0);
        self.inlined |= location.lines.len() > 1;
    }
}

impl<'a> Encoder<'a> {
    fn new(source: &'a model::Profile) -> Self {
        Self {
            source,
            strings: Strings::new(),
            functions: Vec::new(),
            function_ids: HashMap::new(),
            locations: Vec::new(),
            location_ids: HashMap::new(),
            facts: vec![MappingFacts::NONE_SEEN; source.mappings.len()],
        }
    }

    fn profile(mut self) -> proto::Profile {
        let contentions = self.value_type("contentions", "count");
        let delay = self.value_type("delay", "nanoseconds");
        let sample = merged(self.source).iter().map(|sample| self.sample(sample)).collect();
        let mapping = self.mappings();
        let since_epoch = self.source.start.duration_since(UNIX_EPOCH).unwrap_or_default();
        proto::Profile {
            sample_type: vec![contentions, delay],
            sample,
            mapping,
            location: self.locations,
            function: self.functions,
            time_nanos: i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX),
            duration_nanos: i64::try_from(self.source.duration.as_nanos()).unwrap_or(i64::MAX),
            period_type: Some(contentions),
            period: 1,
            default_sample_type: delay.r#type,
            string_table: self.strings.table,
            ..proto::Profile::default()
        }
    }

    fn value_type(&mut self, name: &'a str, unit: &'a str) -> proto::ValueType {
        proto::ValueType { r#type: self.strings.index(name), unit: self.strings.index(unit) }
    }

    fn sample(&mut self, sample: &Merged<'a>) -> proto::Sample {
        let stack = sample.stack.iter().filter_map(|&index| self.location(index)).collect();
        let value = [sample.contentions, sample.delay];
        proto::Sample {
            location_id: stack,
            value: value.map(signed).to_vec(),
            label: sample.labels.iter().filter_map(|label| self.label(label)).collect(),
        }
    }

    /// A label; none for an empty text, which readers would take for the number 0.
    fn label(&mut self, label: &'a Label) -> Option<proto::Label> {
        let mut message = proto::Label::default();
        match &label.value {
            LabelValue::Text(text) if text.is_empty() => return None,
            LabelValue::Text(text) => message.str = self.strings.index(text),
            LabelValue::Number(number, unit) => {
                message.num = *number;
                message.num_unit = self.strings.index(unit);
            }
        }
        message.key = self.strings.index(label.key);
        Some(message)
    }

    fn location(&mut self, index: usize) -> Option<u64> {
        if let Some(&id) = self.location_ids.get(&index) {
            return Some(id);
        }
        let source = self.source;
        let location = source.locations.get(index)?;
        let mapping = location.mapping.filter(|&mapping| mapping < self.facts.len());
        if let Some(mapping) = mapping {
            self.facts[mapping].see(location);
        }
        let line = location.lines.iter().map(|line| self.line(line)).collect();
        let id = self.locations.len() as u64 + 1;
        self.locations.push(proto::Location {
            id,
            mapping_id: mapping.map_or(0, |mapping| mapping as u64 + 1),
            address: location.address,
            line,
            is_folded: false,
        });
        self.location_ids.insert(index, id);
        Some(id)
    }

    fn line(&mut self, line: &'a model::Line) -> proto::Line {
        proto::Line {
            function_id: self.function(&line.function, &line.file),
            line: i64::from(line.line),
            column: 0,
        }
    }

    fn function(&mut self, name: &'a str, file: &'a str) -> u64 {
        if let Some(&id) = self.function_ids.get(&(name, file)) {
            return id;
        }
        let id = self.functions.len() as u64 + 1;
        self.functions.push(proto::Function {
            id,
            name: self.strings.index(name),
            // Empty: pprof demangles functions whose two names are equal, and then cuts what is in
            // angle brackets, so that `<T as Trait>::method` would be shown as `::method`.
            system_name: 0,
            filename: self.strings.index(file),
            start_line: 0,
        });
        self.function_ids.insert((name, file), id);
        id
    }

    /// All mappings, also those without a location: the first is the main executable.
    fn mappings(&mut self) -> Vec<proto::Mapping> {
        let source = self.source;
        let numbered = source.mappings.iter().zip(&self.facts).zip(1..);
        numbered
            .map(|((mapping, facts), id)| proto::Mapping {
                id,
                memory_start: mapping.start,
                memory_limit: mapping.limit,
                file_offset: mapping.file_offset,
                filename: self.strings.index(&mapping.file),
                build_id: self.strings.index(&mapping.build_id),
                has_functions: facts.used && facts.functions,
                has_filenames: facts.used && facts.files,
                has_line_numbers: facts.used && facts.lines,
                has_inline_frames: facts.inlined,
            })
            .collect()
    }
}

/// Sums of the samples with this stack and these labels.
struct Merged<'a> {
    stack: &'a [usize],
    labels: &'a [Label],
    contentions: u64,
    delay: u64,
}

/// The samples with identical ones summed, the longest delay first.
fn merged(profile: &model::Profile) -> Vec<Merged<'_>> {
    let mut sums = HashMap::<_, (u64, u64)>::new();
    for sample in &profile.samples {
        let sum = sums.entry((&sample.stack[..], &sample.labels[..])).or_default();
        sum.0 = sum.0.saturating_add(sample.contentions);
        sum.1 = sum.1.saturating_add(sample.delay);
    }
    let mut merged: Vec<_> = sums
        .into_iter()
        .filter(|&(_, sum)| sum != (0, 0))
        .map(|((stack, labels), (contentions, delay))| Merged { stack, labels, contentions, delay })
        .collect();
    let address = |&index: &usize| profile.locations.get(index).map(|location| location.address);
    merged.sort_by(|a, b| {
        (b.delay.cmp(&a.delay))
            .then(b.contentions.cmp(&a.contentions))
            .then_with(|| a.stack.iter().map(address).cmp(b.stack.iter().map(address)))
            .then_with(|| a.labels.cmp(b.labels))
    });
    merged
}

/// The format's values are signed.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The string table under construction.
struct Strings {
    table: Vec<String>,
    indexes: HashMap<String, i64>,
}

impl Strings {
    fn new() -> Self {
        Self { table: vec![String::new()], indexes: HashMap::from([(String::new(), 0)]) }
    }

    fn index(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.indexes.get(text) {
            return index;
        }
        let index = signed(self.table.len() as u64);
        self.table.push(text.to_owned());
        self.indexes.insert(text.to_owned(), index);
        index
    }
}
