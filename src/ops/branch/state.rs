//! `state rebuild`: the records made again from the manifests in the pool, after the catalogue was lost or damaged.

use std::collections::BTreeSet;
use std::path::Path;

use super::identity;
use crate::base::{Failure, Kind};
use crate::catalogue::Catalogue;
use crate::engine::Engine;
use crate::lineage::difference::difference;
use crate::lineage::{Lineage, Manifest, Record, rebuild};
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
    let _lock = if dry_run { None } else { Some(context.lock_catalogue().await?) };
    let catalogue = context.opened_catalogue().await?.catalogue;
    make_again(context, &engine, &catalogue, dry_run)
        .await?
        .ok_or_else(|| Failure::new(Kind::Storage, "there is no pool to make the records again from"))
}

/// The same for records that are open already; none where there is no pool.
pub(super) async fn make_again(
    context: &Context,
    engine: &Engine,
    catalogue: &Catalogue,
    dry_run: bool,
) -> Result<Option<Found>, Failure> {
    let Some(pool) = context.pool(engine).await? else { return Ok(None) };
    let items = pool.client.list().await.map_err(failures::storage)?;
    let live = pool.client.live().await.map_err(failures::storage)?;
    let mut manifests: Vec<Manifest> = Vec::new();
    let mut foreign = BTreeSet::new();
    for item in items {
        match item.manifest.map(serde_json::from_value::<Manifest>) {
            // Others may keep their data in the same pool: ours is what a checkout of ours says it is.
            Some(Ok(manifest))
                if !identity::is_at(Path::new(&manifest.project.directory), &manifest.project.id) =>
            {
                foreign
                    .insert(format!("project `{}` of {}", manifest.project.name, manifest.project.directory));
            }
            Some(Ok(manifest)) => manifests.push(manifest),
            _ => drop(foreign.insert(item.id)),
        }
    }
    let data: BTreeSet<&str> = manifests
        .iter()
        .map(|manifest| match &manifest.record {
            Record::Branch(branch) => branch.data.as_str(),
            Record::Snapshot(snapshot) => snapshot.id.as_str(),
        })
        .collect();
    let live = live.into_iter().filter(|(_, led)| data.contains(led.as_str())).collect();
    let made = rebuild::rebuild(&manifests, &live);
    let mut differences = Vec::new();
    let nothing = Lineage::default();
    for project in &made.projects {
        let known = catalogue.lineage(&project.id).await.map_err(failures::catalogue)?;
        let there = made.lineages.get(&project.id).unwrap_or(&nothing);
        let told = difference(("the records", &known), ("the pool", there));
        differences.extend(told.into_iter().map(|line| format!("{}: {line}", project.name)));
    }
    if !dry_run {
        let replaced = catalogue.replace(&made.projects, &made.lineages, made.sequence).await;
        replaced.map_err(failures::catalogue)?;
    }
    let notes = made.notes.iter().map(ToString::to_string).collect();
    Ok(Some(Found { differences, notes, foreign: foreign.into_iter().collect() }))
}
