//! System calls and all else that is unsafe, behind safe functions.

pub mod bpf;
