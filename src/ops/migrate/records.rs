//! `db migrate new`, `status` and `repair`: files and what the history says of them.

use std::path::PathBuf;

use super::{Files, open, read, stand, target, write};
use crate::base::{Failure, Kind};
use crate::ops::Context;
use crate::ops::branch::{Branches, now};
use crate::postgres;
use crate::supabase::history::{self, Known};

/// Makes an empty migration, and where wanted its rollback.
pub fn new(context: &Context, name: &str, rollback: bool) -> Result<Vec<PathBuf>, Failure> {
    let subject = context.subject(&[])?;
    let files = Files::of(context, &subject)?;
    let file = history::file_name(&files.next_version(now()), name);
    if file.contains("_.sql") {
        return Err(Failure::new(Kind::Usage, format!("`{name}` has no letter that a file name could have"))
            .hint("say what the migration does, as in `devenv db migrate new add_users`"));
    }
    let path = files.folder.join(file);
    write(context, &path, "")?;
    let mut made = vec![context.shown(&path)];
    if rollback && let Some(path) = history::rollback_of(&path) {
        write(context, &path, "")?;
        made.push(context.shown(&path));
    }
    Ok(made)
}

/// All migrations and how they stand.
pub async fn status(context: &Context) -> Result<Vec<Known>, Failure> {
    let branches = Branches::look(context).await?;
    let files = Files::of(context, &branches.subject)?;
    let mut database = open(&target(&branches).await?).await?;
    stand(context, &files, &mut database).await
}

/// Lets the history say that migrations were applied, as their files are now, or that they were not. Without
/// versions, all files count as applied, and nothing else does.
pub async fn repair(context: &Context, applied: bool, versions: &[String]) -> Result<Vec<String>, Failure> {
    let branches = Branches::change(context).await?;
    let files = Files::of(context, &branches.subject)?;
    let mut database = open(&target(&branches).await?).await?;
    let lost = |error: postgres::Error| error.failing("the history cannot be changed");
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    let known = stand(context, &files, &mut database).await?;
    if applied || versions.is_empty() {
        let wanted: Vec<_> = match versions {
            [] => files.migrations.iter().collect(),
            versions => versions.iter().map(|version| files.named(version)).collect::<Result<_, _>>()?,
        };
        for migration in wanted {
            let statements = postgres::statements(&migration.path, &read(context, &migration.path)?)?;
            add.push((migration.version.clone(), migration.name.clone(), statements));
        }
        if versions.is_empty() {
            remove.extend(known.iter().filter(|it| it.path.is_none()).map(|it| it.version.clone()));
        }
    } else {
        for version in versions {
            match known.iter().find(|it| it.version == *version && it.standing.is_applied()) {
                Some(it) => remove.push(it.version.clone()),
                None => remove.push(files.named(version)?.version.clone()),
            }
        }
    }
    database.begin_migrating(&context.events).await.map_err(lost)?;
    database.rewrite_history(&add, &remove).await.map_err(lost)?;
    Ok(add.into_iter().map(|(version, _, _)| version).chain(remove).collect())
}
