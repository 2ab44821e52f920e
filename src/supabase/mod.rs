//! The files and formats of a Supabase project, as the Supabase CLI 3.1.0 reads and writes them: `config.toml`,
//! the names of migrations and seeds, the variables of `status`, the two legacy keys.
//!
//! Pure: texts, listings and variables are handed in. What the CLI refuses although it could be understood is
//! understood here and told as a warning, so that one `supabase/` directory serves both programs.

pub mod config;
mod document;
pub mod history;
mod keys;
pub mod migrations;
pub mod seeds;
pub mod stack;
pub mod status;
pub mod token;

pub use config::Config;
pub use stack::Stack;
