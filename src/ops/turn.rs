//! `stop`, `start`, `restart`, `pause`, `unpause`, `kill`: one act on each container.

use std::time::Duration;

use super::apply::apply;
use super::branch::bind;
use super::up::Hands;
use super::{Context, failures, gateway};
use crate::base::{Failure, Kind};
use crate::plan::turn::{self, Turn};
use crate::plan::{Observed, Plan, down};

/// How the containers are turned.
#[derive(Debug, Clone)]
pub struct Options {
    /// Services named; none means all.
    pub services: Vec<String>,
    /// How long a container may take to stop, instead of its own grace period.
    pub grace: Option<Duration>,
    /// End when what was started is ready.
    pub wait: bool,
    /// How long to wait for that.
    pub wait_timeout: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Turns the containers of a project.
pub async fn turn(context: &Context, turn: &Turn, options: &Options) -> Result<Plan, Failure> {
    let subject = context.subject_or_name()?;
    subject.knows(&options.services)?;
    let engine = context.engine().await?;
    let _lock = if options.dry_run { None } else { Some(context.lock(&subject.project.name).await?) };
    let containers = engine.containers(&subject.project.name).await.map_err(failures::engine)?;
    let observed = Observed { containers, ..Observed::default() };
    let order = down::order((subject.is_written()).then_some(&subject.project), &observed);
    let plan = turn::plan(&observed, &order, &options.services, turn, options.grace, options.wait);
    if options.dry_run {
        return Ok(plan);
    }
    if matches!(turn, Turn::Start | Turn::Restart) && subject.is_written() && !plan.is_empty() {
        let observed = super::observe(&engine, &subject.project).await?;
        if bind::bind(context, &engine, &subject, &observed, None).await?.changed {
            return Err(Failure::new(
                Kind::Conflict,
                "containers from before the machine started again were taken away: their data was mounted anew",
            )
            .hint("`devenv up` makes them again"));
        }
    }
    let hands = Hands::new(context, engine.clone(), &subject, &observed, options.wait_timeout);
    if matches!(turn, Turn::Start | Turn::Restart) {
        hands.is_possible(&plan).await?;
        if let Some(gateway) = gateway::running(context, &engine).await {
            gateway::release(context, &gateway, &subject.project.name).await;
        }
    }
    apply(&plan, &hands, &context.events).await?;
    Ok(plan)
}
