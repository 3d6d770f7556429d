#![doc = "contend's agent."]
pub mod profile;
pub mod symbol;
pub mod sys;
pub mod target;
