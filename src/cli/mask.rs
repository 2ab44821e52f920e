//! `db mask`: the policy on what becomes of every column.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::base::{Failure, Kind};
use crate::mask::Tier;
use crate::ops::Context;
use crate::ops::mask::{self, keys, verify};
use crate::ui::{Table, Ui, words};

/// Decide what becomes of every column when data is copied
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db mask init                   propose a policy from what the database holds\n  devenv db mask check                  fail if a column is not decided on, or a rule cannot be carried out\n  devenv db mask preview users          a few rows as they will be\n  devenv db copy --from env:PROD --to base --masked\n\nThe policy is masking.yaml beside the compose file, or the file that `x-devenv.masking` names. No command here prints a value that is in the database."
)]
pub(super) struct Mask {
    #[command(subcommand)]
    command: MaskCommand,
}

#[derive(Debug, Subcommand)]
enum MaskCommand {
    Init(Init),
    Scan(Scan),
    #[command(visible_alias = "list")]
    Coverage(Coverage),
    Check(Check),
    Preview(Preview),
    Apply(Apply),
    Verify(Verify),
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Debug, Args)]
struct Which {
    /// The database: a branch, an address, or `env:NAME` for an address in a variable [default: the current branch]
    #[arg(long, value_name = "BRANCH|URL|env:NAME")]
    from: Option<String>,
    /// The policy's file [default: masking.yaml beside the compose file]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Which {
    fn options(self, sample: usize) -> mask::Options {
        mask::Options { from: self.from, policy: self.policy, sample }
    }
}

/// Write a policy that decides on every column as a scan proposes
#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    which: Which,
    /// How many values of each column are looked at
    #[arg(long, value_name = "N", default_value_t = 100)]
    sample: usize,
    /// Write over a policy that is there
    #[arg(long)]
    force: bool,
}

/// Find columns that hold what is personal or secret
#[derive(Debug, Args)]
struct Scan {
    #[command(flatten)]
    which: Which,
    /// How many values of each column are looked at; 0 judges by names and types alone
    #[arg(long, value_name = "N", default_value_t = 100)]
    sample: usize,
    /// Leave out what is less sure than this, of 1
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    min_confidence: f32,
    /// All columns, those of no note too
    #[arg(long)]
    all: bool,
    /// Exit with 7 if there is any
    #[arg(long)]
    exit_code: bool,
}

/// Show what the policy decides on, and what it does not
#[derive(Debug, Args)]
struct Coverage {
    #[command(flatten)]
    which: Which,
    /// Exit with 7 if a column is not decided on
    #[arg(long)]
    exit_code: bool,
}

/// Compare the policy with the database; exit with 7 if it does not fit
#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    which: Which,
    /// Say nothing but the exit code
    #[arg(long)]
    exit_code: bool,
}

/// Show a few rows of a table as they will be
#[derive(Debug, Args)]
struct Preview {
    /// The table
    table: String,
    #[command(flatten)]
    which: Which,
    /// How many rows
    #[arg(long, value_name = "N", default_value_t = 5)]
    rows: usize,
}

/// Make a masked copy of a branch's data: the same as `devenv db copy --masked`
#[derive(Debug, Args)]
struct Apply {
    #[command(flatten)]
    which: Which,
    /// The new branch
    #[arg(long, value_name = "BRANCH")]
    to: String,
}

/// Search a masked database for what should not be there
#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    which: Which,
    /// The database that it was made from, to search for every value that is masked there
    #[arg(long, value_name = "BRANCH|URL|env:NAME")]
    against: Option<String>,
}

/// The key that masked values depend on
#[derive(Debug, Subcommand)]
enum Keys {
    /// Say where it is, and the beginning of a hash of it
    Show,
    /// Make another; what was masked before does not join with what is masked after
    Rotate,
}

impl Mask {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            MaskCommand::Init(init) => {
                let done = mask::init(context, &init.which.options(init.sample), init.force).await?;
                if ui.wants_json() {
                    ui.json(&done);
                }
                ui.note(&format!(
                    "{} decides on {} columns and masks {} of them: read it before you trust it",
                    done.path.display(),
                    done.columns,
                    done.masked
                ));
                Ok(())
            }
            MaskCommand::Scan(scan) => scan.run(context, ui).await,
            MaskCommand::Coverage(coverage) => coverage.run(context, ui).await,
            MaskCommand::Check(check) => check.run(context, ui).await,
            MaskCommand::Preview(preview) => preview.run(context, ui).await,
            MaskCommand::Apply(apply) => {
                let mask::Options { from, policy, .. } = apply.which.options(0);
                super::copy::masked(context, ui, from, apply.to, policy).await
            }
            MaskCommand::Verify(verify) => {
                let options = verify.which.options(0);
                let done = verify::verify(context, &options, verify.against.as_deref()).await?;
                if ui.wants_json() {
                    ui.json(&done);
                }
                if let Some(failure) = verify::judged(&done) {
                    return Err(failure);
                }
                ui.note(&format!("nothing was found in {} columns ({} rows)", done.columns, done.rows));
                Ok(())
            }
            MaskCommand::Keys(keys) => {
                let shown = match keys {
                    Keys::Show => keys::show(context)?,
                    Keys::Rotate => keys::rotate(context)?,
                };
                if ui.wants_json() {
                    ui.json(&shown);
                } else {
                    ui.line(format!("{}  {}", shown.id, shown.place));
                }
                Ok(())
            }
        }
    }
}

fn percent(share: f32) -> String {
    format!("{:.0} %", share * 100.0)
}

impl Scan {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let mut scanned = mask::scan(context, &self.which.options(self.sample)).await?;
        let sensitive = scanned
            .findings
            .iter()
            .filter(|it| it.tier.is_sensitive() && it.confidence >= self.min_confidence)
            .count();
        if !self.all {
            let least = self.min_confidence;
            scanned.findings.retain(|it| it.tier != Tier::None && it.confidence >= least);
        }
        if ui.wants_json() {
            ui.json(&scanned);
        } else {
            let mut table = Table::new(&["COLUMN", "IS", "SURE", "PROPOSED", "BECAUSE"]);
            for it in &scanned.findings {
                let is = if it.tier == Tier::None { "" } else { it.tier.word() };
                let what = format!("{is} {}", it.class);
                table.row([
                    format!("{}.{}", words::harmless(&it.table), words::harmless(&it.column)),
                    what.trim().to_owned(),
                    percent(it.confidence),
                    it.proposal.clone(),
                    it.evidence.join(", "),
                ]);
            }
            ui.table(&table);
            ui.note(&format!(
                "{sensitive} of {} columns in {} tables are personal or secret ({:.1} s)",
                scanned.columns, scanned.tables, scanned.seconds
            ));
        }
        if self.exit_code && sensitive > 0 {
            return Err(Failure::new(Kind::Data, format!("{sensitive} columns are personal or secret"))
                .hint("`devenv db mask init` proposes what to do with them"));
        }
        Ok(())
    }
}

impl Coverage {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let covered = mask::coverage(context, &self.which.options(0)).await?;
        if ui.wants_json() {
            ui.json(&covered);
        } else {
            let mut table = Table::new(&["COLUMN", "DECISION", "REMARKS"]);
            for it in &covered.columns {
                let remark =
                    if it.doubtful { format!("kept, and looks {}", it.tier.word()) } else { String::new() };
                table.row([
                    format!("{}.{}", words::harmless(&it.table), words::harmless(&it.column)),
                    it.decision.clone().unwrap_or_else(|| "—".to_owned()),
                    remark,
                ]);
            }
            ui.table(&table);
            for problem in &covered.problems {
                ui.note(problem);
            }
        }
        if self.exit_code && !covered.problems.is_empty() {
            let text =
                format!("the masking policy does not fit the database in {} places", covered.problems.len());
            return Err(Failure::new(Kind::Data, text).hint("`devenv db mask check` says where"));
        }
        Ok(())
    }
}

impl Check {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let key = crate::mask::Key::new([0; crate::mask::Key::BYTES]);
        let checked = mask::check(context, &self.which.options(0), &key).await?;
        let problems = match &checked.plan {
            Ok(_) => Vec::new(),
            Err(problems) => problems.clone(),
        };
        if ui.wants_json() {
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            ui.json(&json!({ "version": 1, "tables": checked.tables.len(), "problems": said }));
        }
        if problems.is_empty() {
            if !self.exit_code {
                ui.note(&format!("{} fits: every column is decided on", checked.read.path.display()));
            }
            return Ok(());
        }
        if self.exit_code {
            let text = format!("the masking policy does not fit the database in {} places", problems.len());
            return Err(Failure::new(Kind::Data, text));
        }
        Err(mask::refused(&checked.read, &problems))
    }
}

impl Preview {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let preview = mask::preview(context, &self.which.options(0), &self.table, self.rows).await?;
        if ui.wants_json() {
            ui.json(&preview);
            return Ok(());
        }
        let mut table = Table::new(&["ROW", "COLUMN", "RULE", "FORM OF WHAT IS THERE", "BECOMES"]);
        for (number, row) in preview.rows.iter().enumerate() {
            for it in row {
                table.row([
                    (number + 1).to_string(),
                    words::harmless(&it.column),
                    it.rule.clone().unwrap_or_else(|| "keep".to_owned()),
                    it.form.clone().unwrap_or_else(|| "NULL".to_owned()),
                    match (&it.rule, &it.becomes) {
                        (None, _) => String::new(),
                        (_, None) => "NULL".to_owned(),
                        (_, Some(value)) => words::short(value),
                    },
                ]);
            }
        }
        ui.table(&table);
        Ok(())
    }
}
