//! A database's schema as data: what it holds, how two differ, and what both of two sides made of a third.
//!
//! A schema is a set of small objects ([`model`]): a column, a default, a constraint, a policy each is one, with
//! properties that are text and the objects that it needs. So one way of comparing serves all kinds, what depends
//! on what is known to the column, and a merge can tell a renamed policy from an altered one. [`table`] is the
//! other view of the same database: its tables, for those who read and write rows.

mod alter;
pub mod diff;
mod grants;
mod make;
pub mod merge;
pub mod model;
pub mod quote;
pub mod rows;
pub mod table;

pub use diff::{Act, Step, diff, script};
pub use merge::{Conflict, Merged, Prefer, merge};
pub use model::{Id, Kind, Model, Object};
