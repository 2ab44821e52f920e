//! `pool`, `gc` and `state`: where the data of branches lies, and the records of it.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::options;
use crate::base::{Failure, Kind};
use crate::lineage::{Seconds, Verdict};
use crate::ops::branch::{state, sweep};
use crate::ops::environment::orphans;
use crate::ops::{Context, pool};
use crate::storage::protocol::{Driver, Status};
use crate::ui::{Table, Ui, words};

/// The place that holds the data of all branches
#[derive(Debug, Args)]
#[command(
    after_help = "The pool makes itself on first use, on the best driver that the engine allows:\n  btrfs    snapshots of the file system\n  reflink  files that share their blocks (XFS)\n  copy     byte by byte; works everywhere"
)]
pub(super) struct Pool {
    #[command(subcommand)]
    command: PoolCommand,
}

#[derive(Debug, Subcommand)]
enum PoolCommand {
    /// Show how full it is, and how it copies
    Status,
    Create(Create),
    Grow(Grow),
    /// Look for damage and leftovers, and put right what can be
    Check,
    /// Take the pool away, with all that is in it, for good
    Delete,
}

/// Make the pool before its first use
#[derive(Debug, Args)]
struct Create {
    /// Its size, such as `40G` [default: a quarter of what is free]
    #[arg(long, value_parser = options::bytes)]
    size: Option<u64>,
    /// How it copies [default: the best that works here]
    #[arg(long)]
    driver: Option<DriverWord>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DriverWord {
    Reflink,
    Btrfs,
    Copy,
}

/// Make the pool larger
#[derive(Debug, Args)]
struct Grow {
    /// Its size from then on, such as `80G`
    #[arg(value_parser = options::bytes)]
    size: u64,
}

impl Pool {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            PoolCommand::Status => show(ui, context, &pool::status(context).await?),
            PoolCommand::Create(create) => {
                let driver = create.driver.map(|word| match word {
                    DriverWord::Btrfs => Driver::Btrfs,
                    DriverWord::Reflink => Driver::Reflink,
                    DriverWord::Copy => Driver::Copy,
                });
                let made = pool::create_now(context, &pool::Wanted { driver, size: create.size }).await?;
                show(ui, context, &made);
            }
            PoolCommand::Grow(grow) => show(ui, context, &pool::grow(context, grow.size).await?),
            PoolCommand::Delete => {
                let has: Vec<String> = pool::inhabitants(context)
                    .await?
                    .into_iter()
                    .map(|(project, count)| format!("{project} ({count} branches and snapshots)"))
                    .collect();
                let has = if has.is_empty() { "nobody".to_owned() } else { has.join(", ") };
                let question = format!(
                    "Delete the pool {} for good? It holds data of {}.",
                    context.pool_name(),
                    words::harmless(&has)
                );
                if !ui.confirm(&question, "--yes")? {
                    return Err(Failure::new(Kind::Failed, "nothing was deleted"));
                }
                pool::delete(context).await?;
                ui.note("the pool is gone");
            }
            PoolCommand::Check => {
                let problems = pool::check(context).await?;
                if ui.wants_json() {
                    ui.json(&json!({ "version": 1, "problems": problems }));
                } else if problems.is_empty() {
                    ui.note("the pool is well");
                }
                for problem in problems.iter().filter(|_| !ui.wants_json()) {
                    ui.line(problem);
                }
                if !problems.is_empty() {
                    let code = Kind::Storage.exit_code();
                    return Err(Failure::new(Kind::Status(code), "the pool is not well"));
                }
            }
        }
        Ok(())
    }
}

fn show(ui: &Ui, context: &Context, status: &Status) {
    let name = context.pool_name();
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "pool": name, "status": status }));
        return;
    }
    let mut table = Table::new(&["WHAT", "IS"]);
    let how = match status.driver {
        Driver::Btrfs => "btrfs: snapshots of the file system",
        Driver::Reflink => "reflink: files that share their blocks (XFS)",
        Driver::Copy => "copy: byte by byte",
    };
    let rows = [
        ("Pool", name),
        ("Driver", how.to_owned()),
        ("Size", words::bytes(status.total)),
        ("Free", words::bytes(status.free)),
        ("Kept free", words::bytes(status.floor)),
        ("Free below it", words::bytes(status.host_free)),
        ("State", if status.read_only { "read-only after an error" } else { "ok" }.to_owned()),
    ];
    for (what, is) in rows {
        table.row([what.to_owned(), is]);
    }
    ui.table(&table);
}

/// Take away what was deleted more than seven days ago, and branches whose time is over
#[derive(Debug, Args)]
pub(super) struct Gc {
    /// Keep what was deleted for this long instead, such as `1d`
    #[arg(long, value_name = "SPAN", value_parser = options::age)]
    older: Option<Seconds>,
    /// Say what would go
    #[arg(long)]
    dry_run: bool,
}

impl Gc {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let older = self.older;
        let question = "Take away for good what was deleted or replaced before that?";
        if older.is_some() && !self.dry_run && !ui.confirm(question, "--yes")? {
            return Err(Failure::new(Kind::Failed, "nothing was taken away"));
        }
        orphans::finish(context).await?;
        let ended = orphans::sweep(context, None, self.dry_run).await?;
        let done = sweep::sweep(context, sweep::Options { older, dry_run: self.dry_run }).await?;
        let rows = || {
            done.decisions.iter().map(|decision| {
                let what = match &decision.verdict {
                    Verdict::Go(act) => format!("{act:?}").to_lowercase(),
                    Verdict::Stay(why) => format!("stays: {why}"),
                };
                (decision, what)
            })
        };
        if ui.wants_json() {
            let all: Vec<_> = rows()
                .map(|(decision, what)| {
                    json!({ "sort": decision.sort.word(), "id": decision.id, "name": decision.name,
                            "due": decision.due.to_string(), "verdict": what })
                })
                .collect();
            ui.json(
                &json!({ "version": 1, "dry_run": self.dry_run, "environments": ended, "decisions": all }),
            );
            return Ok(());
        }
        if self.dry_run {
            for label in &ended {
                ui.note(&format!("environment {label} would be destroyed"));
            }
        }
        if done.decisions.is_empty() && ended.is_empty() {
            ui.note("nothing is due");
            return Ok(());
        }
        let mut table = Table::new(&["WHAT", "NAME", "DUE", "DONE"]);
        for (decision, what) in rows() {
            let name = words::harmless(&decision.name);
            table.row([decision.sort.word().to_owned(), name, decision.due.to_string(), what]);
        }
        ui.table(&table);
        Ok(())
    }
}

/// devenv's own records of branches
#[derive(Debug, Args)]
pub(super) struct State {
    #[command(subcommand)]
    command: StateCommand,
}

#[derive(Debug, Subcommand)]
enum StateCommand {
    Rebuild(Rebuild),
}

/// Make the records again from what lies in the pool
#[derive(Debug, Args)]
struct Rebuild {
    /// Only say how they differ
    #[arg(long)]
    dry_run: bool,
}

impl State {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let StateCommand::Rebuild(rebuild) = self.command;
        let found = state::rebuild(context, rebuild.dry_run).await?;
        if ui.wants_json() {
            ui.json(&json!({
                "version": 1, "differences": found.differences, "notes": found.notes, "foreign": found.foreign,
            }));
            return Ok(());
        }
        for line in &found.differences {
            ui.line(words::harmless(line));
        }
        for note in &found.notes {
            ui.events().tell(crate::base::Event::warning(note.as_str()));
        }
        for foreign in &found.foreign {
            ui.note(&format!("left alone, since it is not ours: {foreign}"));
        }
        if found.differences.is_empty() {
            ui.note("the records and the pool agree");
        } else if !rebuild.dry_run {
            ui.note("the records are as the pool has it now");
        }
        Ok(())
    }
}
