//! What the kernel side tells, taken in as it comes.

use aya::maps::MapError;
use contend_ebpf::record::ProcessKey;

use super::args::Unwind;
use crate::aggregate::Aggregate;
use crate::event::Event;
use crate::probe::Tables;
use crate::symbol::{AddressSpaces, Bounds};
use crate::target;

/// What is known of stacks and processes.
pub(super) struct Intake {
    /// Samples and stacks.
    pub aggregate: Aggregate,
    /// What the processes map.
    pub spaces: AddressSpaces,
    /// Processes that have ended since this was last looked at.
    pub ended: Vec<ProcessKey>,
    unwind: Unwind,
}

impl Intake {
    /// Nothing yet.
    pub(super) fn new(unwind: Unwind) -> Self {
        let spaces = AddressSpaces::new(Bounds::of_this_process());
        Self { aggregate: Aggregate::default(), spaces, ended: Vec::new(), unwind }
    }

    /// Loads the unwind tables of what the process is known to map, if stacks are unwound by them.
    ///
    /// # Errors
    ///
    /// When the kernel has no room for the process's mappings.
    pub(super) fn load_tables(&self, process: ProcessKey, tables: &mut Tables) -> Result<(), MapError> {
        match self.unwind {
            Unwind::Tables => tables.follow(process, &self.spaces),
            Unwind::FramePointers => Ok(()),
        }
    }

    /// Takes in one event; unwind tables that it calls for are loaded into `tables`.
    ///
    /// # Errors
    ///
    /// When the kernel has no room for a process's mappings.
    pub(super) fn take(&mut self, event: Event, tables: &mut Tables) -> Result<(), MapError> {
        match event {
            Event::Stack { process, stack, frames } => {
                // Each is where a call returns to, the system call's own included: the call is just before.
                let addresses: Vec<u64> =
                    frames.iter().map(|address| address.saturating_sub(1).max(1)).collect();
                let places = self.spaces.place(process, &addresses);
                self.aggregate.add_stack(process, stack, places);
                self.name(process);
                self.load_tables(process, tables)?;
            }
            Event::Exec(process) => {
                self.spaces.exec(process);
                tables.forget(process);
                self.aggregate.process_mut(process).comm.clear();
                self.name(process);
            }
            Event::Fork { process, .. } => self.name(process),
            Event::Exit(process) => {
                tables.forget(process);
                self.ended.push(process);
            }
        }
        Ok(())
    }

    /// Notes the process's name, if it is not known.
    fn name(&mut self, process: ProcessKey) {
        let record = self.aggregate.process_mut(process);
        if record.comm.is_empty()
            && let Ok(identity) = target::identify(process.tgid)
            && identity.key == process
        {
            record.comm = identity.comm;
        }
    }
}
