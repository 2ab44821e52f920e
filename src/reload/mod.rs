//! Hot reload, decided: which saved files concern which service, when a burst of them is over, and in what two trees
//! differ. Pure; the words that are said to the program inside the container stand here too.
//!
//! The rules are those of the Compose Specification's `develop` section.

pub mod batch;
pub mod protocol;
pub mod rules;
pub mod tree;

pub use batch::Batch;
pub use rules::{Action, Rule, Rules};
pub use tree::{Entry, Kind, Tree};
