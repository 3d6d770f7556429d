//! Keys and values of the maps.

/// A process, told apart from an earlier one with the same id by when it started.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessKey {
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// Start of the process since boot in units of 10 ms, as field 22 of `/proc/PID/stat`.
    pub start_ticks: u32,
}

/// A lock word and the memory it belongs to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LockKey {
    /// The kernel's `mm` for private memory, its inode for shared memory: an opaque number.
    pub space: u64,
    /// Address of the word; its offset in the file for shared memory.
    pub word: u64,
}

/// What is known of one lock word; see [`crate::blame`] for the first three members.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LockRecord {
    /// Waiters and the sum of their starts, packed.
    pub waiters: u64,
    /// Waiting of those that no longer wait, less the starts' remainders, in ns.
    pub finished: i64,
    /// Waiting that unlockers have been charged with, in ns.
    pub charged: u64,
    /// When this record was made, in ns of the monotonic clock; tells it from an earlier one of the same key.
    pub epoch: u64,
    /// When a wait was last opened here, in ns of the monotonic clock.
    pub last_wait: u64,
    /// Where waiters were last requeued to, or 0.
    pub requeued_to: u64,
    /// Process whose wait made this record.
    pub process: ProcessKey,
}

/// Exact sums of one process, never sampled.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Finished waits.
    pub waits: u64,
    /// Their delay, in ns, run-queue time included.
    pub delay: u64,
    /// The part of it from wake to run, in ns.
    pub run_queue: u64,
    /// Finished waits whose waker was seen to release the lock word.
    pub paired: u64,
    /// Releases by this process that found waiters.
    pub releases: u64,
    /// Waiting charged to them, in ns.
    pub charged: u64,
}

impl Totals {
    /// Adds another process's or interval's sums.
    pub fn add(&mut self, other: &Self) {
        self.waits += other.waits;
        self.delay += other.delay;
        self.run_queue += other.run_queue;
        self.paired += other.paired;
        self.releases += other.releases;
        self.charged += other.charged;
    }
}

/// Room for a thread's name, as the kernel's `TASK_COMM_LEN`.
pub const COMM_LEN: usize = 16;

/// Which profile a sample belongs to.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    /// Blames the unlocker.
    Mutex = 0,
    /// Blames the waiter.
    Block = 1,
}

/// Identity of samples that are summed in the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SampleKey {
    /// The process that waited or released.
    pub process: ProcessKey,
    /// Its stack, by [`crate::event::StackHeader::stack`]; 0 when none could be taken.
    pub stack: u64,
    /// Address of the lock word, or 0 when not asked for.
    pub lock: u64,
    /// The thread's name, or zeros when not asked for.
    pub thread: [u8; COMM_LEN],
    /// A [`Profile`].
    pub profile: u32,
    /// A [`crate::futex::Family`]: what the call itself tells of the kind.
    pub family: u32,
}

/// Sums of the samples of one [`SampleKey`], already scaled by the rate in force.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleSums {
    /// Contentions, in units of 1/[`crate::sample::COUNT_ONE`].
    pub contentions: u64,
    /// Delay in ns, run-queue time included.
    pub delay: u64,
    /// Run-queue time in it, in ns.
    pub run_queue: u64,
}

/// What may be changed while the programs run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Which of the two sample buffers is being filled: 0 or 1.
    pub buffer: u32,
    /// 1: only the processes in the `WATCHED` map.
    pub only_watched: u32,
    /// 1: tell samples apart by thread name.
    pub label_thread: u32,
    /// 1: tell samples apart by lock word.
    pub label_lock: u32,
    /// Mutex profile: one release in so many; 0 is off.
    pub mutex_fraction: u64,
    /// Block profile: rate in ns; 0 is off.
    pub block_rate: u64,
}

/// Value of a watched process: its children are watched, too.
pub const WATCH_CHILDREN: u32 = 1;

/// Why something was not recorded as it should have been.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// No memory for a thread's record: the wait is not seen at all.
    ThreadRecord = 0,
    /// The lock table is full: the wait is counted, no unlocker is charged with it.
    LockTableFull,
    /// A lock has more waiters or is older than its record can hold: as above.
    LockSaturated,
    /// A lock's record was retired while a wait was being opened: as above.
    LockRetired,
    /// The processes' table is full: totals of the process are incomplete.
    ProcessTableFull,
    /// The sample buffer is full: in the totals, not in the profile.
    SampleBufferFull,
    /// The ring buffer is full: a stack or notice comes later or not at all.
    RingFull,
    /// No stack could be read.
    StackUnreadable,
    /// A futex call's memory could not be read: the wait is not seen.
    CallUnreadable,
    /// A 32-bit program's futex wait, which is not supported.
    CompatCall,
    /// A shared futex whose file could not be looked up: its waits are told apart by process.
    SharedKey,
    /// The table of watched processes is full: a child is not watched.
    WatchedTableFull,
}

impl Lost {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::ThreadRecord,
        Self::LockTableFull,
        Self::LockSaturated,
        Self::LockRetired,
        Self::ProcessTableFull,
        Self::SampleBufferFull,
        Self::RingFull,
        Self::StackUnreadable,
        Self::CallUnreadable,
        Self::CompatCall,
        Self::SharedKey,
        Self::WatchedTableFull,
    ];

    /// Name in metrics, and in the summary together with [`Self::meaning`].
    pub fn name(self) -> &'static str {
        match self {
            Self::ThreadRecord => "thread_record",
            Self::LockTableFull => "lock_table_full",
            Self::LockSaturated => "lock_saturated",
            Self::LockRetired => "lock_retired",
            Self::ProcessTableFull => "process_table_full",
            Self::SampleBufferFull => "sample_buffer_full",
            Self::RingFull => "ring_full",
            Self::StackUnreadable => "stack_unreadable",
            Self::CallUnreadable => "call_unreadable",
            Self::CompatCall => "compat_call",
            Self::SharedKey => "shared_key",
            Self::WatchedTableFull => "watched_table_full",
        }
    }

    /// What the user is missing.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ThreadRecord => "waits not seen: no kernel memory for the thread's record",
            Self::LockTableFull => "waits that no unlocker is charged with: the lock table is full",
            Self::LockSaturated => "waits that no unlocker is charged with: too many waiters on one lock",
            Self::LockRetired => {
                "waits that no unlocker is charged with: their lock's record was just retired"
            }
            Self::ProcessTableFull => "events missing from the totals: the process table is full",
            Self::SampleBufferFull => {
                "samples missing from the profiles, not from the totals: the buffer is full"
            }
            Self::RingFull => "stacks or notices delayed or missing: the ring buffer is full",
            Self::StackUnreadable => "samples without a stack",
            Self::CallUnreadable => "waits not seen: the call's arguments could not be read",
            Self::CompatCall => "waits of 32-bit programs, which are not supported",
            Self::SharedKey => "waits on shared locks told apart by process: the mapping was busy",
            Self::WatchedTableFull => "child processes not watched: the table is full",
        }
    }
}

#[cfg(feature = "user")]
mod user {
    use super::{LockKey, LockRecord, ProcessKey, SampleKey, SampleSums, Settings, Totals};

    // SAFETY: these types are `repr(C)`, without padding, and every bit pattern is a value of them.
    unsafe impl aya::Pod for ProcessKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for LockKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for LockRecord {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Totals {}
    // SAFETY: as above; `profile` and `family` are plain numbers, not enumerations.
    unsafe impl aya::Pod for SampleKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for SampleSums {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Settings {}
}
