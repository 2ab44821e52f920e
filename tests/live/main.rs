//! Tests against real servers in containers. They need an engine and the images that `make up` builds; where
//! these are missing they fail, and say so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may end at once and may speak"
)]

mod archive;
mod attributes;
mod backup;
mod bad_input;
mod branch;
#[cfg(feature = "failpoints")]
mod branch_faults;
mod branch_names;
mod branch_postgres;
mod build;
mod conditions;
mod environments;
mod faults;
mod gateway;
mod generate;
mod hold;
mod honest;
mod interop;
mod life;
mod machine;
mod made;
mod mask;
mod mask_corpus;
mod migrate;
mod owners;
mod pooled;
mod postgres;
mod pull;
mod schema;
mod site;
mod stacks;
mod watch;
mod words;
