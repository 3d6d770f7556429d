//! Objects that are damaged or made to harm: building ends, in bounded memory, without a panic.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use contend_ebpf::table::search;

use super::test_objects::Numbers;
use super::{MAX_ROWS, RuleSet, Table, TableError, UNSUPPORTED_RULE, build};

/// A small object with all that matters: the dynamic loader.
fn object() -> Vec<u8> {
    std::fs::read("/lib64/ld-linux-x86-64.so.2").unwrap()
}

/// What holds for every table, whatever it was made from.
fn check(table: &Table) {
    assert!(!table.blocks.is_empty());
    assert!(table.rows() <= MAX_ROWS + 1);
    assert!(table.rules.len() <= contend_ebpf::rule::MAX_RULES);
    for (index, block) in table.blocks.iter().enumerate() {
        assert!(index == 0 || table.blocks[index - 1].base < block.base);
        assert!(block.used().is_sorted_by(|a, b| a.offset < b.offset));
        let within = |row: &contend_ebpf::table::Row| usize::from(row.rule) < table.rules.len();
        assert!(block.rows.iter().all(within));
        let last = block.used().last().unwrap();
        assert_eq!(search(block, u32::MAX.into()), last.rule);
    }
    assert_eq!(table.rule_at(u32::MAX), contend_ebpf::rule::Rule::NONE, "nothing is known behind the last");
}

/// Little-endian number in the ELF header or a program header.
fn word(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

#[test]
fn truncated_objects() {
    let bytes = object();
    check(&build(&*bytes).unwrap());
    let mut numbers = Numbers(1);
    let random: Vec<_> = (0..150).map(|_| numbers.below(bytes.len() as u64) as usize).collect();
    for length in (0..600).step_by(7).chain(random) {
        if let Ok(table) = build(&bytes[..length]) {
            check(&table);
        }
    }
}

#[test]
fn mutated_objects() {
    let bytes = object();
    let file = object::File::parse(&*bytes).unwrap();
    let frames = {
        use object::{Object as _, ObjectSection as _};
        file.section_by_name(".eh_frame").unwrap().file_range().unwrap()
    };
    let sections = word(&bytes, 0x28);
    let regions = [0..1024, frames.0 as usize..(frames.0 + frames.1) as usize, sections..bytes.len()];
    let mut built = 0;
    for seed in 0..300 {
        let mut numbers = Numbers(seed);
        let mut mutated = bytes.clone();
        let region = regions[seed as usize % regions.len()].clone();
        for _ in 0..1 + numbers.below(40) {
            let at = region.start + numbers.below(region.len() as u64) as usize;
            mutated[at] = match numbers.below(4) {
                0 => 0,
                1 => 0xff,
                2 => mutated[at] ^ (1 << numbers.below(8)),
                _ => numbers.next() as u8,
            };
        }
        if let Ok(table) = build(&*mutated) {
            check(&table);
            built += 1;
        }
    }
    assert!(built > 50, "most damage leaves something to read: {built}");
}

#[test]
fn what_is_no_object_says_so() {
    assert_eq!(build(&b""[..]).unwrap_err(), TableError::NotElf("file header"));
    assert_eq!(build(&[0; 4096][..]).unwrap_err(), TableError::NotElf("file header"));
    let mut other = object();
    other[0x12] = 183;
    assert_eq!(build(&*other).unwrap_err(), TableError::Machine(183));
    let mut data_only = object();
    for header in program_headers(&data_only) {
        data_only[header + 4] &= !1;
    }
    assert_eq!(build(&*data_only).unwrap_err(), TableError::NoCode);
}

/// Where the program headers are.
fn program_headers(bytes: &[u8]) -> Vec<usize> {
    let count = usize::from(u16::from_le_bytes([bytes[0x38], bytes[0x39]]));
    (0..count).map(|index| word(bytes, 0x20) + 56 * index).collect()
}

#[test]
fn without_section_headers_the_program_headers_lead_to_the_same_table() {
    let whole = object();
    let mut stripped = whole.clone();
    stripped[0x28..0x30].fill(0);
    stripped[0x3c..0x40].fill(0);
    let [whole, stripped] = [build(&*whole).unwrap(), build(&*stripped).unwrap()];
    assert_eq!(whole.blocks, stripped.blocks);
    assert_eq!(whole.rules, stripped.rules);
}

#[test]
fn a_full_rule_set_makes_rows_unsupported_and_says_how_many() {
    let table = build(&*object()).unwrap();
    let rows = table.rows() as u64;
    let mut set = RuleSet::with_capacity(10);
    let shared = set.adopt(table.clone());
    assert_eq!(set.rules().len(), 10);
    assert!(shared.unsupported_rows > 0 && shared.unsupported_rows < rows);
    assert!(shared.blocks.iter().flat_map(|block| &block.rows).all(|row| row.rule < 10));
    assert!(shared.blocks[0].used().iter().any(|row| row.rule == UNSUPPORTED_RULE));

    let mut set = RuleSet::default();
    let first = set.adopt(table.clone());
    let known = set.rules().len();
    let again = set.adopt(table.clone());
    assert_eq!((first.unsupported_rows, set.rules().len()), (0, known), "the same rules are not added twice");
    assert_eq!(first.blocks, again.blocks);
    let address = table.blocks[0].base + 100;
    assert_eq!(set.rules()[usize::from(search(&first.blocks[0], address.into()))], table.rule_at(address));
}

#[test]
fn a_common_part_that_all_functions_repeat_does_not_multiply_the_work() {
    let mut bytes = object();
    let (offset, size) = {
        use object::{Object as _, ObjectSection as _};
        let file = object::File::parse(&*bytes).unwrap();
        // The largest section is the code; it is made to hold the frames.
        file.section_by_name(".text").unwrap().file_range().unwrap()
    };
    let frames = harmful_frames(size as usize / 2, size as usize);
    bytes[offset as usize..][..frames.len()].copy_from_slice(&frames);
    name_frames(&mut bytes, offset);
    let error = build(&*bytes).unwrap_err();
    assert!(matches!(error, TableError::TooLarge { what: "bytes of unwind instructions", .. }), "{error}");
}

/// One common entry of `common` bytes of instructions, and functions that refer to it up to `size` bytes.
fn harmful_frames(common: usize, size: usize) -> Vec<u8> {
    let common = common & !7;
    let mut frames = Vec::new();
    frames.extend((common as u32 + 13 - 4).to_le_bytes());
    // Identifier, version, empty augmentation, alignment 1 and -8, return address register 16.
    frames.extend([0, 0, 0, 0, 1, 0, 1, 0x78, 16]);
    frames.resize(common + 13, 0);
    while frames.len() + 24 < size {
        frames.extend(20u32.to_le_bytes());
        frames.extend((frames.len() as u32).to_le_bytes());
        frames.extend([0; 16]);
    }
    frames
}

/// Gives the section at a file offset the name of the call frame information, and that one none.
fn name_frames(bytes: &mut [u8], file_offset: u64) {
    let table = word(bytes, 0x28);
    let count = usize::from(u16::from_le_bytes([bytes[0x3c], bytes[0x3d]]));
    let headers: Vec<_> = (0..count).map(|index| table + 64 * index).collect();
    let frames = {
        use object::{Object as _, ObjectSection as _};
        let file = object::File::parse(&*bytes).unwrap();
        file.section_by_name(".eh_frame").unwrap().file_range().unwrap().0
    };
    let find = |at: u64| *headers.iter().find(|header| word(bytes, **header + 24) as u64 == at).unwrap();
    let [from, to] = [find(frames), find(file_offset)];
    let name: [u8; 4] = bytes[from..from + 4].try_into().unwrap();
    bytes[to..to + 4].copy_from_slice(&name);
    bytes[from..from + 4].fill(0);
}
