//! `env switch`: which environment commands in this folder mean from now on. What the git branch means needs no choice;
//! another one is kept as chosen until the folder is switched back.

use super::{Current, Standing, Words, called, records, resolve};
use crate::base::{Failure, Kind};
use crate::ops::Context;

/// The environment that was switched to.
#[derive(Debug, Clone)]
pub struct Switched {
    /// The context in which commands work from now on.
    pub context: Context,
    /// What was current before.
    pub before: Option<String>,
    /// Whether it was chosen although the git branch means another one.
    pub pinned: bool,
}

/// Switches to the environment that is called so; `-` is the one before. With `dry_run`, only says to which.
pub async fn switch(context: &Context, text: &str, dry_run: bool) -> Result<Switched, Failure> {
    let free = resolve(context, Words { unpinned: true, ..Words::default() }).await?;
    let standing = free.standing()?;
    let current = Current::read(&standing.folder);
    let all = records(context, &standing.folder).await?;
    let (name, git) = if text == "-" {
        let label = current.previous.clone().ok_or_else(|| {
            Failure::new(Kind::Failed, "there is no environment before this one")
                .hint("`devenv env list` shows those that there are")
        })?;
        let name = standing.name_of(&label);
        // One that was destroyed meanwhile is nowhere to go back to.
        called(standing, &all, &label)?;
        (name, None)
    } else {
        called(standing, &all, text)?
    };
    let record = all.iter().find(|it| it.name == name);
    let mut there = free.in_environment(standing, record, &name);
    if let Some(standing) = &mut there.standing {
        standing.git = standing.git.take().or(git);
    }
    let pinned = name != standing.name;
    let before = current.current.clone();
    if !dry_run {
        remember(standing, current, &name, pinned)?;
    }
    Ok(Switched { context: there, before, pinned })
}

fn remember(standing: &Standing, current: Current, name: &str, pinned: bool) -> Result<(), Failure> {
    let label = standing.label_of(name);
    let mut now = current.now(&label);
    now.pinned = pinned.then_some(label);
    now.base = Some(standing.base.clone());
    now.git = standing.git.clone().filter(|_| !pinned);
    now.write(&standing.folder)
}
