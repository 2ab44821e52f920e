//! `db branch diff` and `db branch merge`: what tells two branches apart, and putting them together.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::base::{Event, Failure, Kind};
use crate::ops::Context;
use crate::ops::branch::{compare, merge};
use crate::ops::migrate::Scope;
use crate::schema::{Act, Id, Prefer, Step, rows, script};
use crate::ui::{Ui, words};

/// Show what one branch's database has that another's has not
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db branch diff main                         what the current branch's schema has beyond main's\n  devenv db branch diff main feat/login --sql         as statements that turn main's into it\n  devenv db branch diff main --data --table currencies   the rows, by primary key\n\nA snapshot may stand in a branch's place. What does not run is looked at in a throw-away copy."
)]
pub(super) struct Diff {
    /// The branch or snapshot that is compared with
    a: String,
    /// The branch or snapshot that is compared [default: the current branch]
    b: Option<String>,
    /// The schema; so without any of these
    #[arg(long, conflicts_with = "data")]
    schema: bool,
    /// As SQL that turns the first into the second
    #[arg(long)]
    sql: bool,
    /// The rows of tables instead of the schema
    #[arg(long, requires = "tables")]
    data: bool,
    /// A table whose rows are compared
    #[arg(long = "table", value_name = "TABLE", id = "tables", requires = "data")]
    tables: Vec<String>,
    /// The columns by which rows are known [default: the primary key]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', requires = "data")]
    key: Vec<String>,
    /// The schemas too that Supabase keeps for itself
    #[arg(long)]
    all_schemas: bool,
    /// Exit with 1 if there is any difference
    #[arg(long)]
    exit_code: bool,
}

/// Take over what a branch made of the schema since it was forked
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db branch merge feat/login --plan     the statements, and nothing else\n  devenv db branch merge feat/login --verify   and whether they come to it, on a throw-away branch\n  devenv db branch merge feat/login main       proved, written as a migration, applied with a snapshot before\n\nWhat both sides changed differently since they parted is a conflict. Rows are merged of the tables that\n`x-devenv.merge.tables` in the compose file names, by primary key."
)]
pub(super) struct Merge {
    /// The branch whose changes are wanted
    source: String,
    /// The branch that gets them [default: the current one]
    into: Option<String>,
    /// Only print what would be done
    #[arg(long, conflicts_with = "verify")]
    plan: bool,
    /// Print it, and prove it on a throw-away branch
    #[arg(long)]
    verify: bool,
    /// Who is right where both changed the same
    #[arg(long, value_name = "WHO", default_value = "fail")]
    strategy: Strategy,
    /// Without a snapshot before
    #[arg(long)]
    no_snapshot: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Strategy {
    /// Nobody: it is a conflict
    Fail,
    /// The branch that is merged into
    Ours,
    /// The branch that is merged
    Theirs,
}

/// What of the schemas is looked at.
pub(super) fn scope(all: bool) -> Scope {
    if all { Scope::Managed } else { Scope::Own }
}

/// Steps for programs.
pub(super) fn steps_json(steps: &[Step]) -> Value {
    let step = |step: &Step| {
        let act = match step.act {
            Act::Drop => "drop",
            Act::Alter => "alter",
            Act::Create => "create",
        };
        json!({ "act": act, "object": step.id, "sql": step.sql, "loses_data": step.loses })
    };
    Value::Array(steps.iter().map(step).collect())
}

/// Prints steps as a file; what they lose is told beside.
pub(super) fn show_steps(ui: &Ui, steps: &[Step]) {
    ui.line(script(steps).trim_end());
    for step in steps.iter().filter(|step| step.loses) {
        ui.note(&format!("this loses data: {}", words::harmless(&step.sql)));
    }
}

/// Says what is there and was not looked at.
pub(super) fn tell_beyond(context: &Context, beyond: &[String]) {
    if !beyond.is_empty() {
        context.events.tell(Event::warning(format!("not compared: {}", beyond.join(", "))));
    }
}

/// The differences one a line: `+` what comes, `-` what goes, `~` what changes.
fn summary(steps: &[Step]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let has = |id: &Id, act: Act| steps.iter().any(|step| step.id == *id && step.act == act);
    for step in steps {
        let both = has(&step.id, Act::Drop) && has(&step.id, Act::Create);
        let sign = match step.act {
            Act::Alter => '~',
            _ if both => '~',
            Act::Drop => '-',
            Act::Create => '+',
        };
        let line = format!("{sign} {}", words::harmless(&step.id.to_string()));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.sort_by(|a, b| a[2..].cmp(&b[2..]));
    lines
}

impl Diff {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let differs =
            if self.data { self.rows(context, ui).await? } else { self.schemas(context, ui).await? };
        if self.exit_code && differs {
            return Err(Failure::new(Kind::Status(1), "they differ"));
        }
        Ok(())
    }

    async fn schemas(&self, context: &Context, ui: &Ui) -> Result<bool, Failure> {
        let found = compare::schema(context, &self.a, self.b.as_deref(), scope(self.all_schemas)).await?;
        let [a, b] = &found.names;
        if ui.wants_json() {
            let steps = steps_json(&found.steps);
            ui.json(
                &json!({ "version": 1, "from": a, "to": b, "steps": steps, "not_compared": found.beyond }),
            );
            return Ok(!found.steps.is_empty());
        }
        tell_beyond(context, &found.beyond);
        if found.steps.is_empty() {
            ui.note(&format!("the schemas of {a} and {b} are the same"));
        } else if self.sql {
            show_steps(ui, &found.steps);
        } else {
            for line in summary(&found.steps) {
                ui.line(line);
            }
        }
        Ok(!found.steps.is_empty())
    }

    async fn rows(&self, context: &Context, ui: &Ui) -> Result<bool, Failure> {
        let found = compare::data(context, &self.a, self.b.as_deref(), &self.tables, &self.key).await?;
        let differs = found.tables.iter().any(|(_, changes)| !changes.is_empty());
        let [a, b] = &found.names;
        if ui.wants_json() {
            let table = |(shape, changes): &(rows::Shape, Vec<rows::Change>)| json!({ "table": shape, "changes": changes });
            let tables: Vec<Value> = found.tables.iter().map(table).collect();
            ui.json(&json!({ "version": 1, "from": a, "to": b, "tables": tables }));
            return Ok(differs);
        }
        if self.sql {
            ui.line(rows::script(&found.tables).trim_end());
            return Ok(differs);
        }
        for (shape, changes) in &found.tables {
            let value =
                |value: &Option<String>| value.as_deref().map_or_else(|| "NULL".to_owned(), words::harmless);
            for change in changes {
                let key: Vec<String> = change.key.iter().map(value).collect();
                let row = format!("{} ({})", words::harmless(&shape.table), key.join(", "));
                match (&change.before, &change.after) {
                    (Some(before), Some(after)) => {
                        let pairs = shape.columns.iter().zip(before.iter().zip(after));
                        let new: Vec<String> = pairs
                            .filter(|(_, (before, after))| before != after)
                            .map(|(column, (before, after))| {
                                format!("{column}: {} → {}", value(before), value(after))
                            })
                            .collect();
                        ui.line(format!("~ {row} {}", new.join(", ")));
                    }
                    (None, _) => ui.line(format!("+ {row}")),
                    (_, None) => ui.line(format!("- {row}")),
                }
            }
        }
        if !differs {
            ui.note(&format!("the rows in {a} and {b} are the same"));
        }
        Ok(differs)
    }
}

impl Merge {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let until = match (self.plan, self.verify) {
            (true, _) => merge::Until::Plan,
            (_, true) => merge::Until::Proof,
            _ => merge::Until::Done,
        };
        let prefer = match self.strategy {
            Strategy::Fail => Prefer::None,
            Strategy::Ours => Prefer::Ours,
            Strategy::Theirs => Prefer::Theirs,
        };
        let options = merge::Options {
            source: self.source,
            into: self.into,
            prefer,
            until,
            no_snapshot: self.no_snapshot,
        };
        let plan = merge::run(context, &options).await?;
        if ui.wants_json() {
            let row = |(shape, conflict): &merge::RowConflict| json!({ "table": shape.table, "conflict": conflict });
            ui.json(&json!({
                "version": 1, "from": plan.names[0], "into": plan.names[1], "conflicts": plan.conflicts,
                "row_conflicts": plan.row_conflicts.iter().map(row).collect::<Vec<_>>(),
                "migrations": plan.migrations, "steps": steps_json(&plan.steps), "sql": plan.script(),
                "file": plan.path, "snapshot": plan.snapshot.as_ref().map(|it| &it.name),
                "proved": until != merge::Until::Plan && !plan.is_disputed(),
            }));
        }
        if plan.is_disputed() {
            return Err(merge::disputed(&plan));
        }
        if ui.wants_json() {
            return Ok(());
        }
        let [source, into] = &plan.names;
        if plan.is_empty() {
            ui.note(&format!("{into} has all of {source} already"));
            return Ok(());
        }
        if until != merge::Until::Done {
            for path in &plan.migrations {
                ui.line(format!("-- applied as it is: {}", words::harmless(&path.display().to_string())));
            }
            let sql = plan.script();
            if !sql.is_empty() {
                ui.line(sql.trim_end());
            }
            if until == merge::Until::Proof {
                ui.note(&format!("proved: this turns {into} into the merged schema"));
            }
            return Ok(());
        }
        if let Some(path) = &plan.path {
            ui.line(words::harmless(&path.display().to_string()));
        }
        let kept =
            plan.snapshot.as_ref().map(|it| format!("; what was there before is snapshot `{}`", it.name));
        ui.note(&format!("merged {source} into {into}{}", kept.unwrap_or_default()));
        Ok(())
    }
}
