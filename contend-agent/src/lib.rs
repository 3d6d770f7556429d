#![doc = "contend's agent."]
pub mod profile;
