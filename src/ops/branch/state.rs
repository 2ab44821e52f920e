//! `state rebuild`: the records made again from the manifests in the pool, after the catalogue was lost or damaged.

use std::collections::BTreeSet;
use std::path::Path;

use super::identity;
use crate::base::{Failure, Kind};
use crate::lineage::difference::difference;
use crate::lineage::{Changes, Lineage, Manifest, Project, Record, rebuild};
use crate::ops::{Context, failures};

/// What a rebuild found.
#[derive(Debug)]
pub struct Found {
    /// How the pool differs from the records, a sentence each.
    pub differences: Vec<String>,
    /// What could not be had as it was.
    pub notes: Vec<String>,
    /// Data that devenv did not make, which is left alone.
    pub foreign: Vec<String>,
}

/// Compares the records with the pool; unless it is a dry run, the pool's word counts.
pub async fn rebuild(context: &Context, dry_run: bool) -> Result<Found, Failure> {
    let engine = context.engine().await?;
    let _lock = if dry_run { None } else { Some(context.lock("catalogue").await?) };
    let Some(pool) = context.pool(&engine).await? else {
        return Err(Failure::new(Kind::Storage, "there is no pool to make the records again from"));
    };
    let items = pool.client.list().await.map_err(failures::storage)?;
    let live = pool.client.live().await.map_err(failures::storage)?;
    let mut manifests: Vec<Manifest> = Vec::new();
    let mut foreign = Vec::new();
    for item in items {
        match item.manifest.map(serde_json::from_value) {
            Some(Ok(manifest)) => manifests.push(manifest),
            _ => foreign.push(item.id),
        }
    }
    // Others may keep their data in the same pool: ours is what a checkout of ours says it is.
    let ours =
        |manifest: &Manifest| identity::is_at(Path::new(&manifest.project.directory), &manifest.project.id);
    let (manifests, others): (Vec<Manifest>, Vec<Manifest>) = manifests.into_iter().partition(ours);
    let others: BTreeSet<String> = others
        .iter()
        .map(|manifest| format!("project `{}` of {}", manifest.project.name, manifest.project.directory))
        .collect();
    foreign.extend(others);
    let data: BTreeSet<&str> = manifests
        .iter()
        .map(|manifest| match &manifest.record {
            Record::Branch(branch) => branch.data.as_str(),
            Record::Snapshot(snapshot) => snapshot.id.as_str(),
        })
        .collect();
    let live = live.into_iter().filter(|(_, led)| data.contains(led.as_str())).collect();
    let made = rebuild::rebuild(&manifests, &live);
    let catalogue = context.catalogue().await?;
    let mut differences = Vec::new();
    let nothing = Lineage::default();
    for project in &made.projects {
        let known = catalogue.lineage(&project.id).await.map_err(failures::catalogue)?;
        let there = made.lineages.get(&project.id).unwrap_or(&nothing);
        let prefixed = difference(("the records", &known), ("the pool", there))
            .into_iter()
            .map(|line| format!("{}: {line}", project.name));
        differences.extend(prefixed);
    }
    if !dry_run {
        let mut changes = Changes::default();
        for project in &made.projects {
            let known = catalogue.lineage(&project.id).await.map_err(failures::catalogue)?;
            changes.and(instead(project, &known, made.lineages.get(&project.id).unwrap_or(&nothing)));
        }
        catalogue.apply(&changes).await.map_err(failures::catalogue)?;
        catalogue.number_from(made.sequence).await.map_err(failures::catalogue)?;
    }
    let notes = made.notes.iter().map(ToString::to_string).collect();
    Ok(Found { differences, notes, foreign })
}

/// Puts the records of a project in the place of those that are known.
fn instead(project: &Project, known: &Lineage, made: &Lineage) -> Changes {
    let gone = |id: &&String, left: bool| (!left).then(|| (*id).clone());
    Changes {
        put_projects: vec![project.clone()],
        put_branches: made.branches.values().cloned().collect(),
        put_snapshots: made.snapshots.values().cloned().collect(),
        put_environments: made.environments.values().cloned().collect(),
        remove_branches: known
            .branches
            .keys()
            .filter_map(|id| gone(&id, made.branches.contains_key(id)))
            .collect(),
        remove_snapshots: known
            .snapshots
            .keys()
            .filter_map(|id| gone(&id, made.snapshots.contains_key(id)))
            .collect(),
        remove_environments: known
            .environments
            .keys()
            .filter(|name| !made.environments.contains_key(*name))
            .map(|name| (project.id.clone(), name.clone()))
            .collect(),
        audit: Vec::new(),
    }
}
