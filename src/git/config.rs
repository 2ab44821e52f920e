//! What is set for one git branch in the repository's own configuration (git-config(1), "Syntax"). git moves it along
//! when a git branch is renamed and takes it away with one that is deleted, so it tells both.

use std::collections::BTreeMap;
use std::fs;

use super::Repository;

/// The variable in which a git branch names its environments.
pub(super) const KEY: &str = "devenv-id";

impl Repository {
    /// The environments that each git branch names, read from the file.
    #[must_use]
    pub fn ids(&self) -> BTreeMap<String, Vec<String>> {
        ids(&fs::read_to_string(self.common_dir.join("config")).unwrap_or_default())
    }
}

impl Repository {
    /// The folders of devenv's projects (`devenv.folder`), from the top of a working tree, read from the file.
    #[must_use]
    pub fn folders(&self) -> Vec<String> {
        folders(&fs::read_to_string(self.common_dir.join("config")).unwrap_or_default())
    }
}

/// Reads what `folder` is set to under `[devenv]`.
fn folders(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut ours = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            ours = line.eq_ignore_ascii_case("[devenv]");
        } else if let Some((key, value)) = line.split_once('=')
            && ours
            && key.trim().eq_ignore_ascii_case("folder")
        {
            found.push(unquoted(value.trim()));
        }
    }
    found
}

/// A value as git writes it: in quotes where a character needs them, and with escapes.
fn unquoted(value: &str) -> String {
    let inside = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut text = String::new();
    let mut characters = inside.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => {}
            },
            (c, false) => text.push(c),
        }
    }
    text
}

/// Reads what [`KEY`] is set to under `[branch "NAME"]`; what else stands there is passed over.
fn ids(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut branch: Option<String> = None;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('[') {
            branch = section(line);
        } else if let Some((key, value)) = line.split_once('=')
            && let Some(branch) = &branch
            && key.trim().eq_ignore_ascii_case(KEY)
        {
            found.entry(branch.clone()).or_default().push(value.trim().trim_matches('"').to_owned());
        }
    }
    found
}

/// The name in `[branch "NAME"]`.
fn section(line: &str) -> Option<String> {
    let inside = line.strip_prefix('[')?;
    let (word, quoted) = inside.split_once(char::is_whitespace)?;
    if !word.eq_ignore_ascii_case("branch") {
        return None;
    }
    let mut name = String::new();
    let mut escaped = false;
    for c in quoted.trim_start().strip_prefix('"')?.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return Some(name),
            c => {
                escaped = false;
                name.push(c);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::Sketch;

    #[test]
    fn folders_come_back_as_they_were() {
        let sketch = Sketch::new();
        let repository = sketch.repository();
        let all = [".", "a b/c", "x;y#z", "back\\slash \"q\"", " leading"];
        repository.replace("devenv.folder", &all.map(str::to_owned)).unwrap();
        assert_eq!(repository.folders(), all);
        repository.replace("devenv.folder", &[]).unwrap();
        assert!(repository.folders().is_empty());
    }

    #[test]
    fn what_git_writes_is_read() {
        let sketch = Sketch::new();
        for name in ["feat/a", "a\"b;#c", "\u{1f980}", "[x"] {
            sketch.git_in("repo", &["branch", name]);
            sketch.repository().add_id(name, "shop-x").unwrap();
        }
        sketch.repository().add_id("feat/a", "other-y").unwrap();
        let ids = sketch.repository().ids();
        assert_eq!(ids["feat/a"], ["shop-x", "other-y"]);
        assert_eq!(ids["a\"b;#c"], ["shop-x"]);
        assert_eq!(ids["\u{1f980}"], ["shop-x"]);
        // git takes the name along and away.
        sketch.git("branch -m feat/a feat/b");
        sketch.git("branch -D \u{1f980}");
        let ids = sketch.repository().ids();
        assert_eq!(ids["feat/b"], ["shop-x", "other-y"]);
        assert!(!ids.contains_key("feat/a") && !ids.contains_key("\u{1f980}"));
    }
}
