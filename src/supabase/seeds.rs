//! Which files `[db.seed] sql_paths` means, in which order.
//!
//! As in the CLI: every pattern's files in the order of their bytes, a file named twice once, a directory
//! standing for the `.sql` files under it. Beyond the CLI, `**` stands for any number of directories.

use crate::base::{Failure, Kind, Place};

/// A path or glob as the user wrote it, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Relative to the directory `supabase` unless absolute.
    pub text: String,
    /// Where it stands; none when nobody wrote it, and then nobody is told that it matches nothing.
    pub place: Option<Place>,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its last part.
    pub name: String,
    /// Whether it is a directory itself.
    pub directory: bool,
}

/// What the patterns mean.
#[derive(Debug, Default)]
pub struct Expanded {
    /// The files, relative to the directory that holds `supabase` (`supabase/seed.sql`): the name under which
    /// the CLI records them.
    pub files: Vec<String>,
    /// A warning for every pattern that means nothing.
    pub warnings: Vec<Failure>,
}

/// The files of `patterns`. `list` gives the names in a directory (`""` is the one that holds `supabase`), or
/// none when there is no such directory.
pub fn expand(patterns: &[Pattern], list: &dyn Fn(&str) -> Option<Vec<Entry>>) -> Expanded {
    let mut expanded = Expanded::default();
    for pattern in patterns {
        let (root, parts) = parts(&pattern.text);
        let mut files = Vec::new();
        descend(&root, &parts, list, &mut files);
        if files.is_empty()
            && let Some(place) = &pattern.place
        {
            let message = format!("no file matches the seed `{}`", pattern.text);
            expanded.warnings.push(
                Failure::new(Kind::Files, message)
                    .at(place.clone())
                    .hint("paths in `sql_paths` are relative to the directory `supabase`"),
            );
        }
        files.sort_unstable();
        for file in files {
            if !expanded.files.contains(&file) {
                expanded.files.push(file);
            }
        }
    }
    expanded
}

/// The parts of a pattern below the directory that holds `supabase`, with `.` and `..` resolved.
fn parts(pattern: &str) -> (String, Vec<String>) {
    let absolute = pattern.starts_with('/');
    let mut parts: Vec<String> = if absolute { Vec::new() } else { vec!["supabase".to_owned()] };
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            _ => parts.push(part.to_owned()),
        }
    }
    (if absolute { "/".to_owned() } else { String::new() }, parts)
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() || dir.ends_with('/') { format!("{dir}{name}") } else { format!("{dir}/{name}") }
}

fn descend(dir: &str, parts: &[String], list: &dyn Fn(&str) -> Option<Vec<Entry>>, files: &mut Vec<String>) {
    let Some((part, rest)) = parts.split_first() else {
        walk(dir, list, files);
        return;
    };
    if part == ".." {
        return descend(&join(dir, part), rest, list, files);
    }
    if part == "**" {
        descend(dir, rest, list, files);
    }
    for entry in list(dir).unwrap_or_default() {
        let path = join(dir, &entry.name);
        if part == "**" {
            if entry.directory {
                descend(&path, parts, list, files);
            } else if rest.is_empty() && is_sql(&entry.name) {
                files.push(path);
            }
        } else if matches(part, &entry.name) {
            if entry.directory {
                descend(&path, rest, list, files);
            } else if rest.is_empty() {
                files.push(path);
            }
        }
    }
}

/// Every `.sql` file below a directory that a pattern means.
fn walk(dir: &str, list: &dyn Fn(&str) -> Option<Vec<Entry>>, files: &mut Vec<String>) {
    for entry in list(dir).unwrap_or_default() {
        let path = join(dir, &entry.name);
        if entry.directory {
            walk(&path, list, files);
        } else if is_sql(&entry.name) && !files.contains(&path) {
            files.push(path);
        }
    }
}

fn is_sql(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|extension| extension == "sql")
}

/// Whether one part of a pattern (`*`, `?`, `[a-z]`, `[^a]`, `\x`) matches one name, as Go's `path.Match`.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(next) = one(&pattern, p, name[n]) {
            p = next;
            n += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            n = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// The position after the single-character pattern at `p`, when it matches `character`.
fn one(pattern: &[char], p: usize, character: char) -> Option<usize> {
    match *pattern.get(p)? {
        '?' => Some(p + 1),
        '\\' => (*pattern.get(p + 1)? == character).then_some(p + 2),
        '[' => {
            let negated = pattern.get(p + 1) == Some(&'^');
            let mut at = p + 1 + usize::from(negated);
            let mut hit = false;
            let first = at;
            while *pattern.get(at)? != ']' || at == first {
                let low = *pattern.get(at)?;
                let high = if pattern.get(at + 1) == Some(&'-') && pattern.get(at + 2) != Some(&']') {
                    at += 2;
                    *pattern.get(at)?
                } else {
                    low
                };
                hit |= (low..=high).contains(&character);
                at += 1;
            }
            (hit != negated).then_some(at + 1)
        }
        other => (other == character).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: [&str; 7] = [
        "supabase/seed.sql",
        "supabase/seeds/b.sql",
        "supabase/seeds/a.sql",
        "supabase/seeds/notes.txt",
        "supabase/seeds/deep/er/c.sql",
        "supabase/seeds/deep/d.sql",
        "shared/e.sql",
    ];

    fn list(dir: &str) -> Option<Vec<Entry>> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let mut entries: Vec<Entry> = Vec::new();
        for rest in TREE.iter().filter_map(|path| path.strip_prefix(&prefix)) {
            let (name, directory) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
            if !entries.iter().any(|entry| entry.name == name) {
                entries.push(Entry { name: name.to_owned(), directory });
            }
        }
        (!entries.is_empty()).then_some(entries)
    }

    fn files(patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<Pattern> =
            patterns.iter().map(|text| Pattern { text: (*text).to_owned(), place: None }).collect();
        expand(&patterns, &list).files
    }

    #[test]
    fn patterns_keep_their_order_and_files_are_sorted_within() {
        assert_eq!(files(&["./seed.sql"]), ["supabase/seed.sql"]);
        assert_eq!(
            files(&["seeds/*.sql", "./seed.sql", "seeds/a.sql", "../shared/*.sql"]),
            ["supabase/seeds/a.sql", "supabase/seeds/b.sql", "supabase/seed.sql", "shared/e.sql"]
        );
        assert_eq!(
            files(&["seeds/**/*.sql"]),
            [
                "supabase/seeds/a.sql",
                "supabase/seeds/b.sql",
                "supabase/seeds/deep/d.sql",
                "supabase/seeds/deep/er/c.sql"
            ]
        );
        assert_eq!(files(&["seeds/deep"]), ["supabase/seeds/deep/d.sql", "supabase/seeds/deep/er/c.sql"]);
        assert_eq!(files(&["seeds/[ab].sql"]).len(), 2);
        assert_eq!(files(&["seeds/[^a].s?l"]), ["supabase/seeds/b.sql"]);
    }

    #[test]
    fn only_a_written_pattern_without_files_is_told() {
        let place = Place::file("supabase/config.toml");
        let written = Pattern { text: "./none/*.sql".to_owned(), place: Some(place) };
        let unwritten = Pattern { text: "./none.sql".to_owned(), place: None };
        assert_eq!(expand(&[written, unwritten], &list).warnings.len(), 1);
    }
}
