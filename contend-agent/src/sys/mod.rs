//! All unsafe code and raw system calls, behind safe functions.

pub mod hold;
pub mod limits;
pub mod pidfd;
