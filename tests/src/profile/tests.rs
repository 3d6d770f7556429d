use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;

use super::{Profile, is_whole, pprof, proto};

fn strings() -> Vec<String> {
    [
        "",
        "contentions",
        "count",
        "delay",
        "nanoseconds",
        "inner",
        "outer",
        "kind",
        "mutex",
        "lock_address",
        "a.c",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// One stack, inlined `inner` in `outer`, with 3 contentions and 500 ns.
fn example() -> proto::Profile {
    let value = |r#type, unit| proto::ValueType { r#type, unit };
    let line = |function_id, line| proto::Line { function_id, line };
    let function = |id, name| proto::Function { id, name, filename: 10 };
    let labels = vec![proto::Label { key: 7, str: 8, num: 0 }, proto::Label { key: 9, str: 0, num: 4096 }];
    proto::Profile {
        sample_type: vec![value(1, 2), value(3, 4)],
        sample: vec![proto::Sample { location_id: vec![1], value: vec![3, 500], label: labels }],
        location: vec![proto::Location {
            id: 1,
            mapping_id: 0,
            address: 64,
            line: vec![line(1, 7), line(2, 9)],
        }],
        function: vec![function(1, 5), function(2, 6)],
        string_table: strings(),
        time_nanos: 1_700_000_000_000_000_000,
        duration_nanos: 1_000_000_000,
        period_type: Some(value(1, 2)),
        period: 1,
        default_sample_type: 3,
        ..proto::Profile::default()
    }
}

fn written(profile: &proto::Profile) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("create a file");
    let mut zip = GzEncoder::new(file.reopen().expect("open it again"), Compression::default());
    zip.write_all(&profile.encode_to_vec()).expect("write the profile");
    zip.finish().expect("finish the profile");
    file
}

#[test]
fn numbers_names_and_labels() {
    let profile = Profile::read(written(&example()).path());
    assert_eq!((profile.contentions(), profile.delay()), (3, 500));
    assert_eq!(profile.samples[0].functions, ["inner", "outer"]);
    assert_eq!(profile.labelled("kind", "mutex").delay(), 500);
    assert_eq!(profile.labelled("lock_address", "4096").delay(), 500);
    assert_eq!((profile.with("outer").delay(), profile.with("none").delay()), (500, 0));
}

#[test]
#[should_panic(expected = "an address is zero")]
fn shape_is_checked() {
    let mut profile = example();
    profile.location[0].address = 0;
    let _ = Profile::read(written(&profile).path());
}

#[test]
fn pprof_agrees() {
    let file = written(&example());
    let path = file.path().display().to_string();
    let raw = pprof(["-raw", &path]);
    assert!(raw.contains("contentions/count delay/nanoseconds[dflt]"), "{raw}");
    assert!(raw.contains("inner") && raw.contains("500"), "{raw}");
    let rest = pprof(["-raw", &format!("-base={path}"), &path]);
    assert!(!rest.contains("500"), "{rest}");
}

#[test]
fn half_a_file_is_seen() {
    let file = written(&example());
    assert!(is_whole(file.path()));
    let length = file.as_file().metadata().expect("its length").len();
    file.as_file().set_len(length / 2).expect("cut it");
    assert!(!is_whole(file.path()));
}
