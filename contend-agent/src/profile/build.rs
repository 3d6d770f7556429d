//! Profiles made from what was recorded: each sample's stack placed and named, its labels added.

use std::time::{Duration, SystemTime};

use contend_ebpf::futex::Family;
use contend_ebpf::record::{COMM_LEN, SampleKey, SampleSums};
use contend_ebpf::sample::COUNT_ONE;

use super::model::{Label, LabelValue, Line, Location, Profile, ProfileKind, Sample};
use crate::aggregate::Process;
use crate::rules::{self, Kind};
use crate::symbol::{AddressSpaces, LocationTable, NameCounters, Names};

/// Name of the one frame of a sample whose stack is not known.
const NO_STACK: &str = "[no stack]";
/// Its address: in no mapping of any process, and not zero.
const NO_STACK_ADDRESS: u64 = 1;

/// Which time a profile is of, and how it shows run-queue time.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Start of the recording.
    pub start: SystemTime,
    /// Its length.
    pub duration: Duration,
    /// Run-queue time is in samples of its own, not in the others' delay.
    pub split_run_queue: bool,
}

/// Makes profiles.
pub struct Builder<'a> {
    window: Window,
    spaces: &'a mut AddressSpaces,
    names: Names,
}

impl<'a> Builder<'a> {
    /// A builder for the profiles of one recording.
    pub fn new(window: Window, spaces: &'a mut AddressSpaces, names: Names) -> Self {
        Self { window, spaces, names }
    }

    /// How symbolizing went.
    #[must_use]
    pub fn counters(&self) -> NameCounters {
        self.names.counters()
    }

    /// One of a process's two profiles.
    pub fn profile(&mut self, kind: ProfileKind, process: &Process) -> Profile {
        let wanted = process.samples.iter().filter(|(key, _)| key.profile == kind as u32);
        let mut table = LocationTable::new();
        let mut stacks = Vec::new();
        for (key, sums) in wanted {
            let places = process.stack(key.stack).iter();
            let stack: Vec<usize> = places.filter_map(|place| table.index(self.spaces, *place)).collect();
            stacks.push((key, sums, stack));
        }
        let (mappings, mut locations) = table.finish(&mut self.names, self.spaces);
        let no_stack = locations.len();
        let mut samples = Vec::new();
        for (key, sums, mut stack) in stacks {
            if stack.is_empty() {
                stack.push(no_stack);
            }
            samples.extend(self.samples(key, sums, stack, &locations));
        }
        if samples.iter().any(|sample| sample.stack == [no_stack]) {
            let line = Line { function: NO_STACK.to_owned(), ..Line::default() };
            locations.push(Location { address: NO_STACK_ADDRESS, mapping: None, lines: vec![line] });
        }
        let Window { start, duration, .. } = self.window;
        Profile { kind, start, duration, mappings, locations, samples }
    }

    /// The sample of one identity, and that of its run-queue time if asked for.
    fn samples(
        &self,
        key: &SampleKey,
        sums: &SampleSums,
        stack: Vec<usize>,
        locations: &[Location],
    ) -> impl Iterator<Item = Sample> {
        let names =
            stack.iter().filter_map(|index| locations.get(*index)).flat_map(|location| &location.lines);
        let labels = labels(key, kind_of(key, names.map(|line| line.function.as_str())));
        let split = self.window.split_run_queue && sums.run_queue > 0;
        let run_queue = split.then(|| {
            let mut labels = labels.clone();
            labels.push(text("phase", "run_queue"));
            labels.sort();
            Sample { stack: stack.clone(), contentions: 0, delay: sums.run_queue, labels }
        });
        let delay = if split { sums.delay - sums.run_queue } else { sums.delay };
        let contentions = (sums.contentions + COUNT_ONE / 2) / COUNT_ONE;
        [Some(Sample { stack, contentions, delay, labels }), run_queue].into_iter().flatten()
    }
}

/// The kind that the frames' names tell, or else the futex operation.
fn kind_of<'a>(key: &SampleKey, names: impl Iterator<Item = &'a str>) -> Kind {
    match rules::kind(names) {
        Kind::Unknown if key.family == Family::PriorityInheriting as u32 => Kind::Mutex,
        Kind::Unknown if key.family == Family::ConditionRequeue as u32 => Kind::Condvar,
        kind => kind,
    }
}

fn text(key: &'static str, value: impl Into<String>) -> Label {
    Label { key, value: LabelValue::Text(value.into()) }
}

fn labels(key: &SampleKey, kind: Kind) -> Vec<Label> {
    let mut labels = vec![text("kind", kind.label())];
    if key.thread != [0; COMM_LEN] {
        let end = key.thread.iter().position(|byte| *byte == 0).unwrap_or(COMM_LEN);
        labels.push(text("thread", String::from_utf8_lossy(&key.thread[..end])));
    }
    if key.lock != 0 {
        labels.push(Label { key: "lock_address", value: LabelValue::Number(key.lock as i64, "address") });
    }
    labels.sort();
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::Bounds;
    use contend_ebpf::record::ProcessKey;

    const PROCESS: ProcessKey = ProcessKey { tgid: 1, start_ticks: 1 };

    fn block_profile(split_run_queue: bool, key: SampleKey, sums: SampleSums) -> Profile {
        let mut process = Process::default();
        process.samples.insert(key, sums);
        let window =
            Window { start: SystemTime::UNIX_EPOCH, duration: Duration::from_secs(1), split_run_queue };
        let mut spaces = AddressSpaces::new(Bounds::default());
        Builder::new(window, &mut spaces, Names::default()).profile(ProfileKind::Block, &process)
    }

    fn key() -> SampleKey {
        SampleKey { process: PROCESS, stack: 5, profile: ProfileKind::Block as u32, ..SampleKey::default() }
    }

    const SUMS: SampleSums = SampleSums { contentions: 5 * COUNT_ONE / 2, delay: 1_000, run_queue: 100 };

    #[test]
    fn a_sample_without_a_stack_has_a_frame_that_says_so() {
        let profile = block_profile(false, key(), SUMS);
        assert_eq!(profile.samples[0].stack, [0]);
        assert_eq!(profile.locations[0].lines[0].function, "[no stack]");
        assert_ne!(profile.locations[0].address, 0);
    }

    #[test]
    fn counts_are_rounded_and_delay_holds_the_run_queue() {
        let profile = block_profile(false, key(), SUMS);
        assert_eq!(profile.samples.len(), 1);
        assert_eq!((profile.samples[0].contentions, profile.samples[0].delay), (3, 1_000));
    }

    #[test]
    fn run_queue_time_may_be_apart() {
        let profile = block_profile(true, key(), SUMS);
        let delays: Vec<_> = profile.samples.iter().map(|s| (s.contentions, s.delay)).collect();
        assert_eq!(delays, [(3, 900), (0, 100)]);
        assert!(profile.samples[1].labels.contains(&text("phase", "run_queue")));
        assert!(!profile.samples[0].labels.iter().any(|label| label.key == "phase"));
    }

    #[test]
    fn labels_are_written_when_asked_for() {
        let plain = block_profile(false, key(), SUMS);
        assert_eq!(plain.samples[0].labels, [text("kind", "unknown")]);
        let mut thread = [0; COMM_LEN];
        thread[..6].copy_from_slice(b"worker");
        let family = Family::PriorityInheriting as u32;
        let full = block_profile(false, SampleKey { thread, lock: 0x1000, family, ..key() }, SUMS);
        let lock = Label { key: "lock_address", value: LabelValue::Number(0x1000, "address") };
        assert_eq!(full.samples[0].labels, [text("kind", "mutex"), lock, text("thread", "worker")]);
    }

    #[test]
    fn the_other_profile_is_not_touched() {
        let mutex = SampleKey { profile: ProfileKind::Mutex as u32, ..key() };
        assert!(block_profile(false, mutex, SUMS).samples.is_empty());
    }
}
