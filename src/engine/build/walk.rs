//! Walks a build context in the order that engines expect, leaving out what is ignored without descending
//! into it. Directories above an included file are told just before it.

use std::fs::Metadata;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::base::ignore::{Matched, Patterns, clean};

/// Which paths are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// Only these; everything without it.
    pub(super) include: Option<Patterns>,
    /// Not these.
    pub(super) exclude: Patterns,
}

/// One file, directory or link of the context.
#[derive(Debug)]
pub(super) struct Entry {
    /// Relative to the context, separated by `/`.
    pub(super) path: String,
    /// Where it is.
    pub(super) place: PathBuf,
    /// Of itself, not of what a link points to.
    pub(super) metadata: Metadata,
}

/// A path that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl Unreadable {
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), source }
    }
}

/// Calls `tell` with every wanted entry below `root`, sorted, until it breaks off.
pub(super) fn walk(
    root: &Path,
    filter: &Filter,
    tell: &mut dyn FnMut(Entry) -> Result<ControlFlow<()>, Unreadable>,
) -> Result<ControlFlow<()>, Unreadable> {
    Walk { filter, tell, untold: Vec::new() }.directory(root, "", None, None)
}

struct Walk<'a> {
    filter: &'a Filter,
    tell: &'a mut dyn FnMut(Entry) -> Result<ControlFlow<()>, Unreadable>,
    /// Directories above the present path that are not wanted for themselves.
    untold: Vec<(String, PathBuf)>,
}

impl Walk<'_> {
    fn directory(
        &mut self,
        place: &Path,
        path: &str,
        included: Option<&Matched>,
        excluded: Option<&Matched>,
    ) -> Result<ControlFlow<()>, Unreadable> {
        let mut children = Vec::new();
        for child in std::fs::read_dir(place).map_err(Unreadable::at(place))? {
            let child = child.map_err(Unreadable::at(place))?;
            let kind = child.file_type().map_err(Unreadable::at(&child.path()))?;
            children.push((child.file_name(), kind.is_dir()));
        }
        children.sort_unstable();
        for (name, is_directory) in children {
            let place = place.join(&name);
            let Some(name) = name.to_str() else {
                let problem = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
                return Err(Unreadable { path: place, source: problem });
            };
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let mut wanted = true;
            let mut included_here = None;
            if let Some(include) = &self.filter.include {
                let (matches, seen) = include.matches_below(&path, included);
                if !matches {
                    if !is_directory || !include.could_match_below(&path) {
                        continue;
                    }
                    wanted = false;
                }
                included_here = Some(seen);
            }
            let (matches, excluded_here) = self.filter.exclude.matches_below(&path, excluded);
            if matches {
                if !is_directory || !self.filter.exclude.could_except_below(&path) {
                    continue;
                }
                wanted = false;
            }
            if wanted && self.tell_with_parents(path.clone(), place.clone())?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if is_directory {
                let depth = self.untold.len();
                if !wanted {
                    self.untold.push((path.clone(), place.clone()));
                }
                if self.directory(&place, &path, included_here.as_ref(), Some(&excluded_here))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                self.untold.truncate(depth);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn tell_with_parents(&mut self, path: String, place: PathBuf) -> Result<ControlFlow<()>, Unreadable> {
        let mut all = std::mem::take(&mut self.untold);
        all.push((path, place));
        for (path, place) in all {
            let metadata = std::fs::symlink_metadata(&place).map_err(Unreadable::at(&place))?;
            if (self.tell)(Entry { path, place, metadata })?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The paths that must be sent so that each of `paths` can be read: itself, and where links on the way to it
/// lead. Nothing when one of them is the whole context.
pub(super) fn follow_links(root: &Path, paths: &[String]) -> Option<Vec<String>> {
    let mut found = std::collections::BTreeSet::new();
    for path in paths {
        follow(root, path, &mut found, 0);
    }
    without_nested(found)
}

/// Sorted, without what lies below another; nothing when one is the whole context.
pub(super) fn without_nested(paths: impl IntoIterator<Item = String>) -> Option<Vec<String>> {
    let sorted: std::collections::BTreeSet<String> = paths.into_iter().collect();
    let mut kept: Vec<String> = Vec::new();
    for path in sorted {
        if path == "." {
            return None;
        }
        if kept
            .iter()
            .any(|above| path.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with('/')))
        {
            continue;
        }
        kept.push(path);
    }
    Some(kept)
}

fn follow(root: &Path, path: &str, found: &mut std::collections::BTreeSet<String>, depth: u8) {
    // As many links as a kernel follows.
    if depth > 40 {
        return;
    }
    let path = clean(&format!("/{path}"));
    let mut rest = path.trim_start_matches('/');
    let mut current = String::new();
    loop {
        let (part, behind) = rest.split_once('/').unwrap_or((rest, ""));
        current = match (current.is_empty(), part.is_empty()) {
            (true, true) => ".".to_owned(),
            (true, false) => part.to_owned(),
            _ => format!("{current}/{part}"),
        };
        let targets = link_targets(root, &current, true);
        if (behind.is_empty() || !targets.is_empty()) && found.contains(&current) {
            return;
        }
        if !targets.is_empty() {
            found.insert(current);
            for target in targets {
                follow(root, &format!("{target}/{behind}"), found, depth + 1);
            }
            return;
        }
        if behind.is_empty() {
            found.insert(current);
            return;
        }
        rest = behind;
    }
}

/// Where the link at `path` leads, as a path of the context; where all links lead that its pattern matches.
fn link_targets(root: &Path, path: &str, allow_pattern: bool) -> Vec<String> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if allow_pattern && name.contains(['*', '?', '[']) {
        let Ok(pattern) = Patterns::new([name]) else { return Vec::new() };
        let Ok(children) = std::fs::read_dir(root.join(directory)) else { return Vec::new() };
        return children
            .filter_map(|child| child.ok()?.file_name().into_string().ok())
            .filter(|name| pattern.matches(name))
            .flat_map(|name| {
                let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
                link_targets(root, &path, false)
            })
            .collect();
    }
    match std::fs::read_link(root.join(path)) {
        Ok(target) => {
            let target = target.to_string_lossy();
            let whole =
                if target.starts_with('/') { target.into_owned() } else { format!("/{directory}/{target}") };
            vec![clean(&whole)]
        }
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in ["a/b/c", "a/b/d", "a-b", "a/z", "node_modules/x/y", "src/keep/k", "src/n", "top"] {
            let place = root.path().join(file);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, file).unwrap();
        }
        std::os::unix::fs::symlink("a/b", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/top", root.path().join("src/up")).unwrap();
        root
    }

    fn told(root: &Path, include: Option<&[&str]>, exclude: &[&str]) -> Vec<String> {
        let filter = Filter {
            include: include.map(|patterns| Patterns::new(patterns).unwrap()),
            exclude: Patterns::new(exclude).unwrap(),
        };
        let mut paths = Vec::new();
        let _ = walk(root, &filter, &mut |entry| {
            paths.push(entry.path);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        paths
    }

    #[test]
    fn order_is_by_component() {
        let root = tree();
        let wanted = ["a", "a/b", "a/b/c", "a/b/d", "a/z", "a-b", "link", "top"];
        assert_eq!(told(root.path(), None, &["node_modules", "src"]), wanted);
    }

    #[test]
    fn directories_above_an_exception_are_told() {
        let root = tree();
        assert_eq!(told(root.path(), None, &["*", "!src/keep"]), ["src", "src/keep", "src/keep/k"]);
        assert_eq!(told(root.path(), Some(&["a/b/d"]), &[]), ["a", "a/b", "a/b/d"]);
        assert!(told(root.path(), Some(&["a/nothing"]), &[]).is_empty());
    }

    #[test]
    fn links_are_followed_inside_the_context() {
        let root = tree();
        let follow = |path: &str| follow_links(root.path(), &[path.to_owned()]);
        assert_eq!(follow("link/c"), Some(vec!["a/b/c".into(), "link".into()]));
        assert_eq!(follow("src/up"), Some(vec!["src/up".into(), "top".into()]));
        assert_eq!(follow("l*"), Some(vec!["a/b".into(), "l*".into()]));
        assert_eq!(follow("missing/x"), Some(vec!["missing/x".into()]));
        assert_eq!(follow("/"), None);
        assert_eq!(follow("../../top"), Some(vec!["top".into()]));
    }
}
