//! Git branches come and go without asking: an environment whose git branch is gone is an orphan and kept for seven
//! days; one whose git branch was renamed goes on under the new name. What is over is destroyed here, by the same
//! sweep that takes branches of the data away.

use super::{Standing, end, records, stays};
use crate::base::{Event, Failure};
use crate::git::Repository;
use crate::lineage::{Changes, Environment, KEPT, State, due};
use crate::ops::branch::now;
use crate::ops::{Context, failures};

/// What has become of an environment's git branch.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    There,
    Renamed(String),
    Gone,
}

fn fate(repository: &Repository, record: &Environment, branch: &str) -> Fate {
    if repository.head().branch() == Some(branch) || repository.has_branch(branch) {
        return Fate::There;
    }
    // git takes the configuration along with a git branch that is renamed.
    let renamed = repository.ids().into_iter().find(|(_, ids)| ids.contains(&record.name));
    renamed.map_or(Fate::Gone, |(branch, _)| Fate::Renamed(branch))
}

/// Looks what became of the git branches, and notes it.
pub async fn look(context: &Context, standing: &Standing) -> Result<(), Failure> {
    let Some(repository) = &standing.repository else { return Ok(()) };
    let mut changes = Changes::default();
    for record in records(context, &standing.folder).await? {
        let Some(branch) = record.git.clone().filter(|_| stays(&record) && record.state == State::Ready)
        else {
            continue;
        };
        let changed = match fate(repository, &record, &branch) {
            Fate::There => Environment { orphaned: None, ..record.clone() },
            Fate::Renamed(branch) => Environment { git: Some(branch), orphaned: None, ..record.clone() },
            Fate::Gone => Environment { orphaned: record.orphaned.or(Some(now())), ..record.clone() },
        };
        if changed == record {
            continue;
        }
        if changed.orphaned.is_some() {
            let label = standing.label_of(&record.name);
            context.events.tell(Event::note(format!(
                "git branch {branch} is gone: its environment {label} is kept for seven days"
            )));
        }
        changes.put_environments.push(changed);
    }
    if changes.is_empty() {
        return Ok(());
    }
    let catalogue = context.opened_catalogue().await?.catalogue;
    catalogue.apply(&changes).await.map_err(failures::catalogue)
}

/// When an environment ends by itself.
#[must_use]
pub fn ends(record: &Environment) -> Option<i64> {
    let orphaned = record.orphaned.map(|since| since + KEPT);
    record.expires.into_iter().chain(orphaned).min()
}

/// Destroys environments that are over, but for the one with the name `but`. A clock that jumped ends nothing
/// (faults 45).
pub async fn sweep(context: &Context, but: Option<&str>, dry_run: bool) -> Result<Vec<String>, Failure> {
    let Some(standing) = &context.standing else { return Ok(Vec::new()) };
    if !context.has_catalogue() {
        return Ok(Vec::new());
    }
    look(context, standing).await?;
    let ending: Vec<Environment> = records(context, &standing.folder)
        .await?
        .into_iter()
        .filter(|it| it.state == State::Ready && Some(it.name.as_str()) != but && ends(it).is_some())
        .collect();
    let over: Vec<&Environment> =
        ending.iter().filter(|it| ends(it).is_some_and(|end| end <= now())).collect();
    let labels: Vec<String> = over.iter().map(|record| standing.label_of(&record.name)).collect();
    if dry_run || ending.is_empty() {
        return Ok(labels);
    }
    // Also while nothing is over: what is compared is the last look, and there has to be one.
    let catalogue = context.opened_catalogue().await?.catalogue;
    let seen = catalogue.see_clock(now()).await.map_err(failures::catalogue)?;
    if over.is_empty() {
        return Ok(labels);
    }
    let passed = seen.map_or(0, |seen| now() - seen);
    if !(-due::BACK..=due::JUMP).contains(&passed) {
        context.events.tell(Event::warning(format!(
            "the clock jumped by {passed} s: environments whose time is over are left for now"
        )));
        return Ok(Vec::new());
    }
    for record in over {
        let why = if record.orphaned.is_some() { "its git branch is gone" } else { "its time is over" };
        end::destroy(context, &record.name, why).await?;
        context.events.tell(Event::note(format!(
            "environment {} was destroyed: {why}",
            standing.label_of(&record.name)
        )));
    }
    Ok(labels)
}

/// Finishes what was begun and cut off of environments that are gone (faults 9).
pub async fn finish(context: &Context) -> Result<(), Failure> {
    let Some(standing) = &context.standing else { return Ok(()) };
    if !context.has_catalogue() {
        return Ok(());
    }
    let catalogue = context.opened_catalogue().await?.catalogue;
    let open = catalogue.open_intents(None).await.map_err(failures::catalogue)?;
    let all = records(context, &standing.folder).await?;
    for intent in open.into_iter().filter(|open| open.intent.verb == "env destroy") {
        let named = intent.intent.environment.unwrap_or_default();
        if let Some(record) = all.iter().find(|it| it.name == named) {
            let own = context.in_environment(standing, Some(record), &named);
            crate::ops::branch::Branches::change(&own).await?;
        }
    }
    Ok(())
}
