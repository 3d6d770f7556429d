//! The maps' contents, as values.

use std::os::fd::AsFd as _;

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::{Ebpf, Pod};
use contend_ebpf::blame;
use contend_ebpf::record::{
    LockKey, LockRecord, Lost, ProcessKey, SampleKey, SampleSums, Settings, Totals, WATCH_CHILDREN,
};

use super::ProbeError;
use crate::sys::bpf::{Read, read_map};

/// Lock records that nobody waits on are retired after so long, in ns.
const LOCK_IDLE: u64 = 10_000_000_000;

/// Handles of the maps.
pub struct Maps {
    settings: Array<MapData, Settings>,
    in_force: Settings,
    watched: HashMap<MapData, u32, u32>,
    locks: Map,
    processes: Map,
    samples: [Map; 2],
    lost: PerCpuArray<MapData, u64>,
}

/// What a lock's record held that no unlocker was charged with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockLeftover {
    /// Waiting of finished waits that no release followed, in ns.
    pub uncharged: u64,
    /// Threads still waiting.
    pub waiting: u64,
}

pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, ProbeError> {
    ebpf.take_map(name).ok_or(ProbeError::Object(name))
}

/// All entries of a hash map.
fn entries<K: Pod, V: Pod>(map: &Map, name: &'static str, read: Read) -> Result<Vec<(K, V)>, ProbeError> {
    let Map::HashMap(data) = map else { return Err(ProbeError::Object(name)) };
    read_map(data.fd().as_fd(), read).map_err(|source| ProbeError::ReadMap { map: name, source })
}

impl Maps {
    /// Takes the maps out of the loaded object, and the ring buffer with the events.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<(Self, RingBuf<MapData>), ProbeError> {
        let maps = Self {
            settings: Array::try_from(take(ebpf, "SETTINGS")?)?,
            in_force: Settings::default(),
            watched: HashMap::try_from(take(ebpf, "WATCHED")?)?,
            locks: take(ebpf, "LOCKS")?,
            processes: take(ebpf, "PROCESSES")?,
            samples: [take(ebpf, "SAMPLES_0")?, take(ebpf, "SAMPLES_1")?],
            lost: PerCpuArray::try_from(take(ebpf, "LOST")?)?,
        };
        Ok((maps, RingBuf::try_from(take(ebpf, "EVENTS")?)?))
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.in_force
    }

    /// Changes the settings, but for the sample buffer in use.
    ///
    /// # Errors
    ///
    /// Those of the map.
    pub fn change_settings(&mut self, settings: Settings) -> Result<(), MapError> {
        self.in_force = Settings { buffer: self.in_force.buffer, ..settings };
        self.settings.set(0, self.in_force, 0)
    }

    /// Watches a process and, if asked, the children it will have.
    ///
    /// # Errors
    ///
    /// Those of the map.
    pub fn watch(&mut self, pid: u32, children: bool) -> Result<(), MapError> {
        self.watched.insert(pid, if children { WATCH_CHILDREN } else { 0 }, 0)
    }

    /// Watches a process no longer. Its open waits are still closed and counted.
    ///
    /// # Errors
    ///
    /// Those of the map.
    pub fn unwatch(&mut self, pid: u32) -> Result<(), MapError> {
        self.watched.remove(&pid)
    }

    /// Lets the programs fill the other sample buffer, and takes out what the one that they filled
    /// before the last call of this function holds: no program has been using it for that long.
    ///
    /// # Errors
    ///
    /// Those of the maps.
    pub fn turn_samples(&mut self) -> Result<Vec<(SampleKey, SampleSums)>, ProbeError> {
        let resting = 1 - self.in_force.buffer;
        let samples = self.take_samples(resting)?;
        self.in_force.buffer = resting;
        self.settings.set(0, self.in_force, 0)?;
        Ok(samples)
    }

    /// Takes out what both buffers hold. Only after the programs have been detached.
    ///
    /// # Errors
    ///
    /// Those of the maps.
    pub fn take_all_samples(&mut self) -> Result<Vec<(SampleKey, SampleSums)>, ProbeError> {
        let mut samples = self.take_samples(0)?;
        samples.extend(self.take_samples(1)?);
        Ok(samples)
    }

    fn take_samples(&self, buffer: u32) -> Result<Vec<(SampleKey, SampleSums)>, ProbeError> {
        entries(&self.samples[buffer as usize], "samples", Read::Take)
    }

    /// The totals of every process.
    ///
    /// # Errors
    ///
    /// Those of the map.
    pub fn totals(&self) -> Result<Vec<(ProcessKey, Totals)>, ProbeError> {
        entries(&self.processes, "processes", Read::Keep)
    }

    /// Takes out the totals of a process that has ended.
    pub fn take_totals(&mut self, process: ProcessKey) -> Option<Totals> {
        let mut processes = HashMap::<_, ProcessKey, Totals>::try_from(&mut self.processes).ok()?;
        // Not there: nothing was recorded of it.
        let totals = processes.get(&process, 0).ok()?;
        processes.remove(&process).ok()?;
        Some(totals)
    }

    /// What was lost, by reason, since the start.
    ///
    /// # Errors
    ///
    /// Those of the map.
    pub fn lost(&self) -> Result<Vec<(Lost, u64)>, MapError> {
        Lost::ALL
            .into_iter()
            .map(|reason| Ok((reason, self.lost.get(&(reason as u32), 0)?.iter().sum())))
            .collect()
    }

    /// Takes out the lock records that nobody has waited on for a while, and tells what they held. A
    /// wait that opens on one at the very moment is counted as [`Lost::LockRetired`] by the kernel side.
    ///
    /// # Errors
    ///
    /// Those of the map.
    pub fn retire_locks(&mut self, now: u64) -> Result<LockLeftover, ProbeError> {
        let mut retired = LockLeftover::default();
        let records = self.read_locks()?;
        let mut locks = HashMap::<_, LockKey, LockRecord>::try_from(&mut self.locks)?;
        for (key, lock) in records {
            if blame::count(lock.waiters) == 0 && lock.last_wait + LOCK_IDLE < now {
                retired.uncharged += uncharged(&lock);
                // Gone already: nothing to do.
                let _ = locks.remove(&key);
            }
        }
        Ok(retired)
    }

    /// What all lock records hold now that no unlocker was charged with.
    ///
    /// # Errors
    ///
    /// Those of the map.
    pub fn lock_leftover(&self) -> Result<LockLeftover, ProbeError> {
        let mut sum = LockLeftover::default();
        for (_, lock) in self.read_locks()? {
            let waiting = blame::count(lock.waiters);
            sum.waiting += waiting;
            // Of waits that still last, their unfinished time is in the integral, too.
            if waiting == 0 {
                sum.uncharged += uncharged(&lock);
            }
        }
        Ok(sum)
    }

    fn read_locks(&self) -> Result<Vec<(LockKey, LockRecord)>, ProbeError> {
        entries(&self.locks, "locks", Read::Keep)
    }
}

fn uncharged(lock: &LockRecord) -> u64 {
    blame::waiting(lock.waiters, lock.finished, 0).saturating_sub(lock.charged)
}
