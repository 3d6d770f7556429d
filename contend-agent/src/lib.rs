#![doc = "contend's agent."]
pub mod output;
pub mod profile;
pub mod rules;
