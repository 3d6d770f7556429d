//! The kernel side, seen from the agent: loaded, attached, told what to record, and read out.

mod layout;
mod maps;
mod privilege;
mod programs;
mod tables;

pub use layout::{KernelType, LayoutError, kernel_layout};
pub use maps::{LockLeftover, Maps};
pub use privilege::{Capability, Privileges};
pub use programs::{Logger, ProbeError, Probes, Setup};
pub use tables::{TableCounters, Tables};
