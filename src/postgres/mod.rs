//! PostgreSQL: connecting to it, and bringing a database to where a project's files want it.
//!
//! This is the only door to the crate sqlx with PostgreSQL. It touches nothing but the database: paths, and a
//! function that reads them, are handed in. A mistake in a SQL file becomes a [`Failure`](crate::base::Failure)
//! that points into the file; nothing of a failed file is left applied, unless PostgreSQL cannot run it in a
//! transaction, and then that is said.
//!
//! What is recorded, and how, is what the Supabase CLI 3.1.0 records: both may work on one database in turn.

mod address;
mod carry;
mod connect;
mod error;
mod fill;
mod introspect;
mod migrate;
mod prepare;
mod script;
pub mod split;
mod state;

pub use address::{Encryption, Unread};
pub use carry::{Carried, Rows, carry};
pub use connect::{Database, Password, Target, checkpoint, connect};
pub use error::{Error, Refusal};
pub use fill::PIECE;
pub use introspect::Scope;
pub use migrate::{History, statements};
pub use prepare::{Changed, Migration, Prepare, Prepared, Read, Seed, prepare};
pub use state::{State, Stub, state};
