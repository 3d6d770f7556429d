//! Rules of the unwind tables: how the registers of a frame's caller follow from the frame's own.
//!
//! The same code walks a stack in the kernel and in the agent's tests. x86-64's names: the canonical frame
//! address (CFA) is the stack pointer's value in the caller, and the return address lies 8 bytes below it.

/// Most rules of all executables together.
pub const MAX_RULES: usize = 32_768;

/// How the CFA is found: values of [`Rule::cfa`]. Plain numbers, because the rule comes from a map.
pub mod cfa {
    /// Nothing is known here.
    pub const NONE: u8 = 0;
    /// Stack pointer + offset.
    pub const SP: u8 = 1;
    /// Frame pointer + offset.
    pub const FP: u8 = 2;
    /// What is stored at stack pointer + offset, + addend.
    pub const DEREF_SP: u8 = 3;
    /// What is stored at frame pointer + offset, + addend.
    pub const DEREF_FP: u8 = 4;
    /// An entry of the procedure linkage table, 16 bytes long, that pushes 8 bytes before the offset.
    pub const PLT: u8 = 5;
    /// The kernel's frame around a signal handler: stack pointer + offset is where the interrupted
    /// code's stack pointer is kept, with the frame pointer and the program counter around it.
    pub const SIGNAL: u8 = 6;
    /// By convention instead of by table: the frame pointer and the return address are stored where the
    /// frame pointer points to.
    pub const FRAME_POINTER: u8 = 7;
    /// Something that these rules cannot say.
    pub const UNSUPPORTED: u8 = 8;
}

/// How the caller's frame pointer is found: values of [`Rule::fp`].
pub mod fp {
    /// As it is.
    pub const UNCHANGED: u8 = 0;
    /// Stored at CFA + offset.
    pub const AT_CFA: u8 = 1;
    /// Stored at this frame's frame pointer + offset.
    pub const AT_FP: u8 = 2;
    /// Stored at this frame's stack pointer + offset.
    pub const AT_SP: u8 = 3;
    /// Lost, or more than these rules can say.
    pub const UNKNOWN: u8 = 4;
}

/// How the return address is found: values of [`Rule::ra`].
pub mod ra {
    /// Stored right below the CFA.
    pub const BELOW_CFA: u8 = 0;
    /// There is none: a thread's or program's first function.
    pub const END: u8 = 1;
}

/// Saved frame pointer and program counter in a `ucontext`, in bytes from the saved stack pointer
/// (ABI: `sigcontext` of x86-64).
pub mod signal {
    /// Frame pointer.
    pub const FP: i64 = -40;
    /// Program counter.
    pub const PC: i64 = 8;
}

/// In place of a frame pointer that is not known: no address can be near it.
pub const UNKNOWN_FP: u64 = 1;

/// How to get from one frame to its caller's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// One of [`cfa`].
    pub cfa: u8,
    /// One of [`fp`].
    pub fp: u8,
    /// One of [`ra`].
    pub ra: u8,
    /// In bytes, for what is read from memory.
    pub addend: u8,
    /// In bytes.
    pub cfa_offset: i32,
    /// In bytes.
    pub fp_offset: i32,
}

impl Rule {
    /// Nothing is known: between two functions with information.
    pub const NONE: Self = Self::of(cfa::NONE, ra::BELOW_CFA);
    /// A function that nothing called.
    pub const END: Self = Self::of(cfa::NONE, ra::END);
    /// Known, but more than these rules can say.
    pub const UNSUPPORTED: Self = Self::of(cfa::UNSUPPORTED, ra::BELOW_CFA);
    /// For code without tables that keeps frame pointers.
    pub const FRAME_POINTER: Self = Self {
        cfa: cfa::FRAME_POINTER,
        fp: fp::AT_CFA,
        ra: ra::BELOW_CFA,
        addend: 0,
        cfa_offset: 16,
        fp_offset: -16,
    };

    const fn of(cfa: u8, ra: u8) -> Self {
        Self { cfa, fp: fp::UNCHANGED, ra, addend: 0, cfa_offset: 0, fp_offset: 0 }
    }
}

/// What is known of a frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Program counter: where the frame is or will go on.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer, or [`UNKNOWN_FP`].
    pub fp: u64,
    /// Whether the frame was at `pc` when it was left: true for the innermost one and for one that a
    /// signal interrupted. Else `pc` is a return address.
    pub exact: bool,
}

impl Registers {
    /// The address to look up: a call may be its function's last instruction, and then the return address
    /// belongs to another function.
    #[inline(always)]
    pub fn lookup_pc(&self) -> u64 {
        self.pc.wrapping_sub(!self.exact as u64)
    }
}

/// Why a stack was cut short. 0 is left for a complete one.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The program counter is in no executable mapping that is known.
    NoMapping = 1,
    /// The process's tables are not loaded: the walk was along the frame pointers.
    NoTable,
    /// The executable's table says nothing of the program counter.
    NoRow,
    /// The thread's memory could not be read.
    ReadFault,
    /// More frames than a stack may have.
    Depth,
    /// The caller is described in a way that is not supported.
    Expression,
    /// The frame pointer does not lead up the stack.
    FramePointer,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::NoMapping,
        Self::NoTable,
        Self::NoRow,
        Self::ReadFault,
        Self::Depth,
        Self::Expression,
        Self::FramePointer,
    ];

    /// Name in metrics, and in the summary together with [`Self::meaning`].
    pub fn name(self) -> &'static str {
        match self {
            Self::NoMapping => "no_mapping",
            Self::NoTable => "no_table",
            Self::NoRow => "no_row",
            Self::ReadFault => "read_fault",
            Self::Depth => "depth",
            Self::Expression => "expression",
            Self::FramePointer => "frame_pointer",
        }
    }

    /// What the user is missing.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NoMapping => "stacks cut short in memory that belongs to no known executable",
            Self::NoTable => {
                "stacks cut short, perhaps: taken along frame pointers, before unwind tables were loaded"
            }
            Self::NoRow => "stacks cut short in code without unwind information",
            Self::ReadFault => "stacks cut short where the thread's memory could not be read",
            Self::Depth => "stacks cut short at the greatest number of frames",
            Self::Expression => "stacks cut short at unwind information that is not supported",
            Self::FramePointer => "stacks cut short at a frame pointer that leads nowhere",
        }
    }
}

/// The registers of the caller of the frame `at`, whose rule is `rule`; nothing when it has no caller.
///
/// `read` gives the 8 bytes at an address of the thread, or nothing if it cannot.
#[inline(always)]
pub fn apply(
    rule: &Rule,
    at: &Registers,
    read: impl Fn(u64) -> Option<u64>,
) -> Result<Option<Registers>, Reason> {
    if rule.ra == ra::END || ends_by_frame_pointer(rule, at) {
        return Ok(None);
    }
    if rule.cfa == cfa::SIGNAL {
        return interrupted(at.sp.wrapping_add(rule.cfa_offset as u64), read);
    }
    let sp = caller_sp(rule, at, &read)?;
    let pc = read(sp.wrapping_sub(8)).ok_or(Reason::ReadFault)?;
    if pc == 0 {
        return Ok(None);
    }
    let saved = match rule.fp {
        fp::UNCHANGED => return Ok(Some(Registers { pc, sp, fp: at.fp, exact: false })),
        fp::AT_CFA => sp,
        fp::AT_FP => at.fp,
        fp::AT_SP => at.sp,
        _ => return Ok(Some(Registers { pc, sp, fp: UNKNOWN_FP, exact: false })),
    };
    let fp = read(saved.wrapping_add(rule.fp_offset as u64)).ok_or(Reason::ReadFault)?;
    Ok(Some(Registers { pc, sp, fp, exact: false }))
}

/// By convention a thread starts with a frame pointer of 0. Where there is no table to tell the first
/// function (musl's thread start, generated code), that does.
#[inline(always)]
fn ends_by_frame_pointer(rule: &Rule, at: &Registers) -> bool {
    at.fp == 0 && (rule.cfa == cfa::NONE || rule.cfa == cfa::FRAME_POINTER)
}

#[inline(always)]
fn caller_sp(rule: &Rule, at: &Registers, read: impl Fn(u64) -> Option<u64>) -> Result<u64, Reason> {
    let offset = rule.cfa_offset as u64;
    let stored = match rule.cfa {
        cfa::SP => return Ok(at.sp.wrapping_add(offset)),
        cfa::FP if at.fp == UNKNOWN_FP => return Err(Reason::Expression),
        cfa::FP => return Ok(at.fp.wrapping_add(offset)),
        cfa::PLT => {
            let pushed = (at.pc & 15 >= offset) as u64;
            return Ok(at.sp.wrapping_add(8 + 8 * pushed));
        }
        // The two words lie above the stack pointer, and so do all further frames.
        cfa::FRAME_POINTER if at.fp < at.sp => return Err(Reason::FramePointer),
        cfa::FRAME_POINTER => return Ok(at.fp.wrapping_add(offset)),
        cfa::DEREF_SP => at.sp,
        cfa::DEREF_FP => at.fp,
        cfa::NONE => return Err(Reason::NoRow),
        _ => return Err(Reason::Expression),
    };
    let value = read(stored.wrapping_add(offset)).ok_or(Reason::ReadFault)?;
    Ok(value.wrapping_add(rule.addend as u64))
}

/// The registers of the code that a signal interrupted, from where its stack pointer is `saved`.
#[inline(always)]
fn interrupted(saved: u64, read: impl Fn(u64) -> Option<u64>) -> Result<Option<Registers>, Reason> {
    let sp = read(saved).ok_or(Reason::ReadFault)?;
    let fp = read(saved.wrapping_add(signal::FP as u64)).ok_or(Reason::ReadFault)?;
    let pc = read(saved.wrapping_add(signal::PC as u64)).ok_or(Reason::ReadFault)?;
    Ok(Some(Registers { pc, sp, fp, exact: true }))
}

// SAFETY: `repr(C)`, four bytes and two 32-bit numbers, hence without padding; every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Rule {}

#[cfg(test)]
mod tests {
    use super::{Reason, Registers, Rule, UNKNOWN_FP, apply, cfa, fp, ra};

    const STACK: u64 = 0x7000;

    /// A stack at [`STACK`], each word of which is its own index + 0x100, but word 0, which points to word 4.
    fn read(address: u64) -> Option<u64> {
        let index = address.checked_sub(STACK)? / 8;
        match index {
            0 => Some(STACK + 32),
            1..64 => Some(0x100 + index),
            _ => None,
        }
    }

    fn at(fp: u64) -> Registers {
        Registers { pc: 0x401_00b, sp: STACK, fp, exact: true }
    }

    fn rule(cfa: u8, cfa_offset: i32) -> Rule {
        Rule { cfa, cfa_offset, ..Rule::default() }
    }

    fn next(pc: u64, sp: u64, fp: u64) -> Result<Option<Registers>, Reason> {
        Ok(Some(Registers { pc, sp, fp, exact: false }))
    }

    #[test]
    fn a_rule_is_twelve_bytes() {
        assert_eq!(size_of::<Rule>(), 12);
    }

    #[test]
    fn each_way_to_the_caller() {
        let fp_word = STACK + 80;
        assert_eq!(apply(&rule(cfa::SP, 24), &at(5), read), next(0x102, STACK + 24, 5));
        assert_eq!(apply(&rule(cfa::FP, 16), &at(fp_word), read), next(0x10b, fp_word + 16, fp_word));
        let deref = Rule { addend: 16, ..rule(cfa::DEREF_SP, 0) };
        assert_eq!(apply(&deref, &at(5), read), next(0x105, STACK + 48, 5));
        let deref = Rule { addend: 8, ..rule(cfa::DEREF_FP, -80) };
        assert_eq!(apply(&deref, &at(fp_word), read), next(0x104, STACK + 40, fp_word));
        let by_convention = apply(&Rule::FRAME_POINTER, &at(fp_word), read);
        assert_eq!(by_convention, next(0x10b, fp_word + 16, 0x10a));
    }

    #[test]
    fn an_entry_of_the_linkage_table_has_pushed_from_its_offset_on() {
        assert_eq!(apply(&rule(cfa::PLT, 11), &at(5), read), next(0x101, STACK + 16, 5));
        let before = Registers { pc: 0x401_00a, ..at(5) };
        let stack = |address| Some(if address == STACK { 0x55 } else { 0x66 });
        assert_eq!(apply(&rule(cfa::PLT, 11), &before, stack), next(0x55, STACK + 8, 5));
    }

    #[test]
    fn each_way_to_the_frame_pointer() {
        let with = |kind, fp_offset| Rule { fp: kind, fp_offset, ..rule(cfa::SP, 64) };
        let fp_of = |rule| apply(&rule, &at(STACK + 80), read).map(|next| next.map(|next| next.fp));
        assert_eq!(fp_of(with(fp::AT_CFA, -16)), Ok(Some(0x106)));
        assert_eq!(fp_of(with(fp::AT_FP, 8)), Ok(Some(0x10b)));
        assert_eq!(fp_of(with(fp::AT_SP, 8)), Ok(Some(0x101)));
        assert_eq!(fp_of(with(fp::UNKNOWN, 0)), Ok(Some(UNKNOWN_FP)));
        assert_eq!(apply(&rule(cfa::FP, 16), &at(UNKNOWN_FP), read), Err(Reason::Expression));
    }

    #[test]
    fn the_code_that_a_signal_interrupted_is_exactly_there() {
        let found = apply(&rule(cfa::SIGNAL, 160), &at(5), read);
        let expected = Registers { sp: 0x114, fp: 0x10f, pc: 0x115, exact: true };
        assert_eq!(found, Ok(Some(expected)));
        assert_eq!(expected.lookup_pc(), 0x115);
        assert_eq!(Registers { exact: false, ..expected }.lookup_pc(), 0x114);
    }

    #[test]
    fn the_end_is_told_from_what_is_not_known() {
        assert_eq!(apply(&Rule::END, &at(5), read), Ok(None));
        assert_eq!(apply(&Rule { ra: ra::END, ..rule(cfa::SP, 8) }, &at(5), read), Ok(None));
        assert_eq!(apply(&Rule::NONE, &at(5), read), Err(Reason::NoRow));
        assert_eq!(apply(&Rule::NONE, &at(0), read), Ok(None));
        assert_eq!(apply(&Rule::FRAME_POINTER, &at(0), read), Ok(None));
        assert_eq!(apply(&Rule::UNSUPPORTED, &at(0), read), Err(Reason::Expression));
        assert_eq!(apply(&rule(cfa::SP, 8), &at(5), |_| Some(0)), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_and_not_a_frame() {
        assert_eq!(apply(&rule(cfa::SP, 4_096), &at(5), read), Err(Reason::ReadFault));
        assert_eq!(apply(&rule(cfa::DEREF_FP, 0), &at(5), read), Err(Reason::ReadFault));
        assert_eq!(apply(&rule(cfa::SIGNAL, 4_096), &at(5), read), Err(Reason::ReadFault));
        let saved_far = Rule { fp: fp::AT_CFA, fp_offset: i32::MIN, ..rule(cfa::SP, 8) };
        assert_eq!(apply(&saved_far, &at(5), read), Err(Reason::ReadFault));
        assert_eq!(apply(&Rule::FRAME_POINTER, &at(STACK - 8), read), Err(Reason::FramePointer));
    }

    #[test]
    fn reasons_are_numbered_from_one_in_their_order() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index + 1);
            assert!(!reason.name().is_empty() && reason.meaning().starts_with("stacks cut short"));
        }
    }
}
