//! What goes wrong between us and the catalogue's file, as data.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::Kind;

/// Why the catalogue could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A later release wrote it.
    #[error("{} was written by a later release (version {found}; this one knows {known})", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version that is known here.
        known: i64,
    },
    /// The file or its folder belongs to another user.
    #[error("{} belongs to {owner}, not to {us}", .path.display())]
    Foreign {
        /// The file or the folder.
        path: PathBuf,
        /// Whose it is.
        owner: User,
        /// Who we are.
        us: User,
    },
    /// The file or its folder cannot be read or written.
    #[error("{} cannot be written{}", .path.display(), .owner.as_ref().map_or_else(String::new, |owner| format!("; it belongs to {owner}")))]
    Denied {
        /// The file or the folder.
        path: PathBuf,
        /// Whose it is, if that can be known.
        owner: Option<User>,
        /// What the system or SQLite said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process wrote for longer than we wait.
    #[error("{} is being written by another process", .path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Option<sqlx::Error>,
    },
    /// The disk is full.
    #[error("there is no room left to write {}", .path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The file is damaged; [`super::Catalogue::mend`] makes a fresh one.
    #[error("{} is damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was seen.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is written disagrees with what another command wrote: a name that is taken, a record that is gone.
    #[error("another command changed the catalogue meanwhile")]
    Conflict {
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// What was begun has been finished or taken back by another command.
    #[error("operation {id} was ended by another command")]
    Ended {
        /// Its id.
        id: i64,
    },
    /// Anything else of the file system.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Anything else that SQLite said.
    #[error("the catalogue {} cannot be used", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
}

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The number.
    pub id: u32,
    /// The name, where the machine knows it.
    pub name: Option<String>,
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "user `{name}`"),
            None => write!(f, "user {}", self.id),
        }
    }
}

impl User {
    /// The user with this number, with the name that `/etc/passwd` gives.
    #[must_use]
    pub fn numbered(id: u32) -> Self {
        let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let number = id.to_string();
        let name = known.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == number).then(|| name.to_owned())
        });
        Self { id, name }
    }
}

/// SQLite's primary result codes, as far as they matter here (<https://sqlite.org/rescode.html>).
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR_SHORT_READ: i32 = 522;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const NOTADB: i32 = 26;
}

impl Error {
    /// Why the command ends: the class that the exit code follows from.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Newer { .. } => Kind::Files,
            Self::Foreign { .. } | Self::Denied { .. } => Kind::Unreachable,
            Self::Busy { .. } | Self::Conflict { .. } | Self::Ended { .. } => Kind::Conflict,
            Self::Full { .. } | Self::Damaged { .. } | Self::Io { .. } => Kind::Storage,
            Self::Other { .. } => Kind::Failed,
        }
    }

    /// What SQLite said about `path`.
    pub(super) fn of(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let number = match &source {
            sqlx::Error::Database(error) => error.code().and_then(|code| code.parse::<i32>().ok()),
            // A row that is not as we write rows.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Some(code::CORRUPT),
            _ => None,
        };
        match number {
            Some(code::IOERR_SHORT_READ) => Self::Damaged { path, source: source.into() },
            Some(number) => match number & 0xff {
                code::CORRUPT | code::NOTADB => Self::Damaged { path, source: source.into() },
                code::BUSY | code::LOCKED => Self::Busy { path, source: Some(source) },
                code::FULL => Self::Full { path, source },
                code::CONSTRAINT => Self::Conflict { source },
                code::PERM | code::READONLY | code::CANTOPEN => Self::denied(&path, source.into()),
                _ => Self::Other { path, source },
            },
            None => Self::Other { path, source },
        }
    }

    /// What the file system said about `path`.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::denied(path, source.into())
            }
            _ => Self::Io { doing, path: path.to_owned(), source },
        }
    }

    fn denied(path: &Path, source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        use std::os::unix::fs::MetadataExt;
        // Of a file that is not there, the folder it would be in has the owner that matters.
        let owner = path.ancestors().find_map(|path| std::fs::symlink_metadata(path).ok());
        Self::Denied { path: path.to_owned(), owner: owner.map(|it| User::numbered(it.uid())), source }
    }
}
