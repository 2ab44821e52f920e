//! `down`: takes the environment away; its data stays unless asked otherwise.

use super::apply::apply;
use super::branch::{self, Branches};
use super::up::Hands;
use super::{Context, Subject, environment, failures, scope};
use crate::base::shell::argument;
use crate::base::{Event, Failure};
use crate::engine::{Engine, Scope};
use crate::plan::{Plan, down};

/// Takes the environment away, or says what would be done. Without a readable compose file the labels of
/// the containers say what belongs to the project, if `-p` names it.
pub async fn down(context: &Context, wishes: &down::Wishes, dry_run: bool) -> Result<Plan, Failure> {
    let subject = context.subject_or_name()?;
    subject.knows(&wishes.targets)?;
    let engine = context.engine().await?;
    let _lock = if dry_run { None } else { Some(context.lock(&subject.project.name).await?) };
    let (whole, written) = (wishes.targets.is_empty(), subject.is_written());
    let beside = context.choice.apart.is_some() && whole;
    let record = if beside && context.has_catalogue() {
        let branches = Branches::of(context, subject.clone(), engine.clone()).await?;
        branches.lineage.environment(&branches.environment).cloned()
    } else {
        None
    };
    // One that was made for a git branch, or by `env create`, is there until it is destroyed.
    let stays = record.as_ref().is_some_and(environment::stays);
    let bound = record.is_some_and(|record| record.branch.is_some());
    let empties = wishes.volumes && (!beside || stays) && whole && written && context.has_catalogue();
    // What runs beside leaves nothing at the engine: its volumes are only names for data of the pool.
    let wishes = down::Wishes { volumes: wishes.volumes || bound, ..wishes.clone() };
    let mut emptied = None;
    if empties {
        let branches = Branches::of(context, subject.clone(), engine.clone()).await?;
        // Refused before anything is taken away.
        branch::reset::may_be_emptied(&branches)?;
        emptied = Some(branches);
    }
    let plan = take_away(context, &engine, subject.clone(), &wishes, dry_run).await?;
    if dry_run || !whole || !written {
        return Ok(plan);
    }
    if beside && bound && !stays {
        branch::beside::forget(context, subject, engine).await?;
    } else if let Some(mut branches) = emptied {
        branch::recover::recover(&mut branches).await?;
        if let Some(kept) = branch::reset::empty(&mut branches).await? {
            context.events.tell(Event::note(format!(
                "what branch data there was is kept for seven days: `devenv db snapshot restore {}`",
                argument(&kept.name)
            )));
        }
    }
    Ok(plan)
}

/// The same for an environment whose lock the caller holds, or that is known to nobody else.
pub(super) async fn of_environment(
    context: &Context,
    engine: &Engine,
    wishes: &down::Wishes,
) -> Result<Plan, Failure> {
    let subject = context.subject_or_name()?;
    take_away(context, engine, subject, wishes, false).await
}

async fn take_away(
    context: &Context,
    engine: &Engine,
    subject: Subject,
    wishes: &down::Wishes,
    dry_run: bool,
) -> Result<Plan, Failure> {
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
    let hands = Hands::new(context, engine.clone(), &subject, &observed, std::time::Duration::MAX);
    apply(&plan, &hands, &context.events).await?;
    Ok(plan)
}
