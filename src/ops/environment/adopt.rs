//! `env adopt`: the data of a compose project that ran before devenv becomes that of the default environment.

use crate::base::{Failure, Kind};
use crate::ops::Context;
use crate::ops::branch::{Branches, adopt};

/// What was adopted.
#[derive(Debug, Clone)]
pub struct Adopted {
    /// The branch of the data that it is now, by name.
    pub branch: String,
    /// The volumes that it holds, by their keys in the compose file.
    pub volumes: Vec<String>,
}

/// Moves the data of the default environment into the pool: its own volumes, or those of another compose project, which
/// keeps them.
pub async fn adopt(context: &Context, old: Option<&str>) -> Result<Adopted, Failure> {
    let standing = context.standing()?;
    if !standing.is_default() {
        return Err(Failure::new(
            Kind::Usage,
            format!("old data becomes the default environment's, and `{}` is another one", standing.label),
        )
        .hint(format!("`devenv -e {} env adopt`", standing.default)));
    }
    let mut branches = Branches::change(context).await?;
    if let Some(there) = branches.lineage.current(&branches.environment) {
        return Err(Failure::new(
            Kind::Conflict,
            format!("environment `{}` works on branch `{}` of the pool already", standing.label, there.name),
        )
        .hint("`devenv db branch list` shows what there is"));
    }
    adopt::adopt_from(&mut branches, None, old).await?;
    let branch = branches.current()?;
    Ok(Adopted { branch: branch.name.clone(), volumes: branch.volumes.clone() })
}
