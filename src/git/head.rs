//! Where HEAD stands, and what git is in the middle of.

use std::fs;
use std::path::Path;

use super::Repository;

/// Where HEAD stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// On a git branch; one that is not born has no commit yet.
    Branch {
        /// Its name, without `refs/heads/`.
        name: String,
        /// Whether it has a commit.
        born: bool,
    },
    /// On a commit, or on a ref that is no git branch.
    Detached,
}

impl Head {
    /// The git branch's name.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match self {
            Self::Branch { name, .. } => Some(name),
            Self::Detached => None,
        }
    }
}

/// What git is in the middle of that moves HEAD about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// `rebase`, `bisect`, `merge`, `cherry-pick`, `revert`.
    pub doing: &'static str,
    /// The git branch that it began on, where git remembers it.
    pub branch: Option<String>,
}

impl Repository {
    /// Where HEAD stands.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head_of(&self.git_dir)
    }

    fn head_of(&self, git_dir: &Path) -> Head {
        let path = git_dir.join("HEAD");
        // Very old repositories have a link.
        let text = match fs::read_link(&path) {
            Ok(target) => target.display().to_string(),
            Err(_) => fs::read_to_string(&path).unwrap_or_default(),
        };
        let text = text.trim_end_matches(['\n', '\r']);
        let target = text.strip_prefix("ref:").map_or(text, str::trim_start);
        match target.strip_prefix("refs/heads/") {
            // What stands there where refs are kept in tables (git-config(1), `extensions.refStorage`).
            Some(".invalid") => self.symbolic_head(),
            Some(name) => Head::Branch { name: name.to_owned(), born: self.has_branch(name) },
            None => Head::Detached,
        }
    }

    /// Whether there is a git branch of this name.
    #[must_use]
    pub fn has_branch(&self, name: &str) -> bool {
        let full = format!("refs/heads/{name}");
        if self.common_dir.join("reftable").exists() {
            return self.branches().is_ok_and(|all| all.iter().any(|branch| branch == name));
        }
        self.common_dir.join(&full).is_file() || self.packed().any(|packed| packed == full)
    }

    /// The names of refs that are packed into one file.
    fn packed(&self) -> impl Iterator<Item = String> {
        let text = fs::read(self.common_dir.join("packed-refs")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let names: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with(['#', '^']))
            .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
            .collect();
        names.into_iter()
    }

    /// What git is in the middle of.
    #[must_use]
    pub fn busy(&self) -> Option<Busy> {
        let read = |path: &str| fs::read_to_string(self.git_dir.join(path)).ok();
        let name = |text: String| {
            let text = text.trim();
            let name = text.strip_prefix("refs/heads/").unwrap_or(text).to_owned();
            self.has_branch(&name).then_some(name)
        };
        for folder in ["rebase-merge", "rebase-apply"] {
            if self.git_dir.join(folder).is_dir() {
                let branch = read(&format!("{folder}/head-name")).and_then(name);
                return Some(Busy { doing: "rebase", branch });
            }
        }
        if let Some(began) = read("BISECT_START") {
            return Some(Busy { doing: "bisect", branch: name(began) });
        }
        let marks = [("MERGE_HEAD", "merge"), ("CHERRY_PICK_HEAD", "cherry-pick"), ("REVERT_HEAD", "revert")];
        let (_, doing) = marks.into_iter().find(|(file, _)| self.git_dir.join(file).exists())?;
        Some(Busy { doing, branch: self.head().branch().map(str::to_owned) })
    }

    /// Whether this is a linked working tree and another one, the main one included, has the same git branch.
    #[must_use]
    pub fn has_twin(&self, branch: &str) -> bool {
        if !self.is_linked() {
            return false;
        }
        let linked = fs::read_dir(self.common_dir.join("worktrees")).into_iter().flatten().flatten();
        let others = linked.map(|entry| entry.path()).chain([self.common_dir.clone()]);
        others
            .filter(|other| *other != self.git_dir)
            // A bare repository's own HEAD is nobody's working tree.
            .filter(|other| *other != self.common_dir || self.main_root() != self.common_dir)
            .any(|other| self.head_of(&other).branch() == Some(branch))
    }

    /// The repository's default git branch: what `origin` says (`refs/remotes/origin/HEAD`), what is set
    /// (`init.defaultBranch`), a customary name, or the only one that there is.
    #[must_use]
    pub fn default_branch(&self) -> Option<String> {
        let origin = fs::read_to_string(self.common_dir.join("refs/remotes/origin/HEAD")).unwrap_or_default();
        if let Some(name) = origin.trim_end().strip_prefix("ref: refs/remotes/origin/") {
            return Some(name.to_owned());
        }
        let set = self.config("init.defaultBranch").filter(|name| self.has_branch(name));
        let customary = || ["main", "master", "trunk"].map(str::to_owned);
        set.or_else(|| customary().into_iter().find(|name| self.has_branch(name))).or_else(|| {
            match self.branches().unwrap_or_default().as_slice() {
                [only] => Some(only.clone()),
                [] => self.head().branch().map(str::to_owned),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Sketch;
    use super::*;

    fn on(name: &str) -> Head {
        Head::Branch { name: name.to_owned(), born: true }
    }

    #[test]
    fn head_is_read_from_files() {
        let sketch = Sketch::empty();
        assert_eq!(sketch.repository().head(), Head::Branch { name: "main".to_owned(), born: false });
        assert_eq!(sketch.repository().default_branch().as_deref(), Some("main"));
        sketch.git("commit -q --allow-empty -m one");
        assert_eq!(sketch.repository().head(), on("main"));
        for name in ["feature/a", "Feature/A", "\u{1f980}", "$(id)", "%s", "caf\u{e9}", "cafe\u{301}"] {
            sketch.git(&format!("checkout -q -b {name}"));
            assert_eq!(sketch.repository().head(), on(name));
        }
        sketch.git("pack-refs --all");
        assert_eq!(sketch.repository().head(), on("cafe\u{301}"));
        sketch.git("checkout -q --detach");
        assert_eq!(sketch.repository().head(), Head::Detached);
    }

    #[test]
    fn what_git_is_in_the_middle_of_is_seen() {
        let sketch = Sketch::new();
        let write = |text: &str| std::fs::write(sketch.path("repo/file"), text).unwrap();
        for branch in ["one", "two"] {
            sketch.git(&format!("checkout -q -b {branch} main"));
            write(branch);
            sketch.git("add file");
            sketch.git(&format!("commit -q -m {branch}"));
        }
        let repository = sketch.repository();
        assert_eq!(repository.busy(), None);
        sketch.git("rebase -q one");
        assert_eq!(repository.head(), Head::Detached);
        assert_eq!(repository.busy(), Some(Busy { doing: "rebase", branch: Some("two".to_owned()) }));
        sketch.git("rebase --abort");
        sketch.git("merge -q one");
        assert_eq!(repository.busy(), Some(Busy { doing: "merge", branch: Some("two".to_owned()) }));
        sketch.git("merge --abort");
        sketch.git("bisect start -q");
        assert_eq!(repository.busy(), Some(Busy { doing: "bisect", branch: Some("two".to_owned()) }));
        sketch.git("bisect reset");
        assert_eq!(repository.busy(), None);
    }

    #[test]
    fn the_default_is_what_the_origin_says() {
        let sketch = Sketch::new();
        let default = || sketch.repository().default_branch();
        sketch.git("branch other");
        assert_eq!(default().as_deref(), Some("main"));
        sketch.git("branch trunk");
        sketch.git("config init.defaultBranch trunk");
        assert_eq!(default().as_deref(), Some("trunk"));
        sketch.git("clone -q -b other . ../clone");
        let clone = Repository::find(&sketch.path("clone")).unwrap();
        assert_eq!(clone.default_branch().as_deref(), Some("main"));
        assert_eq!(clone.head(), on("other"));
    }

    #[test]
    fn twins_are_told() {
        let sketch = Sketch::new();
        sketch.git("worktree add -q -f ../side main");
        sketch.git("worktree add -q ../own -b own");
        let at = |path: &str| Repository::find(&sketch.path(path)).unwrap();
        assert!(at("side").has_twin("main") && !at("repo").has_twin("main") && !at("own").has_twin("own"));
    }
}
