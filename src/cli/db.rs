//! `db`: branches and snapshots of the stack's data, and the database itself.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::backup::{self, Backups, Dump};
use super::copy::Copy;
use super::generate::{Generate, Seed};
use super::mask::Mask;
use super::migrate::Migrate;
use super::options;
use super::schema::{Diff, Merge};
use crate::base::{Failure, Kind};
use crate::lineage::{Attestation, Branch, Children, Reason, Seconds, Snapshot};
use crate::ops::Context;
use crate::ops::branch::{self, beside::Beside, create, delete, list, reset, snapshot, switch, url};
use crate::storage::protocol::Size;
use crate::ui::{Table, Ui, words};

/// Branches, snapshots, migrations and the address of the stack's data
#[derive(Debug, Args)]
pub(super) struct Db {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    #[command(visible_alias = "b")]
    Branch(Branches),
    #[command(visible_alias = "snap")]
    Snapshot(Snapshots),
    #[command(visible_alias = "m")]
    Migrate(Migrate),
    Seed(Seed),
    Generate(Generate),
    Url(Url),
    Psql(Psql),
    Mask(Mask),
    Copy(Copy),
    Dump(Dump),
    Restore(backup::Restore),
    Backup(Backups),
}

impl Db {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            DbCommand::Branch(branches) => branches.run(context, ui).await,
            DbCommand::Snapshot(snapshots) => snapshots.run(context, ui).await,
            DbCommand::Seed(seed) => seed.run(context, ui).await,
            DbCommand::Generate(generate) => generate.run(context, ui).await,
            DbCommand::Migrate(migrate) => migrate.run(context, ui).await,
            DbCommand::Url(url) => url.run(context, ui).await,
            DbCommand::Psql(psql) => psql.run(context).await,
            DbCommand::Mask(mask) => mask.run(context, ui).await,
            DbCommand::Copy(copy) => copy.run(context, ui).await,
            DbCommand::Dump(dump) => dump.run(context, ui).await,
            DbCommand::Restore(restore) => restore.run(context, ui).await,
            DbCommand::Backup(backup) => backup.run(context, ui).await,
        }
    }
}

/// Writable copies of all the stack's data, made in an instant
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db branch create feat/login      a copy of the current branch; the services go on with it\n  devenv db branch list --tree --sizes    what there is, and what it costs\n  devenv db branch switch -               back to the one before\n\nA branch holds every named volume of the stack, as of one instant."
)]
pub(super) struct Branches {
    #[command(subcommand)]
    command: BranchCommand,
}

#[derive(Debug, Subcommand)]
enum BranchCommand {
    #[command(visible_alias = "new")]
    Create(Create),
    #[command(visible_alias = "ls")]
    List(List),
    Show(Named),
    Current,
    #[command(visible_alias = "use")]
    Switch(Switch),
    #[command(visible_alias = "rm")]
    Delete(Delete),
    Undelete(Undelete),
    Reset(Reset),
    #[command(visible_alias = "mv")]
    Rename(Rename),
    Protect(Named),
    Unprotect(Named),
    Ttl(Ttl),
    Diff(Diff),
    Merge(Merge),
}

/// Make a branch and let the services go on with it
#[derive(Debug, Args)]
struct Create {
    /// What to call it; what git allows as the name of a branch is allowed
    name: String,
    /// Begin as this branch or snapshot [default: the current branch]
    #[arg(long, value_name = "BRANCH|SNAPSHOT")]
    from: Option<String>,
    /// Delete it by itself after this time, such as `3d`
    #[arg(long, value_name = "SPAN", value_parser = options::ttl)]
    ttl: Option<Ttl_>,
    /// Leave the services on the branch where they are
    #[arg(long)]
    no_switch: bool,
    /// Start its database beside the current one
    #[arg(long)]
    start: bool,
    /// Let its PostgreSQL not wait for the disk: faster, and lost in a power cut
    #[arg(long)]
    fast: bool,
    /// Although the pool is nearly full
    #[arg(long)]
    force: bool,
}

type Ttl_ = Option<Seconds>;

/// Show branches
#[derive(Debug, Args)]
struct List {
    /// As a tree
    #[arg(long)]
    tree: bool,
    /// With the size of each
    #[arg(long)]
    sizes: bool,
    /// Those too that were deleted and can be had back
    #[arg(long)]
    deleted: bool,
}

#[derive(Debug, Args)]
struct Named {
    /// The branch [default: the current one]
    name: Option<String>,
}

/// Let the services go on with another branch's data
#[derive(Debug, Args)]
struct Switch {
    /// The branch; `-` is the one before
    #[arg(allow_hyphen_values = true)]
    name: String,
}

/// Delete branches; for seven days they can be had back
#[derive(Debug, Args)]
struct Delete {
    /// The branches
    #[arg(required = true)]
    names: Vec<String>,
    /// What becomes of branches that were made from them
    #[arg(long, value_name = "WHAT", default_value = "keep")]
    children: ChildrenWord,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChildrenWord {
    /// They stay whole
    Keep,
    /// Nothing is deleted if there are any
    Refuse,
    /// They are deleted too
    Cascade,
}

/// Have a deleted branch back
#[derive(Debug, Args)]
struct Undelete {
    /// The branch
    name: String,
    /// Call it something else now
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
}

/// Let a branch begin again from its parent; what it had is kept for seven days
#[derive(Debug, Args)]
struct Reset {
    /// The branch [default: the current one]
    name: Option<String>,
    /// From what: `parent`, a snapshot or another branch
    #[arg(long, value_name = "parent|SNAPSHOT|BRANCH", default_value = "parent")]
    to: String,
    /// Although the pool is nearly full
    #[arg(long)]
    force: bool,
}

/// Call a branch something else
#[derive(Debug, Args)]
struct Rename {
    /// The branch
    from: String,
    /// Its new name
    to: String,
}

/// Give a branch an end, or none
#[derive(Debug, Args)]
struct Ttl {
    /// The branch
    name: String,
    /// The time from now, such as `12h` or `7d`, or `never`
    #[arg(value_parser = options::ttl)]
    span: Ttl_,
}

impl Branches {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            BranchCommand::Create(create) => create.run(context, ui).await,
            BranchCommand::List(list) => list.run(context, ui).await,
            BranchCommand::Show(named) => show(context, ui, named.name.as_deref()).await,
            BranchCommand::Current => {
                let branch = list::current(context).await?;
                if ui.wants_json() {
                    ui.json(&json!({ "version": 1, "branch": branch }));
                } else {
                    ui.line(words::harmless(&branch.name));
                }
                Ok(())
            }
            BranchCommand::Switch(switch) => {
                let turned = switch::switch(context, &switch.name).await?;
                told(
                    ui,
                    &turned.branch,
                    json!({ "services": turned.services, "seconds": turned.took.as_secs_f64() }),
                );
                if turned.services.is_empty() {
                    ui.note(&format!("on branch {}", turned.branch.name));
                } else {
                    let services = turned.services.join(", ");
                    let took = turned.took.as_secs_f64();
                    ui.note(&format!("on branch {} ({services} restarted, {took:.1} s)", turned.branch.name));
                }
                Ok(())
            }
            BranchCommand::Delete(delete) => delete.run(context, ui).await,
            BranchCommand::Diff(diff) => diff.run(context, ui).await,
            BranchCommand::Merge(merge) => merge.run(context, ui).await,
            BranchCommand::Undelete(undelete) => {
                let branch = delete::undelete(context, &undelete.name, undelete.rename.as_deref()).await?;
                told(ui, &branch, json!({}));
                ui.note(&format!("branch {} is back", branch.name));
                Ok(())
            }
            BranchCommand::Reset(reset) => reset.run(context, ui).await,
            BranchCommand::Rename(rename) => {
                let branch = delete::rename(context, &rename.from, &rename.to).await?;
                told(ui, &branch, json!({ "was": rename.from }));
                ui.note(&format!("branch {} is called {} now", rename.from, branch.name));
                Ok(())
            }
            BranchCommand::Protect(named) => protect(context, ui, named, true).await,
            BranchCommand::Unprotect(named) => protect(context, ui, named, false).await,
            BranchCommand::Ttl(ttl) => {
                let branch = delete::ttl(context, Some(&ttl.name), ttl.span).await?;
                told(ui, &branch, json!({}));
                let now = branch::now();
                let until = branch.expires.map_or_else(
                    || "never ends".to_owned(),
                    |at| format!("ends in {}", words::left(at - now)),
                );
                ui.note(&format!("branch {} {until}", branch.name));
                Ok(())
            }
        }
    }
}

/// A branch as the result of a command, for programs.
fn told(ui: &Ui, branch: &Branch, mut more: serde_json::Value) {
    if ui.wants_json() {
        more["version"] = json!(1);
        more["branch"] = json!(branch);
        ui.json(&more);
    }
}

async fn protect(context: &Context, ui: &Ui, named: Named, protected: bool) -> Result<(), Failure> {
    let branch = delete::protect(context, named.name.as_deref(), protected).await?;
    told(ui, &branch, json!({}));
    let how =
        if protected { "is protected: it cannot be deleted or reset" } else { "is not protected any more" };
    ui.note(&format!("branch {} {how}", branch.name));
    Ok(())
}

impl Create {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let options = create::Options {
            name: self.name,
            from: self.from,
            ttl: self.ttl.flatten(),
            no_switch: self.no_switch,
            start: self.start,
            fast: self.fast,
            force: self.force,
        };
        show_created(ui, &create::create(context, &options).await?);
        Ok(())
    }
}

fn show_created(ui: &Ui, made: &create::Created) {
    let database = |beside: &Beside| beside.database.as_ref().map(url::Address::uri);
    if ui.wants_json() {
        let beside = made.beside.as_ref();
        told(
            ui,
            &made.branch,
            json!({
                "from": made.from,
                "switched": made.turned.is_some(),
                "environment": beside.map(|beside| &beside.environment),
                "url": beside.and_then(database),
            }),
        );
        return;
    }
    let name = &made.branch.name;
    match (&made.turned, &made.beside) {
        (Some(turned), _) if turned.services.is_empty() => {
            ui.note(&format!("on branch {name}"));
        }
        (Some(turned), _) => {
            let services = turned.services.join(", ");
            ui.note(&format!("on branch {name} ({services} restarted)"));
        }
        (None, Some(beside)) => {
            ui.note(&format!(
                "branch {name}, made from {}, runs beside as {}",
                made.from, beside.environment
            ));
            if let Some(uri) = database(beside) {
                ui.line(uri);
            }
        }
        (None, None) => ui.note(&format!(
            "branch {name} is made from {}: `devenv db branch switch {}` turns to it",
            made.from,
            words::argument(name)
        )),
    }
    if made.branch.fast {
        ui.note("its PostgreSQL does not wait for the disk (fsync off): a power cut may cost its data");
    }
}

impl List {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let options = list::Options { sizes: self.sizes, deleted: self.deleted };
        let listing = list::list(context, options).await?;
        if ui.wants_json() {
            ui.json(&listing);
            return Ok(());
        }
        if listing.branches.is_empty() {
            ui.note("no branches yet: `devenv db branch create NAME` makes the first one");
            return Ok(());
        }
        let now = branch::now();
        let mut titles = vec!["", "BRANCH"];
        if !self.tree {
            titles.push("PARENT");
        }
        titles.extend(["MADE", "USED"]);
        if self.sizes {
            titles.extend(["OWN", "SHARED"]);
        }
        titles.push("REMARKS");
        let mut table = Table::new(&titles);
        for row in &listing.branches {
            let name = words::short(&row.name);
            let mut cells = vec![
                if row.current { "*".to_owned() } else { String::new() },
                if self.tree { format!("{}{name}", row.lines) } else { name },
            ];
            if !self.tree {
                cells.push(row.parent.as_deref().map(words::short).unwrap_or_default());
            }
            cells.extend([words::ago(now - row.created), words::ago(now - row.used)]);
            if self.sizes {
                cells.extend(sizes(row.size));
            }
            cells.push(remarks(row, now));
            table.row(cells);
        }
        ui.table(&table);
        Ok(())
    }
}

fn sizes(size: Option<Size>) -> [String; 2] {
    size.map_or_else(
        || ["?".to_owned(), "?".to_owned()],
        |size| [words::bytes(size.own), words::bytes(size.shared)],
    )
}

fn remarks(row: &list::Row, now: Seconds) -> String {
    let mut remarks = Vec::new();
    if let Some(at) = row.deleted {
        remarks.push(format!("deleted {}", words::ago(now - at)));
    }
    let beside: Vec<&str> = row.environments.iter().map(String::as_str).collect();
    if !beside.is_empty() && !row.current {
        remarks.push(format!("runs as {}", beside.join(", ")));
    }
    if row.protected {
        remarks.push("protected".to_owned());
    }
    if row.fast {
        remarks.push("fsync off".to_owned());
    }
    if let Some(at) = row.expires {
        remarks.push(if at > now {
            format!("ends in {}", words::left(at - now))
        } else {
            "its time is over".to_owned()
        });
    }
    remarks.join(", ")
}

async fn show(context: &Context, ui: &Ui, name: Option<&str>) -> Result<(), Failure> {
    let shown = list::show(context, name).await?;
    if ui.wants_json() {
        ui.json(&shown);
        return Ok(());
    }
    let now = branch::now();
    let row = &shown.row;
    let mut table = Table::new(&["WHAT", "IS"]);
    let [own, shared] = sizes(row.size);
    let list = |names: &[String]| {
        if names.is_empty() { "none".to_owned() } else { words::harmless(&names.join(", ")) }
    };
    let database = |say: &dyn Fn() -> String| if shown.databases.is_empty() { String::new() } else { say() };
    let durability =
        if row.fast { "fsync off: a power cut may cost its data" } else { "as its server is set" };
    let jobs = if row.parent.is_some() { "off: pg_cron and subscriptions are the original's" } else { "on" };
    let some = |name: Option<&String>| name.map_or_else(|| "none".to_owned(), |name| words::harmless(name));
    let rows = [
        ("Branch", words::harmless(&row.name)),
        ("Id", row.id.clone()),
        ("Parent", some(row.parent.as_ref())),
        ("Children", list(&shown.children)),
        ("Snapshots", list(&shown.snapshots)),
        ("Volumes", list(&row.volumes)),
        ("Made", words::ago(now - row.created)),
        ("Used", words::ago(now - row.used)),
        ("Own data", own),
        ("Shared data", shared),
        ("Runs as", list(&row.environments)),
        ("Database", database(&|| shown.address.clone().unwrap_or_else(|| "does not run".to_owned()))),
        ("Memory", shown.memory.map(words::bytes).unwrap_or_default()),
        ("Durability", database(&|| durability.to_owned())),
        ("Background jobs", database(&|| jobs.to_owned())),
        ("Remarks", remarks(row, now)),
    ];
    for (what, is) in rows.into_iter().filter(|(_, is)| !is.is_empty()) {
        table.row([what.to_owned(), is]);
    }
    ui.table(&table);
    Ok(())
}

impl Delete {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let children = match self.children {
            ChildrenWord::Keep => Children::Keep,
            ChildrenWord::Refuse => Children::Refuse,
            ChildrenWord::Cascade => Children::Cascade,
        };
        let question = format!("Delete {}? For seven days it can be had back.", self.names.join(", "));
        if self.names.len() > 1 && !ui.confirm(&question, "--yes")? {
            return Err(Failure::new(Kind::Failed, "nothing was deleted"));
        }
        let deletion = delete::delete(context, &self.names, children).await?;
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "deleted": deletion.deleted, "moved": deletion.moved }));
        }
        for branch in &deletion.deleted {
            ui.note(&format!(
                "branch {} is deleted; for seven days `devenv db branch undelete {}` has it back",
                branch.name,
                words::argument(&branch.name)
            ));
        }
        Ok(())
    }
}

impl Reset {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let done = reset::reset(context, self.name.as_deref(), Some(&self.to), self.force).await?;
        show_reset(ui, &done);
        Ok(())
    }
}

fn show_reset(ui: &Ui, done: &reset::Reset) {
    told(ui, &done.branch, json!({ "from": done.from, "kept": done.kept, "services": done.services }));
    let kept = done.kept.as_ref().map(|kept| {
        let name = words::argument(&kept.name);
        format!("; what it had is kept for seven days: `devenv db snapshot restore {name}`")
    });
    ui.note(&format!("branch {} is as {} now{}", done.branch.name, done.from, kept.unwrap_or_default()));
}

/// Named points to go back to
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db snapshot save before-import -m 'the customer list as of May'\n  devenv db snapshot restore before-import\n  devenv db snapshot restore before-import --as look"
)]
pub(super) struct Snapshots {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    #[command(visible_alias = "create")]
    Save(Save),
    #[command(visible_alias = "ls")]
    List(SnapshotList),
    Show(SnapshotNamed),
    Restore(Restore),
    #[command(visible_alias = "rm")]
    Delete(SnapshotNamed),
    Undelete(Undelete),
}

/// Freeze the data as it is now
#[derive(Debug, Args)]
struct Save {
    /// What to call it [default: the branch's name and a number]
    name: Option<String>,
    /// What to remember about it
    #[arg(short, long, default_value = "")]
    message: String,
    /// Delete it by itself after this time, such as `30d`
    #[arg(long, value_name = "SPAN", value_parser = options::ttl)]
    ttl: Option<Ttl_>,
    /// Although the pool is nearly full
    #[arg(long)]
    force: bool,
}

/// Show snapshots
#[derive(Debug, Args)]
struct SnapshotList {
    /// Those too at which branches began, and deleted ones
    #[arg(short, long)]
    all: bool,
    /// With the size of each
    #[arg(long)]
    sizes: bool,
}

#[derive(Debug, Args)]
struct SnapshotNamed {
    /// The snapshot
    name: String,
}

/// Let the current branch begin again from a snapshot; what it had is kept for seven days
#[derive(Debug, Args)]
struct Restore {
    /// The snapshot
    name: String,
    /// Make a new branch of it instead
    #[arg(long = "as", value_name = "BRANCH")]
    as_branch: Option<String>,
    /// This branch instead of the current one
    #[arg(long, value_name = "BRANCH", conflicts_with = "as_branch")]
    onto: Option<String>,
    /// Although the pool is nearly full
    #[arg(long)]
    force: bool,
}

impl Snapshots {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            SnapshotCommand::Save(save) => {
                let options = snapshot::Options {
                    name: save.name,
                    message: save.message,
                    branch: None,
                    ttl: save.ttl.flatten(),
                    force: save.force,
                };
                let saved = snapshot::save(context, &options).await?;
                let name = words::argument(&saved.name);
                told_snapshot(ui, &saved);
                ui.note(&format!(
                    "snapshot {} is saved: `devenv db snapshot restore {name}` goes back to it",
                    saved.name
                ));
                Ok(())
            }
            SnapshotCommand::List(list) => list.run(context, ui).await,
            SnapshotCommand::Show(named) => show_snapshot(context, ui, &named.name).await,
            SnapshotCommand::Restore(restore) => {
                let (onto, new) = (restore.onto.as_deref(), restore.as_branch.as_deref());
                match snapshot::restore(context, &restore.name, onto, new, restore.force).await? {
                    snapshot::Restored::Here(done) => show_reset(ui, &done),
                    snapshot::Restored::As(made) => show_created(ui, &made),
                }
                Ok(())
            }
            SnapshotCommand::Delete(named) => {
                let deleted = snapshot::delete(context, &named.name).await?;
                told_snapshot(ui, &deleted);
                ui.note(&format!(
                    "snapshot {} is deleted; for seven days `devenv db snapshot undelete {}` has it back",
                    deleted.name,
                    words::argument(&deleted.name)
                ));
                Ok(())
            }
            SnapshotCommand::Undelete(undelete) => {
                let back = snapshot::undelete(context, &undelete.name, undelete.rename.as_deref()).await?;
                told_snapshot(ui, &back);
                ui.note(&format!("snapshot {} is back", back.name));
                Ok(())
            }
        }
    }
}

fn told_snapshot(ui: &Ui, snapshot: &Snapshot) {
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "snapshot": snapshot }));
    }
}

impl SnapshotList {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let found = list::snapshots(context, self.all, self.sizes).await?;
        if ui.wants_json() {
            ui.json(&found);
            return Ok(());
        }
        if found.snapshots.is_empty() {
            ui.note("no snapshots yet: `devenv db snapshot save NAME` makes one");
            return Ok(());
        }
        let now = branch::now();
        let mut titles = vec!["SNAPSHOT", "BRANCH", "TAKEN"];
        if self.sizes {
            titles.extend(["OWN", "SHARED"]);
        }
        titles.push("REMARKS");
        let mut table = Table::new(&titles);
        for row in &found.snapshots {
            let mut cells = vec![
                words::short(&row.name),
                row.branch.as_deref().map(words::short).unwrap_or_default(),
                words::ago(now - row.created),
            ];
            if self.sizes {
                cells.extend(sizes(row.size));
            }
            cells.push(snapshot_remarks(row, now));
            table.row(cells);
        }
        ui.table(&table);
        Ok(())
    }
}

fn snapshot_remarks(row: &list::SnapshotRow, now: Seconds) -> String {
    let mut remarks = Vec::new();
    if !row.message.is_empty() {
        remarks.push(words::harmless(&row.message));
    }
    if row.reason == Reason::Fork {
        remarks.push("a branch began here".to_owned());
    }
    if let Some(at) = row.deleted {
        remarks.push(format!("deleted {}", words::ago(now - at)));
    }
    if let Some(at) = row.expires {
        remarks.push(format!("ends in {}", words::left(at - now)));
    }
    remarks.join(", ")
}

/// How data was masked, in a line.
fn masked(how: &Attestation) -> String {
    format!(
        "{} columns of {} tables from {}, {} searched, policy {:.12}, key {}",
        how.masked,
        how.tables,
        words::harmless(&how.source),
        how.searched,
        how.policy,
        how.key
    )
}

async fn show_snapshot(context: &Context, ui: &Ui, name: &str) -> Result<(), Failure> {
    let row = list::snapshot(context, name).await?;
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "snapshot": row }));
        return Ok(());
    }
    let now = branch::now();
    let mut table = Table::new(&["WHAT", "IS"]);
    let [own, shared] = sizes(row.size);
    let rows = [
        ("Snapshot", words::harmless(&row.name)),
        ("Id", row.id.clone()),
        ("Branch", row.branch.as_deref().map(words::harmless).unwrap_or_default()),
        ("Taken", words::ago(now - row.created)),
        ("Own data", own),
        ("Shared data", shared),
        ("Masked", row.attestation.as_ref().map(masked).unwrap_or_default()),
        ("Remarks", snapshot_remarks(&row, now)),
    ];
    for (what, is) in rows.into_iter().filter(|(_, is)| !is.is_empty()) {
        table.row([what.to_owned(), is]);
    }
    ui.table(&table);
    Ok(())
}

/// Print the address of a branch's database
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db url                            postgresql://…\n  eval \"$(devenv db url --format env)\"     DATABASE_URL, PGHOST, PGPORT, …\n\nThe address holds the password: mind where it is printed."
)]
pub(super) struct Url {
    // (Not called as the `--branch` of every command is: clap would take them for one.)
    /// The branch [default: the current one]
    #[arg(value_name = "BRANCH")]
    name: Option<String>,
    /// As what
    #[arg(long, value_name = "FORM", default_value = "uri")]
    format: Format,
    /// Start its database beside if it does not run
    #[arg(long)]
    start: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One URI
    Uri,
    /// Variables for a shell
    Env,
    /// Keywords and values of libpq
    Dsn,
}

impl Url {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let address = url::url(context, self.name.as_deref(), self.start).await?;
        if ui.wants_json() {
            ui.json(&json!({
                "version": 1, "url": address.uri(), "host": address.host, "port": address.port,
                "user": address.server.user, "database": address.server.database,
            }));
            return Ok(());
        }
        match self.format {
            Format::Uri => ui.line(address.uri()),
            Format::Dsn => ui.line(address.dsn()),
            Format::Env => {
                for (name, value) in address.variables() {
                    ui.line(format!("export {name}={}", words::argument(&value)));
                }
            }
        }
        Ok(())
    }
}

/// Open psql on a branch's database; it is started beside if it does not run
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  devenv psql\n  devenv psql feat/login -- -c 'select 1'")]
pub(super) struct Psql {
    // (Not called as the `--branch` of every command is: clap would take them for one.)
    /// The branch [default: the current one]
    #[arg(value_name = "BRANCH")]
    name: Option<String>,
    /// Arguments of psql
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Psql {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let terminal = super::run::terminal(false, false, false);
        url::psql(context, self.name.as_deref(), &self.arguments, terminal).await
    }
}
