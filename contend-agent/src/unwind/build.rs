//! From an ELF object's bytes to its table.

use std::collections::HashMap;

use contend_ebpf::rule::{MAX_RULES, Rule};
use contend_ebpf::table::{self, Block};
use gimli::{BaseAddresses, DebugFrame, EhFrame, LittleEndian, UnwindContext, UnwindSection};
use object::ReadRef;

use super::TableError;
use super::functions::{Entries, Function, resolve};
use super::image::{Code, Frames, Image};
use super::rules::{FIXED_RULES, NO_RULE, UNSUPPORTED_RULE};
use super::translate::{self, Bytes};

/// Most rows of one object; a compiler's 150 MB library has a million.
pub const MAX_ROWS: usize = 8 << 20;

/// An object's unwind table, with rules of its own.
#[derive(Clone, Debug)]
pub struct Table {
    /// Where the object's code is.
    pub code: Code,
    /// The rules, by the numbers in the rows; [`FIXED_RULES`] come first.
    pub rules: Vec<Rule>,
    /// Blocks by base; a block holds up to the next one's base.
    pub blocks: Vec<Block>,
    /// Functions with information.
    pub functions: usize,
}

impl Table {
    /// Rows in all blocks.
    pub fn rows(&self) -> usize {
        self.blocks.iter().map(|block| block.used().len()).sum()
    }

    /// Bytes in the kernel: the blocks and their bases.
    pub fn bytes(&self) -> usize {
        self.blocks.len() * (size_of::<Block>() + size_of::<u32>())
    }

    /// See [`Code::address_of`].
    pub fn address_of(&self, file_offset: u64) -> Option<i64> {
        self.code.address_of(file_offset)
    }

    /// The rule at an address from the object's lowest.
    pub fn rule_at(&self, address: u32) -> Rule {
        let behind = self.blocks.partition_point(|block| block.base <= address);
        let Some(block) = behind.checked_sub(1).and_then(|index| self.blocks.get(index)) else {
            return Rule::NONE;
        };
        self.rules.get(usize::from(table::search(block, address.into()))).copied().unwrap_or_default()
    }
}

/// Builds the table of an ELF object, from memory or through an [`object::ReadCache`]: only the headers and
/// the call frame information are read. (Of a file that others may truncate, do not pass a memory map.)
pub fn build<'data, R: ReadRef<'data>>(object: R) -> Result<Table, TableError> {
    let image = Image::parse(object)?;
    let eh_bytes = image.eh_frame.map_or(&[][..], |frames| frames.bytes);
    let debug_bytes = image.debug_frame.map_or(&[][..], |frames| frames.bytes);
    let mut debug_frame = DebugFrame::new(debug_bytes, LittleEndian);
    debug_frame.set_address_size(8);
    let mut eh_frame = EhFrame::new(eh_bytes, LittleEndian);
    eh_frame.set_address_size(8);
    let bases = bases(&image);
    let mut eh_entries = Entries::new(eh_frame, bases.clone());
    let mut debug_entries = Entries::new(debug_frame, bases);

    let mut functions = Vec::new();
    eh_entries.list(&image.code, false, &mut functions)?;
    debug_entries.list(&image.code, true, &mut functions)?;
    if functions.is_empty() {
        return Err(TableError::NoFrames);
    }
    resolve(&mut functions);
    let mut context = UnwindContext::new();
    let mut rows = Rows::new();
    for function in &functions {
        if function.in_debug_frame {
            rows.add_function(&mut debug_entries, *function, &mut context)?;
        } else {
            rows.add_function(&mut eh_entries, *function, &mut context)?;
        }
    }
    Ok(rows.finish(image.code, functions.len()))
}

fn bases(image: &Image<'_>) -> BaseAddresses {
    let eh_frame = image.eh_frame.map_or(0, |Frames { address, .. }| address);
    BaseAddresses::default().set_eh_frame(eh_frame).set_text(image.text)
}

/// The rows so far.
struct Rows {
    rows: Vec<(u32, u16)>,
    numbers: HashMap<Rule, u16>,
    rules: Vec<Rule>,
    /// The last rule and its number: most often asked for again.
    last: (Rule, u16),
    end: u32,
}

impl Rows {
    fn new() -> Self {
        Self {
            rows: Vec::new(),
            numbers: FIXED_RULES.iter().copied().zip(0..).collect(),
            rules: FIXED_RULES.to_vec(),
            last: (Rule::NONE, NO_RULE),
            end: 0,
        }
    }

    fn add_function<'data, S>(
        &mut self,
        entries: &mut Entries<'data, S>,
        function: Function,
        context: &mut UnwindContext<usize>,
    ) -> Result<(), TableError>
    where
        S: UnwindSection<Bytes<'data>>,
    {
        if self.end < function.start && !self.rows.is_empty() {
            self.push(self.end, NO_RULE)?;
        }
        self.end = function.end;
        // Until the instructions say more, and from where they make no sense.
        self.push(function.start, UNSUPPORTED_RULE)?;
        let Some(entry) = entries.entry(function) else { return Ok(()) };
        let interrupted = entry.is_signal_trampoline();
        let begin = entry.initial_address();
        if let Ok(mut rows) = entry.rows(entries.section(), entries.bases(), context) {
            while let Ok(Some(row)) = rows.next_row() {
                let from = address(function, row.start_address().wrapping_sub(begin));
                let to = address(function, row.end_address().wrapping_sub(begin));
                if from < to {
                    let number = self.number(translate::rule(entries.section(), row, interrupted));
                    self.push(from, number)?;
                    self.push(to, UNSUPPORTED_RULE)?;
                }
            }
        }
        self.trim(function.end);
        Ok(())
    }

    /// The local number of a rule; beyond what the kernel side can hold, that of the unsupported one.
    fn number(&mut self, rule: Rule) -> u16 {
        if self.last.0 == rule {
            return self.last.1;
        }
        let number = match self.numbers.get(&rule) {
            Some(number) => *number,
            None if self.rules.len() >= MAX_RULES => UNSUPPORTED_RULE,
            None => {
                let number = self.rules.len() as u16;
                self.rules.push(rule);
                self.numbers.insert(rule, number);
                number
            }
        };
        self.last = (rule, number);
        number
    }

    /// From `address` on, rule `number` holds; not below the last row's address.
    fn push(&mut self, address: u32, number: u16) -> Result<(), TableError> {
        while self.rows.last().is_some_and(|row| row.0 >= address) {
            self.rows.pop();
        }
        if self.rows.last().is_some_and(|row| row.1 == number) {
            return Ok(());
        }
        if self.rows.len() == MAX_ROWS {
            return Err(TableError::TooLarge { what: "rows", limit: MAX_ROWS });
        }
        self.rows.push((address, number));
        Ok(())
    }

    /// Takes back a row that begins where the function ends.
    fn trim(&mut self, end: u32) {
        while self.rows.last().is_some_and(|row| row.0 >= end) {
            self.rows.pop();
        }
    }

    fn finish(mut self, code: Code, functions: usize) -> Table {
        // One row more than the limit does no harm.
        if self.rows.last().is_some_and(|row| row.1 != NO_RULE) {
            self.rows.push((self.end, NO_RULE));
        }
        let mut blocks = Vec::with_capacity(self.rows.len() / table::ROWS + 1);
        let mut rest = &self.rows[..];
        while let Some((block, taken)) = Block::cut(rest) {
            blocks.push(block);
            rest = &rest[taken..];
        }
        Table { code, rules: self.rules, blocks, functions }
    }
}

/// The address `behind` bytes behind the function's first, but not beyond its end.
fn address(function: Function, behind: u64) -> u32 {
    let length = u64::from(function.end - function.start);
    function.start + behind.min(length) as u32
}
