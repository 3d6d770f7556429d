//! The lives of processes: children of watched ones are watched, and the agent is told.

use aya_ebpf::bindings::{BPF_ANY, task_struct};
use aya_ebpf::helpers::bpf_get_current_comm;
use contend_ebpf::event::{EventType, Notice};
use contend_ebpf::record::{Lost, ProcessKey, WATCH_CHILDREN};

use crate::kernel;
use crate::maps::{self, EVENTS, PROCESSES, SPACES, THREADS, WATCHED};

fn send(event: EventType, process: ProcessKey, parent: u32) {
    let comm = bpf_get_current_comm().unwrap_or_default();
    let notice = Notice { event: event as u32, parent, process, comm };
    if EVENTS.output::<Notice>(notice, 0).is_err() {
        maps::lose(Lost::RingFull);
    }
}

/// `parent` has made `child`, a process or a thread.
#[inline(always)]
pub fn forked(parent: *mut task_struct, child: *mut task_struct) {
    let (parent_id, child_id) = (kernel::process_id(parent), kernel::process_id(child));
    if parent_id == child_id {
        // Better here than at its first wait, where the scheduler's locks are held.
        if maps::settings().is_some_and(|settings| maps::is_watched(settings, child_id)) {
            THREADS.prepare(child);
        }
        return;
    }
    let Some(flags) = WATCHED.get_ptr(parent_id) else { return };
    // SAFETY: a map value that only the agent and this function write, as a whole.
    let flags = unsafe { *flags };
    if flags & WATCH_CHILDREN == 0 {
        return;
    }
    if WATCHED.insert(child_id, flags, BPF_ANY as u64).is_err() {
        return maps::lose(Lost::WatchedTableFull);
    }
    send(EventType::Fork, kernel::process(child), parent_id);
}

/// `task` has begun another program.
#[inline(always)]
pub fn executed(task: *mut task_struct) {
    let process = kernel::process(task);
    if is_known(process) {
        // Nothing is mapped where it was. Not there: no table was loaded for it.
        let _ = SPACES.remove(process.tgid);
        send(EventType::Exec, process, 0);
    }
}

/// `task` ends; with its last thread the process does.
#[inline(always)]
pub fn exited(task: *mut task_struct) {
    if !kernel::is_process_dead(task) {
        return;
    }
    let process = kernel::process(task);
    if is_known(process) {
        // Another process may soon have this id.
        let _ = WATCHED.remove(process.tgid);
        let _ = SPACES.remove(process.tgid);
        send(EventType::Exit, process, 0);
    }
}

#[inline(always)]
fn is_known(process: ProcessKey) -> bool {
    WATCHED.get_ptr(process.tgid).is_some() || PROCESSES.get_ptr(process).is_some()
}
