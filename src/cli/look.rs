//! `logs`, `port`, `top`, `events`, `wait`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::options;
use crate::base::{Failure, Kind};
use crate::ops::look::{self, Line, Until, Wanted};
use crate::ops::{Context, turn};
use crate::plan::turn::Turn;
use crate::ui::{Table, Ui};

/// Show what services write
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  devenv logs api -f --since 10m\n  devenv logs --tail 20")]
pub(super) struct Logs {
    /// Services [default: all]
    services: Vec<String>,
    /// Go on as long as services run
    #[arg(short, long)]
    follow: bool,
    /// Only so many lines from the end of each
    #[arg(short = 'n', long, value_name = "N", value_parser = tail)]
    tail: Option<LineCount>,
    /// Only what is younger (`10m`, `2h30m`)
    #[arg(long, value_name = "SPAN", value_parser = options::span)]
    since: Option<Duration>,
    /// Only what is older
    #[arg(long, value_name = "SPAN", value_parser = options::span)]
    until: Option<Duration>,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// Leave the service's name out
    #[arg(long, visible_alias = "no-log-prefix")]
    no_prefix: bool,
}

#[derive(Debug, Clone, Copy)]
struct LineCount(Option<usize>);

fn tail(text: &str) -> Result<LineCount, String> {
    if text == "all" {
        return Ok(LineCount(None));
    }
    text.parse().map(|count| LineCount(Some(count))).map_err(|_| "a number of lines, or `all`".to_owned())
}

impl Logs {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let wanted = Wanted {
            services: self.services,
            follow: self.follow,
            tail: self.tail.and_then(|tail| tail.0),
            since: self.since,
            until: self.until,
            timestamps: self.timestamps,
            only_attached: false,
            endless: false,
        };
        let mut printer = Printer::new(self.no_prefix);
        look::logs(context, &wanted, |line| {
            if self.grep.as_ref().is_none_or(|text| line.line.contains(text.as_str())) {
                printer.print(ui, &line);
            }
        })
        .await
    }
}

/// Prints lines with their container's name before them, in columns.
struct Printer {
    no_prefix: bool,
    prefixes: BTreeMap<String, usize>,
    width: usize,
}

impl Printer {
    fn new(no_prefix: bool) -> Self {
        Self { no_prefix, prefixes: BTreeMap::new(), width: 0 }
    }

    fn print(&mut self, ui: &Ui, line: &Line) {
        if ui.wants_json() {
            ui.json_line(line);
            return;
        }
        if self.no_prefix {
            ui.line(&line.line);
            return;
        }
        let next = self.prefixes.len();
        let index = *self.prefixes.entry(line.container.clone()).or_insert(next);
        self.width = self.width.max(line.container.chars().count());
        ui.prefixed(&line.container, self.width, index, &line.line);
    }
}

/// `up --attach`: the logs, until they end or Ctrl-C stops the services. With `--watch` they go on while services are
/// started again and replaced.
pub(super) async fn follow_until_stopped(
    context: &Context,
    ui: &Ui,
    services: &[String],
    watch: Option<crate::ops::watch::Options>,
) -> Result<(), Failure> {
    let wanted = Wanted {
        services: services.to_vec(),
        follow: true,
        only_attached: true,
        endless: watch.is_some(),
        ..Wanted::default()
    };
    let mut printer = Printer::new(false);
    let watching = async {
        match &watch {
            Some(options) => crate::ops::watch::watch(context, options).await,
            None => std::future::pending().await,
        }
    };
    let code = tokio::select! {
        ended = look::logs(context, &wanted, |line| printer.print(ui, &line)) => return ended,
        ended = watching => return ended,
        code = super::interruption() => code,
    };
    ui.note("stopping; Ctrl-C again leaves at once");
    let options = turn::Options {
        services: services.to_vec(),
        grace: None,
        wait: false,
        wait_timeout: Duration::MAX,
        dry_run: false,
    };
    tokio::select! {
        stopped = turn::turn(context, &Turn::Stop, &options) => stopped.map(|_| ()),
        _ = super::interruption() => Err(super::interrupted(code)),
    }
}

/// Print where a service's port is published on this machine
#[derive(Debug, Args)]
pub(super) struct Port {
    /// The service
    service: String,
    /// The port inside its container
    #[arg(value_name = "PORT")]
    inside: u16,
    /// tcp, udp or sctp
    #[arg(long, default_value = "tcp")]
    protocol: String,
    /// Which of several containers
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

impl Port {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let address = look::port(context, &self.service, self.inside, &self.protocol, self.index).await?;
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "address": address }));
        } else {
            ui.line(address);
        }
        Ok(())
    }
}

/// Show the processes of services
#[derive(Debug, Args)]
pub(super) struct Top {
    /// Services [default: all]
    services: Vec<String>,
}

impl Top {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let all = look::top(context, &self.services).await?;
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "containers": all }));
            return Ok(());
        }
        for (index, container) in all.iter().enumerate() {
            if index > 0 {
                ui.line("");
            }
            ui.line(&container.container);
            let titles: Vec<&str> = container.titles.iter().map(String::as_str).collect();
            let mut table = Table::new(&titles);
            for process in &container.processes {
                table.row(process.iter().cloned());
            }
            ui.table(&table);
        }
        Ok(())
    }
}

/// Tell what happens to the project's containers, as it happens
#[derive(Debug, Args)]
pub(super) struct Events {
    /// Services [default: all]
    services: Vec<String>,
}

impl Events {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        look::events(context, &self.services, |event| {
            if ui.wants_json() {
                ui.json_line(&event);
                return;
            }
            let attributes: Vec<String> =
                event.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
            ui.line(format!("{}  {}  {}", event.container, event.action, attributes.join(" ")).trim_end());
        })
        .await
    }
}

/// Wait for services
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv wait db --for healthy\n  devenv wait migrate --for exit   (its exit code becomes this command's)"
)]
pub(super) struct Wait {
    /// Services
    #[arg(required = true)]
    services: Vec<String>,
    /// What for
    #[arg(long = "for", value_name = "WHAT", default_value = "exit")]
    what: WaitFor,
    /// For how long at most [default: without end]
    #[arg(long, value_name = "SPAN", value_parser = options::span)]
    timeout: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WaitFor {
    Exit,
    Healthy,
    Ready,
}

impl Wait {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let until = match self.what {
            WaitFor::Exit => Until::Exit,
            WaitFor::Healthy => Until::Healthy,
            WaitFor::Ready => Until::Ready,
        };
        let codes = look::wait(context, &self.services, until, self.timeout).await?;
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "exit_codes": codes }));
        }
        match codes.values().find(|code| **code != 0) {
            None => Ok(()),
            Some(code) => {
                let code = u8::try_from(*code).unwrap_or(1);
                Err(Failure::new(Kind::Status(code), format!("exited with {code}")))
            }
        }
    }
}
