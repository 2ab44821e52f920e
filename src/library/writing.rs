//! What is to be written into a project, against what stands there: nothing of the user's is ever overwritten.

use std::borrow::Cow;

use serde_json::Value;

use super::record::Record;
use super::{ignore, jsonc};
use crate::base::Failure;

/// A file that a project shall hold.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// From the project's folder, parts separated by `/`.
    pub path: String,
    /// What is in it where there is none.
    pub content: Cow<'static, [u8]>,
    /// Whether it may be run.
    pub executable: bool,
    /// What happens where there is one.
    pub manner: Manner,
}

/// How a wanted file meets one that is there.
#[derive(Debug, Clone)]
pub enum Manner {
    /// It must be the same.
    Own,
    /// The user's stays, lines that it lacks are added at its end.
    Lines(Vec<&'static str>),
    /// The user's stays, members that it lacks are added; it may hold comments.
    Members(Value),
    /// We made it and make it anew, as long as it says so itself with this text.
    Made(&'static str),
    /// Part of a folder that comes as a whole, or not at all if `unless` is there.
    Sample {
        /// The folder.
        folder: String,
        /// What must not be there.
        unless: String,
    },
}

impl Wanted {
    /// A file that must be as it is here.
    pub fn own(path: &str, content: impl Into<Content>) -> Self {
        Self { path: path.to_owned(), content: content.into().0, executable: false, manner: Manner::Own }
    }
}

/// Text or bytes.
#[derive(Debug, Clone)]
pub struct Content(Cow<'static, [u8]>);

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }
}

impl From<&'static [u8]> for Content {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file.
    File(Vec<u8>),
    /// Something else, in words: "is a folder".
    Other(&'static str),
}

/// What is to be done about a wanted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// There is none: it is written.
    Create,
    /// What the user's file lacks is added to it.
    Extend,
    /// Ours, of another version: it is written anew.
    Renew,
    /// It differs and `--force` was given: it is kept as a copy and written anew.
    Replace,
    /// It is as it should be.
    Unchanged,
    /// The user's is left alone; the reason, and what could be added to it by hand.
    Keep(String, Option<String>),
    /// It differs; the reason.
    Conflict(String),
}

impl Step {
    /// Whether the disk changes.
    #[must_use]
    pub fn writes(&self) -> bool {
        matches!(self, Self::Create | Self::Extend | Self::Renew | Self::Replace)
    }

    /// The step in a word, for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Extend => "extend",
            Self::Renew => "renew",
            Self::Replace => "replace",
            Self::Unchanged => "unchanged",
            Self::Keep(..) => "keep",
            Self::Conflict(_) => "conflict",
        }
    }
}

/// A wanted file, and what is to be done about it.
#[derive(Debug, Clone)]
pub struct Decision {
    /// From the project's folder.
    pub path: String,
    /// What is to be done.
    pub step: Step,
    /// What the file holds afterwards.
    pub content: Cow<'static, [u8]>,
    /// Whether it may be run.
    pub executable: bool,
    /// The folder that it is part of, if that is written as a whole.
    pub whole: Option<String>,
}

/// Decides about each wanted file; `record` knows what was written before, `look` says what stands at a path.
pub fn decide(
    wanted: Vec<Wanted>,
    force: bool,
    record: &Record,
    look: &dyn Fn(&str) -> Result<Found, Failure>,
) -> Result<Vec<Decision>, Failure> {
    wanted.into_iter().map(|wanted| one(wanted, force, record, look)).collect()
}

fn one(
    wanted: Wanted,
    force: bool,
    record: &Record,
    look: &dyn Fn(&str) -> Result<Found, Failure>,
) -> Result<Decision, Failure> {
    let Wanted { path, mut content, executable, manner } = wanted;
    let mut whole = None;
    let step = if let Manner::Sample { folder, unless } = manner {
        whole = Some(folder);
        match look(&unless)? {
            Found::Nothing => Step::Create,
            _ => Step::Keep(format!("{unless} is there already"), None),
        }
    } else {
        match look(&path)? {
            Found::Nothing => Step::Create,
            Found::Other(what) => Step::Conflict(what.to_owned()),
            Found::File(bytes) if bytes == *content => Step::Unchanged,
            // Ours, as we left it, of another version.
            Found::File(bytes) if record.knows(&path, &bytes) => Step::Renew,
            Found::File(bytes) => {
                let (step, changed) = meet(&manner, &bytes, force);
                content = changed.map_or(content, |text| Cow::Owned(text.into_bytes()));
                step
            }
        }
    };
    Ok(Decision { path, step, content, executable, whole })
}

/// What to do about a file that differs, and its text if that is neither the user's nor ours.
fn meet(manner: &Manner, bytes: &[u8], force: bool) -> (Step, Option<String>) {
    let text = std::str::from_utf8(bytes);
    let differs = || if force { Step::Replace } else { Step::Conflict("differs".to_owned()) };
    let Ok(text) = text else { return (differs(), None) };
    match manner {
        Manner::Made(mark) if text.contains(mark) => (Step::Renew, None),
        Manner::Own | Manner::Sample { .. } | Manner::Made(_) => (differs(), None),
        Manner::Lines(lines) => match ignore::with_lines(text, lines) {
            Some(longer) => (Step::Extend, Some(longer)),
            None => (Step::Unchanged, None),
        },
        Manner::Members(members) => match jsonc::with_members(text, members) {
            Ok(Some(longer)) => (Step::Extend, Some(longer)),
            Ok(None) => (Step::Unchanged, None),
            Err(reason) => {
                let snippet = serde_json::to_string_pretty(members).unwrap_or_default();
                (Step::Keep(reason, Some(snippet)), None)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(manner: Manner, found: &Found, force: bool) -> (Step, String) {
        let wanted = Wanted { manner, ..Wanted::own("f", "new".to_owned()) };
        let decision =
            decide(vec![wanted], force, &Record::default(), &|_| Ok(found.clone())).unwrap().remove(0);
        (decision.step, String::from_utf8(decision.content.into_owned()).unwrap())
    }

    fn file(text: &str) -> Found {
        Found::File(text.as_bytes().to_vec())
    }

    #[test]
    fn nothing_of_the_users_is_overwritten() {
        assert_eq!(step(Manner::Own, &Found::Nothing, false).0, Step::Create);
        assert_eq!(step(Manner::Own, &file("new"), false).0, Step::Unchanged);
        assert_eq!(step(Manner::Own, &file("old"), false).0, Step::Conflict("differs".to_owned()));
        assert_eq!(step(Manner::Own, &file("old"), true).0, Step::Replace);
        assert_eq!(step(Manner::Own, &Found::Other("is a folder"), true).0.word(), "conflict");
        assert_eq!(step(Manner::Own, &Found::File(vec![0xff]), false).0.word(), "conflict");
        assert_eq!(step(Manner::Made("by us"), &file("# by us\n"), false).0, Step::Renew);
        assert_eq!(step(Manner::Made("by us"), &file("# by me\n"), false).0.word(), "conflict");
    }

    #[test]
    fn what_a_file_lacks_is_added_to_it() {
        assert_eq!(
            step(Manner::Lines(vec![".env"]), &file("dist"), false),
            (Step::Extend, "dist\n.env\n".to_owned())
        );
        let members = Manner::Members(json!({"a": 1}));
        assert_eq!(step(members.clone(), &file("{}"), false).1, "{\n  \"a\": 1\n}");
        assert_eq!(step(members.clone(), &file("{\"a\": 2}"), true).0, Step::Unchanged);
        let (Step::Keep(_, Some(snippet)), _) = step(members, &file("{"), false) else { panic!() };
        assert!(snippet.contains("\"a\": 1"));
    }

    #[test]
    fn a_sample_comes_as_a_whole_or_not_at_all() {
        let sample = Manner::Sample { folder: "s".to_owned(), unless: "s".to_owned() };
        assert_eq!(step(sample.clone(), &Found::Nothing, false).0, Step::Create);
        assert_eq!(step(sample, &Found::Other("is a folder"), true).0.word(), "keep");
    }
}
