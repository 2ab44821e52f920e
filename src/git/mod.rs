//! What git knows of a folder. What every command asks, which repository and which git branch, is read from files
//! (gitrepository-layout(5), gitglossary(7)): no process is started for it. The rest asks `git` itself, with arguments
//! and never through a shell.

mod ask;
mod config;
mod head;

use std::fs;
use std::path::{Path, PathBuf};

pub use ask::{Error, Fork};
pub use head::{Busy, Head};

/// A repository, seen from one of its working trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The top folder of the working tree.
    pub root: PathBuf,
    /// What belongs to this working tree alone: its HEAD, its index.
    pub git_dir: PathBuf,
    /// What all working trees share: refs, the configuration, hooks.
    pub common_dir: PathBuf,
}

impl Repository {
    /// The repository whose working tree `folder` is in. None for a bare one, which has no working tree.
    #[must_use]
    pub fn find(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        folder.ancestors().find_map(Self::at)
    }

    /// The repository whose working tree begins at `root`.
    fn at(root: &Path) -> Option<Self> {
        let dot_git = root.join(".git");
        let kind = fs::metadata(&dot_git).ok()?;
        let git_dir = if kind.is_dir() {
            dot_git
        } else {
            // A linked working tree, or a submodule: the file says where.
            let text = fs::read_to_string(&dot_git).ok()?;
            let path = text.strip_prefix("gitdir:")?.trim_end_matches(['\n', '\r']).trim_start();
            root.join(path).canonicalize().ok()?
        };
        git_dir.join("HEAD").symlink_metadata().ok()?;
        let common_dir = match fs::read_to_string(git_dir.join("commondir")) {
            Ok(text) => git_dir.join(text.trim_end_matches(['\n', '\r'])).canonicalize().ok()?,
            Err(_) => git_dir.clone(),
        };
        Some(Self { root: root.to_owned(), git_dir, common_dir })
    }

    /// Whether this is a working tree beside the main one (git-worktree(1)).
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.git_dir != self.common_dir
    }

    /// What git calls a linked working tree: the name of its folder under `worktrees/`.
    #[must_use]
    pub fn worktree_name(&self) -> Option<String> {
        let name = self.git_dir.file_name()?.to_string_lossy().into_owned();
        self.is_linked().then_some(name)
    }

    /// Where the main working tree is, or would be: a bare repository with linked working trees stands for itself.
    #[must_use]
    pub fn main_root(&self) -> PathBuf {
        let is_dot_git = self.common_dir.file_name().is_some_and(|name| name == ".git");
        match self.common_dir.parent() {
            Some(parent) if is_dot_git => parent.to_owned(),
            _ if self.is_linked() => self.common_dir.clone(),
            _ => self.root.clone(),
        }
    }

    /// The folder in the main working tree that `folder` is in this one.
    #[must_use]
    pub fn in_main(&self, folder: &Path) -> PathBuf {
        match folder.strip_prefix(&self.root) {
            // Joined with nothing, a path would end in a slash.
            Ok(below) if self.is_linked() && below.as_os_str().is_empty() => self.main_root(),
            Ok(below) if self.is_linked() => self.main_root().join(below),
            _ => folder.to_owned(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    /// A repository of a test's own, with one commit on `main`.
    pub(crate) struct Sketch {
        pub(crate) folder: TempDir,
    }

    impl Sketch {
        pub(crate) fn empty() -> Self {
            let sketch = Self { folder: tempfile::tempdir().unwrap() };
            fs::create_dir(sketch.path("repo")).unwrap();
            sketch.git("init -q -b main");
            sketch
        }

        pub(crate) fn new() -> Self {
            let sketch = Self::empty();
            sketch.git("commit -q --allow-empty -m one");
            sketch
        }

        pub(crate) fn path(&self, path: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(path)
        }

        pub(crate) fn git(&self, words: &str) -> String {
            self.git_in("repo", &words.split(' ').collect::<Vec<_>>())
        }

        pub(crate) fn git_in(&self, folder: &str, arguments: &[&str]) -> String {
            let mut command = Command::new("git");
            command.args(arguments).current_dir(self.path(folder)).env_clear();
            command.env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path());
            for who in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@b");
            }
            let output = command.output().unwrap();
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }

        pub(crate) fn repository(&self) -> Repository {
            Repository::find(&self.path("repo")).unwrap()
        }
    }

    #[test]
    fn a_repository_is_found_from_any_folder_in_it() {
        let sketch = Sketch::new();
        fs::create_dir_all(sketch.path("repo/a/b")).unwrap();
        let found = Repository::find(&sketch.path("repo/a/b")).unwrap();
        assert_eq!((&found.root, &found.git_dir), (&sketch.path("repo"), &sketch.path("repo/.git")));
        assert!(!found.is_linked() && found.worktree_name().is_none());
        assert_eq!(Repository::find(sketch.folder.path()), None);
        std::os::unix::fs::symlink(sketch.path("repo/a"), sketch.path("link")).unwrap();
        assert_eq!(Repository::find(&sketch.path("link")).unwrap(), found);
    }

    #[test]
    fn a_linked_worktree_knows_the_main_one() {
        let sketch = Sketch::new();
        sketch.git("worktree add -q ../side -b side");
        let side = Repository::find(&sketch.path("side")).unwrap();
        assert_eq!(side.worktree_name().as_deref(), Some("side"));
        assert_eq!(side.common_dir, sketch.path("repo/.git"));
        assert_eq!(side.main_root(), sketch.path("repo"));
        assert_eq!(side.in_main(&sketch.path("side/app")), sketch.path("repo/app"));
        assert_eq!(
            side.in_main(&sketch.path("side")).display().to_string(),
            sketch.path("repo").display().to_string()
        );
    }

    #[test]
    fn a_bare_repository_has_no_working_tree_but_those_linked_to_it() {
        let sketch = Sketch::new();
        sketch.git("clone -q --bare . ../bare.git");
        assert_eq!(Repository::find(&sketch.path("bare.git")), None);
        sketch.git_in("bare.git", &["worktree", "add", "-q", "../tree", "main"]);
        let tree = Repository::find(&sketch.path("tree")).unwrap();
        assert_eq!(tree.main_root(), sketch.path("bare.git"));
        assert_eq!(tree.head().branch(), Some("main"));
    }

    #[test]
    fn a_submodule_is_a_repository_of_its_own() {
        let sketch = Sketch::new();
        sketch.git("-c protocol.file.allow=always submodule --quiet add ./ sub");
        let sub = Repository::find(&sketch.path("repo/sub")).unwrap();
        assert!(!sub.is_linked());
        assert_eq!(sub.root, sketch.path("repo/sub"));
        assert_eq!(sub.main_root(), sketch.path("repo/sub"));
    }
}
