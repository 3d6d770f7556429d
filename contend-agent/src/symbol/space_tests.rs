#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::super::test_program::{Running, c};
use super::*;

fn spaces() -> AddressSpaces {
    AddressSpaces::new(Bounds::default())
}

#[test]
fn a_place_has_the_mapping_of_its_file_and_the_linkers_build_id() {
    let directory = tempfile::tempdir().unwrap();
    let id = "0123456789abcdef0123456789abcdef01234567";
    let program = c(directory.path(), &[&format!("-Wl,--build-id=0x{id}")]);
    let running = Running::start(&program);
    let mut spaces = spaces();
    let places = spaces.place(running.key, &[running.address, 8]);
    assert_eq!((places[0].address, places[1].address, places[1].mapping), (running.address, 8, None));
    let mapping = spaces.mapping(places[0].mapping.unwrap()).unwrap().clone();
    assert!((mapping.start..mapping.limit).contains(&running.address));
    assert_eq!(*mapping.path, *program.to_str().unwrap());
    assert_eq!(spaces.build_id(mapping.file.unwrap()), id);
    assert_eq!(spaces.counters().unplaced, 1);
}

#[test]
fn an_ended_process_keeps_its_places_and_forgetting_closes_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let program = c(directory.path(), &[]);
    let mut running = Running::start(&program);
    let mut spaces = spaces();
    spaces.observe(running.key);
    assert!(spaces.open_files() >= 2, "the program and libc");
    running.end();
    std::fs::remove_file(&program).unwrap();
    let place = spaces.place(running.key, &[running.address])[0];
    assert_eq!(*spaces.mapping(place.mapping.unwrap()).unwrap().path, *program.to_str().unwrap());
    spaces.forget(running.key);
    assert_eq!((spaces.open_files(), spaces.mappings.len()), (0, 0));
    assert!(spaces.mapping(place.mapping.unwrap()).is_none());
}

#[test]
fn a_file_deleted_before_it_was_seen_is_still_opened() {
    let directory = tempfile::tempdir().unwrap();
    let program = c(directory.path(), &[]);
    let running = Running::start(&program);
    std::fs::remove_file(&program).unwrap();
    let mut spaces = spaces();
    let place = spaces.place(running.key, &[running.address])[0];
    assert!(spaces.mapping(place.mapping.unwrap()).unwrap().file.is_some());
}

#[test]
fn a_later_process_with_the_same_id_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(&c(directory.path(), &[]));
    let earlier = ProcessKey { start_ticks: running.key.start_ticks.wrapping_sub(1), ..running.key };
    let mut spaces = spaces();
    assert_eq!(spaces.place(earlier, &[running.address])[0].mapping, None);
    assert_eq!((spaces.counters().unreadable, spaces.open_files()), (1, 0));
}

#[test]
fn garbage_makes_it_read_again_only_after_the_interval() {
    let key = crate::target::identify(std::process::id()).unwrap().key;
    let mut spaces = spaces();
    let start = Instant::now();
    for millis in [0, 1, 49, 50, 60, 99, 100] {
        spaces.place_at(key, &[8], start + Duration::from_millis(millis));
    }
    assert_eq!(spaces.counters().reads, 3);
}

#[test]
fn reading_again_keeps_ids() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(&c(directory.path(), &[]));
    let mut spaces = spaces();
    let start = Instant::now();
    let first = spaces.place_at(running.key, &[running.address], start);
    let (mappings, files) = (spaces.mappings.len(), spaces.open_files());
    let second = spaces.place_at(running.key, &[running.address, 8], start + READ_INTERVAL);
    assert_eq!((spaces.counters().reads, first[0]), (2, second[0]));
    assert_eq!((spaces.mappings.len(), spaces.open_files()), (mappings, files));
}

#[test]
fn two_processes_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let program = c(directory.path(), &[]);
    let (one, two) = (Running::start(&program), Running::start(&program));
    let mut spaces = spaces();
    let file = |spaces: &mut AddressSpaces, running: &Running| {
        let place = spaces.place(running.key, &[running.address])[0];
        spaces.mapping(place.mapping.unwrap()).unwrap().file.unwrap()
    };
    let first = file(&mut spaces, &one);
    let open = spaces.open_files();
    assert_eq!(file(&mut spaces, &two), first);
    assert_eq!(spaces.open_files(), open);
    spaces.forget(one.key);
    assert_eq!(spaces.open_files(), open, "the other process still has them");
}

#[test]
fn exec_keeps_only_what_was_placed() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(&c(directory.path(), &[]));
    let mut spaces = spaces();
    let place = spaces.place(running.key, &[running.address])[0];
    spaces.exec(running.key);
    assert_eq!(spaces.mappings.len(), 1);
    assert!(spaces.mapping(place.mapping.unwrap()).is_some());
    let again = spaces.place(running.key, &[running.address])[0];
    assert_ne!(again.mapping, place.mapping);
    assert_eq!(spaces.counters().reads, 2);
}

#[test]
fn bounds_hold_and_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let program = c(directory.path(), &[]);
    let (one, two) = (Running::start(&program), Running::start(&program));
    let mut spaces =
        AddressSpaces::new(Bounds { processes: 1, files: 1, mappings: 2, mappings_per_process: 2 });
    let place = spaces.place(one.key, &[one.address])[0];
    assert!(place.mapping.is_some(), "the program is mapped first");
    assert_eq!(spaces.place(two.key, &[two.address])[0].mapping, None);
    let counters = spaces.counters();
    assert_eq!((counters.processes_refused, counters.files_refused, spaces.open_files()), (1, 1, 1));
    assert!(counters.mappings_refused >= 1);
    assert_eq!(spaces.mappings.len(), 2);
}

#[test]
fn a_process_whose_first_thread_has_ended_is_read_through_another() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("a.c");
    let text = "#include <pthread.h>\n#include <stdio.h>\n\
        static void *rest(void *p) { getchar(); return p; }\n\
        int main(void) { pthread_t t; pthread_create(&t, 0, rest, 0); pthread_exit(0); }\n";
    std::fs::write(&source, text).unwrap();
    let program = directory.path().join("a");
    let mut compiler = std::process::Command::new("cc");
    assert!(compiler.arg("-pthread").arg("-o").args([&program, &source]).status().unwrap().success());
    let mut child = std::process::Command::new(&program).stdin(std::process::Stdio::piped()).spawn().unwrap();
    while ProcessDirectory::open(child.id()).unwrap().stat().unwrap().state != b'Z' {
        std::thread::yield_now();
    }
    let key = crate::target::resolve(child.id().into()).unwrap().key;
    let mut spaces = spaces();
    spaces.observe(key);
    assert!(spaces.mappings.values().any(|mapping| *mapping.path == *program.to_str().unwrap()));
    drop(child.stdin.take());
    child.wait().unwrap();
}
