//! `down`: takes the environment away; its data stays unless asked otherwise.

use super::apply::apply;
use super::up::Hands;
use super::{Context, failures, scope};
use crate::base::Failure;
use crate::engine::Scope;
use crate::plan::{Plan, down};

/// Takes the environment away, or says what would be done. Without a readable compose file the labels of
/// the containers say what belongs to the project, if `-p` names it.
pub async fn down(context: &Context, wishes: &down::Wishes, dry_run: bool) -> Result<Plan, Failure> {
    let subject = context.subject_or_name()?;
    subject.knows(&wishes.targets)?;
    let engine = context.engine().await?;
    let _lock = if dry_run { None } else { Some(context.lock(&subject.project.name).await?) };
    let known = subject.is_written();
    let scope = if known {
        scope(&subject.project)
    } else {
        Scope { project: subject.project.name.clone(), ..Scope::default() }
    };
    let observed = engine.observe(&scope).await.map_err(failures::engine)?;
    let plan = down::plan(known.then_some(&subject.project), &observed, wishes);
    if dry_run {
        return Ok(plan);
    }
    let hands = Hands::new(context, engine, &subject, &observed, std::time::Duration::MAX);
    apply(&plan, &hands, &context.events).await?;
    Ok(plan)
}
