//! Every table against gimli: the same addresses, registers and memory give the same caller.
//!
//! gimli finds the function through `.eh_frame_hdr`, which the tables do not use, and evaluates rows and
//! expressions itself.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use contend_ebpf::rule::{Reason, Registers, UNKNOWN_FP, apply};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, EvaluationResult, Format,
    LittleEndian, Location, RegisterRule, UnwindContext, UnwindExpression, UnwindSection as _, Value, X86_64,
};
use object::{Object as _, ObjectSection as _};

use super::build;
use super::test_objects::{Numbers, objects, scramble};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

const ADDRESSES: u64 = 100_000;

/// What the reference says of the caller.
#[derive(Debug, PartialEq)]
enum Caller {
    NoInformation,
    End,
    /// Stack pointer, return address, frame pointer if it is known.
    Found(u64, u64, Option<u64>),
    /// It needs a register that is not kept.
    OtherRegister,
}

struct Reference<'a> {
    frame: EhFrame<Slice<'a>>,
    header: gimli::ParsedEhFrameHdr<Slice<'a>>,
    bases: BaseAddresses,
    context: UnwindContext<usize>,
}

impl<'a> Reference<'a> {
    fn new(file: &object::File<'a>) -> Self {
        let section = |name| file.section_by_name(name).unwrap();
        let (frame, header) = (section(".eh_frame"), section(".eh_frame_hdr"));
        let bases = BaseAddresses::default().set_eh_frame(frame.address()).set_eh_frame_hdr(header.address());
        let data = EhFrameHdr::new(header.data().unwrap(), LittleEndian).parse(&bases, 8).unwrap();
        let frame = EhFrame::new(frame.data().unwrap(), LittleEndian);
        Self { frame, header: data, bases, context: UnwindContext::new() }
    }

    fn caller(&mut self, address: u64, at: &Registers) -> Caller {
        let Self { frame, header, bases, context } = self;
        let table = header.table().unwrap();
        let found = table.fde_for_address(frame, bases, address, EhFrame::cie_from_offset);
        let Ok(entry) = found else { return Caller::NoInformation };
        let Ok(row) = entry.unwind_info_for_address(frame, bases, context, address) else {
            return Caller::NoInformation;
        };
        if row.register(X86_64::RA) == Some(RegisterRule::Undefined) {
            return Caller::End;
        }
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                value(*register, at).map(|value| value.wrapping_add(*offset as u64))
            }
            CfaRule::Expression(expression) => evaluate(frame, expression, at),
        };
        let Some(cfa) = cfa else { return Caller::OtherRegister };
        let restored = |register| match row.register(register) {
            None | Some(RegisterRule::SameValue) => value(register, at),
            Some(RegisterRule::Offset(offset)) => Some(memory(cfa.wrapping_add(offset as u64))),
            Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add(offset as u64)),
            Some(RegisterRule::Expression(expression)) => evaluate(frame, &expression, at).map(memory),
            _ => None,
        };
        let Some(pc) = restored(X86_64::RA) else { return Caller::OtherRegister };
        let sp = if row.register(X86_64::RSP).is_some() { restored(X86_64::RSP) } else { Some(cfa) };
        sp.map_or(Caller::OtherRegister, |sp| Caller::Found(sp, pc, restored(X86_64::RBP)))
    }
}

fn value(register: gimli::Register, at: &Registers) -> Option<u64> {
    match register {
        X86_64::RSP => Some(at.sp),
        X86_64::RBP => Some(at.fp),
        X86_64::RA => Some(at.pc),
        _ => None,
    }
}

/// A memory in which every address has a value of its own.
fn memory(address: u64) -> u64 {
    scramble(address) | 1
}

fn evaluate(frame: &EhFrame<Slice<'_>>, expression: &UnwindExpression<usize>, at: &Registers) -> Option<u64> {
    let encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };
    let mut evaluation = expression.get(frame).unwrap().evaluation(encoding);
    let mut result = evaluation.evaluate().unwrap();
    loop {
        result = match result {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                evaluation.resume_with_register(Value::Generic(value(register, at)?)).unwrap()
            }
            EvaluationResult::RequiresMemory { address, .. } => {
                evaluation.resume_with_memory(Value::Generic(memory(address))).unwrap()
            }
            other => panic!("{other:?}"),
        };
    }
    match evaluation.result()[0].location {
        Location::Address { address } => Some(address),
        ref other => panic!("{other:?}"),
    }
}

#[derive(Default)]
struct Tally {
    equal: u64,
    ends: u64,
    empty: u64,
    unsupported: u64,
}

fn compare(path: &Path) -> Tally {
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let table = build(&*bytes).unwrap();
    let mut reference = Reference::new(&file);
    let mut numbers = Numbers(0x00c0_ffee);
    let mut tally = Tally::default();
    let code: u64 = table.code.segments.iter().map(|segment| segment.size).sum();
    for _ in 0..ADDRESSES {
        let mut offset = numbers.below(code);
        let within = table.code.segments.iter().find(|segment| {
            let inside = offset < segment.size;
            offset -= if inside { 0 } else { segment.size };
            inside
        });
        let address = within.unwrap().address + offset;
        let [sp, fp] = [numbers.next() | 2, numbers.next() | 2];
        let at = Registers { pc: address, sp, fp, exact: true };
        let expected = reference.caller(address, &at);
        let rule = table.rule_at((address - table.code.lowest) as u32);
        let place = || format!("{} at {address:#x}: {rule:?}, {at:x?}", path.display());
        match apply(&rule, &at, |address| Some(memory(address))) {
            Ok(Some(next)) => {
                let fp = (next.fp != UNKNOWN_FP).then_some(next.fp);
                assert_eq!(Caller::Found(next.sp, next.pc, fp), expected, "{}", place());
                tally.equal += 1;
            }
            Ok(None) => {
                assert_eq!(expected, Caller::End, "{}", place());
                tally.ends += 1;
            }
            Err(Reason::NoRow) => {
                assert_eq!(expected, Caller::NoInformation, "{}", place());
                tally.empty += 1;
            }
            Err(reason) => {
                assert_eq!(reason, Reason::Expression, "{}", place());
                assert_eq!(expected, Caller::OtherRegister, "{}", place());
                tally.unsupported += 1;
            }
        }
    }
    tally
}

#[test]
fn a_hundred_thousand_addresses_of_each_object_have_gimlis_caller() {
    let objects = objects();
    assert!(objects.len() >= 3, "the test needs libc, its loader and itself: {objects:?}");
    for path in objects {
        let Tally { equal, ends, empty, unsupported } = compare(&path);
        let name = path.display();
        println!(
            "{name}: {equal} equal, {ends} ends, {empty} without information, {unsupported} unsupported"
        );
        assert!(equal > ADDRESSES / 4, "{name}: only {equal} addresses have a caller");
        assert!(unsupported * 33 < ADDRESSES, "{name}: {unsupported} addresses are not supported");
    }
}

#[test]
fn a_row_takes_few_bytes() {
    for path in objects() {
        let table = build(&*std::fs::read(&path).unwrap()).unwrap();
        let (rows, bytes) = (table.rows(), table.bytes() + table.rules.len() * 12);
        let per_row = bytes as f64 / rows as f64;
        println!("{}: {rows} rows, {} rules, {per_row:.2} bytes/row", path.display(), table.rules.len());
        assert!(rows < 1_000 || per_row <= 6.0, "{}: {per_row} bytes/row", path.display());
        let bases: Vec<_> = table.blocks.iter().map(|block| block.base).collect();
        assert!(bases.is_sorted_by(|a, b| a < b), "{}", path.display());
    }
}
