//! `db migrate`: migration files, and what of them a database has.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::schema::show_steps;
use crate::base::{Event, Failure, Kind};
use crate::ops::Context;
use crate::ops::migrate::{apply, change, records, verify};
use crate::supabase::history::Standing;
use crate::ui::{Table, Ui, words};

/// Migrations of the database's schema: files in supabase/migrations, one transaction each
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db migrate new add_users         an empty file with the time as its version\n  devenv db migrate up                    apply what is pending, with a snapshot before\n  devenv db migrate verify                all of them from empty, on a throw-away branch\n  devenv db migrate diff fix_index        what the database has beyond its files, as a migration\n\nFiles and history are the Supabase CLI's. What takes a migration back has the same name in the folder\n`rollbacks` beside `migrations`; `x-devenv.migrations` in the compose file names another folder."
)]
pub(super) struct Migrate {
    #[command(subcommand)]
    command: MigrateCommand,
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    New(New),
    Up(Up),
    Down(Down),
    Redo(Redo),
    /// Show the migrations and how they stand in the database
    #[command(visible_aliases = ["list", "ls"])]
    Status,
    /// Try all migrations from empty, and each rollback, on a throw-away branch
    Verify,
    Repair(Repair),
    Squash(Squash),
    Diff(Drift),
}

/// Make an empty migration file
#[derive(Debug, Args)]
struct New {
    /// What it does, as in `add_users`
    name: String,
    /// With the file that takes it back
    #[arg(long)]
    rollback: bool,
}

/// Apply the migrations that the database lacks
#[derive(Debug, Args)]
struct Up {
    /// At most so many
    #[arg(value_name = "N")]
    count: Option<usize>,
    /// Up to this one: its version or its name
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Those too that are older than the newest that was applied
    #[arg(long)]
    include_all: bool,
    /// Without a snapshot before
    #[arg(long)]
    no_snapshot: bool,
}

/// Take the last migration back, or several
#[derive(Debug, Args)]
struct Down {
    /// How many
    #[arg(value_name = "N", default_value_t = 1, conflicts_with = "to")]
    count: usize,
    /// All that came behind this one: its version or its name
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Without a snapshot before
    #[arg(long)]
    no_snapshot: bool,
}

/// Take the last migration back and apply it again
#[derive(Debug, Args)]
struct Redo {
    /// Without a snapshot before
    #[arg(long)]
    no_snapshot: bool,
}

/// Let the history say what was applied, without applying anything
#[derive(Debug, Args)]
struct Repair {
    /// What it shall say
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
    /// The versions [default: all files, and nothing else, as applied]
    versions: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    /// They were applied, as their files are now
    Applied,
    /// They were not
    Reverted,
}

/// Make one migration of many; rows that they wrote are not part of it
#[derive(Debug, Args)]
struct Squash {
    /// Of all up to this one: its version or its name [default: of all]
    #[arg(long, value_name = "VERSION", alias = "version")]
    to: Option<String>,
}

/// Show what the database has beyond its migrations
#[derive(Debug, Args)]
struct Drift {
    /// Make it a migration of this name
    name: Option<String>,
    /// The schemas too that Supabase keeps for itself
    #[arg(long)]
    all_schemas: bool,
    /// Exit with 1 if there is anything
    #[arg(long)]
    exit_code: bool,
}

impl Migrate {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            MigrateCommand::New(new) => {
                let made = records::new(context, &new.name, new.rollback)?;
                if ui.wants_json() {
                    ui.json(&json!({ "version": 1, "files": made }));
                } else {
                    for path in made {
                        ui.line(words::harmless(&path.display().to_string()));
                    }
                }
                Ok(())
            }
            MigrateCommand::Up(up) => {
                let (count, to, include_all) = (up.count, up.to, up.include_all);
                let options = apply::Options { count, to, include_all, no_snapshot: up.no_snapshot };
                told(context, ui, &apply::up(context, &options).await?);
                Ok(())
            }
            MigrateCommand::Down(down) => {
                let done = apply::down(context, down.count, down.to.as_deref(), down.no_snapshot).await?;
                told(context, ui, &done);
                Ok(())
            }
            MigrateCommand::Redo(redo) => {
                told(context, ui, &apply::redo(context, redo.no_snapshot).await?);
                Ok(())
            }
            MigrateCommand::Status => status(context, ui).await,
            MigrateCommand::Verify => verify(context, ui).await,
            MigrateCommand::Repair(repair) => repair.run(context, ui).await,
            MigrateCommand::Squash(squash) => squash.run(context, ui).await,
            MigrateCommand::Diff(drift) => drift.run(context, ui).await,
        }
    }
}

fn told(context: &Context, ui: &Ui, done: &apply::Done) {
    apply::tell(context, done);
    if ui.wants_json() {
        let snapshot = done.snapshot.as_ref().map(|it| &it.name);
        let (applied, reverted) = (&done.applied, &done.reverted);
        ui.json(&json!({ "version": 1, "applied": applied, "reverted": reverted, "snapshot": snapshot }));
    }
}

async fn status(context: &Context, ui: &Ui) -> Result<(), Failure> {
    let known = records::status(context).await?;
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "migrations": known }));
        return Ok(());
    }
    if known.is_empty() {
        ui.note("no migrations yet: `devenv db migrate new NAME` makes the first one");
        return Ok(());
    }
    let mut table = Table::new(&["VERSION", "NAME", "STATUS"]);
    for it in &known {
        table.row([words::harmless(&it.version), words::short(&it.name), it.standing.words().to_owned()]);
    }
    ui.table(&table);
    let has = |standing: Standing| known.iter().any(|it| it.standing == standing);
    if has(Standing::Edited) {
        ui.note("an edited file is not applied again: undo the edit, or `devenv db migrate repair --status applied VERSION`");
    }
    if has(Standing::OutOfOrder) {
        ui.note(
            "what is out of order is applied by `devenv db migrate up --include-all`, or given a new time",
        );
    }
    Ok(())
}

async fn verify(context: &Context, ui: &Ui) -> Result<(), Failure> {
    let verified = verify::verify(context).await?;
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "migrations": verified }));
        return Ok(());
    }
    let mut table = Table::new(&["VERSION", "NAME", "FROM EMPTY", "DOWN AND UP"]);
    for it in &verified {
        let back = if it.taken_back { "ok" } else { "no rollback" };
        let took = format!("ok, {:.0} ms", it.seconds * 1000.0);
        table.row([words::harmless(&it.version), words::short(&it.name), took, back.to_owned()]);
    }
    ui.table(&table);
    Ok(())
}

impl Repair {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        if self.status == Some(Status::Reverted) && self.versions.is_empty() {
            return Err(Failure::new(Kind::Usage, "which versions were not applied?")
                .hint("name them: `devenv db migrate repair --status reverted VERSION`"));
        }
        let applied = self.status != Some(Status::Reverted);
        let changed = records::repair(context, applied, &self.versions).await?;
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "repaired": changed }));
        } else {
            ui.note(&format!("the history was changed: {}", words::harmless(&changed.join(", "))));
        }
        Ok(())
    }
}

impl Squash {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let done = change::squash(context, self.to.as_deref()).await?;
        if ui.wants_json() {
            ui.json(
                &json!({ "version": 1, "file": done.path, "versions": done.versions, "kept": done.kept }),
            );
            return Ok(());
        }
        let path = |path: &PathBuf| words::harmless(&path.display().to_string());
        match &done.kept {
            Some(kept) => ui.note(&format!(
                "{} stands for {} migrations now; their files are in {}. Rows that they wrote are not part of it.",
                path(&done.path),
                done.versions.len(),
                path(kept)
            )),
            None => ui.note("there is only one migration: nothing to do"),
        }
        Ok(())
    }
}

impl Drift {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let scope = super::schema::scope(self.all_schemas);
        let drift = change::drift(context, self.name.as_deref(), scope).await?;
        if ui.wants_json() {
            ui.json(&json!({
                "version": 1, "steps": super::schema::steps_json(&drift.steps), "file": drift.path,
                "not_compared": drift.beyond,
            }));
        } else {
            super::schema::tell_beyond(context, &drift.beyond);
            match &drift.path {
                Some(path) => {
                    let path = words::harmless(&path.display().to_string());
                    ui.line(&path);
                    ui.note("the database it was taken from has it: `devenv db migrate repair --status applied` says so");
                }
                None if drift.steps.is_empty() => ui.note("the database is what its migrations make"),
                None => show_steps(ui, &drift.steps),
            }
        }
        let text = "the database is not what its migrations make";
        if self.exit_code && !drift.steps.is_empty() {
            context.events.tell(Event::note(text));
            return Err(Failure::new(Kind::Status(1), text));
        }
        Ok(())
    }
}
