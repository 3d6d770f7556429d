//! What has been recorded so far: the sums of the samples, the stacks that they name, and each
//! process's totals.

use std::collections::{BTreeMap, HashMap};

use contend_ebpf::record::{ProcessKey, SampleKey, SampleSums, Totals};

use crate::symbol::Place;

/// Most stacks that are kept; what is sampled on further ones is shown without a stack, and counted.
const STACKS_LIMIT: usize = 1 << 18;

/// One process as recorded.
#[derive(Debug, Default)]
pub struct Process {
    /// Its name when it was last seen alive.
    pub comm: String,
    /// Exact sums.
    pub totals: Totals,
    /// Samples by identity.
    pub samples: HashMap<SampleKey, SampleSums>,
    stacks: HashMap<u64, Vec<Place>>,
}

impl Process {
    /// The places of a stack, the innermost first; empty when it is not known.
    #[must_use]
    pub fn stack(&self, stack: u64) -> &[Place] {
        self.stacks.get(&stack).map_or(&[], Vec::as_slice)
    }
}

/// All processes as recorded.
#[derive(Debug, Default)]
pub struct Aggregate {
    processes: BTreeMap<ProcessKey, Process>,
    stacks: usize,
    stacks_refused: u64,
}

impl Aggregate {
    /// The process's record, made if there is none.
    pub fn process_mut(&mut self, process: ProcessKey) -> &mut Process {
        self.processes.entry(process).or_default()
    }

    /// The process's record.
    #[must_use]
    pub fn process(&self, process: ProcessKey) -> Option<&Process> {
        self.processes.get(&process)
    }

    /// Every process, in the order of their ids.
    pub fn processes(&self) -> impl Iterator<Item = (ProcessKey, &Process)> {
        self.processes.iter().map(|(key, process)| (*key, process))
    }

    /// Keeps a stack.
    pub fn add_stack(&mut self, process: ProcessKey, stack: u64, places: Vec<Place>) {
        if self.stacks >= STACKS_LIMIT {
            self.stacks_refused += 1;
            return;
        }
        if self.process_mut(process).stacks.insert(stack, places).is_none() {
            self.stacks += 1;
        }
    }

    /// Stacks that were not kept for want of room.
    #[must_use]
    pub fn stacks_refused(&self) -> u64 {
        self.stacks_refused
    }

    /// Adds samples.
    pub fn add_samples(&mut self, samples: impl IntoIterator<Item = (SampleKey, SampleSums)>) {
        for (key, sums) in samples {
            let sum = self.process_mut(key.process).samples.entry(key).or_default();
            sum.contentions += sums.contentions;
            sum.delay += sums.delay;
            sum.run_queue += sums.run_queue;
        }
    }

    /// Replaces the totals of processes by newer ones.
    pub fn set_totals(&mut self, totals: impl IntoIterator<Item = (ProcessKey, Totals)>) {
        for (process, totals) in totals {
            self.process_mut(process).totals = totals;
        }
    }
}

#[cfg(test)]
mod tests {
    use contend_ebpf::record::{ProcessKey, SampleKey, SampleSums};

    use super::{Aggregate, STACKS_LIMIT};

    const PROCESS: ProcessKey = ProcessKey { tgid: 1, start_ticks: 2 };

    #[test]
    fn samples_of_one_identity_are_summed() {
        let key = SampleKey { process: PROCESS, stack: 3, ..SampleKey::default() };
        let other = SampleKey { lock: 4, ..key };
        let sums = SampleSums { contentions: 1, delay: 10, run_queue: 2 };
        let mut aggregate = Aggregate::default();
        aggregate.add_samples([(key, sums), (other, sums)]);
        aggregate.add_samples([(key, sums)]);
        let process = aggregate.process(PROCESS).expect("it has samples");
        assert_eq!(process.samples[&key], SampleSums { contentions: 2, delay: 20, run_queue: 4 });
        assert_eq!(process.samples[&other], sums);
    }

    #[test]
    fn stacks_are_bounded_and_the_rest_is_counted() {
        let mut aggregate = Aggregate::default();
        for stack in 0..STACKS_LIMIT as u64 + 5 {
            aggregate.add_stack(PROCESS, stack, Vec::new());
        }
        assert_eq!(aggregate.stacks_refused(), 5);
    }
}
