//! What was written into a project, so that a newer devenv can tell its own older files from the user's.
//!
//! The record lies in the folder that was copied and is meant to be committed with it: one line a file, as
//! `sha256sum -c` reads them from the project's folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::writing::{Manner, Wanted};

/// The record's name.
const NAME: &str = ".devenv.sha256";

/// How a record begins.
const MARK: &str = "# Written by devenv: what these files were like.";

/// The files that were written, each with its hash.
#[derive(Debug, Clone, Default)]
pub struct Record(BTreeMap<String, String>);

/// Where the record of what was copied to `folder` lies.
#[must_use]
pub fn path(folder: &str) -> String {
    format!("{folder}/{NAME}")
}

impl Record {
    /// Reads a record; lines that are none are passed over.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once("  "));
        Self(lines.map(|(hash, path)| (path.to_owned(), hash.to_owned())).collect())
    }

    /// Whether this is what was written to `path`.
    #[must_use]
    pub fn knows(&self, path: &str, bytes: &[u8]) -> bool {
        self.0.get(path).is_some_and(|hash| *hash == hash_of(bytes))
    }

    /// The record of these files, as a file to write.
    #[must_use]
    pub fn of(folder: &str, wanted: &[Wanted]) -> Wanted {
        let mut text = format!("{MARK}\n");
        for file in wanted.iter().filter(|file| matches!(file.manner, Manner::Own)) {
            let _ = writeln!(text, "{}  {}", hash_of(&file.content), file.path);
        }
        Wanted { manner: Manner::Made(MARK), ..Wanted::own(&path(folder), text) }
    }
}

fn hash_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_knows_what_it_was_made_of() {
        let file = Record::of("c", &[Wanted::own("c/a b", "one".to_owned())]);
        assert_eq!(file.path, "c/.devenv.sha256");
        let record = Record::read(std::str::from_utf8(&file.content).unwrap());
        assert!(record.knows("c/a b", b"one"));
        assert!(!record.knows("c/a b", b"two") && !record.knows("c/b", b"one"));
    }
}
