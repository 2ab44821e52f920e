//! Questions that `git` itself answers. Its environment is the caller's without what points git elsewhere, as it does
//! in a hook.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use super::config::KEY;
use super::{Head, Repository};

/// Why git did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be run.
    #[error("git cannot be run")]
    Run(#[source] io::Error),
    /// It refused.
    #[error("`git {words}` failed: {said}")]
    Refused {
        /// What it was asked.
        words: String,
        /// What it said.
        said: String,
    },
}

/// Where a git branch and another one parted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fork {
    /// How many commits were made since.
    pub since: u64,
    /// The commit.
    pub commit: String,
}

/// What points git to another repository than that of the folder (git(1), "Environment Variables").
const ELSEWHERE: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

impl Repository {
    fn run(&self, arguments: &[&str]) -> Result<Output, Error> {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.root).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        for name in ELSEWHERE {
            command.env_remove(name);
        }
        command.output().map_err(Error::Run)
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, Error> {
        let output = self.run(arguments)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches(['\n', '\r']).to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(Error::Refused { words: arguments.join(" "), said: text(&output.stderr) })
    }

    /// HEAD, where files do not tell.
    pub(super) fn symbolic_head(&self) -> Head {
        let name = self.ask(&["symbolic-ref", "--quiet", "HEAD"]).unwrap_or_default();
        match name.strip_prefix("refs/heads/") {
            Some(name) => Head::Branch { name: name.to_owned(), born: self.has_branch(name) },
            None => Head::Detached,
        }
    }

    /// The names of all git branches.
    pub fn branches(&self) -> Result<Vec<String>, Error> {
        let text = self.ask(&["for-each-ref", "--format=%(refname)", "refs/heads/"])?;
        Ok(text.lines().filter_map(|line| line.strip_prefix("refs/heads/")).map(str::to_owned).collect())
    }

    /// What is set under a name, anywhere that git reads it.
    #[must_use]
    pub fn config(&self, name: &str) -> Option<String> {
        self.ask(&["config", "--get", name]).ok().filter(|value| !value.is_empty())
    }

    /// Where git runs hooks from (githooks(5), git-config(1) `core.hooksPath`).
    pub fn hooks_path(&self) -> Result<std::path::PathBuf, Error> {
        Ok(self.root.join(self.ask(&["rev-parse", "--git-path", "hooks"])?))
    }

    /// Whether git passes over a file of the working tree.
    pub fn ignores(&self, path: &str) -> Result<bool, Error> {
        Ok(self.run(&["check-ignore", "--quiet", "--", path])?.status.success())
    }

    /// Whether git keeps a file.
    pub fn tracks(&self, path: &str) -> Result<bool, Error> {
        Ok(self.run(&["ls-files", "--error-unmatch", "--", path])?.status.success())
    }

    /// Where the git branches `of` and `other` parted; none where they have no commit in common.
    #[must_use]
    pub fn fork(&self, of: &str, other: &str) -> Option<Fork> {
        let (of, other) = (format!("refs/heads/{of}"), format!("refs/heads/{other}"));
        let commit = self.ask(&["merge-base", &of, &other]).ok()?;
        let since = self.ask(&["rev-list", "--count", &format!("{commit}..{of}")]).ok()?;
        Some(Fork { since: since.parse().ok()?, commit })
    }

    /// Adds a value to those that are set under a name in the repository's own configuration.
    pub fn add(&self, name: &str, value: &str) -> Result<(), Error> {
        self.keeping_its_owner(|| self.ask(&["config", "--local", "--add", name, value]).map(|_| ()))
    }

    /// Lets git write its configuration, which it does with a new file: after an administrator's command it is still
    /// whose it was.
    fn keeping_its_owner<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let config = self.common_dir.join("config");
        let owner = || fs::metadata(&config).ok().map(|found| (found.uid(), found.gid()));
        let before = owner();
        let written = write()?;
        if let Some((user, group)) = before.filter(|_| owner() != before) {
            // Who may not is no administrator, and is told nothing new.
            let _ = std::os::unix::fs::lchown(&config, Some(user), Some(group));
        }
        Ok(written)
    }

    /// Sets these values under a name, in the place of all that were set.
    pub fn replace(&self, name: &str, values: &[String]) -> Result<(), Error> {
        // That it was never set is as wanted.
        self.keeping_its_owner(|| self.run(&["config", "--local", "--unset-all", name]))?;
        values.iter().try_for_each(|value| self.add(name, value))
    }

    /// Notes an environment for a git branch.
    pub fn add_id(&self, branch: &str, id: &str) -> Result<(), Error> {
        self.add(&format!("branch.{branch}.{KEY}"), id)
    }

    /// Takes an environment's name from a git branch.
    pub fn remove_id(&self, branch: &str, id: &str) -> Result<(), Error> {
        let left: Vec<String> =
            self.ids().remove(branch).unwrap_or_default().into_iter().filter(|it| it != id).collect();
        self.replace(&format!("branch.{branch}.{KEY}"), &left)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Sketch;

    #[test]
    fn the_nearest_fork_has_the_fewest_commits() {
        let sketch = Sketch::new();
        sketch.git("checkout -q -b feat");
        sketch.git("commit -q --allow-empty -m two");
        sketch.git("checkout -q -b fix");
        sketch.git("commit -q --allow-empty -m three");
        let repository = sketch.repository();
        let since = |other: &str| repository.fork("fix", other).map(|fork| fork.since);
        assert_eq!((since("feat"), since("main"), since("none")), (Some(1), Some(2), None));
        sketch.git("checkout -q --orphan island");
        sketch.git("commit -q --allow-empty -m alone");
        assert_eq!(repository.fork("island", "main"), None);
        assert_eq!(repository.branches().unwrap(), ["feat", "fix", "island", "main"]);
    }

    #[test]
    fn ids_come_and_go_one_by_one() {
        let sketch = Sketch::new();
        let repository = sketch.repository();
        for id in ["a", "b"] {
            repository.add_id("main", id).unwrap();
        }
        repository.remove_id("main", "a").unwrap();
        assert_eq!(repository.ids()["main"], ["b"]);
        repository.remove_id("main", "b").unwrap();
        repository.remove_id("main", "b").unwrap();
        assert!(repository.ids().is_empty());
    }

    #[test]
    fn what_is_ignored_and_what_is_kept() {
        let sketch = Sketch::new();
        std::fs::write(sketch.path("repo/.gitignore"), ".env\n").unwrap();
        sketch.git("add .gitignore");
        let repository = sketch.repository();
        assert!(repository.ignores(".env").unwrap() && !repository.ignores("other").unwrap());
        assert!(repository.tracks(".gitignore").unwrap() && !repository.tracks(".env").unwrap());
    }
}
