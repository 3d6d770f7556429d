//! contend's agent as a library: one folder for each stage of the data's way, none of which looks back.
//!
//! `probe` → `event` → `aggregate` → (`symbol`, `rules`) → `profile` → `output`; `target` knows who is
//! watched, `cli` puts it together, `sys` holds all that is unsafe.

pub mod aggregate;
pub mod cli;
pub mod event;
pub mod output;
pub mod probe;
pub mod profile;
pub mod rules;
pub mod symbol;
pub mod sys;
pub mod target;
pub mod unwind;
