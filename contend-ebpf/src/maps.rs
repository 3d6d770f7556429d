//! The maps. All are preallocated but the threads' records, which the kernel makes at a thread's first wait.

use aya_ebpf::bindings::bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE;
use aya_ebpf::bindings::{BPF_F_NO_PREALLOC, BPF_LOCAL_STORAGE_GET_F_CREATE, task_struct};
use aya_ebpf::helpers::generated::bpf_task_storage_get;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use contend_ebpf::event::{MAX_FRAMES, StackHeader};
use contend_ebpf::record::{LockKey, LockRecord, Lost, ProcessKey, SampleKey, SampleSums, Settings, Totals};
use contend_ebpf::rule::{MAX_RULES, Reason, Registers, Rule};
use contend_ebpf::space::{Page, PageKey, Range, Space};
use contend_ebpf::table::Block;

use crate::kernel::{self, CodeRange};
use crate::unwind::Notes;
use crate::wait::Thread;

/// What may be changed while the programs run; one entry.
#[map]
pub static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

/// Processes to watch, by id, when `Settings::only_watched` is set.
#[map]
pub static WATCHED: HashMap<u32, u32> = HashMap::with_max_entries(8_192, 0);

/// Lock words that have been waited on.
#[map]
pub static LOCKS: HashMap<LockKey, LockRecord> = HashMap::with_max_entries(65_536, 0);

/// Exact sums of each process.
#[map]
pub static PROCESSES: HashMap<ProcessKey, Totals> = HashMap::with_max_entries(16_384, 0);

/// Samples; the agent empties one of the two buffers while the other is being filled.
#[map]
pub static SAMPLES_0: HashMap<SampleKey, SampleSums> = HashMap::with_max_entries(32_768, 0);
/// The second buffer.
#[map]
pub static SAMPLES_1: HashMap<SampleKey, SampleSums> = HashMap::with_max_entries(32_768, 0);

/// Stacks that the agent has been sent. What is forgotten here is only sent again.
#[map]
pub static STACKS_SENT: LruHashMap<u64, u32> = LruHashMap::with_max_entries(32_768, 0);

/// Stacks and notices to the agent.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Counts by [`Lost`].
#[map]
pub static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(Lost::ALL.len() as u32, 0);

/// Where a stack is taken.
#[map]
pub static STACK: PerCpuArray<StackBuffer> = PerCpuArray::with_max_entries(1, 0);

/// Rules of all unwind tables.
#[map]
pub static RULES: Array<Rule> = Array::with_max_entries(MAX_RULES as u32, 0);

/// Blocks of unwind tables, by number. The agent inserts them; no program does.
#[map]
pub static BLOCKS: HashMap<u32, Block> = HashMap::with_max_entries(32_768, BPF_F_NO_PREALLOC);

/// Where the blocks of each page of code are.
#[map]
pub static PAGES: HashMap<PageKey, Page> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Executable mappings of the processes whose tables are loaded, by process id.
#[map]
pub static SPACES: HashMap<u32, Space> = HashMap::with_max_entries(8_192, BPF_F_NO_PREALLOC);

/// Stacks taken: complete ones at 0, the others by [`contend_ebpf::rule::Reason`].
#[map]
pub static WALKS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::ALL.len() as u32 + 1, 0);

/// A stack on its way to the agent. The first members are the walk's own and are not sent.
#[repr(C)]
pub struct StackBuffer {
    /// For the walk along frame pointers: where code can be.
    pub code: CodeRange,
    /// For the walk by tables: the frame that it has come to.
    pub at: Registers,
    /// The mapping that the last frame was in: most often the next one is in it, too.
    pub range: Range,
    /// What is noted of it, to know the same stack again.
    pub notes: Notes,
    /// The process whose stack it is.
    pub process_id: u32,
    /// What precedes the frames in the event.
    pub header: StackHeader,
    /// The frames; one more than can be used, so that a masked index is always inside.
    pub frames: [u64; MAX_FRAMES + 1],
}

/// Counts something that is not recorded as it should be.
#[inline(always)]
pub fn lose(reason: Lost) {
    if let Some(count) = LOST.get_ptr_mut(reason as u32) {
        // SAFETY: a value of this CPU's own, and programs that run on it do not nest.
        unsafe { *count += 1 };
    }
}

/// The settings.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// Whether `settings` ask for the process.
#[inline(always)]
pub fn is_watched(settings: &Settings, process_id: u32) -> bool {
    settings.only_watched == 0 || WATCHED.get_ptr(process_id).is_some()
}

/// Task storage as BTF describes it to the kernel: each member's type carries a number.
#[repr(C)]
pub struct ThreadStorage {
    r#type: *const [i32; BPF_MAP_TYPE_TASK_STORAGE as usize],
    key: *const i32,
    value: *const Thread,
    map_flags: *const [i32; BPF_F_NO_PREALLOC as usize],
}

// SAFETY: the members are never read; they exist for their types.
unsafe impl Sync for ThreadStorage {}

/// Threads' records: no map that could be full, and none that outlives or mistakes its thread.
#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
pub static THREADS: ThreadStorage = ThreadStorage {
    r#type: core::ptr::null(),
    key: core::ptr::null(),
    value: core::ptr::null(),
    map_flags: core::ptr::null(),
};

impl ThreadStorage {
    /// The record of a thread, if it has one.
    #[inline(always)]
    pub fn get(&'static self, task: *mut task_struct) -> Option<&'static mut Thread> {
        if kernel::has_storage(task) { self.look_up(task, 0) } else { None }
    }

    /// The record of a thread, made now if it has none; nothing when the kernel has no memory.
    #[inline(always)]
    pub fn get_or_create(&'static self, task: *mut task_struct) -> Option<&'static mut Thread> {
        let thread = self.look_up(task, BPF_LOCAL_STORAGE_GET_F_CREATE as u64);
        if thread.is_none() {
            lose(Lost::ThreadRecord);
        }
        thread
    }

    /// Makes the record of a thread that has none, if there is memory: at its first wait there may be none.
    #[inline(always)]
    pub fn prepare(&'static self, task: *mut task_struct) {
        let _ = self.look_up(task, BPF_LOCAL_STORAGE_GET_F_CREATE as u64);
    }

    #[inline(always)]
    fn look_up(&'static self, task: *mut task_struct, flags: u64) -> Option<&'static mut Thread> {
        let map = (&raw const *self).cast_mut().cast();
        // SAFETY: the map is task storage and `task` is trusted. The value lives as long as the task,
        // which cannot go away while the program runs. A sleeping thread's record is used by its waker,
        // a running one's by the thread itself: never by two at a time.
        unsafe { bpf_task_storage_get(map, task, core::ptr::null_mut(), flags).cast::<Thread>().as_mut() }
    }
}
