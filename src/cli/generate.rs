//! `db generate` and `db seed`: rows that are made up, and rows out of files.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::base::Failure;
use crate::generate::Wishes;
use crate::ops::Context;
use crate::ops::generate::{self, Generated, Options, Out};
use crate::ops::seed;
use crate::ui::{Table, Ui, words};

/// Fill tables with rows that are made up, the same for the same seed
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db generate                              1,000 rows in every table that users made\n  devenv db generate --rows users=10k --seed 42   more of one\n  devenv db generate --scale 100                  100,000 in each; the first ones are the same\n  devenv db generate --dry-run                    the plan, and whether it can be carried out\n\nForeign keys, unique columns and checks are kept; what cannot be is refused before the first row. Nothing generated reaches anyone: addresses of mail end in example.com and its like, telephone numbers are nobody's.\nWhat columns hold can be said in the compose file:\n  x-devenv:\n    generate: {seed: 42, tables: {orders: {rows: 50k, columns: {status: [new, paid]}, fanout: {user_id: zipf}}}}"
)]
pub(super) struct Generate {
    /// So many rows of a table, such as `users=10k`
    #[arg(long, value_name = "TABLE=N")]
    rows: Vec<String>,
    /// All numbers of rows times this
    #[arg(long, value_name = "X")]
    scale: Option<f64>,
    /// What all values are made of [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only this table; what it points at must be there
    #[arg(long, value_name = "TABLE")]
    only: Vec<String>,
    /// Not this table
    #[arg(long, value_name = "TABLE")]
    skip: Vec<String>,
    /// Add to tables that hold rows already
    #[arg(long)]
    append: bool,
    /// Print the rows and leave the database as it is
    #[arg(long, value_name = "FORM")]
    out: Option<Form>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Say the SHA-256 of all rows
    #[arg(long)]
    digest: bool,
    /// Without a snapshot before
    #[arg(long)]
    no_snapshot: bool,
    /// The branch, whose database runs [default: the current one]
    branch: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// As `COPY … FROM stdin`
    Copy,
    /// As `INSERT`
    Sql,
}

impl Generate {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let prints = self.out.is_some() && !self.dry_run;
        let options = Options {
            wishes: Wishes { seed: self.seed, scale: self.scale, tables: generate::rows(&self.rows)? },
            only: self.only,
            skip: self.skip,
            append: self.append,
            out: self.out.map(|form| if form == Form::Copy { Out::Copy } else { Out::Sql }),
            dry_run: self.dry_run,
            digest: self.digest,
            no_snapshot: self.no_snapshot,
            branch: self.branch,
        };
        let done = generate::generate(context, &options, &mut |bytes| ui.bytes(bytes)).await?;
        for note in &done.notes {
            ui.note(note);
        }
        if !prints {
            told(ui, &done, options.dry_run);
        }
        Ok(())
    }
}

fn told(ui: &Ui, done: &Generated, dry_run: bool) {
    let total: u64 = done.tables.iter().map(|(_, rows)| rows).sum();
    if ui.wants_json() {
        let tables: Vec<_> =
            done.tables.iter().map(|(table, rows)| json!({ "table": table, "rows": rows })).collect();
        ui.json(&json!({
            "version": 1, "seed": done.seed, "dry_run": dry_run, "tables": tables, "rows": total,
            "digest": done.digest, "snapshot": done.snapshot.as_ref().map(|it| &it.name),
            "seconds": done.seconds, "notes": done.notes,
        }));
        return;
    }
    let digest =
        done.digest.as_ref().map_or_else(String::new, |digest| format!("; their SHA-256 is {digest}"));
    if dry_run {
        let mut table = Table::new(&["TABLE", "ROWS"]);
        for (name, rows) in &done.tables {
            table.row(&[words::harmless(name), rows.to_string()]);
        }
        ui.table(&table);
        ui.note(&format!("{total} rows would be made with seed {}{digest}", done.seed));
        return;
    }
    let kept = done.snapshot.as_ref().map_or_else(String::new, |kept| {
        format!("; `devenv db snapshot restore {}` brings back what was there before", kept.name)
    });
    let tables = done.tables.len();
    ui.note(&format!(
        "{total} rows in {tables} {} with seed {} in {:.1} s{digest}{kept}",
        if tables == 1 { "table" } else { "tables" },
        done.seed,
        done.seconds
    ));
}

/// Load sets of files into the database, each file once
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db seed                  what `up` loads\n  devenv db seed demo             the files in seeds/demo, in the order of their names\n  devenv db seed demo --reset     from empty tables\n\nFiles are SQL (with COPY), CSV under a line of column names, NDJSON (`10_users.csv` is for the table users), or\nYAML for `devenv db generate`. `x-devenv.seeds` in the compose file names sets that are elsewhere:\n  x-devenv: {seeds: {demo: [seeds/base, seeds/demo.sql]}}"
)]
pub(super) struct Seed {
    /// The sets [default: what `up` loads]
    set: Vec<String>,
    /// Empty all tables that users made first
    #[arg(long, conflicts_with = "only_empty")]
    reset: bool,
    /// Only if no table that users made holds a row
    #[arg(long)]
    only_empty: bool,
    /// Without a snapshot before tables are emptied
    #[arg(long)]
    no_snapshot: bool,
}

impl Seed {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let (reset, only_empty, no_snapshot) = (self.reset, self.only_empty, self.no_snapshot);
        let options = seed::Options { sets: self.set, reset, only_empty, no_snapshot };
        let done = seed::seed(context, &options).await?;
        let kept = done.snapshot.as_ref().map(|it| &it.name);
        if ui.wants_json() {
            ui.json(&json!({
                "version": 1, "loaded": done.loaded, "before": done.before, "left": done.left, "snapshot": kept,
            }));
            return Ok(());
        }
        let kept = kept.map_or_else(String::new, |kept| {
            format!("; `devenv db snapshot restore {kept}` brings back what was there before")
        });
        let files = |many: usize| if many == 1 { "1 file".to_owned() } else { format!("{many} files") };
        ui.note(&match (done.left, done.loaded.len(), done.before.len()) {
            (true, ..) => "there are rows already: nothing was loaded".to_owned(),
            (_, 0, 0) => "there is nothing to load".to_owned(),
            (_, 0, before) => format!("nothing to do: {} loaded before", files(before)),
            (_, loaded, _) => format!("loaded {}{kept}", files(loaded)),
        });
        Ok(())
    }
}
