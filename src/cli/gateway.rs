//! `gateway`: one stable address for every environment; and `__gateway`, what its container runs.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::options;
use crate::base::{Event, Failure, Kind};
use crate::gateway::memory::{Protocol, Span};
use crate::gateway::protocol::{Ask, Status};
use crate::ops::{Context, gateway};
use crate::ui::{Table, Ui, words};

/// One stable address for every environment, on this machine only
#[derive(Debug, Args)]
#[command(
    after_help = "Addresses:\n  http://SERVICE.ENVIRONMENT.PROJECT.localhost  this very environment\n  http://SERVICE.PROJECT.localhost              the project's current one\n  http://PROJECT.localhost                      its only HTTP service, or a list\nThe port stands behind where it is not 80. Browsers and curl know these names.\n\nWhat devenv made and nobody uses for four hours is stopped, unless it publishes ports.\nThe next request or connection starts it and is answered. What somebody stopped stays so.\n\nA connection to a port that speaks PostgreSQL may name a branch of the data, or an environment:\nas the user `postgres.NAME`, or with `options=-c devenv.branch=NAME`.\n\nDEVENV_GATEWAY=off, or `x-devenv: {gateway: false}` in a compose file, does without."
)]
pub(super) struct Gateway {
    #[command(subcommand)]
    command: GatewayCommand,
}

#[derive(Debug, Subcommand)]
enum GatewayCommand {
    Up(Up),
    Down(Down),
    /// Show where it listens, which environments are awake, and what went wrong lately
    Status,
    /// List what leads where
    Routes,
    Port(Port),
    Idle(Idle),
    TrustCa(TrustCa),
    #[command(hide = true)]
    Ask(Asked),
}

/// Start the gateway, or give it another port
#[derive(Debug, Args)]
struct Up {
    /// The port of host names [default: the one it had, else 80, 8080, or the next that is free]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// After how long without traffic what devenv made is put to sleep, such as `4h`, or `never`
    #[arg(long, value_name = "SPAN", value_parser = idle)]
    idle: Option<Span>,
}

/// Take the gateway away; it remembers all, for the next time
#[derive(Debug, Args)]
struct Down {
    /// And what it remembers: current environments, ports, what sleeps
    #[arg(short, long)]
    volumes: bool,
}

/// Serve HTTPS too, with a certificate authority of your own that browsers are told to trust
#[derive(Debug, Args)]
#[command(
    after_help = "The authority may sign names below `localhost` and nothing else. Its key stays in your state\nfolder, readable by you alone. The same certificate serves TLS on PostgreSQL's port."
)]
struct TrustCa {
    /// Change no trust store; only print how
    #[arg(long)]
    no_install: bool,
    /// Serve no HTTPS any more, and take the authority out of the trust stores that it was put into
    #[arg(long)]
    off: bool,
}

/// Let a port of this machine lead to a service of the project's current environment
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv gateway port                   show all\n  devenv gateway port 5432 db           DATABASE_URL stays the same on every git branch\n  devenv gateway port 8080 api:3000/http\n  devenv gateway port 5432 --off\n\nIt is for clients that do not know *.localhost. In a compose file, for all who use it:\n  x-devenv: {gateway: {ports: {\"5432\": db, \"8080\": \"api:3000/http\"}}}"
)]
struct Port {
    /// The port of this machine
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    number: Option<u16>,
    /// Where it leads; without a port, to the service's only one; without a protocol, what is usual there
    #[arg(value_name = "SERVICE[:PORT][/http|postgres|tcp]")]
    leads: Option<String>,
    /// Give the port up
    #[arg(long, requires = "number", conflicts_with = "leads")]
    off: bool,
}

/// Say after how long without traffic environments are put to sleep
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv gateway idle 30m              this git branch's environment\n  devenv -e qa gateway idle never\n  devenv gateway idle 1h --all-environments   of this project\n  devenv gateway idle usual            what the file says, or what holds for all\n\nThe next request or connection wakes what sleeps. In a compose file:\n  x-devenv: {gateway: {idle: 30m}}\nWhat is said of one environment comes before what is said of its project, that before the\nfile, and that before what holds for all, which is four hours."
)]
struct Idle {
    /// Such as `30m` or `4h`; `never`, or `usual` to take back what was said
    #[arg(value_name = "SPAN|never|usual", value_parser = idle_or_usual)]
    after: Sleeps,
    /// All environments of this project
    #[arg(long, conflicts_with = "all_projects")]
    all_environments: bool,
    /// All that devenv made and nothing else is said of
    #[arg(long)]
    all_projects: bool,
}

/// None for what is usual.
type Sleeps = Option<Span>;

fn idle_or_usual(text: &str) -> Result<Sleeps, String> {
    if text == "usual" { Ok(None) } else { idle(text).map(Some) }
}

/// Says one line to the gateway
#[derive(Debug, Args)]
struct Asked {
    #[arg(value_parser = question)]
    ask: Ask,
}

fn question(text: &str) -> Result<Ask, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn idle(text: &str) -> Result<Span, String> {
    let seconds = options::ttl(text)?;
    Ok(seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(Span::Never, Span::Seconds))
}

impl Gateway {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            GatewayCommand::Up(up) => {
                let wanted = gateway::Wanted { port: up.port, idle: up.idle };
                show(ui, &gateway::up(context, &wanted).await?);
            }
            GatewayCommand::Down(down) => {
                let left = gateway::down(context, down.volumes).await?;
                if ui.wants_json() {
                    ui.json(&json!({ "version": 1, "was": left.was, "asleep": left.asleep }));
                } else {
                    ui.note(if left.was { "the gateway is gone" } else { "there was no gateway" });
                }
                if !left.asleep.is_empty() {
                    let asleep = left.asleep.join(", ");
                    let message = format!("nothing wakes what sleeps any more: {}", words::harmless(&asleep));
                    let hint = Some("`devenv up` starts it, and so does `devenv gateway up`".to_owned());
                    ui.events().tell(Event::Warning { message, place: None, hint });
                }
            }
            GatewayCommand::Status => show(ui, &gateway::existing(context).await?.status().await?),
            GatewayCommand::Routes => routes(context, ui).await?,
            GatewayCommand::Port(Port { number: None, .. }) => {
                show(ui, &gateway::existing(context).await?.status().await?);
            }
            GatewayCommand::Port(Port { number: Some(port), leads: None, off: false }) => {
                return Err(Failure::new(Kind::Usage, format!("where is port {port} to lead?")).hint(
                    format!("`devenv gateway port {port} SERVICE`, or `devenv gateway port {port} --off`"),
                ));
            }
            GatewayCommand::Port(Port { number: Some(port), leads, .. }) => {
                show(ui, &gateway::port(context, port, leads.as_deref()).await?);
            }
            GatewayCommand::Idle(idle) => {
                let whose = match () {
                    () if idle.all_projects => gateway::Whose::All,
                    () if idle.all_environments => gateway::Whose::Project,
                    () => gateway::Whose::Environment,
                };
                show(ui, &gateway::idle(context, whose, idle.after).await?);
            }
            GatewayCommand::TrustCa(trust) if trust.off => {
                distrusted(ui, &gateway::distrust(context, !trust.no_install).await?);
            }
            GatewayCommand::TrustCa(trust) => {
                trusted(ui, &gateway::trust(context, !trust.no_install).await?);
            }
            GatewayCommand::Ask(asked) => {
                ui.json_line(&gateway::existing(context).await?.ask(asked.ask).await?);
            }
        }
        Ok(())
    }
}

fn show(ui: &Ui, status: &Status) {
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "gateway": status }));
        return;
    }
    let http = status.http_port.map(|port| format!("http://localhost{}", gateway::shown(port)));
    ui.line(format!("HTTP         {}", http.as_deref().unwrap_or("no port is free")));
    if let Some(port) = status.https_port {
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        ui.line(format!("HTTPS        https://localhost{port}"));
    }
    ui.line(format!(
        "Served       {} requests and connections, {} open, {} of memory",
        status.served,
        status.open,
        words::bytes(status.memory)
    ));
    if !status.ports.is_empty() {
        let mut table = Table::new(&["PORT", "SPEAKS", "LEADS TO", "STATE"]);
        for port in &status.ports {
            let speaks = match port.protocol {
                Protocol::Http => "HTTP",
                Protocol::Tcp => "TCP",
                Protocol::Postgres => "PostgreSQL",
            };
            let leads = format!("{} of {}", port.service, port.project);
            let state = port.trouble.clone().unwrap_or_else(|| "open".to_owned());
            table.row([port.port.to_string(), speaks.to_owned(), words::harmless(&leads), state]);
        }
        ui.line("");
        ui.table(&table);
    }
    if !status.environments.is_empty() {
        let mut table = Table::new(&["PROJECT", "ENVIRONMENT", "STATE", "QUIET FOR", "SLEEPS AFTER", "OPEN"]);
        let span = |seconds: u64| words::span(i64::try_from(seconds).unwrap_or(i64::MAX));
        for it in &status.environments {
            let current = if it.current { " (current)" } else { "" };
            table.row([
                words::harmless(&it.project),
                format!("{}{current}", words::harmless(&it.environment)),
                it.state.clone(),
                span(it.quiet),
                it.sleeps_after.map_or_else(|| "never".to_owned(), span),
                it.open.to_string(),
            ]);
        }
        ui.line("");
        ui.table(&table);
    }
    if !status.notes.is_empty() {
        ui.line("");
        for note in &status.notes {
            ui.line(format!("lately: {}", words::harmless(note)));
        }
    }
}

fn trusted(ui: &Ui, trust: &gateway::Trust) {
    if ui.wants_json() {
        ui.json(&json!({
            "version": 1, "certificate": trust.certificate, "installed": trust.installed,
            "by_hand": by_hand(&trust.by_hand), "gateway": trust.status,
        }));
        return;
    }
    for store in &trust.installed {
        ui.note(&format!("trusted by {}", words::harmless(store)));
    }
    told_by_hand(ui, "not in", &trust.by_hand);
    ui.note(&format!(
        "for other programs: NODE_EXTRA_CA_CERTS or SSL_CERT_FILE={}",
        trust.certificate.display()
    ));
    show(ui, &trust.status);
}

fn distrusted(ui: &Ui, done: &gateway::Distrust) {
    if ui.wants_json() {
        ui.json(&json!({
            "version": 1, "removed": done.removed, "by_hand": by_hand(&done.by_hand), "gateway": done.status,
        }));
        return;
    }
    for store in &done.removed {
        ui.note(&format!("not trusted any more by {}", words::harmless(store)));
    }
    told_by_hand(ui, "still in", &done.by_hand);
    if let Some(status) = &done.status {
        show(ui, status);
    }
}

/// Stores, why nothing was done to them, and what to type.
type ByHand = [(String, String, String)];

fn by_hand(stores: &ByHand) -> Vec<serde_json::Value> {
    let one = |(store, why, command): &(String, String, String)| json!({ "store": store, "why": why, "command": command });
    stores.iter().map(one).collect()
}

fn told_by_hand(ui: &Ui, how: &str, stores: &ByHand) {
    for (store, why, _) in stores {
        ui.note(&format!("{how} {}: {}", words::harmless(store), words::harmless(why)));
    }
    if !stores.is_empty() {
        ui.note("by hand:");
    }
    for (_, _, command) in stores {
        ui.line(command);
    }
}

async fn routes(context: &Context, ui: &Ui) -> Result<(), Failure> {
    let routes = gateway::existing(context).await?.routes().await?;
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "routes": routes }));
        return Ok(());
    }
    if routes.is_empty() {
        ui.note("nothing runs that could be led to");
        return Ok(());
    }
    let mut table = Table::new(&["ADDRESS", "CURRENT", "PORT", "STATE"]);
    for route in routes {
        let port = route.container_port.map(|port| port.to_string()).unwrap_or_default();
        table.row([route.url, route.short.unwrap_or_default(), port, route.state]);
    }
    ui.table(&table);
    Ok(())
}

/// Serves names and ports
#[derive(Debug, Args)]
pub(super) struct Served {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Serves until SIGTERM
    Serve {
        /// The engine's socket
        #[arg(long)]
        engine: PathBuf,
        /// Where it remembers
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        port: Option<u16>,
    },
}

impl Served {
    /// Does it; a failure is one line on standard error.
    pub(super) fn run(self) -> ExitCode {
        let Act::Serve { engine, folder, port } = self.act;
        // One thread serves: what it does is all but only the kernel's work on the sockets, and between two threads
        // each request costs a quarter more, for waking the other. One more writes a small file from time to time.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(2)
            .thread_keep_alive(std::time::Duration::from_secs(1))
            .enable_all()
            .build();
        let result = runtime
            .map_err(|error| Failure::new(Kind::Failed, "no threads").source(error))
            .and_then(|runtime| {
                let result = runtime.block_on(gateway::fleet::serve(&engine, folder, port));
                // A thread reads standard input for ever.
                runtime.shutdown_background();
                result
            });
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                let _ = writeln!(std::io::stderr(), "{failure}");
                ExitCode::from(failure.kind.exit_code())
            }
        }
    }
}
