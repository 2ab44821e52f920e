//! Names of images: `[registry/]path[:tag][@digest]`, with the rules by which `redis` means
//! `docker.io/library/redis:latest`. Pure.

use std::fmt;
use std::str::FromStr;

/// The registry that a name without one means.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// A name, taken apart and completed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    /// Host of the registry with its port, `docker.io` when none was written.
    pub registry: String,
    /// The repository, `library/` added where Docker Hub wants it.
    pub path: String,
    /// What stood behind `:`.
    pub tag: Option<String>,
    /// What stood behind `@`.
    pub digest: Option<String>,
}

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not an image name: {problem}")]
pub struct BadImageName {
    /// The text.
    pub name: String,
    /// What is wrong with it.
    pub problem: NameProblem,
}

/// The part of a name that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// Nothing is left of it.
    #[error("it is empty")]
    Empty,
    /// Repositories are lower case.
    #[error("the repository must be lower case")]
    UpperCase,
    /// A component holds other characters than letters, digits and single separators.
    #[error("the repository may hold letters, digits and `.`, `_`, `__` or `-` between them")]
    Path,
    /// The host or port.
    #[error("the registry must be a host name with an optional port")]
    Registry,
    /// The tag.
    #[error("a tag holds up to 128 letters, digits, `_`, `.` and `-`, and starts with neither `.` nor `-`")]
    Tag,
    /// The digest.
    #[error("a digest looks like `sha256:` and 64 hexadecimal digits")]
    Digest,
    /// Looks like an image id.
    #[error("64 hexadecimal digits are an image id")]
    Id,
    /// Longer than 255 characters.
    #[error("it is longer than 255 characters")]
    Long,
}

impl ImageName {
    /// The same name with `:latest` where it has neither tag nor digest.
    #[must_use]
    pub fn tagged(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".into());
        }
        self
    }

    /// The name without tag and digest, as a registry knows it.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.path)
    }

    /// The short form people write: `redis:7` for `docker.io/library/redis:7`.
    #[must_use]
    pub fn familiar(&self) -> String {
        let mut text = if self.registry == DEFAULT_REGISTRY {
            match self.path.strip_prefix("library/") {
                Some(rest) if !rest.contains('/') => rest.to_owned(),
                _ => self.path.clone(),
            }
        } else {
            self.repository()
        };
        self.push_rest(&mut text);
        text
    }

    fn push_rest(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest);
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.repository();
        self.push_rest(&mut text);
        f.write_str(&text)
    }
}

impl FromStr for ImageName {
    type Err = BadImageName;

    fn from_str(name: &str) -> Result<Self, BadImageName> {
        parse(name).map_err(|problem| BadImageName { name: name.to_owned(), problem })
    }
}

fn parse(name: &str) -> Result<ImageName, NameProblem> {
    if name.is_empty() {
        return Err(NameProblem::Empty);
    }
    if is_hex(name, 64) {
        return Err(NameProblem::Id);
    }
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(NameProblem::Digest);
    }
    let (registry, rest) = split_registry(rest);
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(NameProblem::Tag);
    }
    if registry.is_some_and(|registry| !is_registry(registry)) {
        return Err(NameProblem::Registry);
    }
    if path.is_empty() {
        return Err(NameProblem::Empty);
    }
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(NameProblem::UpperCase);
    }
    if !path.split('/').all(is_component) {
        return Err(NameProblem::Path);
    }
    let registry = match registry {
        None | Some("index.docker.io") => DEFAULT_REGISTRY,
        Some(registry) => registry,
    };
    let path = if registry == DEFAULT_REGISTRY && !path.contains('/') {
        format!("library/{path}")
    } else {
        path.to_owned()
    };
    if registry.len() + 1 + path.len() > 255 {
        return Err(NameProblem::Long);
    }
    Ok(ImageName {
        registry: registry.to_owned(),
        path,
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

/// The first part is a registry when it could not be the first part of a path: it has a dot or a port, is
/// `localhost`, or has upper case letters.
fn split_registry(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

fn is_hex(text: &str, at_least: usize) -> bool {
    text.len() >= at_least
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && (at_least != 64 || text.len() == 64)
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let words = algorithm.split(['-', '_', '+', '.']).all(|word| {
        word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.chars().all(|c| c.is_ascii_alphanumeric())
    });
    words && if algorithm == "sha256" { is_hex(hex, 64) } else { is_hex(hex, 32) }
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(word) && text.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit())) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return !address.is_empty() && address.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    })
}

/// Letters and digits, with one of `.`, `_`, `__` or any number of `-` between them.
fn is_component(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !text.starts_with(word) || !text.ends_with(word) {
        return false;
    }
    text.split(word)
        .filter(|gap| !gap.is_empty())
        .all(|gap| gap == "." || gap == "_" || gap == "__" || gap.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(name: &str) -> String {
        name.parse::<ImageName>().map_or_else(|error| format!("{:?}", error.problem), |name| name.to_string())
    }

    #[test]
    fn names_are_completed() {
        for (given, wanted) in [
            ("redis", "docker.io/library/redis"),
            ("redis:7", "docker.io/library/redis:7"),
            ("docker.io/redis", "docker.io/library/redis"),
            ("index.docker.io/redis", "docker.io/library/redis"),
            ("supabase/postgres:17", "docker.io/supabase/postgres:17"),
            ("ghcr.io/a/b/c:v1.2", "ghcr.io/a/b/c:v1.2"),
            ("localhost/x", "localhost/x"),
            ("localhost:5000/x:1", "localhost:5000/x:1"),
            ("127.0.0.1:5000/x", "127.0.0.1:5000/x"),
            ("[::1]:5000/x", "[::1]:5000/x"),
            ("UPPER/x", "UPPER/x"),
            ("devenv.local/debian:trixie", "devenv.local/debian:trixie"),
            ("a__b/c-d--e.f_g", "docker.io/a__b/c-d--e.f_g"),
            ("Redis", "UpperCase"),
            ("a/Redis", "UpperCase"),
            ("a..b", "Path"),
            ("a___b", "Path"),
            ("-a", "Path"),
            ("a/", "Path"),
            ("a//b", "Path"),
            ("x:", "Tag"),
            ("x:-a", "Tag"),
            ("x@sha256:12", "Digest"),
            ("", "Empty"),
            (":7", "Empty"),
            ("a.b:x/y", "Registry"),
            ("-a.b/y", "Registry"),
            ("a b", "Path"),
        ] {
            assert_eq!(full(given), wanted, "{given}");
        }
        let digest = format!("x:1@sha256:{}", "a".repeat(64));
        assert_eq!(full(&digest), format!("docker.io/library/{digest}"));
        assert_eq!(full(&"a".repeat(64)), "Id");
        assert_eq!(full(&format!("a/{}", "b".repeat(260))), "Long");
    }

    #[test]
    fn the_short_form_comes_back() {
        for (given, wanted) in [
            ("docker.io/library/redis:7", "redis:7"),
            ("docker.io/a/b", "a/b"),
            ("ghcr.io/a/b:1", "ghcr.io/a/b:1"),
            ("docker.io/library/a/b", "library/a/b"),
        ] {
            assert_eq!(given.parse::<ImageName>().unwrap().familiar(), wanted);
        }
        assert_eq!("redis".parse::<ImageName>().unwrap().tagged().familiar(), "redis:latest");
    }
}
