//! Profiles as values, and their encoding.

pub mod build;
pub mod model;
pub mod pprof;
pub mod proto;
