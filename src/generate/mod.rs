//! Generated data: what rows a schema's tables are filled with. Pure: it is handed tables and wishes, and answers with
//! a plan, or with everything that stands in its way; the plan writes rows in the text format of `COPY` (PostgreSQL
//! documentation, `COPY`, "Text Format").
//!
//! # The same rows for ever
//! A value is a function of the seed, its table's and column's names and the number of its row, and of nothing else
//! ([`prf`]): not of the order of columns, not of how many rows there are, not of what was written before. A reference
//! is the value of another table's column at a row that is chosen the same way, out of those that come before at the
//! ratio in which the two tables grow; so row 7 is row 7 at any scale. Fractions and logarithms are left to no one's
//! library.
//!
//! # What a constraint asks
//! Unique columns are permutations of the row's number, never tried again; several that are unique together share it
//! out. Checks are read from the catalogue's own text ([`check`]); one that is not understood is refused before the
//! first row, never hoped for.

pub mod check;
mod civil;
mod columns;
pub mod files;
pub mod make;
mod meaning;
pub mod plan;
pub mod prf;
mod refer;
pub mod wish;
mod words;
mod write;

pub use plan::{Plan, Pool, Request, Sheet, outside, plan};
pub use wish::{Fanout, Wish, Wishes};
