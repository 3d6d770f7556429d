//! contend's agent as a library: one folder for each stage of the data's way.
pub mod probe;
pub mod profile;
pub mod sys;
