//! System calls and all else that is unsafe, behind safe functions.

pub mod bpf;
pub mod clock;
pub mod hold;
pub mod limits;
pub mod pidfd;
pub mod signal;
