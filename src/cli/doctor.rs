//! `doctor`.

use std::ffi::OsString;

use clap::Args;

use crate::base::{Failure, Kind};
use crate::ops::Context;
use crate::ops::doctor::{self, Check, ENVIRONMENT, Port, Report, Request, Status};
use crate::ui::{Table, Ui};

/// Look at this machine: engine, disk, memory, ports, registry; with --fix, make it ready
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv doctor            what is there, what is missing, and the commands that would mend it\n  devenv doctor --fix      mends it: as root it installs and starts the engine and obtains the base image\n\nTouches, with --fix only: packages docker.io and mmdebstrap, the process dockerd and /var/log/dockerd.log, the image devenv.local/debian:trixie."
)]
pub(super) struct Doctor {
    /// Mend what can be mended
    #[arg(long)]
    fix: bool,
}

impl Doctor {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let environment = ENVIRONMENT
            .iter()
            .filter_map(|name| Some((OsString::from(name), OsString::from(context.environment.get(*name)?))));
        let request = Request {
            fix: self.fix,
            engine: context.engine_settings(),
            path: context.environment.get("PATH").map(OsString::from),
            environment: environment.collect(),
            directory: context.directory.clone(),
            ports: ports(context),
            pool: context.pool_name(),
            ..Request::default()
        };
        let report = doctor::doctor(&request, &context.events).await;
        if ui.wants_json() {
            ui.json(&report);
        } else {
            show(ui, &report);
        }
        match report.kind() {
            None => Ok(()),
            // All has been said: only the exit code is missing.
            Some(kind) => Err(Failure::new(Kind::Status(kind.exit_code()), "the machine is not ready")),
        }
    }
}

/// The ports that the project here would publish; without a project there are none to look at.
fn ports(context: &Context) -> Vec<Port> {
    let Ok(loaded) = context.load_quietly(&[]) else { return Vec::new() };
    let services = loaded.project.services.iter();
    services
        .flat_map(|(name, service)| service.ports.iter().map(move |port| (name, port)))
        .filter_map(|(name, port)| {
            Some(Port { number: port.published.parse().ok()?, wanted_by: name.clone() })
        })
        .collect()
}

fn show(ui: &Ui, report: &Report) {
    let mut table = Table::new(&["CHECK", "STATE", "FOUND"]);
    for check in &report.checks {
        table.row([check.title.to_owned(), word(check.status).to_owned(), check.found.clone()]);
    }
    ui.table(&table);
    let told: Vec<&Check> = report
        .checks
        .iter()
        .filter(|check| !matches!(check.status, Status::Ok | Status::Skipped))
        .filter(|check| check.hint.is_some() || !check.commands.is_empty() || !check.details.is_empty())
        .collect();
    for check in told {
        ui.line("");
        let hint = check.hint.as_deref().unwrap_or(&check.found);
        ui.line(format!("{}: {hint}", check.title));
        for line in &check.details {
            ui.line(format!("  | {line}"));
        }
        for command in &check.commands {
            ui.line(format!("    {command}"));
        }
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Warning => "warning",
        Status::Fixable => "fixable",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
    }
}
