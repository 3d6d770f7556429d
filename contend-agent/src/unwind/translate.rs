//! One row of call frame information as a rule. x86-64.

use contend_ebpf::rule::{Rule, cfa, fp, ra, signal};
use gimli::{
    CfaRule, Encoding, EndianSlice, Format, LittleEndian, Operation, Register, RegisterRule, StoreOnHeap,
    UnwindContextStorage, UnwindExpression, UnwindSection, UnwindTableRow, X86_64,
};

/// How call frame information is read.
pub(super) type Bytes<'data> = EndianSlice<'data, LittleEndian>;
/// What holds a row while it is made.
pub(super) type Row = UnwindTableRow<usize, StoreOnHeap>;
const _: fn() = || {
    /// Strangers' information cannot make a row's storage grow.
    fn bounded<S: UnwindContextStorage<usize>>() {}
    bounded::<StoreOnHeap>();
};

/// Longest expression looked at, in bytes: those that are supported are shorter, and one is looked at in
/// every row that it holds for.
const LONGEST_EXPRESSION: usize = 32;

const ENCODING: Encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };

/// The rule that `row` says; `interrupted` when its function is where signal handlers return to.
pub(super) fn rule<'data, S: UnwindSection<Bytes<'data>>>(section: &S, row: &Row, interrupted: bool) -> Rule {
    let return_address = row.register(X86_64::RA);
    if matches!(return_address, Some(RegisterRule::Undefined)) {
        return Rule::END;
    }
    let Some(rule) = cfa_rule(section, row.cfa()) else { return Rule::UNSUPPORTED };
    if interrupted {
        return signal_rule(section, row, rule);
    }
    let sp_is_cfa = matches!(row.register(X86_64::RSP), None | Some(RegisterRule::ValOffset(0)));
    if !sp_is_cfa || !matches!(return_address, Some(RegisterRule::Offset(-8))) {
        return Rule::UNSUPPORTED;
    }
    let (kind, offset) = frame_pointer(section, row.register(X86_64::RBP));
    Rule { fp: kind, fp_offset: offset, ..rule }
}

fn cfa_rule<'data, S: UnwindSection<Bytes<'data>>>(section: &S, rule: &CfaRule<usize>) -> Option<Rule> {
    match rule {
        CfaRule::RegisterAndOffset { register, offset } => register_and_offset(*register, *offset),
        CfaRule::Expression(expression) => cfa_expression(section, expression),
    }
}

fn register_and_offset(register: Register, offset: i64) -> Option<Rule> {
    let kind = match register {
        X86_64::RSP => cfa::SP,
        X86_64::RBP => cfa::FP,
        _ => return None,
    };
    Some(Rule { cfa: kind, cfa_offset: i32::try_from(offset).ok()?, ..Rule::default() })
}

fn cfa_expression<'data, S: UnwindSection<Bytes<'data>>>(
    section: &S,
    expression: &UnwindExpression<usize>,
) -> Option<Rule> {
    if let Some(pushed_from) = linkage_table(section, expression) {
        let cfa_offset = i32::from(pushed_from);
        return Some(Rule { cfa: cfa::PLT, cfa_offset, ..Rule::default() });
    }
    let operations = operations(section, expression)?;
    let (Some(Operation::RegisterOffset { register, offset, .. }), rest) =
        (operations[0].as_ref(), &operations[1..])
    else {
        return None;
    };
    let at = register_and_offset(*register, *offset)?;
    let addend = match rest {
        [None, ..] => return Some(at),
        [Some(Operation::Deref { size: 8, space: false, .. }), None, ..] => 0,
        [
            Some(Operation::Deref { size: 8, space: false, .. }),
            Some(Operation::PlusConstant { value }),
            None,
        ] => u8::try_from(*value).ok()?,
        _ => return None,
    };
    let kind = if at.cfa == cfa::SP { cfa::DEREF_SP } else { cfa::DEREF_FP };
    Some(Rule { cfa: kind, addend, ..at })
}

/// The expression that linkers write for the procedure linkage table,
/// `rsp + 8 + ((rip & 15) >= n) << 3`: its `n`.
fn linkage_table<'data, S: UnwindSection<Bytes<'data>>>(
    section: &S,
    expression: &UnwindExpression<usize>,
) -> Option<u8> {
    const LIT_0: u8 = 0x30;
    let bytes = expression_bytes(section, expression)?;
    match bytes {
        // breg7 8, breg16 0, lit15, and, lit`n`, ge, lit3, shl, plus
        [0x77, 8, 0x80, 0, 0x3f, 0x1a, literal @ 0x30..=0x3f, 0x2a, 0x33, 0x24, 0x22] => {
            Some(literal - LIT_0)
        }
        _ => None,
    }
}

fn expression_bytes<'data, S: UnwindSection<Bytes<'data>>>(
    section: &S,
    expression: &UnwindExpression<usize>,
) -> Option<&'data [u8]> {
    if expression.length > LONGEST_EXPRESSION {
        return None;
    }
    Some(expression.get(section).ok()?.0.slice())
}

/// The expression's operations, at most three.
fn operations<'data, S: UnwindSection<Bytes<'data>>>(
    section: &S,
    expression: &UnwindExpression<usize>,
) -> Option<[Option<Operation<Bytes<'data>>>; 4]> {
    if expression.length > LONGEST_EXPRESSION {
        return None;
    }
    let mut remaining = expression.get(section).ok()?.operations(ENCODING);
    let mut found = [None, None, None, None];
    for slot in &mut found {
        *slot = remaining.next().ok()?;
        if slot.is_none() {
            return Some(found);
        }
    }
    None
}

/// Register and offset of an expression that is their sum.
fn sum<'data, S: UnwindSection<Bytes<'data>>>(
    section: &S,
    rule: Option<&RegisterRule<usize>>,
) -> Option<(Register, i32)> {
    let Some(RegisterRule::Expression(expression)) = rule else { return None };
    match operations(section, expression)? {
        [Some(Operation::RegisterOffset { register, offset, .. }), None, ..] => {
            Some((register, i32::try_from(offset).ok()?))
        }
        _ => None,
    }
}

fn frame_pointer<'data, S: UnwindSection<Bytes<'data>>>(
    section: &S,
    rule: Option<RegisterRule<usize>>,
) -> (u8, i32) {
    match &rule {
        // By the ABI a function keeps its caller's.
        None | Some(RegisterRule::SameValue) => (fp::UNCHANGED, 0),
        Some(RegisterRule::Offset(offset)) => match i32::try_from(*offset) {
            Ok(offset) => (fp::AT_CFA, offset),
            Err(_) => (fp::UNKNOWN, 0),
        },
        other => match sum(section, other.as_ref()) {
            Some((X86_64::RBP, offset)) => (fp::AT_FP, offset),
            Some((X86_64::RSP, offset)) => (fp::AT_SP, offset),
            _ => (fp::UNKNOWN, 0),
        },
    }
}

/// Where signal handlers return to, the registers are those that the kernel kept: all at their places, or
/// the rule is not one that is known.
fn signal_rule<'data, S: UnwindSection<Bytes<'data>>>(section: &S, row: &Row, rule: Rule) -> Rule {
    let from_saved = |register, distance: i64| {
        let at = i32::try_from(i64::from(rule.cfa_offset) + distance).ok();
        at.is_some_and(|at| sum(section, row.register(register).as_ref()) == Some((X86_64::RSP, at)))
    };
    let is_kernels = rule.cfa == cfa::DEREF_SP
        && rule.addend == 0
        && from_saved(X86_64::RBP, signal::FP)
        && from_saved(X86_64::RA, signal::PC);
    if !is_kernels {
        return Rule::UNSUPPORTED;
    }
    Rule { cfa: cfa::SIGNAL, ra: ra::BELOW_CFA, cfa_offset: rule.cfa_offset, ..Rule::default() }
}
