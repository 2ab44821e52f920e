//! Masking: what becomes of every column of a database before it is copied. Pure: it is handed tables, a policy's
//! text and bytes, and answers with bytes, findings or what is wrong.
//!
//! # From a policy to bytes
//! [`policy`] reads the file in which every column of every table is decided on; [`plan`](mod@plan) checks that
//! against the tables before any data is read, and compiles it; [`row`] takes rows in the text format of `COPY`
//! (PostgreSQL documentation, `COPY`, "Text Format") and gives masked ones, without allocating. [`residual`] remembers
//! what was masked, to find it where it was not.
//!
//! # What masked values are like
//! The same value, key and identity class always give the same masked value, so that joins hold across tables and
//! runs. E-mail addresses end in names of RFC 2606, which lead nowhere. NULL and the empty text stay.
//!
//! # Finding what is personal
//! [`scan`] proposes from names, the table around them, types, comments and sampled values ([`find`]); people decide.

pub mod find;
pub mod json;
pub mod key;
pub mod make;
pub mod permute;
pub mod plan;
pub mod policy;
pub mod residual;
pub mod row;
pub mod scan;
pub mod shape;
pub mod subset;
pub mod table;
pub mod trial;
mod words;

pub use key::Key;
pub use plan::{Masked, Plan, Problem, plan};
pub use policy::{Decision, Policy, Rule};
pub use scan::{Finding, Samples, Tier, scan};
pub use table::{Column, Kind, Table};
