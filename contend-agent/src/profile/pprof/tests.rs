#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::profile::model::{Line, Location, Mapping, Profile, ProfileKind, Sample};

fn line(function: &str, file: &str, line: u32) -> Line {
    Line { function: function.into(), file: file.into(), line }
}

fn location(address: u64, mapping: Option<usize>, lines: Vec<Line>) -> Location {
    Location { address, mapping, lines }
}

fn text(key: &'static str, value: &str) -> Label {
    Label { key, value: LabelValue::Text(value.into()) }
}

fn sample(stack: &[usize], contentions: u64, delay: u64, labels: Vec<Label>) -> Sample {
    Sample { stack: stack.to_vec(), contentions, delay, labels }
}

fn profile() -> Profile {
    let mapping = |start: u64, file: &str, build_id: &str| Mapping {
        start,
        limit: start + 0x1000,
        file_offset: 0x200,
        file: file.into(),
        build_id: build_id.into(),
    };
    Profile {
        kind: ProfileKind::Mutex,
        start: UNIX_EPOCH + Duration::new(1_700_000_000, 5),
        duration: Duration::from_millis(1500),
        mappings: vec![
            mapping(0x1000, "/bin/server", "abcd"),
            mapping(0x4000, "/lib/libc.so.6", ""),
            mapping(0x8000, "/lib/unused.so", ""),
        ],
        locations: vec![
            location(0x4010, Some(1), vec![line("pthread_mutex_unlock", "", 0)]),
            location(0x1010, Some(0), vec![line("inlined", "/src/a.c", 7), line("caller", "/src/a.c", 20)]),
            location(0x1020, Some(0), vec![line("caller", "/src/a.c", 30)]),
            location(0x4020, Some(1), vec![]),
            location(0x99_0000, None, vec![line("jitted", "", 0)]),
        ],
        samples: vec![
            sample(&[0, 1], 2, 100, vec![text("kind", "mutex")]),
            sample(&[0, 2], 3, 900, vec![text("kind", "mutex")]),
            sample(&[0, 1], 5, 50, vec![text("kind", "mutex")]),
        ],
    }
}

fn round_trip(profile: &Profile) -> proto::Profile {
    decode(&encode(profile)).unwrap()
}

fn string(profile: &proto::Profile, index: i64) -> &str {
    &profile.string_table[usize::try_from(index).unwrap()]
}

fn function(profile: &proto::Profile, id: u64) -> &proto::Function {
    profile.function.iter().find(|function| function.id == id).unwrap()
}

#[test]
fn has_the_shape_of_go() {
    let decoded = round_trip(&profile());
    let types: Vec<_> = decoded
        .sample_type
        .iter()
        .chain(&decoded.period_type)
        .map(|t| (string(&decoded, t.r#type), string(&decoded, t.unit)))
        .collect();
    let count = ("contentions", "count");
    assert_eq!(types, [count, ("delay", "nanoseconds"), count]);
    assert_eq!(decoded.period, 1);
    assert_eq!(string(&decoded, decoded.default_sample_type), "delay");
    assert_eq!(decoded.time_nanos, 1_700_000_000_000_000_005);
    assert_eq!(decoded.duration_nanos, 1_500_000_000);
    assert!(decoded.comment.is_empty());
    assert_eq!((decoded.drop_frames, decoded.keep_frames, decoded.doc_url), (0, 0, 0));
}

#[test]
fn bytes_on_the_wire_are_the_published_field_numbers() {
    let mut profile = profile();
    profile.samples.clear();
    profile.mappings.clear();
    profile.start = UNIX_EPOCH + Duration::from_nanos(3);
    profile.duration = Duration::from_nanos(4);
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&encode(&profile)[..]), &mut plain).unwrap();
    let mut expected = vec![0x0a, 4, 0x08, 1, 0x10, 2, 0x0a, 4, 0x08, 3, 0x10, 4];
    expected.extend([0x32, 0]);
    for text in ["contentions", "count", "delay", "nanoseconds"] {
        expected.extend([0x32, text.len() as u8]);
        expected.extend(text.as_bytes());
    }
    expected.extend([0x48, 3, 0x50, 4, 0x5a, 4, 0x08, 1, 0x10, 2, 0x60, 1, 0x70, 3]);
    assert_eq!(plain, expected);
}

#[test]
fn identical_samples_are_summed_and_sorted_by_delay() {
    let decoded = round_trip(&profile());
    let values: Vec<_> = decoded.sample.iter().map(|sample| sample.value.clone()).collect();
    assert_eq!(values, [[3, 900], [7, 150]]);
}

#[test]
fn samples_with_other_labels_stay_apart_and_empty_ones_are_left_out() {
    let mut profile = profile();
    profile.samples = vec![
        sample(&[0], 1, 10, vec![text("kind", "mutex")]),
        sample(&[0], 1, 10, vec![text("kind", "condvar")]),
        sample(&[0], 0, 4, vec![text("phase", "run_queue")]),
        sample(&[1], 0, 0, vec![]),
    ];
    let decoded = round_trip(&profile);
    let kinds: Vec<_> = decoded.sample.iter().map(|s| string(&decoded, s.label[0].str)).collect();
    assert_eq!(kinds, ["condvar", "mutex", "run_queue"]);
    assert_eq!(decoded.sample[2].value, [0, 4]);
}

#[test]
fn ids_are_dense_and_strings_and_functions_are_written_once() {
    let decoded = round_trip(&profile());
    let dense = |ids: Vec<u64>| ids.iter().copied().eq(1..=ids.len() as u64);
    assert!(dense(decoded.mapping.iter().map(|m| m.id).collect()));
    assert!(dense(decoded.location.iter().map(|l| l.id).collect()));
    assert!(dense(decoded.function.iter().map(|f| f.id).collect()));
    assert_eq!(decoded.location.len(), 3, "locations of no sample are left out");
    let names: Vec<_> = decoded.function.iter().map(|f| string(&decoded, f.name)).collect();
    assert_eq!(names, ["pthread_mutex_unlock", "caller", "inlined"]);
    assert_eq!(decoded.string_table[0], "");
    let mut strings = decoded.string_table.clone();
    strings.sort();
    strings.dedup();
    assert_eq!(strings.len(), decoded.string_table.len());
}

#[test]
fn functions_of_one_name_in_two_files_are_two() {
    let mut profile = profile();
    profile.locations[2].lines[0].file = "/src/b.c".into();
    assert_eq!(round_trip(&profile).function.len(), 4);
}

#[test]
fn inlined_functions_come_innermost_first() {
    let decoded = round_trip(&profile());
    let location = decoded.location.iter().find(|l| l.address == 0x1010).unwrap();
    let lines: Vec<_> = location
        .line
        .iter()
        .map(|l| (string(&decoded, function(&decoded, l.function_id).name), l.line))
        .collect();
    assert_eq!(lines, [("inlined", 7), ("caller", 20)]);
    assert_eq!(location.mapping_id, 1);
}

#[test]
fn mappings_say_what_all_their_locations_have() {
    let flags = |profile: &Profile| -> Vec<[bool; 4]> {
        let decoded = round_trip(profile);
        let flags =
            |m: &proto::Mapping| [m.has_functions, m.has_filenames, m.has_line_numbers, m.has_inline_frames];
        decoded.mapping.iter().map(flags).collect()
    };
    let mut profile = profile();
    assert_eq!(flags(&profile), [[true; 4], [true, false, false, false], [false; 4]]);
    profile.samples.push(sample(&[3], 1, 1, vec![]));
    assert_eq!(flags(&profile)[1], [false; 4], "one location of libc has no name");
    profile.locations[1].lines[1].line = 0;
    assert_eq!(flags(&profile)[0], [true, true, false, true]);
}

#[test]
fn mapping_fields_are_kept() {
    let decoded = round_trip(&profile());
    let mapping = &decoded.mapping[0];
    assert_eq!((mapping.memory_start, mapping.memory_limit, mapping.file_offset), (0x1000, 0x2000, 0x200));
    assert_eq!(string(&decoded, mapping.filename), "/bin/server");
    assert_eq!(string(&decoded, mapping.build_id), "abcd");
    assert_eq!(decoded.mapping[1].build_id, 0);
}

#[test]
fn no_samples_make_a_valid_profile_with_its_mappings() {
    let mut profile = profile();
    profile.samples.clear();
    let decoded = round_trip(&profile);
    assert_eq!((decoded.sample.len(), decoded.location.len(), decoded.mapping.len()), (0, 0, 3));
}

#[test]
fn a_location_without_name_or_mapping_and_an_empty_stack_are_kept() {
    let mut profile = profile();
    profile.locations.push(location(0xdead, None, vec![]));
    profile.samples = vec![sample(&[5], 1, 2, vec![]), sample(&[], 1, 1, vec![])];
    let decoded = round_trip(&profile);
    assert_eq!(decoded.location[0].address, 0xdead);
    assert_eq!((decoded.location[0].mapping_id, decoded.location[0].line.len()), (0, 0));
    assert!(decoded.sample[1].location_id.is_empty());
}

#[test]
fn labels_are_texts_or_numbers() {
    let number = |key, value, unit| Label { key, value: LabelValue::Number(value, unit) };
    let labels = vec![
        text("comm", ""),
        text("kind", "mutex"),
        number("lock_address", 0x7f00, ""),
        number("size", -1, "bytes"),
    ];
    let mut profile = profile();
    profile.samples = vec![sample(&[0], 1, 1, labels)];
    let decoded = round_trip(&profile);
    let labels: Vec<_> = decoded.sample[0]
        .label
        .iter()
        .map(|l| (string(&decoded, l.key), string(&decoded, l.str), l.num, string(&decoded, l.num_unit)))
        .collect();
    let expected = [("kind", "mutex", 0, ""), ("lock_address", "", 0x7f00, ""), ("size", "", -1, "bytes")];
    assert_eq!(labels, expected, "an empty text is no label");
}

#[test]
fn output_does_not_depend_on_the_order_of_samples() {
    let mut profile = profile();
    profile.samples.push(sample(&[0, 4], 7, 150, vec![]));
    profile.samples.push(sample(&[0, 2], 7, 150, vec![]));
    let first = encode(&profile);
    profile.samples.reverse();
    assert!(first == encode(&profile));
    profile.samples.rotate_left(2);
    assert!(first == encode(&profile));
}

#[test]
fn values_beyond_the_format_are_its_largest() {
    let mut profile = profile();
    profile.samples = vec![sample(&[0], u64::MAX, u64::MAX, vec![]), sample(&[0], 1, 1, vec![])];
    profile.start = UNIX_EPOCH - Duration::from_secs(1);
    profile.duration = Duration::MAX;
    let decoded = round_trip(&profile);
    assert_eq!(decoded.sample[0].value, [i64::MAX; 2]);
    assert_eq!((decoded.time_nanos, decoded.duration_nanos), (0, i64::MAX));
}

#[test]
fn an_index_out_of_range_is_left_out() {
    let mut profile = profile();
    profile.locations[0].mapping = Some(77);
    profile.samples = vec![sample(&[0, 99], 1, 1, vec![])];
    let decoded = round_trip(&profile);
    assert_eq!(decoded.sample[0].location_id, [1]);
    assert_eq!(decoded.location[0].mapping_id, 0);
}

#[test]
fn plain_profiles_are_read_too() {
    let decoded = round_trip(&profile());
    assert_eq!(decode(&decoded.encode_to_vec()).unwrap(), decoded);
}

#[test]
fn unpacking_stops_at_the_limit() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![0; 10 << 20]).unwrap();
    let bomb = gzip.finish().unwrap();
    assert!(bomb.len() < 20_000);
    assert!(matches!(decode_bounded(&bomb, 1 << 20), Err(DecodeError::TooLarge(_))));
    assert!(matches!(decode_bounded(&[0; 11], 10), Err(DecodeError::TooLarge(10))));
}

#[test]
fn damaged_bytes_are_refused() {
    let good = encode(&profile());
    assert!(matches!(decode(&good[..good.len() - 9]), Err(DecodeError::Gzip(_))));
    let mut trailing = good.clone();
    trailing.extend(b"junk");
    assert!(matches!(decode(&trailing), Err(DecodeError::Gzip(_))));
    assert!(matches!(decode(b"not a profile"), Err(DecodeError::Message(_))));
    assert!(matches!(decode(b""), Err(DecodeError::Malformed(_))));
    // No cut or flipped byte may do worse than an error.
    let plain = round_trip(&profile()).encode_to_vec();
    for at in 0..plain.len() {
        let mut flipped = plain.clone();
        flipped[at] ^= 0x81;
        drop(decode(&flipped));
        drop(decode(&plain[..at]));
    }
}

#[test]
fn contradictions_are_refused() {
    let refused = |change: fn(&mut proto::Profile)| {
        let mut message = round_trip(&profile());
        change(&mut message);
        matches!(decode(&message.encode_to_vec()), Err(DecodeError::Malformed(_)))
    };
    assert!(!refused(|_| ()));
    assert!(refused(|p| p.string_table[0] = "x".into()));
    assert!(refused(|p| p.default_sample_type = -1));
    assert!(refused(|p| p.sample[0].label[0].key = 1 << 40));
    assert!(refused(|p| p.location[1].id = p.location[0].id));
    assert!(refused(|p| p.function[0].id = 0));
    assert!(refused(|p| p.location[0].mapping_id = 9));
    assert!(refused(|p| p.location[0].line[0].function_id = 0));
    assert!(refused(|p| p.sample[0].value.push(1)));
    assert!(refused(|p| p.sample[0].location_id[0] = 9));
}
