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

/// The shortest hash.
const HASH: usize = 6;
/// The longest slug. With a project's name before it, it is a compose project's, and a service's name fits behind that
/// into the 63 characters of a label of a host name (RFC 1035, 2.3.4).
pub const SLUG: usize = 40;

/// `name` in lower-case letters, digits and single dashes, at most 40 of them; with a hash behind it whenever that
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
        if readable.len() == SLUG {
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
    let mut slug = String::new();
    // A hash that grows takes its place from what is readable.
    for length in shortest..=hash.len().min(SLUG - 2) {
        let head = &readable[..readable.len().min(SLUG - 1 - length)];
        slug = format!("{}-{}", head.trim_end_matches('-'), &hash[..length]);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names that git allows and that were somebody's trouble (faults 74).
    const HOSTILE: [&str; 26] = [
        "main",
        "feature/login",
        "$(id)",
        "`id`",
        "a';drop",
        "{{.ID}}",
        "%s",
        "%n%n",
        "x{y}",
        "@",
        "a@",
        "🦀",
        "caf\u{e9}",
        "cafe\u{301}",
        "\u{202e}nimda",
        "\u{5d0}\u{5d1}",
        "Feature/A",
        "feature/a",
        "con",
        "a/-b",
        "refs/heads/x",
        "FETCH_HEAD",
        "head",
        "a.LOCK",
        "\"quoted\"",
        "a&b|c>d<e;f!g#h,i=j+k",
    ];

    const REFUSED: &str = "
        |  it is empty
        HEAD  git means something else by `HEAD`
        -  it starts with `-`
        -x  it starts with `-`
        a b  it has a space
        a\tb  it has the control character \\t
        a\u{7f}  it has the control character \\u{7f}
        a~1  it has a `~`
        a^  it has a `^`
        a:b  it has a `:`
        a?  it has a `?`
        a*  it has a `*`
        a[  it has a `[`
        a\\b  it has a `\\`
        a..b  it has `..`
        @{-1}  it has `@{`
        a//b  it has `//`
        /a  it starts or ends with `/`
        a/  it starts or ends with `/`
        .a  the part `.a` starts with `.`
        a/.b  the part `.b` starts with `.`
        a.  it ends with `.`
        a.lock  the part `a.lock` ends with `.lock`
        a.lock/b  the part `a.lock` ends with `.lock`";

    /// What git says.
    fn git_allows(name: &str) -> bool {
        let program = std::process::Command::new("git").args(["check-ref-format", "--branch", name]).output();
        program.unwrap().status.success()
    }

    #[test]
    fn a_refused_name_is_told_why() {
        for line in REFUSED.lines().filter(|line| !line.is_empty()) {
            let (name, why) = line.trim_start_matches(' ').split_once("  ").unwrap();
            let name = if name == "|" { "" } else { name };
            assert_eq!(check(name).unwrap_err().to_string(), why, "{name:?}");
            assert!(!git_allows(name), "{name:?}");
        }
        assert_eq!(check(&"a".repeat(LONGEST + 1)), Err(Refused::Long(LONGEST + 1)));
    }

    #[test]
    fn what_git_allows_is_allowed() {
        let long = ["a".repeat(250), "🦀".repeat(250), "é/".repeat(100) + "x"];
        for name in HOSTILE.into_iter().chain(long.iter().map(String::as_str)) {
            assert_eq!(check(name), Ok(()), "{name:?}");
            assert!(git_allows(name), "{name:?}");
        }
    }

    #[test]
    fn slugs_are_readable() {
        let table = [
            ("main", "main"),
            ("feature-2", "feature-2"),
            ("feature/login", "feature-login-"),
            ("Feature/A", "feature-a-"),
            ("feature/a", "feature-a-"),
            ("$(id)", "id-"),
            ("a--b", "a-b-"),
            ("a-", "a-"),
            ("caf\u{e9}", "caf-"),
            ("🦀", "name-"),
            // It could be the slug of `fix` in other letters.
            ("fix-c0ffee", "fix-c0ffee-"),
        ];
        for (name, expected) in table {
            let slug = slug(name);
            if expected.ends_with('-') {
                assert!(slug.starts_with(expected) && slug.len() == expected.len() + HASH, "{slug}");
            } else {
                assert_eq!(slug, expected);
            }
        }
    }

    #[test]
    fn different_names_have_different_slugs() {
        let slugs: BTreeSet<String> = HOSTILE.into_iter().map(slug).collect();
        assert_eq!(slugs.len(), HOSTILE.len());
    }

    #[test]
    fn a_hash_that_is_taken_grows() {
        // Four bits: sixteen hashes for a hundred names (faults 75).
        let mut taken = BTreeSet::new();
        for number in 0..100 {
            let name = format!("Name/{}", "🦀".repeat(number));
            let hash = hex::encode(Sha256::digest(&name));
            let slug = slug_of(&name, &taken, &hash, 1);
            assert!(taken.insert(slug.clone()), "{slug} twice");
        }
        assert!(taken.iter().any(|slug| slug.rsplit('-').next().unwrap().len() > 1));
        // A name that is its own slug makes way too.
        let taken = BTreeSet::from(["main".to_owned()]);
        assert!(slug_beside("main", &taken).starts_with("main-"));
    }

    proptest! {
        #[test]
        fn a_slug_is_a_host_name(name in "\\PC{1,60}|[a-z/]{30,50}") {
            let slug = slug(&name);
            prop_assert!(slug.len() <= SLUG && !slug.is_empty());
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-'));
            prop_assert!(slug.bytes().all(|c| c == b'-' || c.is_ascii_digit() || c.is_ascii_lowercase()));
        }

        #[test]
        fn slugs_differ_as_names_do(a in "[aA/é.-]{1,6}(-[0-9a-f]{6})?", b in "[aA/é.-]{1,6}(-[0-9a-f]{6})?") {
            prop_assert_eq!(a == b, slug(&a) == slug(&b));
        }
    }

    proptest! {
        // A process each.
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn git_agrees(name in "[-a./@{}~^:?*\\[\\\\ A\u{e9}\u{1}]{0,5}(\\.lock)?(/[a.@-]{0,3})?|\\PC{1,12}") {
            prop_assert_eq!(check(&name).is_ok(), git_allows(&name), "{:?}", name);
        }
    }
}
