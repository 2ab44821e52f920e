//! Records to rows. Everything here runs in a transaction of its caller's.

use sqlx::Result;
use sqlx::sqlite::SqliteConnection;

use crate::lineage::{Act, Audit, Branch, Changes, Environment, Intent, Project, Reason, Seconds, Snapshot};

fn json(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}

pub(super) async fn changes(connection: &mut SqliteConnection, changes: &Changes) -> Result<()> {
    for project in &changes.put_projects {
        put_project(connection, project).await?;
    }
    for (project, name) in &changes.remove_environments {
        let query = sqlx::query("DELETE FROM environments WHERE project = ? AND name = ?");
        query.bind(project.clone()).bind(name.clone()).execute(&mut *connection).await?;
    }
    for id in &changes.remove_branches {
        sqlx::query("DELETE FROM branches WHERE id = ?").bind(id.clone()).execute(&mut *connection).await?;
    }
    for id in &changes.remove_snapshots {
        sqlx::query("DELETE FROM snapshots WHERE id = ?").bind(id.clone()).execute(&mut *connection).await?;
    }
    // Deleted ones first: they give their names free.
    let mut snapshots: Vec<&Snapshot> = changes.put_snapshots.iter().collect();
    snapshots.sort_by_key(|snapshot| snapshot.state.deleted().is_none());
    for snapshot in snapshots {
        put_snapshot(connection, snapshot).await?;
    }
    let mut branches: Vec<&Branch> = changes.put_branches.iter().collect();
    branches.sort_by_key(|branch| branch.state.deleted().is_none());
    for branch in branches {
        put_branch(connection, branch).await?;
    }
    for environment in &changes.put_environments {
        put_environment(connection, environment).await?;
    }
    for line in &changes.audit {
        put_audit(connection, line).await?;
    }
    Ok(())
}

/// Takes all records of a project away; what was begun and what was done stays.
pub(super) async fn clear(connection: &mut SqliteConnection, project: &str) -> Result<()> {
    for text in [
        "DELETE FROM environments WHERE project = ?",
        "DELETE FROM branches WHERE project = ?",
        "DELETE FROM snapshots WHERE project = ?",
        "DELETE FROM projects WHERE id = ?",
    ] {
        sqlx::query(text).bind(project.to_owned()).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn put_project(connection: &mut SqliteConnection, project: &Project) -> Result<()> {
    sqlx::query(
        "INSERT INTO projects (id, name, directory, engine) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE \
         SET name = excluded.name, directory = excluded.directory, engine = excluded.engine",
    )
    .bind(project.id.clone())
    .bind(project.name.clone())
    .bind(project.directory.clone())
    .bind(project.engine.clone())
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_branch(connection: &mut SqliteConnection, branch: &Branch) -> Result<()> {
    sqlx::query(
        "INSERT INTO branches (id, project, name, data, volumes, parent, fork, sequence, created, used, \
         expires, protected, fast, deleted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET project = excluded.project, name = excluded.name, \
         data = excluded.data, volumes = excluded.volumes, parent = excluded.parent, fork = excluded.fork, \
         sequence = excluded.sequence, created = excluded.created, used = excluded.used, \
         expires = excluded.expires, protected = excluded.protected, fast = excluded.fast, \
         deleted = excluded.deleted",
    )
    .bind(branch.id.clone())
    .bind(branch.project.clone())
    .bind(branch.name.clone())
    .bind(branch.data.clone())
    .bind(json(&branch.volumes))
    .bind(branch.parent.clone())
    .bind(branch.fork.clone())
    .bind(branch.sequence)
    .bind(branch.created)
    .bind(branch.used)
    .bind(branch.expires)
    .bind(branch.protected)
    .bind(branch.fast)
    .bind(branch.state.deleted())
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_snapshot(connection: &mut SqliteConnection, snapshot: &Snapshot) -> Result<()> {
    let reason = match snapshot.reason {
        Reason::Asked => "asked",
        Reason::Fork => "fork",
        Reason::Replaced => "replaced",
    };
    sqlx::query(
        "INSERT INTO snapshots (id, project, branch, name, message, reason, volumes, sequence, created, \
         expires, attestation, deleted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET project = excluded.project, branch = excluded.branch, \
         name = excluded.name, message = excluded.message, reason = excluded.reason, \
         volumes = excluded.volumes, sequence = excluded.sequence, created = excluded.created, \
         expires = excluded.expires, attestation = excluded.attestation, deleted = excluded.deleted",
    )
    .bind(snapshot.id.clone())
    .bind(snapshot.project.clone())
    .bind(snapshot.branch.clone())
    .bind(snapshot.name.clone())
    .bind(snapshot.message.clone())
    .bind(reason)
    .bind(json(&snapshot.volumes))
    .bind(snapshot.sequence)
    .bind(snapshot.created)
    .bind(snapshot.expires)
    .bind(snapshot.attestation.as_ref().map(|it| serde_json::to_value(it).unwrap_or_default().to_string()))
    .bind(snapshot.state.deleted())
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_environment(connection: &mut SqliteConnection, environment: &Environment) -> Result<()> {
    sqlx::query(
        "INSERT INTO environments (project, name, branch, previous, git, worktree, owner, created, used, \
         expires, orphaned, ports, deleted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (project, name) DO UPDATE SET branch = excluded.branch, previous = excluded.previous, \
         git = excluded.git, worktree = excluded.worktree, owner = excluded.owner, \
         created = excluded.created, used = excluded.used, expires = excluded.expires, \
         orphaned = excluded.orphaned, ports = excluded.ports, deleted = excluded.deleted",
    )
    .bind(environment.project.clone())
    .bind(environment.name.clone())
    .bind(environment.branch.clone())
    .bind(environment.previous.clone())
    .bind(environment.git.clone())
    .bind(environment.worktree.clone())
    .bind(environment.owner.clone())
    .bind(environment.created)
    .bind(environment.used)
    .bind(environment.expires)
    .bind(environment.orphaned)
    .bind(serde_json::json!(environment.ports).to_string())
    .bind(environment.state.deleted())
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_audit(connection: &mut SqliteConnection, line: &Audit) -> Result<()> {
    let act = match line.act {
        Act::Delete => "delete",
        Act::Undelete => "undelete",
        Act::Remove => "remove",
        Act::Copy => "copy",
    };
    sqlx::query(
        "INSERT INTO audit (at, project, sort, record, name, act, why, command) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(line.at)
    .bind(line.project.clone())
    .bind(line.sort.word())
    .bind(line.id.clone())
    .bind(line.name.clone())
    .bind(act)
    .bind(line.why.clone())
    .bind(line.command.clone())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn put_intent(connection: &mut SqliteConnection, id: i64, intent: &Intent) -> Result<()> {
    sqlx::query(
        "INSERT INTO intents (id, project, environment, verb, step, detail, command, started, pid) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id)
    .bind(intent.project.clone())
    .bind(intent.environment.clone())
    .bind(intent.verb.clone())
    .bind(intent.step.clone())
    .bind(intent.detail.to_string())
    .bind(intent.command.clone())
    .bind(intent.started)
    .bind(intent.pid)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives `count` numbers that nobody had, and answers the first.
pub(super) async fn numbers(connection: &mut SqliteConnection, count: i64) -> Result<i64> {
    let text = "UPDATE meta SET value = value + ? WHERE key = 'sequence' RETURNING value";
    let last: i64 = sqlx::query_scalar(text).bind(count).fetch_one(connection).await?;
    Ok(last - count + 1)
}

/// From now on only larger numbers than this are given.
pub(super) async fn beyond(connection: &mut SqliteConnection, sequence: i64) -> Result<()> {
    let text = "UPDATE meta SET value = max(value, ?) WHERE key = 'sequence'";
    sqlx::query(text).bind(sequence).execute(connection).await?;
    Ok(())
}

/// Notes that the file was made, and that nobody has looked yet whether the pool has data all the same.
pub(super) async fn new(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::raw_sql("INSERT INTO meta (key, value) VALUES ('new', 1)").execute(connection).await?;
    Ok(())
}

/// It was looked at.
pub(super) async fn not_new(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::raw_sql("DELETE FROM meta WHERE key = 'new'").execute(connection).await?;
    Ok(())
}

pub(super) async fn see(connection: &mut SqliteConnection, key: &'static str, now: Seconds) -> Result<()> {
    let text = "INSERT INTO meta (key, value) VALUES (?, ?) \
                ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    sqlx::query(text).bind(key).bind(now).execute(connection).await?;
    Ok(())
}
