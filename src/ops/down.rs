//! `down`: takes the environment away; its data stays unless asked otherwise.

use super::apply::apply;
use super::up::Hands;
use super::{Context, failures, scope};
use crate::base::{Failure, Kind};
use crate::compose::{Loaded, Project};
use crate::engine::Scope;
use crate::plan::{Plan, down};

/// Takes the environment away, or says what would be done. Without a readable compose file the labels of
/// the containers say what belongs to the project, if `-p` names it.
pub async fn down(context: &Context, wishes: &down::Wishes, dry_run: bool) -> Result<Plan, Failure> {
    let loaded = load_or_named(context)?;
    let engine = context.engine().await?;
    let _lock = if dry_run { None } else { Some(context.lock(&loaded.project.name).await?) };
    let known = !loaded.files.is_empty();
    let scope = if known {
        scope(&loaded.project)
    } else {
        Scope { project: loaded.project.name.clone(), ..Scope::default() }
    };
    let observed = engine.observe(&scope).await.map_err(failures::engine)?;
    let plan = down::plan(known.then_some(&loaded.project), &observed, wishes);
    if dry_run {
        return Ok(plan);
    }
    let hands = Hands::new(context, engine, &loaded, &observed, std::time::Duration::MAX);
    apply(&plan, &hands, &context.events).await?;
    Ok(plan)
}

/// The project of the compose file; or, where there is none, a project that only has the name `-p` gave.
pub(super) fn load_or_named(context: &Context) -> Result<Loaded, Failure> {
    match context.load(&[]) {
        Ok(loaded) => Ok(loaded),
        Err(failure) => match context.named_project() {
            Some(name) if context.choice.files.is_empty() && failure.kind == Kind::Files => {
                let project = Project { name, ..Project::default() };
                Ok(Loaded { project, ..Loaded::default() })
            }
            _ => Err(failure),
        },
    }
}
