//! Compose files: text → tree → interpolate → merge → normalize → [`Project`] → validate, as the reference
//! implementation (Docker Compose 2.40.3) answers. Pure: files come through a handed-in reader.

pub mod hash;
pub mod project;
mod units;

pub use project::Project;
