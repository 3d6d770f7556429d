//! Profiles as values, and their encoding.

pub mod model;
