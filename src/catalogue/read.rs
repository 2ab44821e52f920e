//! Rows to records.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Result, Row};

use crate::lineage::{
    Act, Attestation, Audit, Branch, Environment, Intent, Lineage, Project, Reason, Snapshot, Sort, State,
};

use super::{IntentId, OpenIntent};

/// A column with a word that we do not write.
fn strange(column: &'static str, found: &str) -> sqlx::Error {
    let source = format!("`{found}` is none of the words that can stand there").into();
    sqlx::Error::ColumnDecode { index: column.to_owned(), source }
}

fn volumes(row: &SqliteRow) -> Result<Vec<String>> {
    let text: &str = row.try_get("volumes")?;
    serde_json::from_str(text).map_err(|_| strange("volumes", text))
}

fn state(row: &SqliteRow) -> Result<State> {
    Ok(row.try_get::<Option<i64>, _>("deleted")?.map_or(State::Ready, |at| State::Deleted { at }))
}

fn branch(row: &SqliteRow) -> Result<Branch> {
    Ok(Branch {
        id: row.try_get("id")?,
        project: row.try_get("project")?,
        name: row.try_get("name")?,
        data: row.try_get("data")?,
        volumes: volumes(row)?,
        parent: row.try_get("parent")?,
        fork: row.try_get("fork")?,
        sequence: row.try_get("sequence")?,
        created: row.try_get("created")?,
        used: row.try_get("used")?,
        expires: row.try_get("expires")?,
        protected: row.try_get("protected")?,
        fast: row.try_get("fast")?,
        state: state(row)?,
    })
}

fn snapshot(row: &SqliteRow) -> Result<Snapshot> {
    Ok(Snapshot {
        id: row.try_get("id")?,
        project: row.try_get("project")?,
        branch: row.try_get("branch")?,
        name: row.try_get("name")?,
        message: row.try_get("message")?,
        reason: match row.try_get("reason")? {
            "asked" => Reason::Asked,
            "fork" => Reason::Fork,
            "replaced" => Reason::Replaced,
            other => return Err(strange("reason", other)),
        },
        volumes: volumes(row)?,
        sequence: row.try_get("sequence")?,
        created: row.try_get("created")?,
        expires: row.try_get("expires")?,
        attestation: attestation(row)?,
        state: state(row)?,
    })
}

fn attestation(row: &SqliteRow) -> Result<Option<Attestation>> {
    let text: Option<&str> = row.try_get("attestation")?;
    text.map(|text| serde_json::from_str(text).map_err(|_| strange("attestation", text))).transpose()
}

fn environment(row: &SqliteRow) -> Result<Environment> {
    let ports: &str = row.try_get("ports")?;
    Ok(Environment {
        name: row.try_get("name")?,
        project: row.try_get("project")?,
        branch: row.try_get("branch")?,
        previous: row.try_get("previous")?,
        git: row.try_get("git")?,
        worktree: row.try_get("worktree")?,
        owner: row.try_get("owner")?,
        created: row.try_get("created")?,
        used: row.try_get("used")?,
        expires: row.try_get("expires")?,
        orphaned: row.try_get("orphaned")?,
        ports: serde_json::from_str(ports).map_err(|_| strange("ports", ports))?,
        state: state(row)?,
    })
}

fn project(row: &SqliteRow) -> Result<Project> {
    Ok(Project {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        directory: row.try_get("directory")?,
        engine: row.try_get("engine")?,
    })
}

/// All records of a project, as they were at one moment if `connection` is in a transaction.
pub(super) async fn lineage(connection: &mut SqliteConnection, project: &str) -> Result<Lineage> {
    let mut lineage = Lineage::default();
    let query = sqlx::query("SELECT * FROM branches WHERE project = ?").bind(project.to_owned());
    for row in query.fetch_all(&mut *connection).await? {
        let branch = branch(&row)?;
        lineage.branches.insert(branch.id.clone(), branch);
    }
    let query = sqlx::query("SELECT * FROM snapshots WHERE project = ?").bind(project.to_owned());
    for row in query.fetch_all(&mut *connection).await? {
        let snapshot = snapshot(&row)?;
        lineage.snapshots.insert(snapshot.id.clone(), snapshot);
    }
    let query = sqlx::query("SELECT * FROM environments WHERE project = ?").bind(project.to_owned());
    for row in query.fetch_all(&mut *connection).await? {
        let environment = environment(&row)?;
        lineage.environments.insert(environment.name.clone(), environment);
    }
    Ok(lineage)
}

/// The environments of all projects.
pub(super) async fn environments(connection: &mut SqliteConnection) -> Result<Vec<Environment>> {
    let rows = sqlx::query("SELECT * FROM environments ORDER BY project, name").fetch_all(connection).await?;
    rows.iter().map(environment).collect()
}

pub(super) async fn projects(connection: &mut SqliteConnection) -> Result<Vec<Project>> {
    let rows = sqlx::query("SELECT * FROM projects ORDER BY name, id").fetch_all(connection).await?;
    rows.iter().map(project).collect()
}

pub(super) async fn one_project(connection: &mut SqliteConnection, id: &str) -> Result<Option<Project>> {
    let query = sqlx::query("SELECT * FROM projects WHERE id = ?").bind(id.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(project).transpose()
}

pub(super) async fn meta(connection: &mut SqliteConnection, key: &'static str) -> Result<Option<i64>> {
    let query = sqlx::query("SELECT value FROM meta WHERE key = ?").bind(key);
    query.fetch_optional(connection).await?.map(|row| row.try_get(0)).transpose()
}

pub(super) async fn intents(connection: &mut SqliteConnection, of: Option<&str>) -> Result<Vec<OpenIntent>> {
    let query = sqlx::query("SELECT * FROM intents WHERE ?1 IS NULL OR project = ?1 ORDER BY id");
    let rows = query.bind(of.map(str::to_owned)).fetch_all(connection).await?;
    let intents = rows.iter().map(|row| {
        let detail: &str = row.try_get("detail")?;
        Ok(OpenIntent {
            id: IntentId(row.try_get("id")?),
            intent: Intent {
                project: row.try_get("project")?,
                environment: row.try_get("environment")?,
                verb: row.try_get("verb")?,
                step: row.try_get("step")?,
                detail: serde_json::from_str(detail).map_err(|_| strange("detail", detail))?,
                command: row.try_get("command")?,
                started: row.try_get("started")?,
                pid: row.try_get("pid")?,
            },
        })
    });
    intents.collect()
}

pub(super) async fn audit(
    connection: &mut SqliteConnection,
    project: &str,
    at_most: u32,
) -> Result<Vec<Audit>> {
    let query = sqlx::query("SELECT * FROM audit WHERE project = ? ORDER BY id DESC LIMIT ?");
    let rows = query.bind(project.to_owned()).bind(at_most).fetch_all(connection).await?;
    let audit = rows.iter().map(|row| {
        Ok(Audit {
            at: row.try_get("at")?,
            project: row.try_get("project")?,
            sort: match row.try_get("sort")? {
                "branch" => Sort::Branch,
                "snapshot" => Sort::Snapshot,
                "environment" => Sort::Environment,
                other => return Err(strange("sort", other)),
            },
            id: row.try_get("record")?,
            name: row.try_get("name")?,
            act: match row.try_get("act")? {
                "delete" => Act::Delete,
                "undelete" => Act::Undelete,
                "remove" => Act::Remove,
                "copy" => Act::Copy,
                other => return Err(strange("act", other)),
            },
            why: row.try_get("why")?,
            command: row.try_get("command")?,
        })
    });
    audit.collect()
}
