//! One file a verb: opens doors, decides nothing about the domain.

pub mod doctor;
pub mod engine;
