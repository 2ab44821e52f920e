//! Saved files, as they are saved, and the program that writes them where a container sees them. The only door to
//! notify.
//!
//! The system's events only say where to look: what is told is the difference between what a folder held and what it
//! holds, so that nothing depends on the events' order, and after lost ones all is looked at again.

mod changes;
mod disk;
pub mod inside;

pub use changes::{How, Told, Watching, start};
pub use disk::{content, found, read_link};

use std::path::PathBuf;

use crate::reload::Rule;

/// A file or folder that is watched for one rule or more.
#[derive(Debug, Clone)]
pub struct Root {
    /// Where, with all links resolved.
    pub path: PathBuf,
    /// Who is interested; all of the same path.
    pub rules: Vec<Rule>,
}

impl Root {
    fn wants(&self, below: &str) -> bool {
        self.rules.iter().any(|rule| rule.wants(below))
    }

    fn enters(&self, below: &str) -> bool {
        self.rules.iter().any(|rule| rule.enters(below))
    }
}
