//! What a hook does when git runs it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::base::shell::argument;
use crate::base::{Failure, Kind};
use crate::git::Repository;
use crate::lineage::which::{self, Asked, Meant, Origin};
use crate::ops::environment::{Current, Standing, Words, git, make, orphans, resolve};
use crate::ops::{Context, failures, gateway};
use crate::plan::observed::Container;

/// Where what the background process says is written, in the project's folder.
pub const LOG: &str = ".devenv/hook.log";
/// The log begins anew when it is longer.
const LONGEST_LOG: u64 = 1024 * 1024;

/// What a hook has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The environment that follows.
    pub environment: String,
}

/// After a checkout: `arguments` are the commit before, the one now, and whether git branches were changed
/// (githooks(5), "post-checkout"). Nothing but files is read, and a process started where there is work.
pub fn post_checkout(context: &Context, arguments: &[String], program: &Path) -> Result<Vec<Said>, Failure> {
    // Files were checked out, not a git branch.
    if arguments.get(2).is_some_and(|flag| flag == "0") {
        return Ok(Vec::new());
    }
    let Some(repository) = Repository::find(&context.directory) else { return Ok(Vec::new()) };
    let head = repository.head();
    let Some(branch) = head.branch().filter(|_| repository.busy().is_none()) else { return Ok(Vec::new()) };
    let mut said = Vec::new();
    for below in repository.folders() {
        let folder = repository.root.join(&below);
        let current = Current::read(&folder);
        // Nothing was ever started from here, or another environment was chosen.
        let (Some(before), Some(base), None) = (&current.current, &current.base, &current.pinned) else {
            continue;
        };
        if current.git.as_deref() == Some(branch) {
            continue;
        }
        let facts = git::facts(&repository, base);
        let variable = |name: &str| context.environment.get(name).map(String::as_str);
        let choice = which::which(&Asked {
            variable: variable("DEVENV_ENV"),
            stage: variable("STAGE"),
            node_env: variable("NODE_ENV"),
            git: Some(facts.clone()),
            ..Asked::default()
        });
        let label = match choice.meant {
            Meant::Default => which::default_label(Some(&facts)),
            Meant::Label(label) => label,
            Meant::Called(_) => continue,
        };
        if !matches!(choice.origin, Origin::Git(_)) {
            continue;
        }
        let current = Current { git: Some(branch.to_owned()), ..current.clone() };
        if label == *before {
            current.write(&folder)?;
            continue;
        }
        // Before the work begins, so that a checkout that follows at once sees it.
        let before = before.clone();
        current.now(&label).write(&folder)?;
        spawn(&folder, &before, program)
            .map_err(|error| Failure::new(Kind::Failed, "the environment cannot follow").source(error))?;
        said.push(Said { environment: label });
    }
    Ok(said)
}

/// Starts what follows in a process group of its own: git does not wait for it, and Ctrl-C does not reach it.
fn spawn(folder: &Path, before: &str, program: &Path) -> std::io::Result<()> {
    let path = folder.join(LOG);
    let long = path.metadata().is_ok_and(|log| log.len() > LONGEST_LOG);
    let mut options = OpenOptions::new();
    let log = options.create(true).append(true).mode(0o600).open(&path)?;
    if long {
        log.set_len(0)?;
    }
    let mut command = Command::new(program);
    command.arg("-C").arg(folder).args(["--no-input", "hooks", "follow", before]);
    // Git's own variables lead to this repository, wherever the process looks.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn().map(|_| ())
}

/// What the background process does: where the environment that was current runs, the git branch's is brought up. Says
/// which, and the context for that.
pub async fn background(context: &Context, before: &str) -> Result<Option<Context>, Failure> {
    // One after the other: each finds what the one before it has begun.
    let folder = resolve(context, Words::default()).await?.standing()?.folder.clone();
    let hash = hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(folder.display().to_string())[..8]);
    let _lock = context.lock_checkout(&hash).await?;
    // By now another git branch may be checked out.
    let context = resolve(context, Words::default()).await?;
    let standing = context.standing()?;
    if !matches!(standing.origin, Origin::Git(_)) {
        return Ok(None);
    }
    orphans::look(&context, standing).await?;
    if !runs(&context, &standing.name_of(before)).await? && !runs(&context, &standing.name).await? {
        // What sleeps is woken by its address, which has to be that of the git branch.
        gateway::tell(&context).await;
        return Ok(None);
    }
    make::ensure(&context).await.map(Some)
}

async fn runs(context: &Context, environment: &str) -> Result<bool, Failure> {
    let engine = context.engine().await?;
    let containers = engine.containers(environment).await.map_err(failures::engine)?;
    Ok(containers.iter().any(|it: &Container| it.state.is_up() && !it.is_one_off()))
}

/// Fails when commands in this folder mean another environment than is expected: the git branch's, unless one is named.
pub async fn check(context: &Context, expected: Option<&str>) -> Result<Standing, Failure> {
    let meant = resolve(context, Words::default()).await?;
    let words = Words { environment: expected, git_only: true, ..Words::default() };
    let wanted = resolve(context, words).await?;
    let (meant, wanted) = (meant.standing()?, wanted.standing()?);
    // What moves HEAD about is no reason to stop.
    if meant.name == wanted.name || matches!(wanted.origin, Origin::Stayed(_)) {
        return Ok(meant.clone());
    }
    let why = match expected {
        Some(_) => "is expected".to_owned(),
        None => format!("is that of {}", wanted.origin),
    };
    Err(Failure::new(
        Kind::Conflict,
        format!(
            "commands here work on environment `{}` ({}), and `{}` {why}",
            meant.label, meant.origin, wanted.label
        ),
    )
    .hint(format!("`devenv env switch {}` turns to it", argument(&wanted.label))))
}
