//! PostgreSQL: connecting to it, and bringing a database to where a project's files want it.
//!
//! This is the only door to the crate sqlx with PostgreSQL.

pub mod split;
