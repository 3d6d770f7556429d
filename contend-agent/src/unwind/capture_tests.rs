//! Whole stacks against framehop: thousands, captured by a program without frame pointers.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::ops::Range;
use std::process::Command;

use contend_ebpf::rule::{Reason, Registers, Rule, apply};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, Module, Unwinder as _};
use object::{Object as _, ObjectSection as _};

use super::{Table, build};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/unwind/capture_program.c");

struct Capture {
    registers: Registers,
    stack: Vec<u8>,
}

impl Capture {
    fn read(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.registers.sp)?).ok()?;
        let bytes = self.stack.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// An executable mapping and what unwinds it.
struct Mapping {
    range: Range<u64>,
    /// What is added to an address of the process to get the table's.
    bias: i64,
    path: String,
    bytes: Vec<u8>,
    table: Table,
}

fn run(flags: &[&str]) -> (Vec<Capture>, Vec<Mapping>) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("capture");
    let compiled =
        Command::new("cc").args(["-O2", "-Wall"]).args(flags).arg("-o").arg(&program).arg(PROGRAM).status();
    assert!(compiled.unwrap().success());
    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success());
    let mut rest = &output.stdout[..];
    let mut captures = Vec::new();
    loop {
        let [pc, sp, fp, length] =
            [0, 8, 16, 24].map(|at| u64::from_le_bytes(rest[at..at + 8].try_into().unwrap()));
        let stack = rest[32..32 + length as usize].to_vec();
        rest = &rest[32 + length as usize..];
        if pc == 0 {
            break;
        }
        captures.push(Capture { registers: Registers { pc, sp, fp, exact: true }, stack });
    }
    let maps = String::from_utf8(rest.to_vec()).unwrap();
    (captures, maps.lines().filter_map(mapping).collect())
}

fn mapping(line: &str) -> Option<Mapping> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [range, permissions, offset, _, _, path] = fields[..] else { return None };
    if !permissions.contains('x') || !path.starts_with('/') {
        return None;
    }
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let (start, end) = range.split_once('-').unwrap();
    let (start, end) = (hex(start), hex(end));
    let bytes = std::fs::read(path).unwrap();
    let table = build(&*bytes).unwrap();
    let bias = table.address_of(hex(offset)).unwrap().wrapping_sub(start as i64);
    Some(Mapping { range: start..end, bias, path: path.to_owned(), bytes, table })
}

fn by_tables(capture: &Capture, mappings: &[Mapping]) -> (Vec<Registers>, Result<(), Reason>) {
    let mut at = capture.registers;
    let mut frames = vec![at];
    loop {
        let pc = at.lookup_pc();
        let Some(mapping) = mappings.iter().find(|mapping| mapping.range.contains(&pc)) else {
            return (frames, Err(Reason::NoMapping));
        };
        let rule: Rule = mapping.table.rule_at(pc.wrapping_add(mapping.bias as u64) as u32);
        match apply(&rule, &at, |address| capture.read(address)) {
            Ok(Some(next)) => at = next,
            Ok(None) => return (frames, Ok(())),
            Err(reason) => return (frames, Err(reason)),
        }
        frames.push(at);
    }
}

fn module(mapping: &Mapping) -> Module<Vec<u8>> {
    let file = object::File::parse(&*mapping.bytes).unwrap();
    let range = |name| {
        file.section_by_name(name).map(|section| section.address()..section.address() + section.size())
    };
    let data = |name| file.section_by_name(name).map(|section| section.data().unwrap().to_vec());
    // Addresses of sections count from 0, as the table's do from its lowest segment.
    let base = mapping.table.code.lowest.wrapping_sub(mapping.bias as u64);
    let sections = ExplicitModuleSectionInfo {
        base_svma: mapping.table.code.lowest,
        text_svma: range(".text"),
        text: data(".text"),
        got_svma: range(".got"),
        eh_frame_svma: range(".eh_frame"),
        eh_frame: data(".eh_frame"),
        eh_frame_hdr_svma: range(".eh_frame_hdr"),
        eh_frame_hdr: data(".eh_frame_hdr"),
        ..ExplicitModuleSectionInfo::default()
    };
    let base = base.wrapping_sub(mapping.table.code.lowest);
    Module::new(mapping.path.clone(), mapping.range.clone(), base, sections)
}

/// framehop's frames from `at` on, and whether it came to an end that it knows.
fn by_framehop(
    capture: &Capture,
    at: &Registers,
    unwinder: &UnwinderX86_64<Vec<u8>>,
    cache: &mut CacheX86_64,
) -> (Vec<u64>, bool) {
    let Registers { pc, sp, fp, .. } = *at;
    let mut read = |address| capture.read(address).ok_or(());
    let mut frames = Vec::new();
    let mut iterator = unwinder.iter_frames(pc, UnwindRegsX86_64::new(pc, sp, fp), cache, &mut read);
    loop {
        match iterator.next() {
            Ok(Some(frame)) => frames.push(frame.address()),
            Ok(None) => return (frames, true),
            Err(_) => return (frames, false),
        }
    }
}

/// Each stack of the program compiled with `flags` has its end, and framehop's frames if it is asked.
///
/// framehop goes astray at the kernel's signal frames: it is asked for the frames up to there, and from the
/// interrupted code on anew.
fn compare(flags: &[&str], ask_framehop: bool) {
    let (captures, mappings) = run(flags);
    let mut unwinder = UnwinderX86_64::new();
    mappings.iter().for_each(|mapping| unwinder.add_module(module(mapping)));
    let mut cache = CacheX86_64::new();
    let (mut frames_in_all, mut signals) = (0, 0);
    for (index, capture) in captures.iter().enumerate() {
        let (frames, end) = by_tables(capture, &mappings);
        assert_eq!(end, Ok(()), "{flags:?}, stack {index}: {frames:x?}");
        frames_in_all += frames.len();
        let parts: Vec<_> = frames.chunk_by(|_, next| !next.exact).collect();
        signals += parts.len() - 1;
        for (number, part) in parts.iter().enumerate().filter(|_| ask_framehop) {
            let (mut expected, complete) = by_framehop(capture, &part[0], &unwinder, &mut cache);
            let is_last = number + 1 == parts.len();
            expected.truncate(if is_last { usize::MAX } else { part.len() });
            let part: Vec<_> = part.iter().map(|frame| frame.pc).collect();
            assert_eq!(part, expected, "{flags:?}, stack {index}, part {number}");
            assert!(complete || !is_last, "{flags:?}, stack {index}: framehop did not reach the end");
        }
    }
    println!("{flags:?}: {} stacks, {frames_in_all} frames, {signals} signals", captures.len());
    assert!(captures.len() >= 1_500 && frames_in_all > 10 * captures.len() && signals > 100);
}

#[test]
fn whole_stacks_are_framehops() {
    compare(&["-fomit-frame-pointer"], true);
}

#[test]
fn whole_stacks_of_an_executable_at_a_fixed_address_are_framehops() {
    compare(&["-fomit-frame-pointer", "-no-pie"], true);
}

#[test]
fn whole_stacks_of_a_static_executable_are_framehops() {
    compare(&["-fomit-frame-pointer", "-static"], true);
}

#[test]
fn stacks_of_a_program_with_debug_frame_alone_have_their_end() {
    let without = ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];
    compare(&[&without[..], &["-fomit-frame-pointer", "-g"]].concat(), false);
}
