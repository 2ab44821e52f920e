//! `db branch delete`, `undelete`, `rename`, `protect`, `ttl`: what changes a branch's record and not its data.

use super::{Branches, adopt, beside, failpoint, now, sweep};
use crate::base::Failure;
use crate::lineage::{Branch, Changes, Children, Deletion, Seconds};
use crate::ops::{Context, failures};

/// Deletes branches; they can be had back for seven days. Environments that run one beside are taken away.
pub async fn delete(context: &Context, names: &[String], children: Children) -> Result<Deletion, Failure> {
    let mut branches = Branches::change(context).await?;
    let ids: Vec<String> = names
        .iter()
        .map(|name| branches.lineage.branch(name).map(|branch| branch.id.clone()).map_err(failures::lineage))
        .collect::<Result<_, _>>()?;
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    // What runs beside stands in nobody's way once it is known that all else may go.
    let beside_of = |lineage: &crate::lineage::Lineage, environment: &str| -> Vec<String> {
        let mut going: Vec<&str> = ids.clone();
        if children == Children::Cascade {
            going.extend(ids.iter().flat_map(|id| lineage.descendants(id)).map(|branch| branch.id.as_str()));
        }
        let standing = going.iter().flat_map(|id| lineage.standing_on(id));
        standing.filter(|name| *name != environment).map(str::to_owned).collect()
    };
    let ending = beside_of(&branches.lineage, &branches.environment);
    let mut without = branches.lineage.clone();
    without.environments.retain(|name, _| !ending.contains(name));
    without.delete(&ids, children, branches.by()).map_err(failures::lineage)?;
    for environment in &ending {
        let _lock = context.lock(environment).await?;
        beside::end(&mut branches, environment).await?;
    }
    failpoint!("branch:delete:ended");
    let deletion = branches.lineage.delete(&ids, children, branches.by()).map_err(failures::lineage)?;
    branches.apply_described(&deletion.changes).await?;
    failpoint!("branch:delete:committed");
    sweep::quietly(&mut branches).await;
    Ok(deletion)
}

/// Has a deleted branch back, under another name if one is given.
pub async fn undelete(context: &Context, name: &str, rename: Option<&str>) -> Result<Branch, Failure> {
    let mut branches = Branches::change(context).await?;
    let (branch, changes) =
        branches.lineage.undelete(name, rename, branches.by()).map_err(failures::taken_when_had_back)?;
    branches.apply_described(&changes).await?;
    Ok(branch)
}

/// Calls a branch something else.
pub async fn rename(context: &Context, from: &str, to: &str) -> Result<Branch, Failure> {
    let mut branches = Branches::change(context).await?;
    adopt::adopt(&mut branches, Some(to)).await?;
    let branch = branches.lineage.rename(from, to).map_err(failures::lineage)?;
    let renamed = save(&mut branches, branch).await?;
    if branches.lineage.current(&branches.environment).is_some_and(|current| current.id == renamed.id) {
        branches.tell_gateway().await;
    }
    Ok(renamed)
}

/// Protects a branch, or ends that.
pub async fn protect(context: &Context, name: Option<&str>, protected: bool) -> Result<Branch, Failure> {
    let mut branches = Branches::change(context).await?;
    adopt::adopt(&mut branches, None).await?;
    let branch = Branch { protected, ..branches.named(name)?.clone() };
    save(&mut branches, branch).await
}

/// Gives a branch an end, or none.
pub async fn ttl(context: &Context, name: Option<&str>, ttl: Option<Seconds>) -> Result<Branch, Failure> {
    let mut branches = Branches::change(context).await?;
    adopt::adopt(&mut branches, None).await?;
    let branch = Branch { expires: ttl.map(|ttl| now() + ttl), ..branches.named(name)?.clone() };
    save(&mut branches, branch).await
}

async fn save(branches: &mut Branches<'_>, branch: Branch) -> Result<Branch, Failure> {
    branches.apply_described(&Changes { put_branches: vec![branch.clone()], ..Changes::default() }).await?;
    Ok(branch)
}
