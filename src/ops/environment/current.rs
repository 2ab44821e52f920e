//! What a checkout's folder remembers: which environment was used last from it, the one before, and whether one was
//! chosen. A file beside the project's id, so that the git hook and every command read it without the records.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::{Failure, Kind, Place};
use crate::ops::place;

/// The memory of one folder; labels of environments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Current {
    /// The environment that was used last.
    pub current: Option<String>,
    /// The one before, for `switch -`.
    pub previous: Option<String>,
    /// The one that `env switch` chose, whatever git branch is checked out.
    pub pinned: Option<String>,
    /// The compose project that environments are named after.
    pub base: Option<String>,
    /// The git branch that meant the current one: while it stays, so does the environment.
    pub git: Option<String>,
}

fn file(folder: &Path) -> PathBuf {
    folder.join(".devenv/environment")
}

impl Current {
    /// Reads it; nothing where there is none, or none that can be read.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(file(folder)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The same with another environment as the current one.
    #[must_use]
    pub fn now(mut self, label: &str) -> Self {
        if self.current.as_deref() != Some(label) {
            self.previous = self.current.replace(label.to_owned());
        }
        self
    }

    /// Writes it, out of git's sight; not where it says the same already.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        if *self == Self::read(folder) {
            return Ok(());
        }
        let path = file(folder);
        let text = serde_json::to_string(self).unwrap_or_default();
        let written = super::super::branch::identity::private_folder(folder)
            .and_then(|()| place::write_private(&path, format!("{text}\n").as_bytes()));
        written.map_err(|error| {
            Failure::new(Kind::Unreachable, "which environment is current cannot be written")
                .at(Place::file(&path))
                .source(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_before_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Current::read(folder.path()), Current::default());
        Current::default().now("a").now("b").now("b").write(folder.path()).unwrap();
        let read = Current::read(folder.path());
        assert_eq!((read.current.as_deref(), read.previous.as_deref()), (Some("b"), Some("a")));
        assert_eq!(fs::read_to_string(folder.path().join(".devenv/.gitignore")).unwrap(), "*\n");
        fs::write(file(folder.path()), "{half").unwrap();
        assert_eq!(Current::read(folder.path()), Current::default());
    }
}
