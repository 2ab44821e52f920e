//! `db generate`: rows that are made up.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::base::Failure;
use crate::generate::Wishes;
use crate::ops::Context;
use crate::ops::generate::{self, Generated, Options, Out};
use crate::ui::{Table, Ui, words};

/// Fill tables with rows that are made up, the same for the same seed
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db generate                              1,000 rows in every table that users made\n  devenv db generate --rows users=10k --seed 42   more of one\n  devenv db generate --scale 100                  100,000 in each; the first ones are the same\n  devenv db generate --dry-run                    the plan, and whether it can be carried out\n\nForeign keys, unique columns and checks are kept; what cannot be is refused before the first row. Nothing\ngenerated reaches anyone: addresses of mail end in example.com and its like, telephone numbers are nobody's.\nWhat columns hold can be said in the compose file:\n  x-devenv:\n    generate: {seed: 42, tables: {orders: {rows: 50k, columns: {status: [new, paid]}, fanout: {user_id: zipf}}}}"
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
