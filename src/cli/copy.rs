//! `db copy`: data from elsewhere into a new branch.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::base::Failure;
use crate::ops::Context;
use crate::ops::branch::copy::{self, Copied, Options};
use crate::ui::{Ui, words};

/// Copy data from another database, or another branch, into a new branch
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv db copy --from env:PROD_URL --to base --masked    masked by masking.yaml\n  devenv db copy --from main --to safe --masked\n  devenv db copy --from env:PROD_URL --to few --masked --subset users:500\n\nMasked data goes through memory into an empty database: nothing raw reaches this disk. What the new branch begins as is a snapshot that says how it was masked. Nothing is ever copied over what is there.\n\nOf a subset a row stays if the rule of its table lets it and everything that it refers to stays, so that no foreign key is broken; tables that refer to none of those are copied whole.\n\nAddresses take libpq's sslmode (disable, require, verify-ca, verify-full) and sslrootcert; off this machine nothing goes in the clear unless sslmode=disable says so. With sslrootcert the authorities of this machine are trusted, too."
)]
pub(super) struct Copy {
    /// What is copied: a branch, an address, or `env:NAME` for an address in a variable [default: the current branch]
    #[arg(long, value_name = "BRANCH|URL|env:NAME")]
    from: Option<String>,
    /// The new branch
    #[arg(long, value_name = "BRANCH")]
    to: String,
    /// Mask every column as the policy says
    #[arg(long, required_unless_present = "raw")]
    masked: bool,
    /// Copy values as they are; asks for the new branch's name, and is written down
    #[arg(long, conflicts_with = "masked")]
    raw: bool,
    /// The new branch's name once more, which `--raw` needs
    #[arg(long, value_name = "BRANCH", requires = "raw")]
    confirm: Option<String>,
    /// The policy's file [default: masking.yaml beside the compose file]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Only the rows of these tables; the others are there without any
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    tables: Vec<String>,
    /// Only a part of a table's rows, and of those that refer to them: TABLE:500, TABLE:10%, or TABLE:SQL-CONDITION;
    /// more than once for several tables
    #[arg(long, value_name = "TABLE:PART")]
    subset: Vec<String>,
    /// Although the pool is nearly full
    #[arg(long)]
    force: bool,
}

impl Copy {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let confirmed = match self.confirm {
            None if self.raw => ui.typed(&format!(
                "Everything in it is copied as it is, personal data too. Type the name of the new branch ({}) to go on",
                words::harmless(&self.to)
            ))?,
            confirm => confirm,
        };
        let options = Options {
            from: self.from,
            to: self.to,
            masked: self.masked,
            confirmed,
            policy: self.policy,
            tables: self.tables,
            subset: self.subset,
            schema_only: false,
            force: self.force,
        };
        show(ui, &copy::copy(context, &options).await?);
        Ok(())
    }
}

/// `db mask apply`.
pub(super) async fn masked(
    context: &Context,
    ui: &Ui,
    from: Option<String>,
    to: String,
    policy: Option<PathBuf>,
) -> Result<(), Failure> {
    let options = Options { from, to, masked: true, policy, ..Options::default() };
    show(ui, &copy::copy(context, &options).await?);
    Ok(())
}

fn show(ui: &Ui, copied: &Copied) {
    if ui.wants_json() {
        ui.json(&json!({
            "version": 1, "branch": copied.branch, "snapshot": copied.snapshot, "from": copied.from,
            "tables": copied.tables, "rows": copied.rows, "seconds": copied.took.as_secs_f64(),
        }));
    }
    let how = if copied.snapshot.attestation.is_some() { "masked" } else { "as it is" };
    let name = &copied.branch.name;
    ui.note(&format!(
        "branch {name} holds what {} has, {how} ({} rows, {:.1} s): `devenv db branch switch {}` turns to it",
        copied.from,
        copied.rows,
        copied.took.as_secs_f64(),
        words::argument(name)
    ));
}
