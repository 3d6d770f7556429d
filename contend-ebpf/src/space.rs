//! Where a process's executables are, and where their tables' blocks are: how an address finds its rule.

/// Most executable mappings of a process that stacks are followed through. With its key and what the kernel
/// puts before it, the element then fills a page.
pub const RANGES: usize = 120;
/// Blocks that begin in one page of code, at most; a page has some three.
pub const BLOCKS_IN_PAGE: usize = 15;
/// Code is looked up by pages of so many bytes, as a power of 2.
pub const PAGE_BITS: u32 = 16;
/// [`Range::executable`] of code without a table, which is followed by frame pointers.
pub const NO_TABLE: u32 = 0;

/// Greater than every address, and still positive when an address is taken from it.
const NOWHERE: u64 = i64::MAX as u64;

/// An executable mapping.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub limit: u64,
    /// Address that the table's addresses are counted from.
    pub base: u64,
    /// Number of the executable, or [`NO_TABLE`].
    pub executable: u32,
    /// Keeps the size a multiple of 8.
    pub padding: u32,
}

impl Range {
    /// No mapping, above all others.
    pub const NONE: Self = Self { start: NOWHERE, limit: NOWHERE, base: 0, executable: NO_TABLE, padding: 0 };

    /// Whether the address lies in it.
    #[inline(always)]
    pub fn holds(&self, address: u64) -> bool {
        address >= self.start && address < self.limit
    }
}

/// The executable mappings of a process, by address; unused ones are [`Range::NONE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Another number each time that the mappings change.
    pub generation: u64,
    /// The mappings.
    pub ranges: [Range; RANGES],
}

/// The last range that begins at or before the address, or the first one. Without a branch that depends on
/// data, as [`crate::table::search`].
#[inline(always)]
pub fn find(space: &Space, address: u64) -> &Range {
    let mut low = 0;
    let mut length = RANGES;
    while length > 1 {
        let half = length / 2;
        // SAFETY: `low + length` is at most RANGES, as in `table::search`.
        let start = unsafe { space.ranges.get_unchecked(low + half) }.start;
        let behind = start.wrapping_sub(address + 1) >> 63;
        low += half * behind as usize;
        length -= half;
    }
    // SAFETY: as above, with a length of 1.
    unsafe { space.ranges.get_unchecked(low) }
}

/// A page of an executable's code.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PageKey {
    /// The executable.
    pub executable: u32,
    /// Address from the executable's lowest, without its [`PAGE_BITS`] lowest bits.
    pub page: u32,
}

/// The blocks that hold the rows of a page.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Number of the block that the page begins in; the next ones follow it.
    pub first: u32,
    /// Where the next blocks begin; `u32::MAX` where there is none.
    pub bases: [u32; BLOCKS_IN_PAGE],
}

impl Page {
    /// Number of the block that holds the address, which lies in this page.
    #[inline(always)]
    pub fn block(&self, address: u32) -> u32 {
        let begun = |base: &u32| ((*base as u64).wrapping_sub(address as u64 + 1) >> 63) as u32;
        self.first + self.bases.iter().map(begun).sum::<u32>()
    }
}

#[cfg(feature = "user")]
mod user {
    use super::{Page, PageKey, Space};

    // SAFETY: `repr(C)`, without padding, and every bit pattern is a value.
    unsafe impl aya::Pod for Space {}
    // SAFETY: as above.
    unsafe impl aya::Pod for PageKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Page {}
}

#[cfg(test)]
mod tests {
    use super::{BLOCKS_IN_PAGE, Page, RANGES, Range, Space, find};

    #[test]
    fn a_space_and_what_precedes_it_fill_a_page() {
        assert!(size_of::<Space>() + 8 + 56 <= 4_096);
    }

    #[test]
    fn find_equals_a_linear_search() {
        for count in [1, 2, 3, 59, 60, 61, RANGES - 1, RANGES] {
            let mut space = Space { generation: 0, ranges: [Range::NONE; RANGES] };
            for (index, range) in space.ranges[..count].iter_mut().enumerate() {
                let start = 0x1000 * (2 * index as u64 + 1);
                *range = Range { start, limit: start + 0x1000, ..Range::NONE };
            }
            for address in (0..0x1000 * (2 * RANGES as u64 + 4)).step_by(0x800) {
                let found = Some(find(&space, address)).filter(|range| range.holds(address));
                let expected = space.ranges[..count].iter().find(|range| range.holds(address));
                assert_eq!(found, expected, "{count} ranges, {address:#x}");
            }
        }
    }

    #[test]
    fn a_page_finds_its_blocks() {
        let mut bases = [u32::MAX; BLOCKS_IN_PAGE];
        bases[..2].copy_from_slice(&[0x5_1000, 0x5_8000]);
        let page = Page { first: 7, bases };
        let blocks = [0x5_0000, 0x5_0fff, 0x5_1000, 0x5_7fff, 0x5_8000, 0x5_ffff].map(|a| page.block(a));
        assert_eq!(blocks, [7, 7, 8, 8, 9, 9]);
    }
}
