//! `db dump`, `db restore` and `db backup`: a branch's database as a file, and back.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::base::size::bytes;
use crate::base::{Failure, Kind};
use crate::lineage::keep::{self, Keep};
use crate::ops::Context;
use crate::ops::branch::backup::{self, Backup};
use crate::ops::branch::dump::{self, Form};
use crate::ops::branch::now;
use crate::ops::branch::restore::{self, Restored};
use crate::ui::{Table, Ui, words};

/// Write a branch's database to a file
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db dump -o shop.dump                          the current branch, as pg_restore takes it\n  devenv db dump feat/login --format sql --table users\n\nThe server's own pg_dump writes it. Only you can read the file. For data that may leave this machine, dump a masked copy: `devenv db copy --masked`."
)]
pub(super) struct Dump {
    /// The branch [default: the current branch]
    branch: Option<String>,
    /// The file; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// `custom` is compressed and what `pg_restore` takes, `sql` is what psql takes
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// No rows
    #[arg(long)]
    schema_only: bool,
    /// Nothing but rows
    #[arg(long, conflicts_with = "schema_only")]
    data_only: bool,
    /// Only this table, or those that match it, as `pg_dump` takes it
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Custom,
    Sql,
}

impl Dump {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let options = dump::Options {
            branch: self.branch,
            to: Some(self.output).filter(|file| file.as_os_str() != "-"),
            form: match self.format {
                Format::Custom => Form::Custom,
                Format::Sql => Form::Sql,
            },
            schema_only: self.schema_only,
            data_only: self.data_only,
            tables: self.tables,
        };
        let done = dump::dump(context, &options).await?;
        let Some(file) = &done.file else { return Ok(()) };
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "file": file, "bytes": done.bytes }));
        }
        let file = context.shown(file);
        ui.note(&format!("{} holds the database ({})", file.display(), bytes(done.bytes)));
        Ok(())
    }
}

/// Restore a dump into a new branch
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db restore shop.dump --as found\n  devenv db restore supabase.sql --as hosted\n\nTakes pg_dump's custom format and plain SQL. The dump is read before anything is made, and restored into an empty database that nobody sees before all of it is there: nothing is ever restored over what is there. Roles that it names and the server does not have are made without a login."
)]
pub(super) struct Restore {
    /// The dump
    file: PathBuf,
    /// The new branch
    #[arg(long = "as", value_name = "BRANCH")]
    to: String,
    /// Although the pool is nearly full
    #[arg(long)]
    force: bool,
}

impl Restore {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        restored(ui, &restore::restore(context, &self.file, &self.to, self.force).await?);
        Ok(())
    }
}

fn restored(ui: &Ui, done: &Restored) {
    let seconds = done.took.as_secs_f64();
    if ui.wants_json() {
        let Restored { branch, snapshot, .. } = done;
        ui.json(&json!({ "version": 1, "branch": branch, "snapshot": snapshot, "seconds": seconds }));
    }
    let name = &done.branch.name;
    ui.note(&format!(
        "branch {name} holds it ({seconds:.1} s): `devenv db branch switch {}` turns to it",
        words::argument(name)
    ));
}

/// Dumps that were restored and compared
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db backup create\n  devenv db backup list\n  devenv db backup restore latest --as before\n  devenv db backup prune --keep 7d,4w\n\nA backup counts once it was restored into a throw-away server and has the same schema, and in every table the same rows. Backups lie in ~/.local/state/devenv/backups/ and only you can read them. To make them regularly, let cron or a systemd timer run `devenv db backup create && devenv db backup prune --keep 7d,4w`."
)]
pub(super) struct Backups {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Dump a branch, restore the dump into a throw-away server, and compare
    Create {
        /// The branch [default: the current branch]
        branch: Option<String>,
        /// Do not restore and compare; `verify` does it later
        #[arg(long)]
        no_verify: bool,
    },
    /// List the project's backups, the newest first
    #[command(visible_alias = "ls")]
    List,
    /// Restore a backup into a throw-away server, and compare
    Verify {
        /// The backup; the latest is called `latest`
        #[arg(default_value = "latest")]
        name: String,
    },
    /// Restore a backup into a new branch
    Restore {
        /// The backup; the latest is called `latest`
        name: String,
        /// The new branch
        #[arg(long = "as", value_name = "BRANCH")]
        to: String,
        /// Although the pool is nearly full
        #[arg(long)]
        force: bool,
    },
    /// Take away backups that need not be kept; the newest that was verified always stays
    Prune {
        /// The newest so many (`5`), or the newest of each of so many hours, days and weeks (`24h,7d,4w`); of each branch
        #[arg(long, value_name = "KEEP")]
        keep: String,
        /// Only say which
        #[arg(long)]
        dry_run: bool,
    },
}

impl Backups {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            Command::Create { branch, no_verify } => {
                one(ui, &backup::create(context, branch.as_deref(), !no_verify).await?);
            }
            Command::List => list(ui, &backup::all(context)?),
            Command::Verify { name } => one(ui, &backup::verify(context, &name).await?),
            Command::Restore { name, to, force } => {
                restored(ui, &backup::restored(context, &name, &to, force).await?);
            }
            Command::Prune { keep, dry_run } => {
                let gone = backup::prune(context, &rules(&keep)?, dry_run)?;
                if ui.wants_json() {
                    let names: Vec<&str> = gone.iter().map(|backup| backup.name.as_str()).collect();
                    ui.json(&json!({ "version": 1, "dry_run": dry_run, "removed": names }));
                }
                let what = if dry_run { "would be taken away" } else { "taken away" };
                for backup in &gone {
                    ui.note(&format!("{what}: {}", backup.name));
                }
                if gone.is_empty() {
                    ui.note("every backup stays");
                }
            }
        }
        Ok(())
    }
}

fn rules(text: &str) -> Result<Vec<Keep>, Failure> {
    keep::read(text).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("`{text}` does not say what is kept"))
            .hint("`--keep 5` keeps the newest five, `--keep 7d,4w` the newest of each of 7 days and 4 weeks")
    })
}

fn one(ui: &Ui, backup: &Backup) {
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "backup": backup }));
    }
    let how = if backup.verified.is_some() {
        "restored and compared: it is the same"
    } else {
        "not verified yet: `devenv db backup verify` restores and compares it"
    };
    let (tables, rows) = (backup.tables.len(), backup.rows());
    ui.note(&format!("{} ({}, {rows} rows of {tables} tables), {how}", backup.name, bytes(backup.bytes)));
}

fn list(ui: &Ui, all: &[Backup]) {
    if ui.wants_json() {
        return ui.json(&json!({ "version": 1, "backups": all }));
    }
    let mut table = Table::new(&["NAME", "BRANCH", "MADE", "SIZE", "ROWS", "VERIFIED"]);
    for backup in all {
        table.row([
            backup.name.clone(),
            backup.branch.clone(),
            words::ago(now() - backup.created),
            bytes(backup.bytes),
            backup.rows().to_string(),
            backup.verified.map_or_else(|| "no".to_owned(), |at| words::ago(now() - at)),
        ]);
    }
    ui.table(&table);
}
