//! Profiles read back by readers that share nothing with the agent's writer: `go tool pprof`, and
//! for numbers a decoder of the published field numbers of `profile.proto`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;
use prost::Message as _;

mod proto;
#[cfg(test)]
mod tests;

/// One sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Function names, the innermost first; empty names where there are none.
    pub functions: Vec<String>,
    /// First value: contentions.
    pub contentions: i64,
    /// Second value: delay in ns.
    pub delay: i64,
    /// Labels; numbers as text.
    pub labels: BTreeMap<String, String>,
}

impl Sample {
    /// Whether a function is in the stack.
    #[must_use]
    pub fn has(&self, function: &str) -> bool {
        self.functions.iter().any(|f| f == function || f.ends_with(&format!("::{function}")))
    }
}

/// A profile that has been read back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Its samples.
    pub samples: Vec<Sample>,
}

impl Profile {
    /// Reads a file and checks that it has Go's shape.
    ///
    /// # Panics
    ///
    /// When it cannot be read or has another shape.
    #[must_use]
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let mut bytes = Vec::new();
        let file = File::open(path).unwrap_or_else(|error| panic!("open {}: {error}", path.display()));
        GzDecoder::new(file)
            .read_to_end(&mut bytes)
            .unwrap_or_else(|error| panic!("unzip {}: {error}", path.display()));
        let profile =
            proto::Profile::decode(&*bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_shape(&profile);
        Self { samples: profile.sample.iter().map(|s| sample(&profile, s)).collect() }
    }

    /// Contentions of all samples.
    #[must_use]
    pub fn contentions(&self) -> i64 {
        self.samples.iter().map(|s| s.contentions).sum()
    }

    /// Delay of all samples, in ns.
    #[must_use]
    pub fn delay(&self) -> i64 {
        self.samples.iter().map(|s| s.delay).sum()
    }

    /// The samples for which `keep` is true.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Sample) -> bool) -> Self {
        Self { samples: self.samples.iter().filter(|s| keep(s)).cloned().collect() }
    }

    /// The samples with a function in their stack.
    #[must_use]
    pub fn with(&self, function: &str) -> Self {
        self.only(|s| s.has(function))
    }

    /// The samples with a label of this value.
    #[must_use]
    pub fn labelled(&self, key: &str, value: &str) -> Self {
        self.only(|s| s.labels.get(key).is_some_and(|v| v == value))
    }

    /// Delay by the innermost function, for messages.
    #[must_use]
    pub fn stacks(&self) -> String {
        let lines = self
            .samples
            .iter()
            .map(|s| format!("{} {} ns {:?} {}", s.contentions, s.delay, s.labels, s.functions.join(" < ")));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn text(profile: &proto::Profile, index: i64) -> &str {
    let index = usize::try_from(index).expect("a string's index is not negative");
    &profile.string_table[index]
}

fn sample(profile: &proto::Profile, from: &proto::Sample) -> Sample {
    let functions = from.location_id.iter().flat_map(|&id| functions(profile, id)).collect();
    let labels = from.label.iter().map(|l| {
        let value = if l.str == 0 { l.num.to_string() } else { text(profile, l.str).to_owned() };
        (text(profile, l.key).to_owned(), value)
    });
    Sample { functions, contentions: from.value[0], delay: from.value[1], labels: labels.collect() }
}

/// Function names at a location, inlined ones first.
fn functions(profile: &proto::Profile, location: u64) -> Vec<String> {
    let location = &profile.location[dense(location)];
    if location.line.is_empty() {
        return vec![String::new()];
    }
    let names =
        location.line.iter().map(|l| text(profile, profile.function[dense(l.function_id)].name).to_owned());
    names.collect()
}

fn dense(id: u64) -> usize {
    usize::try_from(id).expect("an id fits") - 1
}

/// Exactly Go's shape: types, period, ids dense from 1, addresses non-zero and unique.
fn assert_shape(p: &proto::Profile) {
    let name = |t: &proto::ValueType| format!("{}/{}", text(p, t.r#type), text(p, t.unit));
    assert_eq!(p.string_table.first().map(String::as_str), Some(""), "first string");
    assert_eq!(
        p.sample_type.iter().map(name).collect::<Vec<_>>(),
        ["contentions/count", "delay/nanoseconds"]
    );
    assert_eq!(p.period_type.as_ref().map(name).as_deref(), Some("contentions/count"), "period type");
    assert_eq!(p.period, 1, "period");
    assert_eq!(text(p, p.default_sample_type), "delay", "default sample type");
    assert!(p.time_nanos > 1_500_000_000_000_000_000, "time of the profile: {}", p.time_nanos);
    assert!(p.duration_nanos > 0, "duration of the profile: {}", p.duration_nanos);
    assert!(p.mapping.iter().map(|m| m.id).eq(1..=p.mapping.len() as u64), "ids of mappings");
    assert!(p.location.iter().map(|l| l.id).eq(1..=p.location.len() as u64), "ids of locations");
    assert!(p.function.iter().map(|f| f.id).eq(1..=p.function.len() as u64), "ids of functions");
    let addresses: BTreeSet<u64> = p.location.iter().map(|l| l.address).collect();
    assert_eq!(addresses.len(), p.location.len(), "addresses are unique");
    assert!(!addresses.contains(&0), "an address is zero");
    let mappings = p.mapping.len() as u64;
    assert!(p.location.iter().all(|l| l.mapping_id <= mappings), "mappings exist");
    assert_samples(p);
}

fn assert_samples(p: &proto::Profile) {
    let mut seen = BTreeSet::new();
    for s in &p.sample {
        assert_eq!(s.value.len(), 2, "values of a sample");
        assert!(s.value.iter().all(|&v| v >= 0), "a negative value: {:?}", s.value);
        assert!(s.value.iter().any(|&v| v > 0), "a sample of nothing");
        let labels: BTreeSet<(i64, i64, i64)> = s.label.iter().map(|l| (l.key, l.str, l.num)).collect();
        assert!(seen.insert((s.location_id.clone(), labels)), "two samples of one stack and the same labels");
    }
}

/// Runs `go tool pprof` with these arguments and returns what it prints.
///
/// # Panics
///
/// When it fails.
#[must_use]
#[track_caller]
pub fn pprof<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let scratch = tempfile::tempdir().expect("create a directory for pprof");
    // Without these pprof looks for the binaries and changes what it read by what it finds.
    let output = Command::new("go")
        .args(["tool", "pprof", "-symbolize=none"])
        .args(arguments)
        .env("PPROF_TMPDIR", scratch.path())
        .env("PPROF_BINARY_PATH", scratch.path())
        .output()
        .expect("start go tool pprof");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "go tool pprof failed: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a file is a whole gzip stream: nothing half written.
#[must_use]
pub fn is_whole(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| GzDecoder::new(&*bytes).read_to_end(&mut Vec::new()).is_ok())
}
