//! Decides: what a project wants and what the engine was found to hold, compared, give a [`Plan`] of steps
//! with their causes. Pure: nothing here touches the engine, the clock or the disk.
//!
//! The order of a replacement (new container under a temporary name, stop the old one, remove it, rename)
//! is that of the reference, so that either tool can finish what the other began.

pub mod beside;
pub mod data;
pub mod down;
pub mod follow;
pub mod gateway;
pub mod images;
pub mod labels;
pub mod memory;
pub mod mistake;
pub mod names;
pub mod observed;
mod order;
pub mod step;
pub mod turn;
pub mod up;

pub use observed::Observed;
pub use order::Order;
pub use step::{Act, Cause, Goal, Plan, Step, Target};
