//! Reading profiles back, which may come from anyone.

use std::collections::HashSet;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use prost::Message as _;

use crate::profile::proto;

/// How many bytes [`decode`] unpacks at most. The messages take up to forty times as much memory.
pub const DECODED_LIMIT: u64 = 64 << 20;

/// Why bytes are not a profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not gzip after all, or damaged.
    #[error("cannot unpack the profile: {0}; it is damaged or not complete: record or copy it again")]
    Gzip(std::io::Error),
    /// More than the limit, in bytes.
    #[error("cannot read the profile: it unpacks to more than {0} bytes; record for a shorter time")]
    TooLarge(u64),
    /// Not the messages of a profile.
    #[error("cannot read the profile: {0}; give a file in pprof's format")]
    Message(#[from] prost::DecodeError),
    /// The messages contradict each other.
    #[error("cannot read the profile: {0}; ask the program that wrote it for a correct one")]
    Malformed(&'static str),
}

/// Decodes a profile, compressed with gzip or plain, of up to [`DECODED_LIMIT`] bytes.
///
/// What it returns is consistent: every index and id leads somewhere, ids are unique, and every
/// sample has a value for each type.
///
/// # Errors
///
/// When the bytes are not such a profile.
pub fn decode(bytes: &[u8]) -> Result<proto::Profile, DecodeError> {
    decode_bounded(bytes, DECODED_LIMIT)
}

/// [`decode`] with a limit of its own, in bytes after unpacking.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_bounded(bytes: &[u8], limit: u64) -> Result<proto::Profile, DecodeError> {
    let mut unpacked = Vec::new();
    let plain = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut gzip = MultiGzDecoder::new(bytes).take(limit.saturating_add(1));
        gzip.read_to_end(&mut unpacked).map_err(DecodeError::Gzip)?;
        &unpacked
    } else {
        bytes
    };
    if plain.len() as u64 > limit {
        return Err(DecodeError::TooLarge(limit));
    }
    let profile = proto::Profile::decode(plain)?;
    check(&profile).map_err(DecodeError::Malformed)?;
    Ok(profile)
}

fn check(profile: &proto::Profile) -> Result<(), &'static str> {
    if profile.string_table.first().is_none_or(|first| !first.is_empty()) {
        return Err("its string table does not begin with an empty text");
    }
    let mut texts = texts(profile);
    if !texts.all(|text| usize::try_from(text).is_ok_and(|text| text < profile.string_table.len())) {
        return Err("a text is not in its string table");
    }
    let mappings = ids(profile.mapping.iter().map(|mapping| mapping.id))?;
    let functions = ids(profile.function.iter().map(|function| function.id))?;
    let locations = ids(profile.location.iter().map(|location| location.id))?;
    for location in &profile.location {
        if location.mapping_id != 0 && !mappings.contains(&location.mapping_id) {
            return Err("a location's mapping is missing");
        }
        if !location.line.iter().all(|line| functions.contains(&line.function_id)) {
            return Err("a location's function is missing");
        }
    }
    for sample in &profile.sample {
        if sample.value.is_empty() || sample.value.len() != profile.sample_type.len() {
            return Err("a sample does not have one value for each type");
        }
        if !sample.location_id.iter().all(|id| locations.contains(id)) {
            return Err("a sample's location is missing");
        }
    }
    Ok(())
}

fn ids(ids: impl Iterator<Item = u64>) -> Result<HashSet<u64>, &'static str> {
    let mut seen = HashSet::new();
    for id in ids {
        if id == 0 || !seen.insert(id) {
            return Err("an id is zero or used twice");
        }
    }
    Ok(seen)
}

/// Every index of a text in the profile.
fn texts(profile: &proto::Profile) -> impl Iterator<Item = i64> {
    let types = profile.sample_type.iter().chain(&profile.period_type);
    let labels = profile.sample.iter().flat_map(|sample| &sample.label);
    types
        .flat_map(|kind| [kind.r#type, kind.unit])
        .chain(labels.flat_map(|label| [label.key, label.str, label.num_unit]))
        .chain(profile.mapping.iter().flat_map(|mapping| [mapping.filename, mapping.build_id]))
        .chain(profile.function.iter().flat_map(|f| [f.name, f.system_name, f.filename]))
        .chain(profile.comment.iter().copied())
        .chain([profile.drop_frames, profile.keep_frames])
        .chain([profile.default_sample_type, profile.doc_url])
}
