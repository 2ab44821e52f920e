//! `exec`, `run`, `cp`.

use std::time::Duration;

use clap::Args;

use super::options;
use crate::base::Failure;
use crate::engine::stream::Command;
use crate::ops::Context;
use crate::ops::run::{self, OneOff, Terminal};
use crate::ui::{Ui, terminal};

/// What is different from the service's own.
#[derive(Debug, Args)]
struct Altered {
    /// Set a variable (repeatable)
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE", value_parser = options::pair)]
    variables: Vec<(String, String)>,
    /// Work in this environment; before the command, `-e` says so too
    // Under the name of the option for every command, which this one's `-e` would otherwise be taken for.
    #[arg(id = "env", long = "in-env", value_name = "ENV")]
    _environment: Option<String>,
    /// As this user
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// In this directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
}

/// Run a command in a running service
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv exec db psql -U postgres\n  devenv exec -T api cat /etc/hosts\n\nThe command's exit code becomes this command's."
)]
pub(super) struct Exec {
    /// The service
    service: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
    #[command(flatten)]
    altered: Altered,
    /// Without a terminal [default: when there is none here]
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// Do not wait for it
    #[arg(short, long)]
    detach: bool,
    /// With all capabilities
    #[arg(long)]
    privileged: bool,
    /// Which of several containers
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

/// The caller's terminal for a session: keys one by one only if both ends are terminals.
pub(super) fn terminal(no_tty: bool, detach: bool, no_stdin: bool) -> Terminal {
    Terminal {
        tty: !no_tty && !detach && terminal::is_interactive(),
        stdin: !detach && !no_stdin,
        size: terminal::size,
    }
}

impl Exec {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let session = terminal(self.no_tty, self.detach, false);
        let command = Command {
            argv: self.command,
            environment: self
                .altered
                .variables
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            user: self.altered.user,
            directory: self.altered.workdir,
            privileged: self.privileged,
            tty: session.tty,
            stdin: session.stdin,
            detach: self.detach,
        };
        ui.settle();
        let _raw = session.tty.then(terminal::raw);
        run::exec(context, &self.service, self.index, &command, session).await
    }
}

/// Run a command in a new container of a service
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv run api npm test\n  devenv run --no-deps --entrypoint sh web -c 'env | sort'\n\nThe container is removed when it has ended; its exit code becomes this command's."
)]
pub(super) struct Run {
    /// The service
    service: String,
    /// The command and its arguments [default: the service's own]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
    #[command(flatten)]
    altered: Altered,
    /// This program instead of the image's
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Call the container this
    #[arg(long)]
    name: Option<String>,
    /// Remove the container when it has ended (the default)
    #[arg(long)]
    rm: bool,
    /// Keep the container when it has ended
    #[arg(long, conflicts_with = "rm")]
    keep: bool,
    /// Leave the service's dependencies alone
    #[arg(long)]
    no_deps: bool,
    /// Publish the service's ports
    #[arg(long)]
    service_ports: bool,
    /// Answer to the service's name on its networks
    #[arg(long)]
    use_aliases: bool,
    /// Build the image first
    #[arg(long)]
    build: bool,
    /// Without a terminal [default: when there is none here]
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// Do not wait for it; prints the container's name
    #[arg(short, long)]
    detach: bool,
    /// How long to wait for a dependency to become ready
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = options::span)]
    wait_timeout: Duration,
}

impl Run {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let session = terminal(self.no_tty, self.detach, false);
        let one_off = OneOff {
            service: self.service,
            command: (!self.command.is_empty()).then_some(self.command),
            entrypoint: self.entrypoint.map(|program| vec![program]),
            environment: self.altered.variables,
            user: self.altered.user,
            directory: self.altered.workdir,
            name: self.name,
            remove: !self.keep && !self.detach,
            no_deps: self.no_deps,
            service_ports: self.service_ports,
            use_aliases: self.use_aliases,
            detach: self.detach,
            build: self.build,
        };
        let made = run::prepare(context, &one_off, self.wait_timeout, session);
        let ready = super::unless_interrupted(made, context).await?;
        ui.settle();
        let raw = session.tty.then(terminal::raw);
        let ended = ready.run().await;
        drop(raw);
        let name = ended?;
        if let Some(name) = name {
            ui.line(name);
        }
        Ok(())
    }
}

/// Copy files between this machine and a service
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  devenv cp web:/var/log/app.log .\n  devenv cp ./seed.sql db:/tmp/")]
pub(super) struct Cp {
    /// SERVICE:PATH, or a path here
    source: String,
    /// SERVICE:PATH, or a path here
    destination: String,
    /// Copy what a link points at
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Which of several containers
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

impl Cp {
    pub(super) async fn run(self, context: &Context, _: &Ui) -> Result<(), Failure> {
        let from = run::end(&self.source, &context.directory);
        let to = run::end(&self.destination, &context.directory);
        run::copy(context, &from, &to, self.index, self.follow_link).await
    }
}
