//! Which file is mapped where in each process.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contend_ebpf::record::ProcessKey;

use super::files::{FileId, Files};
use super::maps::{self, Entry, Maps};
use crate::sys::limits::raise_open_files;
use crate::target::ProcessDirectory;

/// A process's mappings are read again no sooner than this: garbage addresses are in none.
const READ_INTERVAL: Duration = Duration::from_millis(50);
/// Threads that are tried when a process's first thread has ended.
const MOST_THREADS_TRIED: usize = 16;
/// What `perf` calls memory without a file.
const ANONYMOUS: &str = "//anon";

/// Names a mapping of one process; never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MappingId(u64);

/// An address and the mapping that it was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Address within the process.
    pub address: u64,
    /// `None` when no executable mapping held it.
    pub mapping: Option<MappingId>,
}

/// An executable mapping of a process, as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedMapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub limit: u64,
    /// Offset in the file of the first address.
    pub file_offset: u64,
    /// Path as the process sees it, a name in brackets, or `//anon`; invalid UTF-8 replaced.
    pub path: Arc<str>,
    /// The file, when there is one and it could be kept open.
    pub file: Option<FileId>,
    identity: ((u32, u32), u64),
    used: bool,
}

impl PlacedMapping {
    /// Offset in the file of an address in the mapping.
    pub fn offset_of(&self, address: u64) -> u64 {
        address.wrapping_sub(self.start).wrapping_add(self.file_offset)
    }

    fn is(&self, entry: &Entry) -> bool {
        (self.start, self.limit, self.file_offset) == (entry.start, entry.limit, entry.offset)
            && self.identity == (entry.device, entry.inode)
            && *self.path == *shown(entry)
    }

    fn overlaps(&self, entry: &Entry) -> bool {
        self.start < entry.limit && entry.start < self.limit
    }
}

fn shown(entry: &Entry) -> String {
    if entry.path.is_empty() { ANONYMOUS.into() } else { String::from_utf8_lossy(&entry.path).into_owned() }
}

/// Most of everything that is kept: the memory that [`AddressSpaces`] takes is at most some 150
/// bytes and a path for each mapping, and one descriptor for each file.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Processes.
    pub processes: usize,
    /// Executable mappings of all processes.
    pub mappings: usize,
    /// Executable mappings of one process, with those that are no longer there.
    pub mappings_per_process: usize,
    /// Open files.
    pub files: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { processes: 16_384, mappings: 262_144, mappings_per_process: 8_192, files: 512 }
    }
}

impl Bounds {
    /// The default, with half the descriptors that this process may open; raises its soft limit to
    /// the hard one. The other half is for the probes and the outputs.
    pub fn of_this_process() -> Self {
        let default = Self::default();
        let files = raise_open_files()
            .map_or(default.files, |limit| usize::try_from(limit / 2).unwrap_or(usize::MAX));
        Self { files: files.min(65_536), ..default }
    }
}

/// What could not be kept or read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceCounters {
    /// Times that a process's mappings were read.
    pub reads: u64,
    /// Times that they could not be read, as the process had gone or access was denied.
    pub unreadable: u64,
    /// Processes not looked at because there are too many.
    pub processes_refused: u64,
    /// Times that a process had more mappings than are kept.
    pub mappings_refused: u64,
    /// Files known by their path only, because too many are open.
    pub files_refused: u64,
    /// Files known by their path only, because they could not be opened.
    pub files_unreadable: u64,
    /// Addresses in no executable mapping.
    pub unplaced: u64,
}

/// One process's mappings.
#[derive(Debug, Default)]
struct Space {
    /// What is mapped, by rising address, and what was and has not been replaced.
    current: Vec<MappingId>,
    /// What has been replaced and may still be referred to.
    retired: Vec<MappingId>,
    read_at: Option<Instant>,
}

/// The executable mappings of the processes, each read while the process lives.
///
/// What it keeps is bounded by [`Bounds`]; a process's share is given back by [`Self::forget`].
#[derive(Debug)]
pub struct AddressSpaces {
    spaces: HashMap<ProcessKey, Space>,
    mappings: HashMap<MappingId, PlacedMapping>,
    files: Files,
    bounds: Bounds,
    next: u64,
    counters: SpaceCounters,
}

impl AddressSpaces {
    /// Without any process.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            spaces: HashMap::new(),
            mappings: HashMap::new(),
            files: Files::new(bounds.files),
            bounds,
            next: 0,
            counters: SpaceCounters::default(),
        }
    }

    /// Reads the mappings of a process that is new, so that they are known if it ends soon.
    pub fn observe(&mut self, process: ProcessKey) {
        self.place(process, &[]);
    }

    /// Finds each address's mapping; all of the process's are read at its first sight, and again
    /// when an address is in none.
    pub fn place(&mut self, process: ProcessKey, addresses: &[u64]) -> Vec<Place> {
        self.place_at(process, addresses, Instant::now())
    }

    fn place_at(&mut self, process: ProcessKey, addresses: &[u64], now: Instant) -> Vec<Place> {
        let known = |spaces: &Self| addresses.iter().all(|&address| spaces.find(process, address).is_some());
        let seen = self.spaces.get(&process).is_some_and(|space| space.read_at.is_some());
        if !seen || !known(self) {
            self.read(process, now);
        }
        addresses
            .iter()
            .map(|&address| {
                let mapping = self.find(process, address);
                match mapping.and_then(|id| self.mappings.get_mut(&id)) {
                    Some(mapping) => mapping.used = true,
                    None => self.counters.unplaced += 1,
                }
                Place { address, mapping }
            })
            .collect()
    }

    /// The process runs another program from now on. What was placed before stays as it is.
    pub fn exec(&mut self, process: ProcessKey) {
        if let Some(space) = self.spaces.get_mut(&process) {
            let old = std::mem::take(&mut space.current);
            space.read_at = None;
            self.retire(process, old);
        }
    }

    /// Gives back all that is kept of a process: its places have no mapping any more.
    pub fn forget(&mut self, process: ProcessKey) {
        if let Some(space) = self.spaces.remove(&process) {
            for id in space.current.into_iter().chain(space.retired) {
                self.drop_mapping(id);
            }
        }
    }

    /// A mapping, unless its process has been forgotten.
    pub fn mapping(&self, id: MappingId) -> Option<&PlacedMapping> {
        self.mappings.get(&id)
    }

    /// The executable mappings that the process was last seen to have, by address.
    pub fn mappings(&self, process: ProcessKey) -> impl Iterator<Item = &PlacedMapping> {
        let current = self.spaces.get(&process).map_or(&[][..], |space| &space.current);
        current.iter().filter_map(|id| self.mappings.get(id))
    }

    /// GNU build id as lower-case hexadecimal digits; empty when there is none.
    pub fn build_id(&self, file: FileId) -> &str {
        self.files.build_id(file)
    }

    /// Path by which this process, and no other, can open a kept file.
    pub fn file_path(&self, file: FileId) -> Option<PathBuf> {
        self.files.path(file)
    }

    /// Number of files that are kept open.
    pub fn open_files(&self) -> usize {
        self.files.len()
    }

    /// What was lost so far.
    pub fn counters(&self) -> SpaceCounters {
        SpaceCounters {
            files_refused: self.files.refused,
            files_unreadable: self.files.unreadable,
            ..self.counters
        }
    }

    fn find(&self, process: ProcessKey, address: u64) -> Option<MappingId> {
        let current = &self.spaces.get(&process)?.current;
        let behind =
            current.partition_point(|id| self.mappings.get(id).is_some_and(|it| it.start <= address));
        let id = *current.get(behind.checked_sub(1)?)?;
        (address < self.mappings.get(&id)?.limit).then_some(id)
    }

    fn read(&mut self, process: ProcessKey, now: Instant) {
        if !self.spaces.contains_key(&process) && self.spaces.len() >= self.bounds.processes {
            self.counters.processes_refused += 1;
            return;
        }
        let space = self.spaces.entry(process).or_default();
        if space.read_at.is_some_and(|at| now.saturating_duration_since(at) < READ_INTERVAL) {
            return;
        }
        space.read_at = Some(now);
        self.counters.reads += 1;
        match read_maps(process, self.bounds.mappings_per_process) {
            Ok((directory, maps)) => self.merge(process, &directory, maps),
            Err(_) => self.counters.unreadable += 1,
        }
    }

    /// Takes over what is mapped now. What is no longer mapped stays where nothing replaces it: its
    /// addresses may yet come in.
    fn merge(&mut self, process: ProcessKey, directory: &ProcessDirectory, maps: Maps) {
        self.counters.mappings_refused += u64::from(maps.cut);
        let old =
            self.spaces.get_mut(&process).map(|space| std::mem::take(&mut space.current)).unwrap_or_default();
        let (mut current, mut retired) = (Vec::new(), Vec::new());
        let mut entries = maps.entries;
        let mut known = vec![false; entries.len()];
        for id in old {
            let Some(mapping) = self.mappings.get(&id) else {
                continue;
            };
            let first = entries.partition_point(|entry| entry.limit <= mapping.start);
            match entries.get(first) {
                Some(entry) if mapping.is(entry) => {
                    current.push(id);
                    known[first] = true;
                }
                Some(entry) if mapping.overlaps(entry) => retired.push(id),
                _ => current.push(id),
            }
        }
        let mut known = known.into_iter();
        entries.retain(|_| known.next() != Some(true));
        let kept =
            current.len() + retired.len() + self.spaces.get(&process).map_or(0, |space| space.retired.len());
        let room = self.bounds.mappings_per_process.saturating_sub(kept);
        if entries.len() > room {
            self.counters.mappings_refused += 1;
            entries.truncate(room);
        }
        for entry in entries {
            current.extend(self.add(directory, &entry));
        }
        current.sort_by_key(|id| self.mappings.get(id).map(|mapping| mapping.start));
        if let Some(space) = self.spaces.get_mut(&process) {
            space.current = current;
        }
        self.retire(process, retired);
    }

    fn add(&mut self, directory: &ProcessDirectory, entry: &Entry) -> Option<MappingId> {
        if self.mappings.len() >= self.bounds.mappings {
            self.counters.mappings_refused += 1;
            return None;
        }
        let id = MappingId(self.next);
        self.next += 1;
        let mapping = PlacedMapping {
            start: entry.start,
            limit: entry.limit,
            file_offset: entry.offset,
            path: shown(entry).into(),
            file: self.files.keep(directory, entry),
            identity: (entry.device, entry.inode),
            used: false,
        };
        self.mappings.insert(id, mapping);
        Some(id)
    }

    /// Keeps of these what places refer to.
    fn retire(&mut self, process: ProcessKey, ids: Vec<MappingId>) {
        for id in ids {
            if self.mappings.get(&id).is_some_and(|mapping| mapping.used) {
                if let Some(space) = self.spaces.get_mut(&process) {
                    space.retired.push(id);
                }
            } else {
                self.drop_mapping(id);
            }
        }
    }

    fn drop_mapping(&mut self, id: MappingId) {
        if let Some(file) = self.mappings.remove(&id).and_then(|mapping| mapping.file) {
            self.files.release(file);
        }
    }
}

/// Reads the mappings of exactly this process.
fn read_maps(process: ProcessKey, most: usize) -> io::Result<(ProcessDirectory, Maps)> {
    let directory = ProcessDirectory::of(process)?;
    let maps = read_from(&directory, most)?;
    if maps.any {
        return Ok((directory, maps));
    }
    // The first thread has ended and the process goes on: its other threads show the mappings.
    for thread in std::fs::read_dir(directory.path("task"))?.take(MOST_THREADS_TRIED).flatten() {
        let Some(tid) = thread.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(other) = ProcessDirectory::open(tid) else {
            continue;
        };
        // Looked at after the open: the id was not given to another process in between.
        if !directory.path(&format!("task/{tid}")).exists() {
            continue;
        }
        if let Ok(maps) = read_from(&other, most)
            && maps.any
        {
            return Ok((other, maps));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn read_from(directory: &ProcessDirectory, most: usize) -> io::Result<Maps> {
    maps::read(BufReader::with_capacity(64 * 1024, File::open(directory.path("maps"))?), most)
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
