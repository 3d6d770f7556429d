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

/// Number of the rule that holds at `address`, which is not below the block's base and below the next one's.
///
/// Nine steps without a branch that depends on data: the kernel's verifier would follow both sides of each.
#[inline(always)]
pub fn search(block: &Block, address: u32) -> u16 {
    let offset = address.wrapping_sub(block.base) as u64;
    let mut low = 0;
    let mut length = ROWS;
    while length > 1 {
        let half = length / 2;
        // SAFETY: `low + length` is at most ROWS: at first it is ROWS, a step adds to `low` no more than
        // it takes from `length`.
        let begin = unsafe { block.rows.get_unchecked(low + half) }.offset as u64;
        // 1 when the row begins at or before the offset: the difference is negative.
        let behind = begin.wrapping_sub(offset + 1) >> 63;
        low += half * behind as usize;
        length -= half;
    }
    // SAFETY: as above, with a length of 1.
    unsafe { block.rows.get_unchecked(low) }.rule
}

// SAFETY: `repr(C)`, two 32-bit and an even number of 16-bit numbers, hence without padding; every bit pattern is
// a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Block {}

#[cfg(test)]
mod tests {
    use super::{Block, ROWS, search};

    /// What `search` must find, the plain way.
    fn linear(block: &Block, address: u32) -> u16 {
        let begun = block.used().iter().rev().find(|row| block.base + u32::from(row.offset) <= address);
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
            for address in 0x4_0000..0x4_0000 + 3 * ROWS as u32 + 10 {
                assert_eq!(search(&block, address), linear(&block, address), "{count} rows, {address:#x}");
            }
        }
    }

    #[test]
    fn the_last_row_holds_beyond_the_span() {
        let block = filled(3, 0x7fff);
        assert_eq!(search(&block, 0x4_0000 + 0xfffd), 101);
        for address in [0x4_fffe, 0x4_ffff, 0x5_0000, 0x9_0000, u32::MAX] {
            assert_eq!(search(&block, address), 102, "{address:#x}");
        }
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
