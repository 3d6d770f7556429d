//! What contend's kernel side and its agent share: the records in the maps, the decoding of futex
//! calls, the waiting integral, the sampling rule and the unwind tables.
//!
//! Everything here is plain arithmetic on values, without kernel helpers, so that the agent's tests
//! run the very code that the kernel runs. The programs themselves are the binary of this crate and
//! exist only for the BPF target.
#![cfg_attr(target_arch = "bpf", no_std)]

pub mod blame;
pub mod event;
pub mod futex;
pub mod layout;
pub mod record;
pub mod rule;
pub mod sample;
pub mod space;
pub mod table;

/// The programs, compiled: one object for every architecture, since the register layout is given at load.
#[cfg(feature = "user")]
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("../prebuilt/contend.bpf.o");
