//! Unwind tables as the kernel side reads them: which rule holds at which program counter.
//!
//! An executable's table is a sorted list of [`Block`]s, each the value of one map element that fills half a
//! page. A row is four bytes, and the rules it names are shared by all executables: see [`crate::rule`].
//! Addresses are relative to the lowest address that the executable is loaded at, so that one table
//! serves every process.

/// Rows of one block: with its base and count, a key of 8 bytes and what the kernel puts before an element
/// that is allocated when it is inserted (56 bytes), a block fills 2,048 bytes. Blocks of a page would be
/// cut by their span: 6.1 bytes a row instead of 4.7 in a 150 MB library.
pub const ROWS: usize = 494;

/// Bytes from a block's base that its rows can begin at.
pub const SPAN: u32 = 1 << 16;

/// From one address to the next row's, one rule holds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Where it begins, in bytes from the block's base.
    pub offset: u16,
    /// Number of the [`crate::rule::Rule`].
    pub rule: u16,
}

/// Rows of consecutive addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Address of the first row, in bytes from the executable's lowest.
    pub base: u32,
    /// Rows in use, at least 1.
    pub count: u32,
    /// The rows by offset; the first is at 0, and those not in use repeat the last rule at the greatest offset.
    pub rows: [Row; ROWS],
}

/// For who makes tables, which the kernel side does not.
#[cfg(not(target_arch = "bpf"))]
impl Block {
    /// The block of the first of `rows`, as many as fit, and their number; nothing without rows.
    ///
    /// A row is an address and a rule's number; each address is greater than the one before.
    pub fn cut(rows: &[(u32, u16)]) -> Option<(Self, usize)> {
        let base = rows.first()?.0;
        let offset = |address: u32| address.checked_sub(base).filter(|offset| *offset < SPAN);
        let mut block = Self { base, count: 0, rows: [Row::default(); ROWS] };
        let mut last = 0;
        for (row, &(address, rule)) in block.rows.iter_mut().zip(rows) {
            let Some(offset) = offset(address) else { break };
            *row = Row { offset: offset as u16, rule };
            last = rule;
            block.count += 1;
        }
        let count = block.count as usize;
        block.rows[count..].fill(Row { offset: u16::MAX, rule: last });
        Some((block, count))
    }

    /// The rows in use.
    pub fn used(&self) -> &[Row] {
        &self.rows[..(self.count as usize).min(ROWS)]
    }
}

/// Distances of the search's steps: after each, the row is one of as many as are not stepped over, and
/// their sum leads to the last. Not only powers of two, so that no two steps set different bits of an index:
/// the compiler would join them by `or`, of which the verifier knows a worse bound than of a sum.
const STEPS: [usize; 10] = [127, 111, 128, 64, 32, 16, 8, 4, 2, 1];

/// Number of the rule that holds at `address`, which is not below the block's base and below the next one's.
///
/// Without a branch on what the rows say: the kernel's verifier would follow both sides of each.
#[inline(always)]
pub fn search(block: &Block, address: u64) -> u16 {
    // All 64 bits: of smaller numbers the compiler knows that the sign is a comparison, and makes branches.
    let offset = address.wrapping_sub(block.base as u64);
    // Written out: of a loop the compiler makes branches.
    let mut low = 0;
    low += STEPS[0] * begun(block, low + STEPS[0], offset);
    low += STEPS[1] * begun(block, low + STEPS[1], offset);
    low += STEPS[2] * begun(block, low + STEPS[2], offset);
    low += STEPS[3] * begun(block, low + STEPS[3], offset);
    low += STEPS[4] * begun(block, low + STEPS[4], offset);
    low += STEPS[5] * begun(block, low + STEPS[5], offset);
    low += STEPS[6] * begun(block, low + STEPS[6], offset);
    low += STEPS[7] * begun(block, low + STEPS[7], offset);
    low += STEPS[8] * begun(block, low + STEPS[8], offset);
    low += STEPS[9] * begun(block, low + STEPS[9], offset);
    // SAFETY: `low` is at most the sum of all steps, which is ROWS - 1.
    unsafe { block.rows.get_unchecked(low) }.rule
}

/// 1 when row `index`, which is below ROWS, begins at or before `offset`, else 0.
#[inline(always)]
fn begun(block: &Block, index: usize, offset: u64) -> usize {
    // SAFETY: the caller's promise.
    let begin = unsafe { block.rows.get_unchecked(index) }.offset as u64;
    // The sign of a difference.
    (begin.wrapping_sub(offset.wrapping_add(1)) >> 63) as usize
}

// SAFETY: `repr(C)`, two 32-bit and an even number of 16-bit numbers, hence without padding; every bit pattern is
// a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Block {}

#[cfg(test)]
mod tests {
    use super::{Block, ROWS, STEPS, search};

    /// What `search` must find, the plain way.
    fn linear(block: &Block, address: u64) -> u16 {
        let begun =
            block.used().iter().rev().find(|row| u64::from(block.base) + u64::from(row.offset) <= address);
        begun.expect("the first row is at the base").rule
    }

    fn rows(count: usize, stride: u32) -> Vec<(u32, u16)> {
        (0..count as u32).map(|index| (0x4_0000 + index * stride, 100 + index as u16)).collect()
    }

    fn filled(count: usize, stride: u32) -> Block {
        let (block, taken) = Block::cut(&rows(count, stride)).expect("rows");
        assert_eq!((taken, block.used().len()), (count, count));
        block
    }

    #[test]
    fn a_block_and_what_precedes_it_fill_half_a_page() {
        assert_eq!(size_of::<Block>() + 8 + 56, 2_048);
    }

    #[test]
    fn search_equals_a_linear_one_for_every_count_and_offset() {
        for count in [1, 2, 3, 4, 5, 63, 64, 65, 246, 247, 248, ROWS - 2, ROWS - 1, ROWS] {
            let block = filled(count, 3);
            for address in 0x4_0000..0x4_0000 + 3 * ROWS as u64 + 10 {
                assert_eq!(search(&block, address), linear(&block, address), "{count} rows, {address:#x}");
            }
        }
    }

    #[test]
    fn the_last_row_holds_beyond_the_span() {
        let block = filled(3, 0x7fff);
        assert_eq!(search(&block, 0x4_0000 + 0xfffd), 101);
        for address in [0x4_fffe, 0x4_ffff, 0x5_0000, 0x9_0000, u64::from(u32::MAX)] {
            assert_eq!(search(&block, address), 102, "{address:#x}");
        }
    }

    #[test]
    fn the_steps_lead_to_every_row() {
        let mut length = ROWS;
        for step in STEPS {
            assert!(step < length);
            length = step.max(length - step);
        }
        assert_eq!((length, STEPS.iter().sum::<usize>()), (1, ROWS - 1));
    }

    #[test]
    fn a_row_at_the_last_offset_is_found() {
        let (block, _) = Block::cut(&[(0, 1), (0xffff, 2)]).expect("rows");
        assert_eq!([search(&block, 0xfffe), search(&block, 0xffff), search(&block, 0x1_0000)], [1, 2, 2]);
    }

    #[test]
    fn a_block_is_cut_when_it_is_full_or_its_span_ends() {
        assert_eq!(Block::cut(&[]), None);
        let (block, taken) = Block::cut(&rows(2 * ROWS, 1)).expect("rows");
        assert_eq!((taken, block.count as usize), (ROWS, ROWS));
        let (block, taken) = Block::cut(&rows(5, 0x7fff)).expect("rows");
        assert_eq!((taken, block.count, block.rows[3].rule), (3, 3, 102));
        let (_, taken) = Block::cut(&rows(2, 0x1_0000)).expect("rows");
        assert_eq!(taken, 1);
    }
}
