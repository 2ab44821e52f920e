//! What branches and snapshots may be called, and what is called after them where fewer characters are allowed.
//!
//! Whatever git allows as the name of a git branch is allowed (git-check-ref-format(1)), so that the two can
//! always have the same name. Such names reach no shell and no path: the pool knows data by its id, and labels,
//! host names and containers by [`slug`].

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// The longest name, in bytes. It stands in the manifest, which goes to the pool's keeper in one piece.
pub const LONGEST: usize = 1024;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is longer than [`LONGEST`].
    #[error("it has {0} bytes, and may have {LONGEST}")]
    Long(usize),
    /// It is a word that git gives another meaning.
    #[error("git means something else by `{0}`")]
    Reserved(&'static str),
    /// It starts with `-`, like an option.
    #[error("it starts with `-`")]
    Dash,
    /// It has an ASCII control character.
    #[error("it has the control character {}", .0.escape_default())]
    Control(char),
    /// It has a character that it may not have.
    #[error("it has {}", if *.0 == ' ' { "a space".to_owned() } else { format!("a `{}`", .0) })]
    Character(char),
    /// It has characters that it may not have beside one another.
    #[error("it has `{0}`")]
    Sequence(&'static str),
    /// It starts or ends with a slash.
    #[error("it starts or ends with `/`")]
    Slash,
    /// A part between slashes starts with a dot.
    #[error("the part `{0}` starts with `.`")]
    LeadingDot(String),
    /// It ends with a dot.
    #[error("it ends with `.`")]
    TrailingDot,
    /// A part between slashes ends with `.lock`.
    #[error("the part `{0}` ends with `.lock`")]
    Lock(String),
}

/// Whether `name` can be the name of a branch or a snapshot.
pub fn check(name: &str) -> Result<(), Refused> {
    if name.is_empty() {
        return Err(Refused::Empty);
    }
    if name.len() > LONGEST {
        return Err(Refused::Long(name.len()));
    }
    if name == "HEAD" {
        return Err(Refused::Reserved("HEAD"));
    }
    if name.starts_with('-') {
        return Err(Refused::Dash);
    }
    for c in name.chars() {
        if c.is_ascii_control() {
            return Err(Refused::Control(c));
        }
        if " ~^:?*[\\".contains(c) {
            return Err(Refused::Character(c));
        }
    }
    for sequence in ["..", "@{", "//"] {
        if name.contains(sequence) {
            return Err(Refused::Sequence(sequence));
        }
    }
    if name.starts_with('/') || name.ends_with('/') {
        return Err(Refused::Slash);
    }
    for part in name.split('/') {
        if part.starts_with('.') {
            return Err(Refused::LeadingDot(part.to_owned()));
        }
        // git looks at the letters only, so `.LOCK` is allowed.
        if part.strip_suffix(".lock").is_some() {
            return Err(Refused::Lock(part.to_owned()));
        }
    }
    if name.ends_with('.') {
        return Err(Refused::TrailingDot);
    }
    Ok(())
}

/// The longest readable part of a slug.
const READABLE: usize = 40;
/// The shortest hash.
const HASH: usize = 6;
/// The longest slug: a label of a host name has 63 characters.
const SLUG: usize = 63;

/// `name` in lower-case letters, digits and single dashes, at most 47 of them; with a hash behind it whenever that
/// is not the name itself, so that different names have different slugs.
#[must_use]
pub fn slug(name: &str) -> String {
    slug_beside(name, &BTreeSet::new())
}

/// As [`slug`], with as much of the hash as it takes to be none of `taken`.
#[must_use]
pub fn slug_beside(name: &str, taken: &BTreeSet<String>) -> String {
    slug_of(name, taken, &hex::encode(Sha256::digest(name)), HASH)
}

fn slug_of(name: &str, taken: &BTreeSet<String>, hash: &str, shortest: usize) -> String {
    let mut readable = String::new();
    for c in name.chars() {
        if readable.len() == READABLE {
            break;
        }
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => readable.push(c),
            _ if readable.is_empty() || readable.ends_with('-') => {}
            _ => readable.push('-'),
        }
    }
    let readable = readable.trim_end_matches('-');
    if readable == name && !looks_hashed(name, shortest) && !taken.contains(name) {
        return name.to_owned();
    }
    // Nothing readable is left of a name in another script.
    let readable = if readable.is_empty() { "name" } else { readable };
    let longest = hash.len().min(SLUG - readable.len() - 1);
    let mut slug = String::new();
    for length in shortest..=longest {
        slug = format!("{readable}-{}", &hash[..length]);
        if !taken.contains(&slug) {
            break;
        }
    }
    slug
}

/// Whether a name ends as the slug of another name could.
fn looks_hashed(name: &str, shortest: usize) -> bool {
    name.rsplit_once('-').is_some_and(|(_, end)| {
        end.len() >= shortest
            && end.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}
