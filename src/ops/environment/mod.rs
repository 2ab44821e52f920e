//! Environments that follow git: one for each git branch and working tree that `up` was given on, beside the compose
//! project itself, which is the environment of the default git branch.
//!
//! An environment is what a branch of the data runs in beside ([`super::branch::beside`]): a compose project of its
//! own, set apart by names and ports, standing on a branch of its own. Which one a command means is decided once
//! ([`crate::lineage::which`]); from then on the command works on that compose project like on any other.

pub mod adopt;
pub mod archive;
mod current;
pub mod end;
pub mod export;
pub mod git;
pub mod list;
pub mod make;
pub mod orphans;
mod packing;
mod ports;
pub mod restore;
pub(in crate::ops) mod secrets;
pub mod switch;

use std::path::PathBuf;

pub use current::Current;

use super::branch::{beside, identity};
use super::{Context, failures};
use crate::base::{Failure, Kind, guess};
use crate::git::Repository;
use crate::lineage::which::{self, Asked, Meant, Origin};
use crate::lineage::{Environment, Project, State};

/// Which environment a command means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it is called.
    pub label: String,
    /// The compose project's name.
    pub name: String,
    /// The compose project that is the default environment.
    pub base: String,
    /// What the default environment is called.
    pub default: String,
    /// Why this one.
    pub origin: Origin,
    /// The git branch that it follows.
    pub git: Option<String>,
    /// The project's folder in this checkout.
    pub folder: PathBuf,
    /// The repository that the folder is in.
    pub repository: Option<Repository>,
    /// Whether it is there: the compose project itself always is.
    pub is_there: bool,
}

impl Standing {
    /// Whether it is the compose project itself.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.name == self.base
    }

    /// What an environment with this name is called.
    #[must_use]
    pub fn label_of(&self, name: &str) -> String {
        if name == self.base {
            return self.default.clone();
        }
        beside::label(&self.base, name).unwrap_or(name).to_owned()
    }

    /// The name of the environment that a label means.
    #[must_use]
    pub fn name_of(&self, label: &str) -> String {
        if label == self.default { self.base.clone() } else { beside::named(&self.base, label) }
    }
}

/// Whether an environment is there until it is destroyed, however often it is taken down: one that was made for a
/// checkout. One in which only a branch of the data runs beside is forgotten when it is taken down.
#[must_use]
pub fn stays(environment: &Environment) -> bool {
    environment.worktree.is_some()
}

/// What of the command line decides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Words<'a> {
    /// `--env`.
    pub environment: Option<&'a str>,
    /// Whether `--branch` is given.
    pub branch: bool,
    /// As if `env switch` had chosen none.
    pub unpinned: bool,
    /// As if no variable said anything either.
    pub git_only: bool,
}

/// The context of the environment that a command means. Where no project can be read, it stays as it is: whoever needs
/// the project says what is wrong with it.
pub async fn resolve(context: &Context, words: Words<'_>) -> Result<Context, Failure> {
    let loaded = match context.load_quietly(&[]) {
        Ok(loaded) => loaded,
        Err(failure) if words.environment.is_some() => return Err(failure),
        Err(_) => return Ok(context.clone()),
    };
    let folder = loaded.project.working_dir.clone();
    let folder = folder.canonicalize().unwrap_or(folder);
    let repository = Repository::find(&folder);
    let base = base(context, &loaded.project.name, &folder, repository.as_ref());
    let current = Current::read(&folder);
    let git = repository.as_ref().map(|repository| git::facts(repository, &base));
    let variable = |name: &str| context.environment.get(name).map(String::as_str).filter(|_| !words.git_only);
    let choice = which::which(&Asked {
        option: words.environment,
        branch: words.branch,
        project: context.choice.project.is_some(),
        variable: variable("DEVENV_ENV"),
        pinned: current.pinned.as_deref().filter(|_| !words.unpinned && !words.git_only),
        stage: variable("STAGE"),
        node_env: variable("NODE_ENV"),
        git: git.clone(),
        current: current.current.as_deref(),
    });
    let default = which::default_label(git.as_ref());
    let mut standing = Standing {
        label: default.clone(),
        name: base.clone(),
        base,
        default,
        origin: choice.origin,
        git: choice.git,
        folder,
        repository,
        is_there: true,
    };
    let mut record = None;
    match choice.meant {
        Meant::Default => {}
        Meant::Label(label) => standing.name = standing.name_of(&label),
        Meant::Called(text) => {
            let all = records(context, &standing.folder).await?;
            let found = called(&standing, &all, &text)?;
            standing.git = found.1;
            standing.name = found.0;
        }
    }
    standing.label = standing.label_of(&standing.name);
    if !standing.is_default() {
        let all = records(context, &standing.folder).await?;
        record = all.into_iter().find(|it| it.name == standing.name && it.state == State::Ready);
        standing.is_there = record.is_some();
    }
    let name = standing.name.clone();
    let mut resolved = context.clone();
    if standing.is_default() {
        // A linked working tree has the name of the main one, not of its own folder.
        if name != loaded.project.name {
            resolved.choice.project = Some(name);
        }
        resolved.standing = Some(standing);
        return Ok(resolved);
    }
    let base = standing.base.clone();
    resolved.standing = Some(standing);
    Ok(beside::apart(&resolved, &base, &name, record.map(|it| it.ports).unwrap_or_default()))
}

/// The compose project that other environments are named after. What is named after its folder is named after the
/// folder of the main working tree.
fn base(context: &Context, name: &str, folder: &std::path::Path, repository: Option<&Repository>) -> String {
    let of = |path: &std::path::Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        crate::compose::folder_name(name.strip_suffix(".git").unwrap_or(&name))
    };
    match repository {
        Some(repository)
            if repository.is_linked() && context.named_project().is_none() && of(folder) == name =>
        {
            of(&repository.in_main(folder))
        }
        _ => name.to_owned(),
    }
}

/// The environments of the project in a folder, as the records have them, deleted ones too.
pub async fn records(context: &Context, folder: &std::path::Path) -> Result<Vec<Environment>, Failure> {
    if !context.has_catalogue() {
        return Ok(Vec::new());
    }
    let catalogue = context.opened_catalogue().await?.catalogue;
    let known: Vec<Project> = catalogue.projects().await.map_err(failures::catalogue)?;
    let Some(id) = identity::id_of(folder, &known) else { return Ok(Vec::new()) };
    let mut all = catalogue.environments().await.map_err(failures::catalogue)?;
    all.retain(|environment| environment.project == id);
    Ok(all)
}

/// The environment that a person calls so: its name, and the git branch that it follows. A label comes before a git
/// branch.
fn called(standing: &Standing, all: &[Environment], text: &str) -> Result<(String, Option<String>), Failure> {
    let default_branch = standing.repository.as_ref().and_then(Repository::default_branch);
    if text == standing.default || text == standing.base || default_branch.as_deref() == Some(text) {
        return Ok((standing.base.clone(), default_branch));
    }
    let ready = || all.iter().filter(|environment| environment.state == State::Ready);
    let by = |name: &str| ready().find(|it| it.name == name).map(|it| (it.name.clone(), it.git.clone()));
    let by_branch = || {
        let found = ready().find(|it| it.git.as_deref() == Some(text));
        found.map(|it| (it.name.clone(), it.git.clone()))
    };
    let found = by(&standing.name_of(text))
        .or_else(|| by(text))
        .or_else(by_branch)
        .or_else(|| by(&standing.name_of(&which::label(text))));
    if let Some(found) = found {
        return Ok(found);
    }
    // `up` makes it.
    if standing.repository.as_ref().is_some_and(|repository| repository.has_branch(text)) {
        return Ok((standing.name_of(&which::label(text)), Some(text.to_owned())));
    }
    let mut known: Vec<String> = ready().map(|it| standing.label_of(&it.name)).collect();
    known.retain(|label| *label != standing.default);
    known.insert(0, standing.default.clone());
    Err(no_such(text, &known, all.iter().any(|it| it.name == standing.name_of(text))))
}

/// What is said of an environment that is not there.
fn no_such(text: &str, known: &[String], deleted: bool) -> Failure {
    let quoted = crate::base::shell::argument(text);
    let mut failure = Failure::new(Kind::Failed, format!("no such environment: `{}`", text.escape_debug()));
    let near = |known: &str| (known.chars().count() / 3).max(1);
    if let Some(meant) = guess::closest(text, known.iter().map(String::as_str), near) {
        failure = failure.hint(guess::did_you_mean(meant));
    }
    if deleted {
        failure = failure.hint(format!("it was destroyed: `devenv env undelete {quoted}` has it back"));
    }
    failure
        .hint(format!("there are: {}", known.join(", ")))
        .hint(format!("`devenv env create {quoted}` makes it"))
}

impl Context {
    /// Which environment is meant; a failure where that is not known, as without a compose file.
    pub fn standing(&self) -> Result<&Standing, Failure> {
        match &self.standing {
            Some(standing) => Ok(standing),
            // Whatever is wrong with the project is said.
            None => Err(self.load(&[]).err().unwrap_or_else(|| {
                Failure::new(Kind::Usage, "this command is about environments, and none is known here")
            })),
        }
    }

    /// Fails where the environment that is meant was not made yet. Somebody else's compose project may have its name.
    pub fn environment_is_there(&self) -> Result<(), Failure> {
        match &self.standing {
            Some(standing) if !standing.is_there => {
                let message =
                    format!("there is no environment `{}` yet ({})", standing.label, standing.origin);
                Err(Failure::new(Kind::Failed, message).hint("`devenv up` makes it"))
            }
            _ => Ok(()),
        }
    }

    /// The context of another environment of the same project.
    #[must_use]
    pub fn in_environment(&self, standing: &Standing, record: Option<&Environment>, name: &str) -> Self {
        let mut other = self.clone();
        let mut there = standing.clone();
        name.clone_into(&mut there.name);
        there.label = standing.label_of(name);
        there.git = record.and_then(|record| record.git.clone());
        there.is_there = record.is_some() || name == standing.base;
        other.standing = Some(there);
        if name == standing.base {
            other.choice.apart = None;
            other.choice.project = Some(name.to_owned());
            return other;
        }
        let ports = record.map(|record| record.ports.clone()).unwrap_or_default();
        beside::apart(&other, &standing.base, name, ports)
    }
}
