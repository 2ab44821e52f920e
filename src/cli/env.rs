//! `env`: environments, one for each git branch and working tree.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::options;
use crate::base::{Failure, Kind};
use crate::lineage::Seconds;
use crate::ops::environment::{
    Words, adopt, archive, end, export, list, make, orphans, resolve, restore, switch,
};
use crate::ops::{Context, branch, gateway, up};
use crate::ui::{Table, Ui, words};

/// Environments: one for each git branch, with containers, ports and data of its own
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  git checkout feat/login && devenv up    its own environment, on a copy of the data\n  devenv env list                         what there is, what it costs\n  devenv env create qa --ttl 3d           one that follows no git branch\n  devenv -e qa logs -f                    any command in another environment\n  devenv env destroy qa                   for seven days `env undelete` has it back\n\nWhich environment a command means: --env, else DEVENV_ENV, else what `env switch` chose, else STAGE or\nNODE_ENV (development means none), else the git branch. The default git branch is the compose project itself."
)]
pub(super) struct Env {
    #[command(subcommand)]
    command: EnvCommand,
}

#[derive(Debug, Subcommand)]
enum EnvCommand {
    #[command(visible_alias = "new")]
    Create(Create),
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one environment
    Show(Named),
    /// Print which environment commands here mean, and why
    Current,
    #[command(visible_alias = "use")]
    Switch(Switch),
    Clone(Clone_),
    #[command(visible_alias = "rm")]
    Destroy(Destroy),
    Undelete(Undelete),
    Ttl(Ttl),
    Diff(Diff),
    Export(Export),
    Archive(Archive),
    Restore(Restore),
    Adopt(Adopt),
}

/// Make an environment and start it
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv env create qa --ttl 3d\n  devenv env create demo --from main --data before-import\n  devenv env create blank --data empty --no-up"
)]
struct Create {
    /// What to call it; a git branch's name makes the environment of that git branch
    name: String,
    /// The environment that it comes from [default: the nearest git branch's, else the default one]
    #[arg(long, value_name = "ENV")]
    from: Option<String>,
    /// What its data begins as: a branch, a snapshot, or `empty` [default: a copy of what it comes from]
    #[arg(long, value_name = "BRANCH|SNAPSHOT|empty")]
    data: Option<String>,
    /// Destroy it by itself after this time, such as `3d`
    #[arg(long, value_name = "SPAN", value_parser = options::ttl)]
    ttl: Option<TtlWord>,
    /// Do not start it
    #[arg(long)]
    no_up: bool,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

type TtlWord = Option<Seconds>;

/// Show environments
#[derive(Debug, Args)]
struct List {
    /// Those of every project
    #[arg(long)]
    all_projects: bool,
    /// Those too that were destroyed and can be had back
    #[arg(long, visible_alias = "expired")]
    destroyed: bool,
}

#[derive(Debug, Args)]
struct Named {
    /// The environment [default: the one that commands here mean]
    name: Option<String>,
}

/// Let commands in this folder mean another environment, and start that
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv env switch qa     until the folder is switched back, whatever git branch is checked out\n  devenv env switch -      the one before\n\nThe environment of the git branch that is checked out needs no choice: switching to it ends one."
)]
struct Switch {
    /// The environment; `-` is the one before
    #[arg(allow_hyphen_values = true)]
    name: String,
    /// Do not start it
    #[arg(long)]
    no_up: bool,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Make an environment that begins as another one is now
#[derive(Debug, Args)]
#[command(
    name = "clone",
    after_help = "Examples:\n  devenv env clone main demo\n  devenv env clone main blank --data schema    its tables, and the record of its migrations; no rows\n\n`--data schema` asks the source's database, which has to run, and leaves its other volumes empty."
)]
struct Clone_ {
    /// The environment that is copied
    source: String,
    /// What to call the copy
    name: String,
    /// What of its data is copied
    #[arg(long, value_name = "WHAT", default_value = "cow")]
    data: CloneData,
    /// Destroy it by itself after this time, such as `3d`
    #[arg(long, value_name = "SPAN", value_parser = options::ttl)]
    ttl: Option<TtlWord>,
    /// Do not start it
    #[arg(long)]
    no_up: bool,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CloneData {
    /// All of it, copy-on-write
    Cow,
    /// The database's schema and no rows, in files that never held any
    Schema,
    /// Nothing
    None,
}

/// Take environments away, with their data; for seven days they can be had back
#[derive(Debug, Args)]
struct Destroy {
    /// The environments
    #[arg(required = true)]
    names: Vec<String>,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Have an environment back that was destroyed, and start it
#[derive(Debug, Args)]
struct Undelete {
    /// The environment
    name: String,
    /// Do not start it
    #[arg(long)]
    no_up: bool,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Give an environment an end, or none
#[derive(Debug, Args)]
struct Ttl {
    /// The environment
    name: String,
    /// The time from now, such as `12h` or `7d`, or `never`
    #[arg(value_parser = options::ttl)]
    span: TtlWord,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// How two environments differ
#[derive(Debug, Args)]
struct Diff {
    /// One
    a: String,
    /// The other [default: the one that commands here mean]
    b: Option<String>,
}

/// Print the addresses of the environment as variables
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  eval \"$(devenv env export)\"\n  devenv env export --shell fish | source\n  devenv env export --shell dotenv > .env.local\n  devenv env export --shell github >> \"$GITHUB_ENV\""
)]
struct Export {
    /// How to write them
    #[arg(long, value_name = "FORMAT", default_value = "bash")]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Json,
    Dotenv,
    Github,
}

impl Env {
    /// `context` means no environment yet.
    pub(super) async fn run(self, context: &Context, asked: Words<'_>, ui: &Ui) -> Result<(), Failure> {
        let here = async || resolve(context, asked).await;
        match self.command {
            EnvCommand::Create(create) => create.run(context, ui).await,
            EnvCommand::List(list) => list.run(&here().await?, ui).await,
            EnvCommand::Show(named) => show(context, asked, ui, named.name.as_deref()).await,
            EnvCommand::Current => current(&here().await?, ui),
            EnvCommand::Switch(switch) => switch.run(context, ui).await,
            EnvCommand::Clone(clone) => clone.run(context, ui).await,
            EnvCommand::Destroy(destroy) => destroy.run(context, ui).await,
            EnvCommand::Undelete(undelete) => undelete.run(context, ui).await,
            EnvCommand::Ttl(ttl) => ttl.run(context, ui).await,
            EnvCommand::Diff(diff) => diff.run(context, asked, ui).await,
            EnvCommand::Export(export) => export.run(&here().await?, ui).await,
            EnvCommand::Archive(archive) => archive.run(context, asked, ui).await,
            EnvCommand::Restore(restore) => restore.run(context, ui).await,
            EnvCommand::Adopt(adopt) => adopt.run(&here().await?, ui).await,
        }
    }
}

/// The context of an environment that is there, or of a git branch.
async fn named(context: &Context, name: &str) -> Result<Context, Failure> {
    resolve(context, Words { environment: Some(name), ..Words::default() }).await
}

/// The context of an environment that may not be there yet.
async fn new(context: &Context, name: &str) -> Result<Context, Failure> {
    crate::lineage::names::check(name).map_err(|why| {
        Failure::new(
            Kind::Usage,
            format!("`{}` cannot be the name of an environment: {why}", name.escape_debug()),
        )
        .hint("what git allows as the name of a branch is allowed (git-check-ref-format)")
    })?;
    match named(context, name).await {
        Ok(there) => Ok(there),
        Err(failure) if failure.message.starts_with("no such environment") => {
            let here = resolve(context, Words::default()).await?;
            let standing = here.standing()?;
            let label = crate::lineage::which::label(name);
            Ok(here.in_environment(standing, None, &standing.name_of(&label)))
        }
        Err(failure) => Err(failure),
    }
}

/// Starts it, unless that is not wanted.
async fn start(context: &Context, ui: &Ui, no_up: bool) -> Result<(), Failure> {
    if no_up {
        let label = context.standing()?.label.clone();
        ui.note(&format!("`devenv -e {} up` starts it", words::argument(&label)));
        return Ok(());
    }
    let done = up::up(context, &start_options()).await?;
    write_dotenv(done.moved.as_ref().unwrap_or(context), ui).await
}

/// What `up` does where it was not asked for by that name.
pub(super) fn start_options() -> up::Options {
    let plain = up::Options::for_run("", false, false, super::stack::PATIENCE);
    up::Options { services: Vec::new(), wait: true, ..plain }
}

/// Writes the file that the compose file asks for.
pub(super) async fn write_dotenv(context: &Context, ui: &Ui) -> Result<(), Failure> {
    if context.standing.is_some()
        && let Some(name) = export::dotenv(context).await?
    {
        ui.note(&format!("the addresses stand in {name}"));
    }
    Ok(())
}

async fn make_and_start(
    there: &Context,
    ui: &Ui,
    options: make::Options,
    (no_up, dry_run): (bool, bool),
) -> Result<(), Failure> {
    let standing = there.standing()?;
    let all = crate::ops::environment::records(there, &standing.folder).await?;
    let exists = all.iter().any(|it| it.name == standing.name && it.state.deleted().is_none());
    if exists || standing.is_default() {
        let label = words::argument(&standing.label);
        return Err(Failure::new(
            Kind::Conflict,
            format!("there is an environment `{}` already", standing.label),
        )
        .hint(format!("`devenv -e {label} up` starts it, `devenv env switch {label}` turns to it")));
    }
    if dry_run {
        ui.note(&format!("would make environment {} ({})", standing.label, standing.name));
        return Ok(());
    }
    let made = make::make(there, &options).await?;
    make::tell(there, &made);
    let context = there.in_environment(standing, Some(&made.record), &made.record.name);
    start(&context, ui, no_up).await?;
    if ui.wants_json() {
        ui.json(&json!({
            "version": 1, "environment": made.label, "name": made.record.name, "from": made.from,
            "branch": made.branch, "git": made.record.git, "expires": made.record.expires,
            "ports": made.record.ports,
        }));
    }
    Ok(())
}

impl Create {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let there = new(context, &self.name).await?;
        let data = match self.data.as_deref() {
            None => make::Data::Copy,
            Some("empty") => make::Data::Empty,
            Some(point) => make::Data::Of(point.to_owned()),
        };
        let options = make::Options { from: self.from, data, ttl: self.ttl.flatten() };
        make_and_start(&there, ui, options, (self.no_up, self.dry_run)).await
    }
}

impl Clone_ {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        named(context, &self.source).await?;
        let there = new(context, &self.name).await?;
        let data = match self.data {
            CloneData::Cow => make::Data::Copy,
            CloneData::Schema => make::Data::Schema,
            CloneData::None => make::Data::Empty,
        };
        let options = make::Options { from: Some(self.source), data, ttl: self.ttl.flatten() };
        make_and_start(&there, ui, options, (self.no_up, self.dry_run)).await
    }
}

impl List {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let options = list::Options { all_projects: self.all_projects, destroyed: self.destroyed };
        let listing = list::list(context, options).await?;
        if ui.wants_json() {
            ui.json(&listing);
            return Ok(());
        }
        let now = branch::now();
        let mut titles = vec!["", "ENVIRONMENT"];
        if self.all_projects {
            titles.insert(1, "PROJECT");
        }
        titles.extend(["STATE", "GIT BRANCH", "DATA", "OWNER", "MADE", "ENDS", "MEMORY", "DISK"]);
        let mut table = Table::new(&titles);
        for row in &listing.environments {
            let some = |text: &Option<String>| text.as_deref().map(words::short).unwrap_or_default();
            let size = |bytes: Option<u64>| bytes.map(words::bytes).unwrap_or_default();
            let mut cells = vec![if row.current { "*".to_owned() } else { String::new() }];
            if self.all_projects {
                cells.push(row.project.clone());
            }
            cells.extend([
                row.environment.clone(),
                state(row),
                some(&row.git),
                some(&row.branch),
                some(&row.owner),
                row.created.map(|at| words::ago(now - at)).unwrap_or_default(),
                ends(row, now),
                size(row.memory),
                size(row.disk),
            ]);
            table.row(cells);
        }
        ui.table(&table);
        Ok(())
    }
}

fn state(row: &list::Row) -> String {
    match row.state {
        "partly" => format!("{} of {} run", row.running, row.containers),
        other => other.to_owned(),
    }
}

fn ends(row: &list::Row, now: Seconds) -> String {
    let why = if row.orphaned.is_some() { " (git branch gone)" } else { "" };
    row.expires
        .map(|at| if at > now { format!("in {}{why}", words::left(at - now)) } else { format!("now{why}") })
        .unwrap_or_default()
}

async fn show(context: &Context, asked: Words<'_>, ui: &Ui, name: Option<&str>) -> Result<(), Failure> {
    let there = match name {
        Some(name) => named(context, name).await?,
        None => resolve(context, asked).await?,
    };
    let standing = there.standing()?;
    let listing = list::list(&there, list::Options { destroyed: true, ..list::Options::default() }).await?;
    let row = listing.environments.into_iter().find(|row| row.name == standing.name).ok_or_else(|| {
        Failure::new(Kind::Failed, format!("there is no environment `{}` yet", standing.label))
            .hint("`devenv up` makes it")
    })?;
    if ui.wants_json() {
        let mut document = json!(row);
        document["version"] = json!(1);
        ui.json(&document);
        return Ok(());
    }
    let now = branch::now();
    let mut table = Table::new(&["WHAT", "IS"]);
    let some = |text: &Option<String>| text.as_deref().map(words::harmless).unwrap_or_default();
    let ago = |at: Option<Seconds>| at.map(|at| words::ago(now - at)).unwrap_or_default();
    let ports: Vec<String> = row.ports.iter().map(|(what, port)| format!("{what} → {port}")).collect();
    let rows = [
        ("Environment", row.environment.clone()),
        ("Compose project", row.name.clone()),
        ("Meant by", standing.origin.to_string()),
        ("State", state(&row)),
        ("Git branch", some(&row.git)),
        ("Folder", some(&row.worktree)),
        ("Branch of the data", some(&row.branch)),
        ("Owner", some(&row.owner)),
        ("Made", ago(row.created)),
        ("Used", ago(row.used)),
        ("Ends", ends(&row, now)),
        ("Memory", row.memory.map(words::bytes).unwrap_or_default()),
        ("Disk", row.disk.map(words::bytes).unwrap_or_default()),
        ("Ports", ports.join(", ")),
    ];
    for (what, is) in rows.into_iter().filter(|(_, is)| !is.is_empty()) {
        table.row([what.to_owned(), words::harmless(&is)]);
    }
    ui.table(&table);
    Ok(())
}

fn current(context: &Context, ui: &Ui) -> Result<(), Failure> {
    let standing = context.standing()?;
    if ui.wants_json() {
        ui.json(&json!({
            "version": 1, "environment": standing.label, "name": standing.name, "project": standing.base,
            "default": standing.is_default(), "git": standing.git, "origin": standing.origin.to_string(),
        }));
        return Ok(());
    }
    ui.line(&standing.label);
    ui.note(&format!("meant by {}", words::harmless(&standing.origin.to_string())));
    Ok(())
}

impl Switch {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let switched = switch::switch(context, &self.name, self.dry_run).await?;
        let there = &switched.context;
        let label = there.standing()?.label.clone();
        if self.dry_run {
            ui.note(&format!("would switch to environment {label}"));
            return Ok(());
        }
        // What `ensure` remembers is the same.
        let ready = if self.no_up {
            gateway::tell(there).await;
            there.clone()
        } else {
            let ready = make::ensure(there).await?;
            start(&ready, ui, false).await?;
            ready
        };
        let chosen = if switched.pinned {
            "; the git branch means another one: `devenv env switch -` goes back"
        } else {
            ""
        };
        ui.note(&format!("on environment {label}{chosen}"));
        if ui.wants_json() {
            ui.json(&json!({
                "version": 1, "environment": label, "name": ready.standing()?.name,
                "before": switched.before, "pinned": switched.pinned,
            }));
        }
        Ok(())
    }
}

impl Destroy {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let here = resolve(context, Words::default()).await?;
        orphans::finish(&here).await?;
        let mut names = Vec::new();
        for name in &self.names {
            let there = match named(context, name).await {
                Ok(there) => there,
                Err(failure) => new_but_known(context, name, failure).await?,
            };
            names.push(there.standing()?.name.clone());
        }
        let question = format!("Destroy {}? For seven days it can be had back.", self.names.join(", "));
        if self.dry_run {
            for name in &names {
                ui.note(&format!("would destroy environment {} ({name})", here.standing()?.label_of(name)));
            }
            return Ok(());
        }
        if !ui.confirm(&question, "--yes")? {
            return Err(Failure::new(Kind::Failed, "nothing was destroyed"));
        }
        let mut proofs = Vec::new();
        for name in &names {
            let proof = end::destroy(&here, name, "asked for").await?;
            let data = proof.deleted.as_ref().map(|_| " and its data").unwrap_or_default();
            ui.note(&format!(
                "environment {label} is destroyed: {} containers, {} networks, {} volumes, {} branches are left; \
                 for seven days `devenv env undelete {word}` has it{data} back",
                proof.containers,
                proof.networks,
                proof.volumes,
                proof.branches,
                label = proof.environment,
                word = words::argument(&proof.environment),
            ));
            proofs.push(proof);
        }
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "destroyed": proofs }));
        }
        match proofs.iter().find(|proof| !proof.is_clean()) {
            None => Ok(()),
            Some(left) => {
                Err(Failure::new(Kind::Failed, format!("something of `{}` is left", left.environment))
                    .hint("give the command again"))
            }
        }
    }
}

/// An environment that was destroyed before: destroying it again shows that nothing is left.
async fn new_but_known(context: &Context, name: &str, failure: Failure) -> Result<Context, Failure> {
    let there = resolve(context, Words::default()).await?;
    let standing = there.standing()?;
    let all = crate::ops::environment::records(&there, &standing.folder).await?;
    let names =
        [standing.name_of(name), standing.name_of(&crate::lineage::which::label(name)), name.to_owned()];
    match all.iter().find(|it| names.contains(&it.name)) {
        Some(record) => Ok(there.in_environment(standing, Some(record), &record.name)),
        None => Err(failure),
    }
}

impl Undelete {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let here = resolve(context, Words::default()).await?;
        orphans::finish(&here).await?;
        if self.dry_run {
            ui.note(&format!("would have environment {} back", self.name));
            return Ok(());
        }
        let record = end::undelete(&here, &self.name).await?;
        let standing = here.standing()?;
        let there = here.in_environment(standing, Some(&record), &record.name);
        start(&there, ui, self.no_up).await?;
        ui.note(&format!("environment {} is back", standing.label_of(&record.name)));
        if ui.wants_json() {
            ui.json(
                &json!({ "version": 1, "environment": standing.label_of(&record.name), "name": record.name }),
            );
        }
        Ok(())
    }
}

impl Ttl {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let there = named(context, &self.name).await?;
        let standing = there.standing()?;
        if self.dry_run {
            ui.note(&format!("would give environment {} another end", standing.label));
            return Ok(());
        }
        let record = end::ttl(&there, &standing.name, self.span).await?;
        let now = branch::now();
        let until = record
            .expires
            .map_or_else(|| "never ends".to_owned(), |at| format!("ends in {}", words::left(at - now)));
        ui.note(&format!("environment {} {until}", standing.label));
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "environment": standing.label, "expires": record.expires }));
        }
        Ok(())
    }
}

impl Diff {
    async fn run(self, context: &Context, asked: Words<'_>, ui: &Ui) -> Result<(), Failure> {
        let a = named(context, &self.a).await?;
        let b = match &self.b {
            Some(name) => named(context, name).await?,
            None => resolve(context, asked).await?,
        };
        let (first, second) = (a.standing()?, b.standing()?);
        let differences = list::diff(&b, &first.name, &second.name).await?;
        if ui.wants_json() {
            let (a, b) = (&first.label, &second.label);
            ui.json(&json!({ "version": 1, "a": a, "b": b, "differences": differences }));
            return Ok(());
        }
        if differences.is_empty() {
            ui.note("they do not differ");
            return Ok(());
        }
        let mut table = Table::new(&["WHAT", &first.label, &second.label]);
        for difference in &differences {
            table.row([&difference.what, &difference.a, &difference.b].map(|text| words::harmless(text)));
        }
        ui.table(&table);
        Ok(())
    }
}

/// Write an environment into one file: the project's files, what is known of it, and its data
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv env archive qa                  into PROJECT-qa.devenv\n  devenv env archive qa /backup/qa.devenv\n\nServices go on working; the data is that of one instant. The file is readable by you alone: it\nholds what the project's files hold, passwords too. It is a tar compressed by gzip, so that\n`tar -tzf FILE` lists it. Devices and access lists of files are not kept."
)]
struct Archive {
    /// The environment [default: this one]
    name: Option<String>,
    /// The file, which must not be there yet [default: PROJECT-NAME.devenv]
    file: Option<PathBuf>,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Archive {
    async fn run(self, context: &Context, asked: Words<'_>, ui: &Ui) -> Result<(), Failure> {
        let there = match &self.name {
            Some(name) => named(context, name).await?,
            None => resolve(context, asked).await?,
        };
        let label = there.standing()?.label.clone();
        if self.dry_run {
            ui.note(&format!("would write environment {label} into a file"));
            return Ok(());
        }
        let done = archive::archive(&there, self.file.as_deref()).await?;
        for left in &done.left_out {
            let path = words::harmless(&left.display().to_string());
            ui.note(&format!("not in it, as it is not below the project's folder: {path}"));
        }
        let file = done.file.display().to_string();
        ui.note(&format!(
            "environment {label} is in {}: {} of data in {}; `devenv env restore` makes one of it",
            words::harmless(&file),
            words::bytes(done.manifest.bytes),
            words::bytes(done.size)
        ));
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "file": file, "size": done.size, "archive": done.manifest }));
        }
        Ok(())
    }
}

/// Make an environment of a file that `env archive` wrote, here or on another machine
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv env restore shop-qa.devenv\n  devenv env restore shop-qa.devenv --as qa-again --no-up\n\nThe file is checked to its end before anything is made. Files of the project that are not in\nthis folder are written, those that are stay. What is not let in: paths that lead out, links\nto elsewhere that something would be written through, devices."
)]
struct Restore {
    /// The file
    file: PathBuf,
    /// What to call the environment [default: as it was called]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Do not start it
    #[arg(long)]
    no_up: bool,
    /// Only check the file, and say what is in it
    #[arg(long)]
    dry_run: bool,
}

impl Restore {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        if self.dry_run {
            let (manifest, bytes) = restore::look(context, &self.file).await?;
            ui.note(&format!(
                "whole: environment {} of {}, {} of data in {} volumes",
                words::harmless(&manifest.environment),
                words::harmless(&manifest.project),
                words::bytes(bytes),
                manifest.volumes.len()
            ));
            if ui.wants_json() {
                ui.json(&json!({ "version": 1, "archive": manifest, "bytes": bytes }));
            }
            return Ok(());
        }
        let done = restore::restore(context, &self.file, self.name.as_deref()).await?;
        for file in &done.written {
            ui.note(&format!("written: {}", words::harmless(file)));
        }
        for file in &done.differ {
            ui.note(&format!("left as it is, and not as in the archive: {}", words::harmless(file)));
        }
        let label = done.context.standing()?.label.clone();
        start(&done.context, ui, self.no_up).await?;
        ui.note(&format!("environment {label} is restored, with {} of data", words::bytes(done.bytes)));
        if ui.wants_json() {
            ui.json(&json!({
                "version": 1, "environment": label, "name": done.context.standing()?.name, "branch": done.branch,
                "archive": done.manifest, "written": done.written, "differ": done.differ,
            }));
        }
        Ok(())
    }
}

/// Move the data of a compose project that ran before into the pool, once
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv env adopt             the volumes of this project\n  devenv env adopt old-shop    those of a project that had another name; it keeps them\n\nOnly the default environment adopts; others begin as copies of it."
)]
struct Adopt {
    /// The compose project that had the volumes [default: this one]
    #[arg(value_name = "PROJECT")]
    old: Option<String>,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Adopt {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        if self.dry_run {
            let name = &context.standing()?.base;
            ui.note(&format!("would move the data of {} into the pool", self.old.as_ref().unwrap_or(name)));
            return Ok(());
        }
        let adopted = adopt::adopt(context, self.old.as_deref()).await?;
        ui.note(&format!(
            "{} are branch {} of the pool now: `devenv up` starts on it",
            adopted.volumes.join(", "),
            adopted.branch
        ));
        if let Some(old) = &self.old {
            let old = words::argument(old);
            ui.note(&format!(
                "{old} has its volumes still: `docker compose -p {old} down -v` takes them away"
            ));
        }
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "branch": adopted.branch, "volumes": adopted.volumes }));
        }
        Ok(())
    }
}

impl Export {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let format = match self.shell {
            Shell::Bash | Shell::Zsh => export::Format::Posix,
            Shell::Fish => export::Format::Fish,
            Shell::Json => export::Format::Json,
            Shell::Dotenv => export::Format::Dotenv,
            Shell::Github => export::Format::Github,
        };
        let format = if ui.wants_json() { export::Format::Json } else { format };
        ui.bytes(export::write(&export::variables(context).await?, format).as_bytes());
        Ok(())
    }
}

/// Print what another program's configuration is given to follow the git branch
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  devenv hook direnv >> .envrc && direnv allow")]
pub(super) struct Hook {
    /// The program
    program: Program,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    /// direnv (<https://direnv.net>)
    Direnv,
}

impl Hook {
    pub(super) fn run(&self, ui: &Ui) {
        match self.program {
            Program::Direnv => ui.bytes(export::DIRENV.as_bytes()),
        }
    }
}
