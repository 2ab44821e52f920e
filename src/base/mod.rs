//! What every room shares: names, events and failures. Imports nothing of ours.

pub mod civil;
pub mod copy_text;
pub mod digest;
pub mod digits;
pub mod event;
pub mod failure;
pub mod guess;
pub mod ignore;
pub mod places;
pub mod ports;
pub mod shell;
pub mod size;

pub use event::{Event, Events};
pub use failure::{Failure, Kind, Place};
