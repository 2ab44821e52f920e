//! What is said between the watcher and the program that works inside a container: a question is one JSON document
//! on a line, followed by the content of the files that it has; an answer is one line.

use serde::{Deserialize, Serialize};

/// One thing to be made so in the container. Paths are the container's, from its root on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "make", rename_all = "snake_case")]
pub enum Make {
    /// A folder with these permissions.
    Folder {
        /// Where.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// A file whose content follows.
    File {
        /// Where.
        path: String,
        /// Its permissions.
        mode: u32,
        /// How many bytes follow.
        size: u64,
        /// When it was last written, in nanoseconds since 1970.
        modified: i64,
    },
    /// A symbolic link.
    Link {
        /// Where.
        path: String,
        /// What it says.
        to: String,
    },
    /// Nothing. A folder that still holds something of the container's own stays.
    Nothing {
        /// Where.
        path: String,
    },
}

impl Make {
    /// Where.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Folder { path, .. }
            | Self::File { path, .. }
            | Self::Link { path, .. }
            | Self::Nothing { path } => path,
        }
    }
}

/// What a path should be, to be compared with what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Should {
    /// Where in the container.
    pub path: String,
    /// What: a folder, a file with this content, a link that says this.
    pub be: Be,
    /// Its permissions; nothing for a link.
    pub mode: u32,
    /// Whether it is to be made where there is nothing.
    pub make: bool,
}

/// What a path should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Be {
    /// A folder.
    Folder,
    /// A file of so many bytes, with this SHA-256 in hexadecimal digits.
    File(u64, String),
    /// A link.
    Link(String),
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Is anybody there?
    Hello,
    /// Make this so, in this order.
    Make {
        /// What.
        all: Vec<Make>,
    },
    /// Which of these are not so?
    Compare {
        /// What should be.
        all: Vec<Should>,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Here, as this user and group.
    Here {
        /// The user that files are given to.
        user: u32,
        /// The group.
        group: u32,
    },
    /// It was made so, but for what failed.
    Made {
        /// How many paths were not so before.
        changed: usize,
        /// What could not be made, and why.
        failed: Vec<(String, String)>,
    },
    /// The numbers of those that are not so.
    Differ {
        /// Counted from 0.
        numbers: Vec<usize>,
    },
    /// Nothing can be done at all; why.
    No {
        /// A sentence.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lines() {
        let ask = Ask::Make { all: vec![Make::Nothing { path: "/a\nb".to_owned() }] };
        let line = serde_json::to_string(&ask).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<Ask>(&line).unwrap(), ask);
    }
}
