//! Migrations: the verbs of `devenv db migrate`, one file each.
//!
//! Files and history are the Supabase CLI's, so that either program can go on where the other stopped. What devenv
//! adds is the snapshot before, and throw-away branches on which migrations are tried before anybody's data is.

pub mod apply;
pub mod change;
pub mod records;
pub mod trial;
pub mod verify;

use std::path::{Path, PathBuf};

use super::branch::{Branches, url};
use super::{Context, Subject};
use crate::base::{Failure, Kind, Place};
pub use crate::postgres::Scope;
use crate::postgres::{self, Database, Migration, Target, connect};
use crate::supabase::history::{self, File, Known, Row};
use crate::supabase::migrations;

/// How long a database that runs may take to answer.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The migration files of a project.
#[derive(Debug, Clone)]
pub struct Files {
    /// Their folder, absolute.
    pub folder: PathBuf,
    /// The migrations in their order.
    pub migrations: Vec<Migration>,
}

impl Files {
    /// Reads the folder that `x-devenv.migrations` names, or that of the Supabase project.
    pub fn of(context: &Context, subject: &Subject) -> Result<Self, Failure> {
        let folder = folder(subject);
        let names: Vec<String> = match std::fs::read_dir(&folder) {
            Ok(entries) => {
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable(context, &folder, error)),
        };
        let found = migrations::find(&context.shown(&folder), names.iter().map(String::as_str))?;
        for warning in &found.warnings {
            context.events.warn(warning);
        }
        let migration = |found: migrations::Migration| Migration {
            version: found.version,
            name: found.name,
            path: found.path,
        };
        Ok(Self { folder, migrations: found.migrations.into_iter().map(migration).collect() })
    }

    /// A migration by its version, its file name or its name.
    pub fn named(&self, named: &str) -> Result<&Migration, Failure> {
        let file =
            Path::new(named).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let same = |migration: &&Migration| {
            migration.version == named
                || format!("{}_{}", migration.version, migration.name) == file
                || migration.name == named
        };
        let mut found = self.migrations.iter().filter(same);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => {
                Err(Failure::new(Kind::Usage, format!("`{named}` names several migrations"))
                    .hint("give the version, which only one has"))
            }
            _ => Err(Failure::new(Kind::Usage, format!("there is no migration `{named}`"))
                .hint("`devenv db migrate status` lists them")),
        }
    }

    /// The version of a migration that comes behind all others, made `now`.
    #[must_use]
    pub fn next_version(&self, now: i64) -> String {
        let newest = self.migrations.iter().map(|it| it.version.as_str()).max().unwrap_or_default();
        let version = |after: i64| history::version(now + after);
        let mut after = 0;
        // Two in one second.
        while version(after).as_str() <= newest && after < 3600 {
            after += 1;
        }
        version(after)
    }
}

/// The folder of the migrations.
#[must_use]
pub fn folder(subject: &Subject) -> PathBuf {
    let named = subject.project.extensions.get("x-devenv").and_then(|it| it["migrations"].as_str());
    let base = &subject.project.working_dir;
    match (named, &subject.stack) {
        (Some(named), _) => base.join(named),
        (None, Some(stack)) => base.join(&stack.directory).join("migrations"),
        (None, None) => base.join("supabase/migrations"),
    }
}

/// A file's text.
pub(in crate::ops) fn read(context: &Context, path: &Path) -> Result<String, Failure> {
    let bytes =
        std::fs::read(context.directory.join(path)).map_err(|error| unreadable(context, path, error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before =
            String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let at = before.len();
        Failure::new(Kind::Files, format!("`{}` is not UTF-8", path.display()))
            .at(Place::in_text(path, &before, &(at..at)))
            .hint("save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

fn unreadable(context: &Context, path: &Path, error: std::io::Error) -> Failure {
    Failure::new(Kind::Files, "cannot be read").at(Place::file(context.shown(path))).source(error)
}

/// Writes a file whole or not at all.
pub(in crate::ops) fn write(context: &Context, path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Failed, "cannot be written").at(Place::file(context.shown(path))).source(error)
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // A dot, so that nobody takes it for a migration.
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = folder.join(format!(".{file}.{}", std::process::id()));
    let written = std::fs::write(&temporary, text)
        .and_then(|()| std::fs::File::open(&temporary)?.sync_all())
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(failed)
}

/// The migrations and how they stand in a database.
pub(super) async fn stand(
    context: &Context,
    files: &Files,
    database: &mut Database,
) -> Result<Vec<Known>, Failure> {
    let history = database.history().await.map_err(|error| error.failing("the history cannot be read"))?;
    let rows: Vec<Row> =
        history.into_iter().map(|(version, name, statements)| Row { version, name, statements }).collect();
    let mut compared = Vec::new();
    for migration in &files.migrations {
        // Only what was applied is compared; what cannot be cut is told when it is to be applied.
        let wanted = rows.iter().any(|row| row.version == migration.version && row.statements.is_some());
        let statements = if wanted {
            let text = read(context, &migration.path)?;
            postgres::statements(&migration.path, &text).ok()
        } else {
            None
        };
        let Migration { version, name, path } = migration.clone();
        compared.push(File { version, name, path, statements });
    }
    Ok(history::compare(&compared, &rows))
}

/// Where the database of the environment's current branch answers; where it has no branches, the one that runs.
pub(super) async fn target(branches: &Branches<'_>) -> Result<Target, Failure> {
    let found = match branches.lineage.current(&branches.environment) {
        Some(branch) => Some(url::of(branches, &branch.clone()).await?),
        None => url::in_environment(branches, &branches.environment).await?,
    };
    found.map(|address| address.target()).ok_or_else(|| {
        Failure::new(Kind::Unhealthy, "the database does not run").hint("start the stack with `devenv up`")
    })
}

/// Connects to it.
pub(in crate::ops) async fn open(target: &Target) -> Result<Database, Failure> {
    connect(target, PATIENCE).await.map_err(|error| error.failing("the database cannot be used"))
}
