//! The functions that an object has call frame information for, in order and without overlaps.

use std::collections::HashMap;

use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, FrameDescriptionEntry, UnwindOffset, UnwindSection,
};

use super::TableError;
use super::image::Code;
use super::translate::Bytes;

/// Most bytes of one section of call frame information. The largest browsers have some 20 MB.
pub const MAX_FRAME_BYTES: usize = 64 << 20;
/// Most functions of one object; a compiler's 150 MB library has 107,000.
pub const MAX_FUNCTIONS: usize = 2 << 20;
/// Most bytes of instructions run for one object, in units of one function's and its common part's entries.
const MAX_WORK: usize = 96 << 20;

/// One function's information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// First address, from the object's lowest.
    pub(super) start: u32,
    /// One more than its last.
    pub(super) end: u32,
    /// Where its entry is in the section.
    pub(super) entry: u32,
    /// Which section: `.eh_frame` or `.debug_frame`.
    pub(super) in_debug_frame: bool,
}

/// A section with the common entries that have been read from it.
pub(super) struct Entries<'data, S> {
    section: S,
    bases: BaseAddresses,
    common: HashMap<usize, CommonInformationEntry<Bytes<'data>>>,
    work: usize,
}

impl<'data, S: UnwindSection<Bytes<'data>>> Entries<'data, S> {
    pub(super) fn new(section: S, bases: BaseAddresses) -> Self {
        Self { section, bases, common: HashMap::new(), work: 0 }
    }

    pub(super) fn section(&self) -> &S {
        &self.section
    }

    pub(super) fn bases(&self) -> &BaseAddresses {
        &self.bases
    }

    /// Appends the section's functions that lie in `code` to `functions`. What cannot be read ends the
    /// section or skips an entry.
    pub(super) fn list(
        &mut self,
        code: &Code,
        in_debug_frame: bool,
        functions: &mut Vec<Function>,
    ) -> Result<(), TableError> {
        let Self { section, bases, common, work } = self;
        let mut entries = section.entries(bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let offset = partial.offset();
            let Ok(entry) = partial.parse(|_, bases, offset| shared(section, common, bases, offset)) else {
                continue;
            };
            *work += entry.entry_len() + entry.cie().entry_len();
            if *work > MAX_WORK {
                return Err(TableError::TooLarge { what: "bytes of unwind instructions", limit: MAX_WORK });
            }
            let Some((start, end)) = range(code, &entry) else { continue };
            if functions.len() == MAX_FUNCTIONS {
                return Err(TableError::TooLarge { what: "functions", limit: MAX_FUNCTIONS });
            }
            // A section's size is limited to less than 32 bits.
            functions.push(Function { start, end, entry: offset as u32, in_debug_frame });
        }
        Ok(())
    }

    /// The entry of one of the section's functions.
    pub(super) fn entry(&mut self, function: Function) -> Option<FrameDescriptionEntry<Bytes<'data>>> {
        let Self { section, bases, common, .. } = self;
        let offset = S::Offset::from(function.entry as usize);
        section.fde_from_offset(bases, offset, |_, bases, offset| shared(section, common, bases, offset)).ok()
    }
}

/// The common entry at `offset`, read once.
fn shared<'data, S: UnwindSection<Bytes<'data>>>(
    section: &S,
    common: &mut HashMap<usize, CommonInformationEntry<Bytes<'data>>>,
    bases: &BaseAddresses,
    offset: S::Offset,
) -> gimli::Result<CommonInformationEntry<Bytes<'data>>> {
    if let Some(entry) = common.get(&UnwindOffset::into(offset)) {
        return Ok(entry.clone());
    }
    let entry = section.cie_from_offset(bases, offset)?;
    common.insert(UnwindOffset::into(offset), entry.clone());
    Ok(entry)
}

/// Where the function is, from the lowest address; nothing when that is not in the code, as for functions
/// that the linker dropped.
fn range(code: &Code, entry: &FrameDescriptionEntry<Bytes<'_>>) -> Option<(u32, u32)> {
    let address = entry.initial_address();
    let end = address.saturating_add(entry.len()).min(code.end_of(address)?);
    let start = u32::try_from(address.checked_sub(code.lowest)?).ok()?;
    let end = u32::try_from(end.checked_sub(code.lowest)?).ok()?;
    (start < end).then_some((start, end))
}

/// Sorts, and resolves overlaps: the function that begins last holds, as for the search of the programs'
/// own unwinder; `.debug_frame` holds only where `.eh_frame` says nothing.
pub(super) fn resolve(functions: &mut Vec<Function>) {
    functions.sort_by_key(|function| (function.start, function.in_debug_frame));
    let mut covered = 0;
    functions.retain(|function| {
        if function.in_debug_frame {
            return function.start >= covered;
        }
        covered = covered.max(function.end);
        true
    });
    functions.dedup_by_key(|function| function.start);
    for index in 1..functions.len() {
        let next = functions[index].start;
        let previous = &mut functions[index - 1];
        previous.end = previous.end.min(next);
    }
}

#[cfg(test)]
mod tests {
    use super::{Function, resolve};

    fn function(start: u32, end: u32, in_debug_frame: bool) -> Function {
        Function { start, end, entry: 0, in_debug_frame }
    }

    #[test]
    fn overlaps_are_resolved() {
        let mut functions = vec![
            function(50, 60, false),
            function(70, 80, true),
            function(0, 100, false),
            function(100, 110, false),
            function(105, 120, true),
            function(120, 130, true),
            function(100, 110, true),
        ];
        resolve(&mut functions);
        let ranges: Vec<_> = functions.iter().map(|function| (function.start, function.end)).collect();
        assert_eq!(ranges, [(0, 50), (50, 60), (100, 110), (120, 130)]);
        assert!(functions[3].in_debug_frame && !functions[2].in_debug_frame);
    }
}
