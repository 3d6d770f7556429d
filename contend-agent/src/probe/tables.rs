//! Unwind tables in the kernel: which executables have theirs loaded, and where each process maps them.

use std::collections::HashMap;
use std::fs::File;

use aya::maps::{Array, HashMap as BpfHashMap, Map, MapData, MapError, PerCpuArray};
use aya::{Ebpf, Pod};
use contend_ebpf::record::ProcessKey;
use contend_ebpf::rule::{Reason, Rule};
use contend_ebpf::space::{BLOCKS_IN_PAGE, NO_TABLE, PAGE_BITS, Page, PageKey, RANGES, Range, Space};
use contend_ebpf::table::Block;
use object::ReadCache;
use tracing::debug;

use super::ProbeError;
use super::maps::take;
use crate::symbol::{AddressSpaces, FileId, PlacedMapping};
use crate::unwind::{Code, RuleSet, Shared, build};

/// An executable whose table is loaded.
struct Executable {
    number: u32,
    code: Code,
}

/// What could not be loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounters {
    /// Executables whose tables are loaded.
    pub executables: u64,
    /// Rows of these tables.
    pub rows: u64,
    /// Executables without a table: not readable, or without unwind information.
    pub without_table: u64,
    /// Executables whose table found no room.
    pub refused: u64,
    /// Rows that lost their rule, because there are too many different ones.
    pub unsupported_rows: u64,
    /// Mappings that found no room in their process's space.
    pub mappings_refused: u64,
}

/// The tables and the maps that they are loaded into.
pub struct Tables {
    rules_map: Array<MapData, Rule>,
    blocks: Map,
    pages: Map,
    spaces: Map,
    walks: PerCpuArray<MapData, u64>,
    rules: RuleSet,
    rules_loaded: usize,
    /// By file; `None` for one that has no table.
    executables: HashMap<FileId, Option<Executable>>,
    loaded: HashMap<ProcessKey, Vec<Range>>,
    next_executable: u32,
    next_block: u32,
    generation: u64,
    counters: TableCounters,
}

fn insert<K: Pod, V: Pod>(map: &mut Map, key: K, value: &V) -> Result<(), MapError> {
    BpfHashMap::<_, K, V>::try_from(map)?.insert(key, value, 0)
}

impl Tables {
    /// Takes the maps out of the loaded object.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            rules_map: Array::try_from(take(ebpf, "RULES")?)?,
            blocks: take(ebpf, "BLOCKS")?,
            pages: take(ebpf, "PAGES")?,
            spaces: take(ebpf, "SPACES")?,
            walks: PerCpuArray::try_from(take(ebpf, "WALKS")?)?,
            rules: RuleSet::default(),
            rules_loaded: 0,
            executables: HashMap::new(),
            loaded: HashMap::new(),
            next_executable: NO_TABLE + 1,
            next_block: 0,
            generation: 0,
            counters: TableCounters::default(),
        })
    }

    /// Loads what the process maps now, as `spaces` knows it, if that is new.
    ///
    /// # Errors
    ///
    /// When the kernel has no room for it.
    pub fn follow(&mut self, process: ProcessKey, spaces: &AddressSpaces) -> Result<(), MapError> {
        // The old vsyscall page lies in the kernel's half of the addresses.
        let user_mappings = spaces.mappings(process).filter(|mapping| mapping.limit < Range::NONE.start);
        let mut ranges: Vec<Range> = user_mappings.map(|mapping| self.range(mapping, spaces)).collect();
        if ranges.is_empty() {
            return Ok(());
        }
        self.counters.mappings_refused += ranges.len().saturating_sub(RANGES) as u64;
        ranges.truncate(RANGES);
        if self.loaded.get(&process) == Some(&ranges) {
            return Ok(());
        }
        self.generation += 1;
        let mut space = Space { generation: self.generation, ranges: [Range::NONE; RANGES] };
        space.ranges[..ranges.len()].copy_from_slice(&ranges);
        insert(&mut self.spaces, process.tgid, &space)?;
        self.loaded.insert(process, ranges);
        Ok(())
    }

    /// The process runs another program or has ended: its mappings are no longer what they were.
    pub fn forget(&mut self, process: ProcessKey) {
        if self.loaded.remove(&process).is_some()
            && let Ok(mut spaces) = BpfHashMap::<_, u32, Space>::try_from(&mut self.spaces)
        {
            // Gone already: nothing to do.
            let _ = spaces.remove(&process.tgid);
        }
    }

    /// How many stacks were complete (`None`) or cut short, and why, since the start.
    ///
    /// # Errors
    ///
    /// Those of the map.
    pub fn walks(&self) -> Result<Vec<(Option<Reason>, u64)>, MapError> {
        let ends = std::iter::once(None).chain(Reason::ALL.map(Some));
        ends.map(|end| {
            let index = end.map_or(0, |reason| reason as u32);
            Ok((end, self.walks.get(&index, 0)?.iter().sum()))
        })
        .collect()
    }

    /// What is loaded and what could not be.
    #[must_use]
    pub fn counters(&self) -> TableCounters {
        self.counters
    }

    fn range(&mut self, mapping: &PlacedMapping, spaces: &AddressSpaces) -> Range {
        let PlacedMapping { start, limit, file_offset, .. } = *mapping;
        let no_table = Range { start, limit, base: 0, executable: NO_TABLE, padding: 0 };
        let Some(executable) = mapping.file.and_then(|file| self.executable(file, spaces)) else {
            return no_table;
        };
        match executable.code.address_of(file_offset) {
            Some(address) => {
                let base = start.wrapping_sub(address as u64);
                Range { base, executable: executable.number, ..no_table }
            }
            None => no_table,
        }
    }

    /// The executable of a file, its table loaded now if it is new.
    fn executable(&mut self, file: FileId, spaces: &AddressSpaces) -> Option<&Executable> {
        if !self.executables.contains_key(&file) {
            let loaded = self.build_and_load(file, spaces);
            self.executables.insert(file, loaded);
        }
        self.executables.get(&file)?.as_ref()
    }

    fn build_and_load(&mut self, file: FileId, spaces: &AddressSpaces) -> Option<Executable> {
        let opened = spaces.file_path(file).and_then(|path| File::open(path).ok());
        let table = opened.and_then(|file| match build(&ReadCache::new(file)) {
            Ok(table) => Some(table),
            Err(error) => {
                debug!("{error}");
                None
            }
        });
        let Some(table) = table else {
            self.counters.without_table += 1;
            return None;
        };
        let rows = table.rows() as u64;
        let table = self.rules.adopt(table);
        // Numbers are not given twice, even when the load fails half-way. One block's is left out: an address
        // below an executable's first row finds none.
        let (number, first_block) = (self.next_executable, self.next_block + 1);
        self.next_executable += 1;
        self.next_block += table.blocks.len() as u32 + 1;
        if let Err(error) = self.load(&table, number, first_block) {
            debug!("an unwind table of {rows} rows finds no room: {error}");
            self.counters.refused += 1;
            return None;
        }
        self.counters.executables += 1;
        self.counters.rows += rows;
        self.counters.unsupported_rows += table.unsupported_rows;
        Some(Executable { number, code: table.code })
    }

    /// Loads the rules, then the blocks that name them, then the pages that name those.
    fn load(&mut self, table: &Shared, executable: u32, first_block: u32) -> Result<(), MapError> {
        for (number, rule) in self.rules.rules().iter().enumerate().skip(self.rules_loaded) {
            self.rules_map.set(number as u32, rule, 0)?;
        }
        self.rules_loaded = self.rules.rules().len();
        for (block, number) in table.blocks.iter().zip(first_block..) {
            insert(&mut self.blocks, number, block)?;
        }
        for (page, value) in pages(&table.blocks, first_block) {
            insert(&mut self.pages, PageKey { executable, page }, &value)?;
        }
        Ok(())
    }
}

/// The pages of a table whose first block has the number `first`.
fn pages(blocks: &[Block], first: u32) -> Vec<(u32, Page)> {
    let Some((lowest, highest)) = blocks.first().zip(blocks.last()) else { return Vec::new() };
    // The last block's rows may reach into the page after that of its base.
    let pages = lowest.base >> PAGE_BITS..=(highest.base >> PAGE_BITS) + 1;
    pages
        .map(|page| {
            let begin = u64::from(page) << PAGE_BITS;
            let end = begin + (1 << PAGE_BITS);
            // The page begins in the last block that is not above its first address.
            let before = blocks.partition_point(|block| u64::from(block.base) <= begin);
            let mut bases = [u32::MAX; BLOCKS_IN_PAGE];
            let within = blocks[before..].iter().take_while(|block| u64::from(block.base) < end);
            for (base, block) in bases.iter_mut().zip(within) {
                *base = block.base;
            }
            (page, Page { first: first + before as u32 - 1, bases })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use contend_ebpf::space::PAGE_BITS;
    use contend_ebpf::table::Block;

    use super::pages;

    /// Every address finds, through its page, the block that a search of all blocks finds.
    #[test]
    fn pages_lead_to_the_blocks() {
        let rows: Vec<(u32, u16)> = (0..30_000).map(|i| (0x1_2340 + i * 37 % 9 + i * 21, 1)).collect();
        let mut blocks = Vec::new();
        let mut rest = &rows[..];
        while let Some((block, taken)) = Block::cut(rest) {
            blocks.push(block);
            rest = &rest[taken..];
        }
        let pages: std::collections::HashMap<_, _> = pages(&blocks, 100).into_iter().collect();
        let last = blocks.last().expect("there are blocks").base;
        for address in (0x1_2340..last + 0x8000).step_by(13) {
            let expected = 100 + blocks.partition_point(|block| block.base <= address) as u32 - 1;
            assert_eq!(pages[&(address >> PAGE_BITS)].block(address), expected, "{address:#x}");
        }
        let below = pages[&1].block(0x1_0000);
        assert_eq!(below, 99, "an address below the first row finds no block of this table");
    }
}
