//! All unsafe code and raw system calls, behind safe functions.

pub mod bpf;
pub mod clock;
pub mod hold;
pub mod limits;
pub mod pidfd;
pub mod readiness;
pub mod signal;
