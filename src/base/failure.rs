//! What a user sees when something did not work.
//!
//! Rooms have error enums of their own that carry data; they become a [`Failure`] in `ops`, where the
//! situation is known and a hint can be useful. Mistakes in a user's file are made here directly, with
//! the [`Place`] they stand at.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Why a command ended, which is also its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The operation was tried and did not succeed.
    Failed,
    /// The command line was not understood.
    Usage,
    /// The user's files are wrong.
    Files,
    /// The engine or the host cannot be reached, or an image cannot be had.
    Unreachable,
    /// Something else holds what is needed: a port, a lock, a name.
    Conflict,
    /// A service did not become, or stay, healthy.
    Unhealthy,
    /// A migration, a seed or a masking rule was refused.
    Data,
    /// The place that holds the data failed.
    Storage,
    /// Ended by Ctrl-C.
    Interrupted,
    /// Ended by another signal; the exit code is 128 and its number.
    Signalled(u8),
    /// A program run for the user ended with this status, which is passed on (`exec`, `run`).
    Status(u8),
}

impl Kind {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Files => 3,
            Self::Unreachable => 4,
            Self::Conflict => 5,
            Self::Unhealthy => 6,
            Self::Data => 7,
            Self::Storage => 8,
            Self::Interrupted => 130,
            Self::Signalled(code) | Self::Status(code) => code,
        }
    }
}

/// A position in a user's file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user would name it.
    pub path: PathBuf,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// How many characters the caret underlines.
    pub width: u32,
    /// The text of that line, for the excerpt.
    pub excerpt: String,
}

impl Place {
    /// A whole file, when no line can be named.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), line: 0, column: 0, width: 0, excerpt: String::new() }
    }

    /// The bytes `at` of `text`, the text of the file; underlined to the end of their first line at most.
    /// Bytes beyond the text, or inside a character, mean the character before them.
    #[must_use]
    pub fn in_text(path: impl Into<PathBuf>, text: &str, at: &Range<usize>) -> Self {
        let start = text.floor_char_boundary(at.start);
        let end = text.floor_char_boundary(at.end).max(start);
        let before = &text[..start];
        let head = before.rfind('\n').map_or(0, |newline| newline + 1);
        let tail = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let count = |part: &str| u32::try_from(part.chars().count()).unwrap_or(u32::MAX);
        Self {
            path: path.into(),
            line: u32::try_from(before.matches('\n').count()).unwrap_or(u32::MAX).saturating_add(1),
            column: count(&text[head..start]).saturating_add(1),
            width: count(text[start..end.min(tail)].trim_end()).max(1),
            excerpt: text[head..tail].trim_end_matches('\r').to_owned(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// One thing that went wrong, told to a person: what, where, why, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// The class of the failure, and so the exit code.
    pub kind: Kind,
    /// One sentence without a full stop, in lower case unless it starts with a name.
    pub message: String,
    /// Where in the user's files, the first place being the one at fault.
    pub places: Vec<Place>,
    /// What was seen that explains it: the last log lines, a probe's output.
    pub evidence: Vec<String>,
    /// What to do next, each in the imperative.
    pub hints: Vec<String>,
    /// The error behind it.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Further failures of the same run (all problems of a file are told at once).
    pub others: Vec<Failure>,
}

impl Failure {
    /// A failure with nothing but its sentence.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            places: Vec::new(),
            evidence: Vec::new(),
            hints: Vec::new(),
            source: None,
            others: Vec::new(),
        }
    }

    /// Adds a place in a user's file.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// Adds a line of evidence.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Keeps the error behind it.
    #[must_use]
    pub fn source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Joins several failures into one: the first leads, the others follow it.
    ///
    /// # Panics
    /// Never: an empty list gives a plain failure that says so.
    #[must_use]
    pub fn all(failures: Vec<Self>) -> Self {
        let mut rest = failures.into_iter();
        let Some(mut first) = rest.next() else {
            return Self::new(Kind::Failed, "failed without a reason");
        };
        first.others.extend(rest);
        first
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let text = "a\nläge = 1\r\nend";
        let place = Place::in_text("f", text, &(8..30));
        assert_eq!((place.line, place.column, place.width), (2, 6, 3));
        assert_eq!(place.excerpt, "läge = 1");
        let past = Place::in_text("f", text, &(90..95));
        assert_eq!((past.line, past.column, past.width), (3, 4, 1));
    }
}
