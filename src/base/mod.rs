//! What every room shares: names, events and failures. Imports nothing of ours.

pub mod event;
pub mod failure;
pub mod guess;
pub mod ignore;
pub mod ports;
pub mod shell;
pub mod size;

pub use event::{Event, Events};
pub use failure::{Failure, Kind, Place};
