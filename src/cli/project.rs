//! `config` and what writes files of the project.

use clap::Args;
use clap_complete::Shell;
use serde_json::json;

use crate::base::Failure;
use crate::compose::print;
use crate::compose::support::{self, Row};
use crate::ops::Context;
use crate::ui::{Table, Ui};

/// Print the compose file as it is understood: merged, interpolated, checked
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv config\n  devenv config --format json | jq .services.web\n  devenv config --hash '*'\n  devenv config -q          only checks"
)]
pub(super) struct Config {
    /// yaml or json
    #[arg(long, value_name = "FORMAT", default_value = "yaml", value_parser = ["yaml", "json"])]
    format: String,
    /// Leave variables as they are written
    #[arg(long)]
    no_interpolate: bool,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct List {
    /// Names of the services, one a line
    #[arg(long)]
    services: bool,
    /// Names of the volumes
    #[arg(long)]
    volumes: bool,
    /// Names of the networks
    #[arg(long)]
    networks: bool,
    /// Names of the images; with a value, the option for every command
    // One option for both: clap hands the value of a global option's namesake to the global one.
    #[arg(long, value_name = "WHICH", num_args = 0..=1, default_value = "auto", default_missing_value = "list")]
    images: super::Images,
    /// Names of the profiles
    #[arg(id = "list_profiles", long = "profiles")]
    profiles: bool,
    /// The variables that interpolation reads
    #[arg(long)]
    environment: bool,
    /// The variables that the file asks for, with their defaults
    #[arg(long)]
    variables: bool,
    /// The configuration hash of a service, or of all (`*`)
    #[arg(long, value_name = "SERVICE")]
    hash: Option<String>,
    /// What becomes of every key of the Compose Specification, whatever the file says
    #[arg(long)]
    support: bool,
}

impl Config {
    pub(super) fn run(&self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        if self.list.support {
            show_support(ui, self.wants_json(ui));
            return Ok(());
        }
        let mut request = context.request(&[]);
        request.interpolate = !self.no_interpolate;
        if self.no_interpolate || self.list.variables {
            let model = context.load_model(&request)?;
            let text = match (self.list.variables, self.wants_json(ui)) {
                (true, _) => print::variables(&model.variables),
                (false, true) => print::tree_to_json(&model.tree),
                (false, false) => print::tree_to_yaml(&model.tree),
            };
            print(ui, &text);
            return Ok(());
        }
        let project = context.load_judged(&request, None)?.project;
        let list = &self.list;
        let lines = |lines: Vec<String>| lines.join("\n");
        let text = if list.services {
            lines(print::services(&project))
        } else if list.volumes {
            lines(print::volumes(&project))
        } else if list.networks {
            lines(print::networks(&project))
        } else if list.images == super::Images::List {
            lines(print::images(&project))
        } else if list.profiles {
            lines(print::profiles(&project))
        } else if list.environment {
            lines(print::environment(&project))
        } else if let Some(wanted) = &list.hash {
            let all = print::hashes(&project);
            let chosen =
                all.into_iter().filter(|(name, _)| wanted == "*" || wanted.split(',').any(|w| w == name));
            lines(chosen.map(|(name, hash)| format!("{name} {hash}")).collect())
        } else if self.wants_json(ui) {
            print::to_json(&project)?
        } else {
            print::to_yaml(&project)
        };
        print(ui, &text);
        Ok(())
    }

    fn wants_json(&self, ui: &Ui) -> bool {
        ui.wants_json() || self.format == "json"
    }
}

/// The table of all keys, as a person or a program reads it.
fn show_support(ui: &Ui, json: bool) {
    let api = |row: &Row| row.needs.map(|needs| format!("1.{}", needs.minor));
    if json {
        let keys: Vec<_> = support::rows()
            .iter()
            .map(|row| {
                json!({
                    "key": row.key,
                    "support": row.support.word(),
                    "reason": row.support.reason(),
                    "engine_api": api(row),
                    "only_value": row.needs.and_then(|needs| needs.value),
                    "newer_than_schema": support::NEWER_THAN_SCHEMA.contains(&row.key),
                })
            })
            .collect();
        ui.json(&json!({ "version": 1, "keys": keys }));
        return;
    }
    let mut table = Table::new(&["KEY", "SUPPORT", "ENGINE API", "WHY"]);
    for row in support::rows() {
        let why = row.support.reason().unwrap_or_default();
        table.row([row.key, row.support.word(), &api(row).unwrap_or_default(), why]);
    }
    ui.table(&table);
}

fn print(ui: &Ui, text: &str) {
    if !ui.is_quiet() && !text.is_empty() {
        ui.line(text.trim_end_matches('\n'));
    }
}

/// Print a completion script
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  devenv completions bash > /etc/bash_completion.d/devenv")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, command: &mut clap::Command, ui: &Ui) {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "devenv", &mut script);
        ui.bytes(&script);
    }
}
