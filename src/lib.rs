//! devenv gives every git branch its own complete environment: the services of an ordinary compose file and
//! a writable copy of the data.
//!
//! # Words
//! environment: one copy of the project that runs or can be started, normally one per git branch; its label
//! is what it is called · stack: the services as written · service: one entry of the stack · container: what
//! the engine runs · desired, observed: wanted and found resources · plan, step, cause: what will be done,
//! one act, why · event: what was done · template: a whole stack that we ship · module: one service that we
//! ship · recipe: how an image is built from source · branch: a writable copy of the stack's data (git's are
//! always called git branches) · snapshot: a frozen one · fork point: the snapshot that a branch began as ·
//! lineage: a project's branches, snapshots and environments · pool: the place on disk that holds the data ·
//! manifest: what stands beside a piece of data on whose it is · catalogue: the record of all this · intent:
//! a command that was begun, written down before · gateway: the stable address of everything that runs on a
//! machine · route: where a name leads there · mask policy, rule: the decision on each column, and what carries it out.
//!
//! # Rooms
//! `base` (words shared by all) ← `compose`, `plan`, `lineage`, `schema`, `mask`, `generate`, `reload` (pure: text and data
//! in, data out) ← `engine`,
//! `postgres`, `catalogue`, `machine`, `talk`, `storage`, `git`, `gateway`, `watch` (edges: one outside thing each) ← `ops`
//! (one file a verb) ← `ui`
//! (tells) ← `cli` (listens).
//! `tests/layering.rs` keeps the imports so.

pub mod base;
pub mod catalogue;
pub mod cli;
pub mod compose;
pub mod engine;
pub mod gateway;
pub mod generate;
pub mod git;
pub mod library;
pub mod lineage;
pub mod machine;
pub mod mask;
pub mod ops;
pub mod plan;
pub mod postgres;
pub mod reload;
pub mod schema;
pub mod storage;
pub mod supabase;
pub mod talk;
pub mod ui;
pub mod watch;
