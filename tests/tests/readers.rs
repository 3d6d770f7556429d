//! `go tool pprof` reads every profile and shows the functions that waited and released.

use std::path::Path;

use contend_tests::agent::{Finished, profile_command};
use contend_tests::profile::pprof;
use contend_tests::requirements::alone;

fn run() -> (Finished, u32) {
    let run = profile_command(&[], "blame", &["60"]);
    let pid = run.truth().pid;
    (run, pid)
}

#[track_caller]
fn shows(arguments: &[&str], file: &Path, expected: &str) {
    let output = pprof(arguments.iter().map(Path::new).chain([file]));
    assert!(
        output.contains(expected),
        "no {expected:?} in pprof {arguments:?} of {}:\n{output}",
        file.display()
    );
}

#[test]
fn pprof_shows_the_functions() {
    let _alone = alone();
    let (run, pid) = run();
    for (kind, function) in [("mutex", "hold_five_ms"), ("block", "waiter_take_lock")] {
        let file = run.path(pid, kind).unwrap_or_else(|| panic!("no {kind} profile in {:?}", run.files()));
        for option in ["-raw", "-top", "-traces", "-tree", "-peek=.", "-tags"] {
            let expected = if option == "-tags" { "kind" } else { function };
            shows(&[option], &file, expected);
        }
        shows(&["-raw"], &file, "contentions/count delay/nanoseconds");
        shows(&["-top", "-sample_index=contentions", "-cum"], &file, function);
        shows(&["-top", "-lines"], &file, "blame.c:");
        shows(&["-top"], &file, "Type: delay");
        shows(&[&format!("-list={function}")], &file, function);
    }
}

#[test]
fn pprof_subtracts() {
    let _alone = alone();
    let (run, pid) = run();
    let file = run.path(pid, "block").expect("a block profile");
    let block = run.block(pid).only(|s| s.delay > 1_000_000);
    assert!(!block.samples.is_empty(), "no sample to subtract");
    // A profile less itself is nothing: what a continuous profiler computes between two scrapes.
    let subtracted = |report: &str, option: &str| {
        let base = format!("{option}={}", file.display());
        pprof([report, &base].iter().map(Path::new).chain([file.as_path()]))
    };
    let raw = subtracted("-raw", "-base");
    for sample in &block.samples {
        assert!(!raw.contains(&sample.delay.to_string()), "{} ns are left:\n{raw}", sample.delay);
    }
    for option in ["-base", "-diff_base"] {
        let top = subtracted("-top", option);
        assert!(top.contains("Showing nodes accounting for 0, 0%"), "{option} leaves something:\n{top}");
    }
}

#[test]
fn pprof_merges_two_runs() {
    let _alone = alone();
    let ((first, a), (second, b)) = (run(), run());
    let files = [first.path(a, "block").expect("first"), second.path(b, "block").expect("second")];
    let output = pprof([Path::new("-top")].into_iter().chain(files.iter().map(AsRef::as_ref)));
    assert!(output.contains("waiter_take_lock"), "{output}");
}

#[test]
fn labels_select() {
    let _alone = alone();
    let (run, pid) = run();
    let file = run.path(pid, "block").expect("a block profile");
    shows(&["-top", "-tagfocus=thread=waiter"], &file, "waiter_take_lock");
    let block = run.block(pid);
    assert!(block.samples.iter().all(|s| s.labels.contains_key("kind")), "{}", block.stacks());
    let waits = block.with("waiter_take_lock");
    assert!(waits.samples.iter().all(|s| s.labels["thread"] == "waiter"), "{}", waits.stacks());
}

#[test]
fn the_summary_says_what_to_do_next() {
    let _alone = alone();
    let (run, pid) = run();
    assert!(run.stdout.contains("go tool pprof"), "{}", run.stdout);
    for kind in ["mutex", "block"] {
        let file = run.path(pid, kind).expect("a profile");
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(name, format!("blame-{pid}.{kind}.pb.gz"));
        assert!(run.stdout.contains(&name), "no {name} in the summary:\n{}", run.stdout);
    }
    assert!(run.stdout.contains("hold_five_ms"), "{}", run.stdout);
    assert_eq!(run.files().len(), 2, "nothing but the two profiles: {:?}", run.files());
}
