use std::time::UNIX_EPOCH;

use contend_ebpf::record::ProcessKey;
use contend_ebpf::rule::Reason;

use super::*;
use crate::profile::model::{Label, LabelValue, Line, Location, Mapping, ProfileKind, Sample};

fn process(comm: &str, tgid: u32) -> ProcessIdentity {
    ProcessIdentity { key: ProcessKey { tgid, start_ticks: 1 }, comm: comm.into() }
}

fn named(address: u64, function: &str, file: &str, line: u32) -> Location {
    let line = Line { function: function.into(), file: file.into(), line };
    Location { address, mapping: None, lines: vec![line] }
}

fn sample(stack: &[usize], contentions: u64, delay_ms: u64, labels: &[&'static str]) -> Sample {
    let label = |key: &&'static str| Label { key, value: LabelValue::Text("true".into()) };
    Sample {
        stack: stack.to_vec(),
        contentions,
        delay: delay_ms * 1_000_000,
        labels: labels.iter().map(label).collect(),
    }
}

fn profile(kind: ProfileKind, samples: Vec<Sample>) -> Profile {
    let libc = Mapping {
        start: 0x7000,
        limit: 0x9000,
        file_offset: 0x200,
        file: "/lib/libc.so.6".into(),
        build_id: String::new(),
    };
    Profile {
        kind,
        start: UNIX_EPOCH,
        duration: Duration::from_secs(30),
        mappings: vec![libc],
        locations: vec![
            Location { address: 0x8034, mapping: Some(0), lines: vec![] },
            named(1, "pthread_mutex_unlock", "", 0),
            named(2, "store_put", "/src/app/store.c", 120),
            named(3, "main", "/src/app/main.c", 0),
            Location { address: 0xabcd, mapping: None, lines: vec![] },
        ],
        samples,
    }
}

const TOTALS: Totals = Totals {
    waits: 12_345,
    delay: 41_200_000_000,
    run_queue: 1_195_000_000,
    paired: 12_185,
    releases: 9_876,
    charged: 38_000_000_000,
};

const NOTHING: Summary<'_> = Summary {
    elapsed: Duration::from_secs(30),
    processes: &[],
    still_waiting: 0,
    uncharged: 0,
    stacks: &[],
    lost: &[],
    mutex_fraction: 1,
    block_rate: 1,
    notes: &[],
};

fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert_eq!(line.trim_end(), line);
    }
    assert!(text.ends_with('\n') && !text.contains("\n\n\n"));
}

#[test]
fn one_process() {
    let server = process("server", 1234);
    let mutex = profile(
        ProfileKind::Mutex,
        vec![sample(&[1, 2, 3], 100, 9_500, &["kind"]), sample(&[1, 3], 50, 500, &["kind"])],
    );
    let block = profile(
        ProfileKind::Block,
        vec![
            sample(&[0, 2, 3], 100, 4_000, &["kind"]),
            sample(&[0, 2, 3], 100, 4_000, &["lock"]),
            sample(&[0, 3], 7, 30_000, &["idle", "kind"]),
            sample(&[], 1, 2_000, &[]),
        ],
    );
    let files = ["./server-1234.mutex.pb.gz", "./server-1234.block.pb.gz"].map(PathBuf::from);
    let processes = [Recorded {
        process: &server,
        totals: TOTALS,
        mutex: Some(&mutex),
        block: Some(&block),
        files: &files,
    }];
    let summary = Summary {
        processes: &processes,
        still_waiting: 3,
        stacks: &[
            (None, 995),
            (Some(Reason::NoTable), 4),
            (Some(Reason::Depth), 1),
            (Some(Reason::NoRow), 0),
        ],
        lost: &[(Lost::RingFull, 0), (Lost::StackUnreadable, 12)],
        ..NOTHING
    };
    let expected = "\
server (pid 1234), recorded for 30s

  waits     12345, 41.2s delay in all, mean 3.34ms
  run queue 1.2s from wake to run, 2.9% of the delay
  paired    98.7% of the waits: the thread that ended them is known
  releases  9876 found waiters, charged with 38s
  waiting   3 threads still waiting at the end, not included
  stacks    99.5% of 1000 complete; cut short: 4 no_table, 1 depth
  sampling  every release; every wait

Mutex profile: releases that made others wait, 10s delay in 150 contentions
     delay   share contentions      mean  stack, the innermost function first
      9.5s   95.0%         100      95ms  pthread_mutex_unlock
                                          store_put store.c:120
                                          main main.c
     500ms    5.0%          50      10ms  pthread_mutex_unlock
                                          main main.c

Block profile: waits, 10s delay in 201 contentions
     delay   share contentions      mean  stack, the innermost function first
        8s   80.0%         200      40ms  [libc.so.6]+0x1234
                                          store_put store.c:120
                                          main main.c
        2s   20.0%           1        2s  (no stack)
  Idle, hidden: 30s delay in 1 stack, 75.0% of all. The file has them, labelled idle.

Lost
        12  stack_unreadable
            samples without a stack

Files
  ./server-1234.mutex.pb.gz
  ./server-1234.block.pb.gz

Open them with
  go tool pprof -top ./server-1234.mutex.pb.gz
  go tool pprof -top ./server-1234.block.pb.gz
  go tool pprof -http=: ./server-1234.mutex.pb.gz
  go tool pprof -http=: ./server-1234.block.pb.gz
";
    let text = render(&summary);
    assert_eq!(text, expected, "\n{text}");
    assert_fits(&text);
}

#[test]
fn many_processes() {
    let identities: Vec<_> = (0..12).map(|n| process(&format!("worker{n}"), 100 + n)).collect();
    let block: Vec<_> =
        (0..12).map(|n| profile(ProfileKind::Block, vec![sample(&[0, 2], 10, 10 * (n + 1), &[])])).collect();
    let paths = [PathBuf::from("/out dir/worker11-111.block.pb.gz")];
    let processes: Vec<_> = (0..12)
        .map(|n| Recorded {
            process: &identities[n],
            totals: Totals { waits: 10, delay: 10_000_000 * (n as u64 + 1), ..Totals::default() },
            mutex: None,
            block: Some(&block[n]),
            files: if n == 11 { &paths } else { &[] },
        })
        .collect();
    let summary = Summary { processes: &processes, mutex_fraction: 0, block_rate: 10_000, ..NOTHING };
    let text = render(&summary);
    assert_fits(&text);
    assert!(text.starts_with("12 processes, recorded for 30s\n"), "{text}");
    for expected in [
        "  sampling  no release (off); waits from 10us on, shorter ones in proportion\n",
        "\
Processes by delay
     delay   share       waits      mean  process
     120ms   15.4%          10      12ms  worker11 (pid 111)
     110ms   14.1%          10      11ms  worker10 (pid 110)
",
        "\
      30ms    3.8%          10       3ms  worker2 (pid 102)
                                          and 2 more processes, 30ms delay

Mutex profile: off

Block profile: waits, 780ms delay in 120 contentions
     delay   share contentions      mean  stack, the innermost function first
     120ms   15.4%          10      12ms  worker11 (pid 111)
                                          [libc.so.6]+0x1234
                                          store_put store.c:120
",
        "                                          and 7 more stacks, 280ms delay\n",
        "\nFiles\n  '/out dir/worker11-111.block.pb.gz'\n",
        "  go tool pprof -http=: '/out dir/worker11-111.block.pb.gz'\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn nothing_recorded_says_what_to_check() {
    let server = process("server", 1234);
    let processes =
        [Recorded { process: &server, totals: Totals::default(), mutex: None, block: None, files: &[] }];
    let text = render(&Summary { processes: &processes, still_waiting: 1, ..NOTHING });
    assert_fits(&text);
    for expected in [
        "server (pid 1234), recorded for 30s\n\nNothing recorded: ",
        "Did it have to wait at all?",
        "Is it the right pid",
        "Only futex waits are seen",
        "Waits that have not ended are not included",
        "    Here: 1 thread still waiting at the end, not included.\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("profiles are off") && !text.contains("Files"), "{text}");
    let off = render(&Summary { mutex_fraction: 0, block_rate: 0, ..NOTHING });
    assert!(off.starts_with("no process, recorded for 30s\n") && off.contains("profiles are off"));
}

#[test]
fn waits_without_samples_keep_their_totals() {
    let server = process("server", 1);
    let (mutex, block) = (profile(ProfileKind::Mutex, vec![]), profile(ProfileKind::Block, vec![]));
    let processes =
        [Recorded { process: &server, totals: TOTALS, mutex: Some(&mutex), block: Some(&block), files: &[] }];
    let summary = Summary { processes: &processes, mutex_fraction: 100, block_rate: 1_000_000, ..NOTHING };
    let text = render(&summary);
    assert!(text.contains("  waits     12345, "), "{text}");
    assert!(text.contains("1 in 100 releases; waits from 1ms on"), "{text}");
    assert!(text.contains("\nMutex profile: releases that made others wait, none sampled\n"), "{text}");
    assert!(text.contains("\nBlock profile: waits, none sampled\n"), "{text}");
}

#[test]
fn long_and_hostile_names_fit() {
    let server = process("evil\x1b[2J\nname", u32::MAX);
    let mut block = profile(ProfileKind::Block, vec![]);
    block.locations = (1..=20)
        .map(|n| named(n, &format!("app::{}\x1b::run{n}", "x".repeat(90)), &"long".repeat(30), 123_456))
        .collect();
    block.mappings[0].file = "m".repeat(300);
    block.locations[1] = Location { address: u64::MAX, mapping: Some(0), lines: vec![] };
    block.locations[2] = Location { address: 0xabcd, mapping: Some(9), lines: vec![] };
    block.samples = vec![sample(&(0..20).collect::<Vec<_>>(), 1, 1, &[]), sample(&[99], 1, 1, &[])];
    let recorded =
        Recorded { process: &server, totals: TOTALS, mutex: None, block: Some(&block), files: &[] };
    let processes = [recorded.clone(), recorded];
    let text = render(&Summary { processes: &processes, ..NOTHING });
    assert_fits(&text);
    assert!(!text.contains('\x1b'), "{text}");
    assert!(text.contains("\n                                          … 12 more\n"), "{text}");
    assert!(text.contains("  0xabcd\n"), "{text}");
}

#[test]
fn every_reason_of_loss_is_shown_within_the_width() {
    let lost = Lost::ALL.map(|reason| (reason, 1_234_567));
    let text = render(&Summary { lost: &lost, ..NOTHING });
    assert_fits(&text);
    for reason in Lost::ALL {
        assert!(text.contains(reason.name()) && text.contains(reason.meaning()), "{text}");
    }
    assert!(!render(&NOTHING).contains("Lost"));
}

#[test]
fn paths_are_words_for_the_shell() {
    for (path, expected) in [
        ("./a-1.mutex.pb.gz", "./a-1.mutex.pb.gz"),
        ("./Web Content-1", "'./Web Content-1'"),
        ("./it's", r"'./it'\''s'"),
        ("./$(rm)", "'./$(rm)'"),
        ("-x", "'-x'"),
        ("./a\nb", "'./a?b'"),
    ] {
        assert_eq!(shell_word(Path::new(path)), expected);
    }
}
