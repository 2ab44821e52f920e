//! Patterns of paths as `.dockerignore` has them. The meaning is that of moby's `patternmatcher` and `ignorefile`,
//! oddities included: a build and a watch rule ask here which paths they leave out. Paths are relative to where the
//! patterns stand and separated by `/`.

use regex_automata::meta::Regex;

/// A pattern that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a valid ignore pattern")]
pub struct BadPattern {
    /// The pattern as written.
    pub pattern: String,
}

/// Reads an ignore file: comments and blank lines go, paths are cleaned, a leading `/` means nothing.
#[must_use]
pub fn read(text: &str) -> Vec<String> {
    let mut patterns = Vec::new();
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        if line.starts_with('#') {
            continue;
        }
        let line = line.trim();
        let (invert, line) = match line.strip_prefix('!') {
            Some(rest) => ("!", rest.trim()),
            None => ("", line),
        };
        if line.is_empty() {
            if !invert.is_empty() {
                patterns.push(invert.to_owned());
            }
            continue;
        }
        let cleaned = clean(line);
        let anchored =
            if cleaned.len() > 1 { cleaned.strip_prefix('/').unwrap_or(&cleaned) } else { &cleaned };
        patterns.push(format!("{invert}{anchored}"));
    }
    patterns
}

/// An ordered list of patterns; the last one that matches decides, `!` turns it round.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    patterns: Vec<Pattern>,
}

/// Which patterns a directory matched, for the paths below it.
#[derive(Debug, Clone, Default)]
pub struct Matched(Vec<bool>);

#[derive(Debug, Clone)]
struct Pattern {
    exclusion: bool,
    /// How the whole pattern matches.
    whole: Matcher,
    /// How its leading components match the directories above, as far as they are free of `**`.
    leading: Vec<Matcher>,
    /// Whether `**` comes behind those, so that any depth is possible.
    open: bool,
}

#[derive(Debug, Clone)]
enum Matcher {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Regex(Regex),
}

impl Patterns {
    /// Compiles patterns as they come from [`read`] or from an engine.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, BadPattern> {
        let mut compiled = Vec::new();
        for text in patterns {
            let text = text.as_ref();
            let trimmed = text.trim();
            if trimmed.is_empty() {
                continue;
            }
            let bad = || BadPattern { pattern: text.to_owned() };
            let cleaned = clean(trimmed);
            let (exclusion, cleaned) = match cleaned.strip_prefix('!') {
                Some("") => return Err(bad()),
                Some(rest) => (true, rest),
                None => (false, cleaned.as_str()),
            };
            if !is_glob(cleaned) {
                return Err(bad());
            }
            compiled.push(Pattern::new(exclusion, cleaned).ok_or_else(bad)?);
        }
        Ok(Self { patterns: compiled })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether `path` matches, given what the directory that holds it matched.
    #[must_use]
    pub fn matches_below(&self, path: &str, parent: Option<&Matched>) -> (bool, Matched) {
        let mut result = false;
        let mut seen = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut matched = parent.is_some_and(|parent| parent.0.get(index) == Some(&true));
            if !matched {
                // What would change nothing is not tried, and so is not remembered for the paths below.
                if pattern.exclusion != result {
                    continue;
                }
                matched = pattern.whole.matches(path)
                    || (parent.is_none() && parents(path).any(|parent| pattern.whole.matches(parent)));
            }
            seen[index] = matched;
            if matched {
                result = !pattern.exclusion;
            }
        }
        (result, Matched(seen))
    }

    /// Whether `path` or a directory above it matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.matches_below(path, None).0
    }

    /// Whether something below `directory`, which itself does not match, still could.
    #[must_use]
    pub fn could_match_below(&self, directory: &str) -> bool {
        self.patterns.iter().any(|pattern| !pattern.exclusion && pattern.could_match_below(directory))
    }

    /// Whether something below `directory`, which matches, could be taken out again by `!`.
    #[must_use]
    pub fn could_except_below(&self, directory: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.exclusion && pattern.could_match_below(directory))
    }
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

impl Pattern {
    fn new(exclusion: bool, cleaned: &str) -> Option<Self> {
        let whole = Matcher::new(cleaned)?;
        let mut leading = Vec::new();
        let mut open = false;
        let mut end = 0;
        for component in cleaned.split('/') {
            end += component.len();
            // A class can hold anything, even a slash: then nothing is known about the directories above.
            if component.contains("**") || component.contains(['[', ']', '\\']) {
                open = true;
                break;
            }
            leading.push(Matcher::new(&cleaned[..end])?);
            end += 1;
        }
        Some(Self { exclusion, whole, leading, open })
    }

    fn could_match_below(&self, directory: &str) -> bool {
        let depth = directory.split('/').count();
        match self.leading.get(depth - 1) {
            // The last component of a pattern is the path itself: nothing deeper unless that matched already.
            Some(_) if depth == self.leading.len() && !self.open => false,
            Some(prefix) => prefix.matches(directory),
            None if !self.open => false,
            None => match self.leading.last() {
                Some(prefix) => parents(directory)
                    .nth(self.leading.len() - 1)
                    .is_some_and(|parent| prefix.matches(parent)),
                None => true,
            },
        }
    }
}

impl Matcher {
    /// moby's translation, character by character.
    fn new(pattern: &str) -> Option<Self> {
        #[derive(PartialEq)]
        enum Kind {
            Exact,
            Prefix,
            Suffix,
            Regex,
        }
        let mut kind = Kind::Exact;
        let mut regex = String::from("^");
        let mut chars = pattern.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.peek() == Some(&'*') => {
                    chars.next();
                    if chars.peek() == Some(&'/') {
                        chars.next();
                    }
                    if chars.peek().is_none() {
                        if kind == Kind::Exact {
                            kind = Kind::Prefix;
                        } else {
                            regex.push_str(".*");
                            kind = Kind::Regex;
                        }
                    } else {
                        regex.push_str("(.*/)?");
                        kind = Kind::Regex;
                    }
                    if first {
                        kind = Kind::Suffix;
                    }
                }
                '*' => {
                    regex.push_str("[^/]*");
                    kind = Kind::Regex;
                }
                '?' => {
                    regex.push_str("[^/]");
                    kind = Kind::Regex;
                }
                '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => {
                    regex.push('\\');
                    regex.push(c);
                }
                '\\' => {
                    regex.push('\\');
                    if let Some(next) = chars.next() {
                        regex.push(next);
                        kind = Kind::Regex;
                    }
                }
                '[' | ']' => {
                    regex.push(c);
                    kind = Kind::Regex;
                }
                other => regex.push(other),
            }
            first = false;
        }
        Some(match kind {
            Kind::Exact => Self::Exact(pattern.to_owned()),
            Kind::Prefix => Self::Prefix(pattern.strip_suffix("**").unwrap_or(pattern).to_owned()),
            Kind::Suffix => Self::Suffix(pattern.strip_prefix("**").unwrap_or(pattern).to_owned()),
            Kind::Regex => {
                regex.push('$');
                Self::Regex(Regex::new(&without_set_operations(&regex)).ok()?)
            }
        })
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(pattern) => path == pattern,
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()),
            // `**/foo` is also `foo` itself.
            Self::Suffix(suffix) => {
                path.ends_with(suffix.as_str()) || suffix.strip_prefix('/').is_some_and(|rest| path == rest)
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

/// Go's classes have no nesting and no `&&`, `--`, `~~`: what would mean that here is escaped.
fn without_set_operations(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len());
    let mut chars = regex.chars().peekable();
    let mut inside = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            '[' if !inside => {
                inside = true;
                out.push(c);
                if chars.peek() == Some(&'^') {
                    out.extend(chars.next());
                }
                if chars.peek() == Some(&']') {
                    chars.next();
                    out.push_str("\\]");
                }
            }
            ']' if inside => {
                inside = false;
                out.push(c);
            }
            '[' | '&' | '~' if inside => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

/// Whether Go's `filepath.Match` accepts the pattern; only then does moby.
fn is_glob(pattern: &str) -> bool {
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return false,
            '[' => {
                if chars.peek() == Some(&'^') {
                    chars.next();
                }
                let mut ranges = 0;
                loop {
                    if ranges > 0 && chars.peek() == Some(&']') {
                        chars.next();
                        break;
                    }
                    if !class_character(&mut chars) {
                        return false;
                    }
                    if chars.peek() == Some(&'-') {
                        chars.next();
                        if !class_character(&mut chars) {
                            return false;
                        }
                    }
                    ranges += 1;
                }
            }
            _ => {}
        }
    }
    true
}

fn class_character(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let read = match chars.next() {
        None | Some('-' | ']') => false,
        Some('\\') => chars.next().is_some(),
        Some(_) => true,
    };
    read && chars.peek().is_some()
}

/// Go's `filepath.Clean`: no `.`, no doubled or trailing slash, `..` taken back where possible.
#[must_use]
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(file: &str, path: &str) -> bool {
        Patterns::new(read(file)).unwrap().matches(path)
    }

    /// The table and the examples of docs.docker.com/build/concepts/context.
    #[test]
    fn documented_examples() {
        let first = "# comment\n*/temp*\n*/*/temp*\ntemp?\n";
        assert!(ignored(first, "somedir/temporary.txt"));
        assert!(ignored(first, "somedir/temp"));
        assert!(ignored(first, "somedir/temp/below"));
        assert!(ignored(first, "somedir/subdir/temporary.txt"));
        assert!(ignored(first, "tempa"));
        assert!(!ignored(first, "temp"));
        assert!(!ignored(first, "tempab"));
        assert!(!ignored(first, "a/b/c/temp"));
        assert!(ignored("**/*.go", "a/b/c.go"));
        assert!(ignored("**/*.go", "c.go"));
        assert!(ignored("*.md\n!README.md", "CHANGES.md"));
        assert!(!ignored("*.md\n!README.md", "README.md"));
        let secret = "*.md\n!README*.md\nREADME-secret.md";
        assert!(!ignored(secret, "README.md"));
        assert!(ignored(secret, "README-secret.md"));
        assert!(!ignored("*.md\nREADME-secret.md\n!README*.md", "README-secret.md"));
        assert!(ignored("/foo/bar", "foo/bar"));
        assert!(ignored("foo/bar/", "foo/bar"));
        assert!(ignored("foo/bar", "foo/bar/baz"));
    }

    /// Cases of moby/patternmatcher's own tests, by meaning.
    #[test]
    fn doubled_stars_classes_and_escapes() {
        for (pattern, path, wanted) in [
            ("**", "file", true),
            ("**", "dir/file", true),
            ("**/", "dir/file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/file", true),
            ("dir/**", "dir/dir2/file", true),
            ("dir/**", "dir", false),
            ("**/dir", "dir", true),
            ("**/dir", "a/dir", true),
            ("**/dir", "a/dirx", false),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/dir2/*", "dir/dir2/dir2/file", true),
            ("**/dir2/**", "dir/dir2/dir2/file", true),
            ("**file", "file", true),
            ("**file", "dir/file", true),
            ("**file", "a/barfile", true),
            ("**/file", "a/barfile", false),
            ("**/file*txt", "dir/dir/file.txt", true),
            ("**/**/*.txt", "dir/dir/file.txt", true),
            ("**/**/*.txt2", "dir/dir/file.txt", false),
            ("a**/*.txt", "a/file.txt", true),
            ("a**/*.txt", "a/dir/dir/file.txt", true),
            ("a[b-d]e", "ae", false),
            ("a[b-d]e", "ace", true),
            ("a[b-d]e", "aae", false),
            ("a[^b-d]e", "aze", true),
            (".*", ".foo", true),
            (".*", "foo", false),
            ("abc.def", "abcdef", false),
            ("abc.def", "abc.def", true),
            ("abc.def", "abcZdef", false),
            ("abc?def", "abcZdef", true),
            ("abc?def", "abcdef", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a\\\\", "a\\", true),
            ("**/foo/bar", "foo/bar", true),
            ("**/foo/bar", "dir/foo/bar", true),
            ("abc/**", "abc", false),
            ("abc/**", "abc/def", true),
            ("**/.foo", ".foo", true),
            ("**/.foo", "bar.foo", false),
            ("a(b)c/def", "a(b)c/def", true),
            ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
            (
                "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                true,
            ),
            ("*", "a/b", true),
            ("a[[]b", "a[b", true),
            ("a[&&]b", "a&b", true),
        ] {
            assert_eq!(Patterns::new([pattern]).unwrap().matches(path), wanted, "{pattern} {path}");
        }
        for bad in ["[", "[a", "[^", "[]a]", "[-x]", "a\\", "!", "[a-]"] {
            assert!(Patterns::new([bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_exception_reaches_below_an_ignored_directory() {
        let patterns = Patterns::new(["*", "!src", "src/secret", "!docs/*.md"]).unwrap();
        assert!(!patterns.matches("src/a/b"));
        assert!(patterns.matches("src/secret/x"));
        assert!(patterns.matches("docs"));
        assert!(!patterns.matches("docs/a.md"));
        assert!(patterns.could_except_below("docs"));
        assert!(!patterns.could_except_below("node_modules"));
        assert!(!patterns.could_except_below("docs/sub"));
        let (_, docs) = patterns.matches_below("docs", None);
        assert!(!patterns.matches_below("docs/a.md", Some(&docs)).0);
        assert!(patterns.matches_below("docs/a.txt", Some(&docs)).0);
    }

    #[test]
    fn what_could_still_match_below() {
        let patterns = Patterns::new(["a/b*/c", "x/**/y", "**/z"]).unwrap();
        assert!(patterns.could_match_below("anything"));
        assert!(Patterns::new(["k[/]l/m"]).unwrap().could_match_below("k"));
        let patterns = Patterns::new(["a/b*/c", "x/**/y"]).unwrap();
        for (directory, wanted) in [
            ("a", true),
            ("a/b1", true),
            ("a/c", false),
            ("a/b1/c", false),
            ("a/b1/d", false),
            ("x", true),
            ("x/1/2", true),
            ("b", false),
        ] {
            assert_eq!(patterns.could_match_below(directory), wanted, "{directory}");
        }
        assert!(!Patterns::new(["a/b*/c", "x/**/y"]).unwrap().could_match_below("b"));
        assert!(!Patterns::new(["x/**/y"]).unwrap().could_match_below("y/1"));
    }

    #[test]
    fn the_file_is_read_as_documented() {
        let text = "\u{feff}# no\n\n  a/ \n/b//c\n! d/./e\n!\n ../x\n#no\n #yes\n/\n";
        assert_eq!(read(text), ["a", "b/c", "!d/e", "!", "../x", "#yes", "/"]);
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (given, wanted) in [
            ("", "."),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("/../a", "/a"),
            ("a//b/.", "a/b"),
            ("./", "."),
            ("a/../..", ".."),
        ] {
            assert_eq!(clean(given), wanted);
        }
    }
}
