#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::PathBuf;

use super::super::location::LocationTable;
use super::super::space::Bounds;
use super::super::test_program::{Running, c, rust};
use super::*;

/// What the program's printed address resolves to when the process and its file are gone.
fn resolve_after_the_end(program: PathBuf) -> Vec<Line> {
    let mut running = Running::start(&program);
    let mut spaces = AddressSpaces::new(Bounds::default());
    let places = spaces.place(running.key, &[running.address]);
    running.end();
    std::fs::remove_file(&program).unwrap();
    let mut names = Names::default();
    let lines = names.locations(&mut spaces, &places).remove(0);
    assert_eq!(names.locations(&mut spaces, &places), std::slice::from_ref(&lines));
    lines
}

fn described(lines: &[Line]) -> Vec<(&str, &str, u32)> {
    lines.iter().map(|line| (&*line.function, line.file.rsplit('/').next().unwrap(), line.line)).collect()
}

#[test]
fn c_with_debug_information() {
    let directory = tempfile::tempdir().unwrap();
    let lines = resolve_after_the_end(c(directory.path(), &["-g"]));
    assert_eq!(described(&lines), [("inner", "program.c", 4), ("outer", "program.c", 7)]);
}

#[test]
fn rust_with_debug_information() {
    let directory = tempfile::tempdir().unwrap();
    let lines = resolve_after_the_end(rust(directory.path()));
    let lines = described(&lines);
    assert!(lines[0].0.ends_with("inner") && lines[1].0.ends_with("deep::outer"), "{lines:?}");
    assert_eq!((lines.len(), lines[0].2, lines[1].2, lines[1].1), (2, 4, 10, "program.rs"));
}

#[test]
fn without_debug_information_the_symbol_table_names_the_function() {
    let directory = tempfile::tempdir().unwrap();
    let lines = resolve_after_the_end(c(directory.path(), &[]));
    assert_eq!(described(&lines), [("outer", "", 0)]);
}

#[test]
fn stripped_only_exported_functions_have_names() {
    let directory = tempfile::tempdir().unwrap();
    let lines = resolve_after_the_end(c(directory.path(), &["-s", "-rdynamic"]));
    assert_eq!(described(&lines), [("outer", "", 0)]);
    let other = tempfile::tempdir().unwrap();
    assert_eq!(resolve_after_the_end(c(other.path(), &["-s"])), []);
}

#[test]
fn the_vdso_has_its_own_name_and_garbage_none() {
    let key = crate::target::identify(std::process::id()).unwrap().key;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let vdso = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let start = u64::from_str_radix(vdso.split('-').next().unwrap(), 16).unwrap();
    let mut spaces = AddressSpaces::new(Bounds::default());
    let places = spaces.place(key, &[start + 16, 8]);
    let mut names = Names::default();
    let lines = names.locations(&mut spaces, &places);
    assert_eq!(described(&lines[0]), [("[vdso]", "", 0)]);
    assert_eq!(lines[1], []);
    assert_eq!(names.counters(), NameCounters { named: 1, without_file: 1, ..NameCounters::default() });
}

#[test]
fn broken_files_have_no_names_and_end_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let program = c(directory.path(), &["-g"]);
    let whole = std::fs::read(&program).unwrap();
    let file = directory.path().join("broken");
    assert!(symbolize(&program, &[0x1100]).is_some());
    for length in [0, 3, 4, 16, 63, 64, 65, 200, 5_000, whole.len() - 1_000] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let _ = symbolize(&file, &[0x1100, u64::MAX]);
        let _ = super::super::build_id::read(&std::fs::File::open(&file).unwrap());
    }
    // Every byte of the headers, set to values that overflow offsets and counts.
    for at in 0..64 + 13 * 56 {
        let mut bytes = whole.clone();
        bytes[at] = 0xff;
        std::fs::write(&file, &bytes).unwrap();
        let _ = super::super::build_id::read(&std::fs::File::open(&file).unwrap());
        if at % 8 == 0 {
            let _ = symbolize(&file, &[0x1100]);
        }
    }
}

#[test]
fn a_profile_has_each_location_and_mapping_once() {
    let directory = tempfile::tempdir().unwrap();
    let program = c(directory.path(), &["-g"]);
    let running = Running::start(&program);
    let mut spaces = AddressSpaces::new(Bounds::default());
    let places = spaces.place(running.key, &[running.address, running.address + 1, running.address, 0, 8]);
    let mut table = LocationTable::new();
    let indexes: Vec<_> = places.iter().map(|&place| table.index(&spaces, place)).collect();
    assert_eq!(indexes, [Some(0), Some(1), Some(0), None, Some(2)]);
    // The program starts anew: same address, same file, other mapping ids.
    spaces.exec(running.key);
    let again = spaces.place(running.key, &[running.address])[0];
    assert_ne!(again, places[0]);
    assert_eq!(table.index(&spaces, again), Some(0));
    let (mappings, locations) = table.finish(&mut Names::default(), &mut spaces);
    assert_eq!(mappings.len(), 1);
    assert_eq!(mappings[0].file, program.to_str().unwrap());
    let shape: Vec<_> = locations.iter().map(|it| (it.address, it.mapping)).collect();
    assert_eq!(shape, [(running.address, Some(0)), (running.address + 1, Some(0)), (8, None)]);
    assert_eq!(described(&locations[0].lines), [("inner", "program.c", 4), ("outer", "program.c", 7)]);
}

#[test]
fn symbols_are_not_kept_open() {
    let directory = tempfile::tempdir().unwrap();
    let program = c(directory.path(), &["-g"]);
    let running = Running::start(&program);
    let mut spaces = AddressSpaces::new(Bounds::default());
    let places = spaces.place(running.key, &[running.address]);
    let mut names = Names::default();
    assert_eq!(names.locations(&mut spaces, &places)[0].len(), 2);
    let mapped = || std::fs::read_to_string("/proc/self/maps").unwrap().contains(program.to_str().unwrap());
    assert!(!mapped(), "the symbolizer's own mapping of the file is gone");
    spaces.forget(running.key);
    let kept = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|it| std::fs::read_link(it.path()).ok());
    assert_eq!(kept.filter(|path| *path == program).count(), 0);
}
