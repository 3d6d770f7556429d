//! Function names, source files and lines.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{CodeInfo, Input, Sym, Symbolized, Symbolizer};

use super::files::FileId;
use super::space::{AddressSpaces, Place};
use crate::profile::model::Line;

/// Most places whose names are remembered; then all are forgotten and read again when needed.
const MOST_REMEMBERED: usize = 262_144;

/// What has no name, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameCounters {
    /// Places that have names.
    pub named: u64,
    /// Places in a file that has no name for them.
    pub nameless: u64,
    /// Places in no mapping, or in memory without a file.
    pub without_file: u64,
    /// Files that could not be read as ELF files.
    pub files_failed: u64,
}

/// Names of places in files, read once.
///
/// A file's symbols and debug information are in memory only while its places are looked up; what
/// stays are the names that were found.
#[derive(Debug, Default)]
pub struct Names {
    remembered: HashMap<(FileId, u64), Vec<Line>>,
    counters: NameCounters,
}

impl Names {
    /// Functions and lines at each place, the innermost first; none where no name was found.
    pub fn locations(&mut self, spaces: &mut AddressSpaces, places: &[Place]) -> Vec<Vec<Line>> {
        self.look_up(spaces, places);
        places.iter().map(|&place| self.lines(spaces, place)).collect()
    }

    /// What had a name so far and what had none; a place that is asked for twice counts twice.
    pub fn counters(&self) -> NameCounters {
        self.counters
    }

    /// Remembers the names of those places that are not remembered, file by file.
    fn look_up(&mut self, spaces: &AddressSpaces, places: &[Place]) {
        if self.remembered.len() > MOST_REMEMBERED {
            self.remembered.clear();
        }
        let mut wanted: BTreeMap<FileId, BTreeSet<u64>> = BTreeMap::new();
        for &place in places {
            if let Some((file, offset)) = in_file(spaces, place)
                && !self.remembered.contains_key(&(file, offset))
            {
                wanted.entry(file).or_default().insert(offset);
            }
        }
        for (file, offsets) in wanted {
            let offsets: Vec<u64> = offsets.into_iter().collect();
            let found = spaces.file_path(file).and_then(|path| symbolize(&path, &offsets));
            self.counters.files_failed += u64::from(found.is_none());
            let found = found.unwrap_or_else(|| vec![Vec::new(); offsets.len()]);
            self.remembered.extend(offsets.into_iter().map(|offset| (file, offset)).zip(found));
        }
    }

    fn lines(&mut self, spaces: &AddressSpaces, place: Place) -> Vec<Line> {
        if let Some(key) = in_file(spaces, place) {
            let lines = self.remembered.get(&key).cloned().unwrap_or_default();
            *(if lines.is_empty() { &mut self.counters.nameless } else { &mut self.counters.named }) += 1;
            return lines;
        }
        let path = place.mapping.and_then(|id| spaces.mapping(id)).map_or("", |mapping| &mapping.path);
        if path.starts_with('[') {
            self.counters.named += 1;
            return vec![Line { function: path.into(), ..Line::default() }];
        }
        self.counters.without_file += 1;
        Vec::new()
    }
}

fn in_file(spaces: &AddressSpaces, place: Place) -> Option<(FileId, u64)> {
    let mapping = spaces.mapping(place.mapping?)?;
    Some((mapping.file?, mapping.offset_of(place.address)))
}

/// The names at offsets in an ELF file; `None` when it is not one.
fn symbolize(path: &Path, offsets: &[u64]) -> Option<Vec<Vec<Line>>> {
    // Anyone can run a file that is made to confuse its reader, and must not end the agent by it.
    catch_unwind(AssertUnwindSafe(|| {
        let symbolizer = Symbolizer::builder()
            .enable_code_info(true)
            .enable_inlined_fns(true)
            .enable_demangling(true)
            .enable_auto_reload(false)
            .build();
        let source = Source::Elf(Elf::new(path));
        let found = symbolizer.symbolize(&source, Input::FileOffset(offsets)).ok()?;
        Some(found.iter().map(lines_of).collect())
    }))
    .ok()
    .flatten()
}

fn lines_of(symbolized: &Symbolized<'_>) -> Vec<Line> {
    let Symbolized::Sym(symbol) = symbolized else {
        return Vec::new();
    };
    let Sym { name, code_info, inlined, .. } = symbol;
    let innermost_first =
        inlined.iter().rev().map(|function| line(&function.name, function.code_info.as_ref()));
    innermost_first.chain([line(name, code_info.as_deref())]).collect()
}

fn line(function: &str, code: Option<&CodeInfo<'_>>) -> Line {
    Line {
        function: function.into(),
        file: code.map(|code| code.to_path().to_string_lossy().into_owned()).unwrap_or_default(),
        line: code.and_then(|code| code.line).unwrap_or_default(),
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
