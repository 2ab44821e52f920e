//! `up`, `down`, `status`, and turning services on and off.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::options;
use crate::base::{Failure, Kind};
use crate::ops::explain::Replaced;
use crate::ops::{self, Context, status, turn, up};
use crate::plan::turn::Turn;
use crate::plan::{Plan, down, up::Recreate};
use crate::supabase::status as supabase;
use crate::ui::{Table, Ui, words};

/// How long a service may take to be ready where nobody says.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);

/// Start the environment and wait until it is ready
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv up                 everything in compose.yaml\n  devenv up api             the service api and what it depends on\n  devenv up --dry-run       what would be done, and why\n\nOn a git branch other than the default one it starts that git branch's environment, and makes it first:\n`devenv env --help` says which environment a command means.\n\nTouches: containers, networks, volumes and images of this project."
)]
pub(super) struct Up {
    /// Services [default: all]
    services: Vec<String>,
    /// Follow the logs; Ctrl-C stops the services
    #[arg(long, conflicts_with = "detach")]
    pub(super) attach: bool,
    /// Then write saved files into the services, and restart or rebuild them, by `develop.watch`, as `devenv watch`
    /// does; Ctrl-C ends that, and with --attach stops the services
    #[arg(short, long, conflicts_with_all = ["detach", "no_start", "dry_run", "explain"])]
    watch: bool,
    /// End when all is ready (the default)
    #[arg(short, long)]
    detach: bool,
    /// End as soon as the containers are started, ready or not
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// Wait until every service is ready (the default)
    #[arg(long)]
    wait: bool,
    /// How long to wait for a service to become ready
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = options::span)]
    wait_timeout: Duration,
    /// Build images first, even if they are there
    #[arg(long, conflicts_with = "no_build")]
    build: bool,
    /// Never build
    #[arg(long)]
    no_build: bool,
    /// When to pull images
    #[arg(long, value_name = "POLICY", value_parser = ["always", "missing", "never"])]
    pull: Option<String>,
    /// Leave the services' dependencies alone
    #[arg(long)]
    no_deps: bool,
    /// Replace containers even if nothing changed
    #[arg(long, visible_alias = "recreate", conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// Never replace a container
    #[arg(long)]
    no_recreate: bool,
    /// Create containers but do not start them
    #[arg(long)]
    no_start: bool,
    /// Remove containers that no service owns
    #[arg(long)]
    remove_orphans: bool,
    /// Give replaced containers new anonymous volumes
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,
    /// How long a container may take to stop [default: its `stop_grace_period`]
    #[arg(short, long, value_name = "SPAN", value_parser = options::span)]
    timeout: Option<Duration>,
    /// Run so many containers of a service
    #[arg(long, value_name = "SERVICE=N", value_parser = options::scale)]
    scale: Vec<(String, i64)>,
    /// Leave pending migrations alone
    #[arg(long)]
    no_migrate: bool,
    /// Leave seeds alone
    #[arg(long)]
    no_seed: bool,
    /// Say what would be done, and why
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Say which containers would be replaced and which fields changed; do nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) explain: bool,
}

impl Up {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let choose = |yes: bool, no: bool| if yes { Some(true) } else { no.then_some(false) };
        let no_migrate = self.no_migrate;
        let options = up::Options {
            services: self.services.clone(),
            no_deps: self.no_deps,
            recreate: match (self.force_recreate, self.no_recreate) {
                (true, _) => Recreate::Always,
                (_, true) => Recreate::Never,
                _ => Recreate::Diverged,
            },
            build: choose(self.build, self.no_build),
            pull: self.pull,
            no_start: self.no_start,
            remove_orphans: self.remove_orphans,
            renew_anonymous_volumes: self.renew_anon_volumes,
            grace: self.timeout,
            wait: !self.no_wait && !self.attach,
            wait_timeout: self.wait_timeout,
            scale: self.scale.into_iter().collect(),
            no_migrate: self.no_migrate,
            no_seed: self.no_seed,
            dry_run: self.dry_run || self.explain,
        };
        // With --attach nobody else listens for signals.
        let done = super::unless_interrupted(up::up(context, &options), context).await?;
        if self.explain {
            show_replaced(ui, &done.replaced);
            return Ok(());
        }
        if self.dry_run {
            show_plan(ui, &done.plan);
            return Ok(());
        }
        let context = done.moved.as_ref().unwrap_or(context);
        super::env::write_dotenv(context, ui).await?;
        let watch = if self.watch {
            Some(ops::watch::Options::after_up(context, &self.services, no_migrate)?)
        } else {
            None
        };
        if self.attach {
            return super::look::follow_until_stopped(context, ui, &self.services, watch).await;
        }
        if let Some(options) = watch {
            return ops::watch::watch(context, &options).await;
        }
        if ui.is_quiet() && !ui.wants_json() {
            return Ok(());
        }
        let status = status::of(&done.engine, &done.subject, &self.services, false).await?;
        if ui.wants_json() {
            let times: BTreeMap<_, _> =
                done.times.iter().map(|(name, took)| (name, took.as_secs_f64())).collect();
            ui.json(&json!({
                "version": 1,
                "project": status.project,
                "steps": done.plan.steps.len(),
                "seconds": times,
                "services": status.services,
            }));
            return Ok(());
        }
        let mut table = Table::new(&["SERVICE", "STATE", "READY AFTER", "ADDRESSES"]);
        for row in &status.services {
            let took = done.times.get(&row.service);
            let took =
                took.map_or_else(|| "was up".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()));
            table.row([row.service.clone(), row.word(), took, row.addresses.join(" ")]);
        }
        ui.table(&table);
        show_what_next(context, ui, done.subject.stack.is_some()).await;
        Ok(())
    }
}

/// What would be replaced, and the fields that are the reason.
fn show_replaced(ui: &Ui, replaced: &[Replaced]) {
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "replaced": replaced }));
        return;
    }
    if replaced.is_empty() {
        ui.note("no container would be replaced");
    }
    for one in replaced {
        // The fields follow, one a line.
        let why = if one.changes.is_empty() { one.why.as_str() } else { "configuration changed" };
        ui.line(format!("{}: {why}", one.container));
        for change in &one.changes {
            ui.line(format!("  {change}"));
        }
    }
}

/// What a Supabase-style stack answers to, and what to try next.
async fn show_what_next(context: &Context, ui: &Ui, is_stack: bool) {
    let next = |words: &[&str]| words.iter().for_each(|line| ui.note(line));
    // The stack may have been started in part: then there is less to show.
    let status = if is_stack { ops::database::supabase_status(context).await.ok() } else { None };
    let Some(status) = status else {
        next(&["", "next: devenv logs -f · devenv status · devenv down"]);
        return;
    };
    let mut table = Table::new(&["WHAT", "WHERE"]);
    let urls = [
        ("API", status.api_url.as_ref()),
        ("Studio", status.studio_url.as_ref()),
        ("Mail", status.mail_url.as_ref()),
        ("Database", Some(&status.db_url)),
    ];
    for (what, url) in urls.into_iter().filter_map(|(what, url)| Some((what, url?))) {
        table.row([what.to_owned(), url.clone()]);
    }
    ui.line("");
    ui.table(&table);
    next(&[
        "",
        "next: open the Studio in a browser, or write the keys for your app: devenv status -o env > .env.local",
        "      devenv logs -f · devenv exec db psql -U postgres · devenv down",
    ]);
}

/// A plan as a person or a program reads it.
pub(super) fn show_plan(ui: &Ui, plan: &Plan) {
    if ui.wants_json() {
        ui.json(&json!({ "version": 1, "plan": plan }));
        return;
    }
    for warning in &plan.warnings {
        ui.events().tell(crate::base::Event::warning(warning.as_str()));
    }
    if plan.is_empty() {
        ui.note("nothing to do");
    } else {
        ui.bytes(plan.to_string().as_bytes());
    }
}

/// Stop and remove the environment's containers and networks; data stays
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv down               containers and networks\n  devenv down --volumes     the data too (asks first)"
)]
pub(super) struct Down {
    /// Services [default: all]
    services: Vec<String>,
    /// Remove the volumes and all that is in them
    #[arg(short, long)]
    volumes: bool,
    /// Remove images: those that were built here, or all
    #[arg(long, value_name = "WHICH")]
    rmi: Option<Rmi>,
    /// Remove containers that no service owns
    #[arg(long)]
    remove_orphans: bool,
    /// How long a container may take to stop [default: its `stop_grace_period`]
    #[arg(short, long, value_name = "SPAN", value_parser = options::span)]
    timeout: Option<Duration>,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rmi {
    Local,
    All,
}

impl Down {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let wishes = down::Wishes {
            targets: self.services,
            volumes: self.volumes,
            images: self.rmi.map(|rmi| match rmi {
                Rmi::Local => down::Images::Local,
                Rmi::All => down::Images::All,
            }),
            remove_orphans: self.remove_orphans,
            grace: self.timeout,
        };
        if self.volumes && !self.dry_run {
            let plan = ops::down::down(context, &wishes, true).await?;
            let volumes: Vec<String> = plan
                .steps
                .iter()
                .filter_map(|step| match &step.act {
                    crate::plan::Act::RemoveVolume { name } => Some(name.clone()),
                    _ => None,
                })
                .collect();
            let question = format!("Remove {} with all that is in it?", volumes.join(", "));
            if !volumes.is_empty() && !ui.confirm(&question, "--yes")? {
                return Err(Failure::new(Kind::Failed, "nothing was removed"));
            }
        }
        let plan = ops::down::down(context, &wishes, self.dry_run).await?;
        if self.dry_run {
            show_plan(ui, &plan);
        } else if ui.wants_json() {
            ui.json(&json!({ "version": 1, "steps": plan.steps.len() }));
        } else if plan.is_empty() {
            ui.note("nothing to remove");
        }
        Ok(())
    }
}

/// Show services, their health and where they answer
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Services [default: all]
    services: Vec<String>,
    /// One-off containers of `run` too
    #[arg(short, long)]
    all: bool,
    /// Exit with 6 unless every service is well
    #[arg(long)]
    exit_code: bool,
    /// The form: `env` prints the variables that `supabase status -o env` prints, for Supabase-style stacks
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Output,
    /// Call a variable of `-o env` differently: `api.url=NEXT_PUBLIC_SUPABASE_URL` (repeatable)
    #[arg(long, value_name = "FIELD=NAME")]
    override_name: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
    Env,
    /// The variables of `env` as one JSON object
    EnvJson,
}

impl Status {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        if matches!(self.output, Output::Env | Output::EnvJson) {
            let status = ops::database::supabase_status(context).await?;
            let variables = supabase::variables(&status, &self.override_name)?;
            if self.output == Output::EnvJson || ui.wants_json() {
                ui.json(&supabase::json(&variables));
            } else {
                ui.bytes(supabase::env(&variables).as_bytes());
            }
            return Ok(());
        }
        let status = status::status(context, &self.services, self.all).await?;
        if ui.wants_json() || self.output == Output::Json {
            ui.json(&status);
        } else {
            show_status(ui, &status);
        }
        if self.exit_code && !status.services.iter().all(status::Row::is_well) {
            return Err(Failure::new(Kind::Status(Kind::Unhealthy.exit_code()), "not every service is well"));
        }
        Ok(())
    }
}

fn show_status(ui: &Ui, status: &status::Status) {
    let mut table = Table::new(&["SERVICE", "STATE", "ADDRESSES", "CONTAINER"]);
    for row in &status.services {
        let mut container = row.container.clone();
        if row.drifted {
            container.push_str("  (configuration changed: devenv up)");
        } else if row.orphan {
            container.push_str("  (no service owns it)");
        }
        table.row([row.service.clone(), row.word(), row.addresses.join(" "), container]);
    }
    ui.table(&table);
    // A folder without git has one environment, and nothing to be told about it.
    let meant = status.environment.as_ref().filter(|meant| !meant.default || meant.git.is_some());
    if let Some(meant) = meant {
        ui.note(&format!("environment {} ({})", meant.name, words::harmless(&meant.origin)));
    }
    if let Some(branch) = &status.branch {
        ui.note(&format!("on branch {}", words::harmless(branch)));
    }
}

macro_rules! turns {
    ($($(#[$about:meta])* $name:ident => $turn:expr),* $(,)?) => {$(
        $(#[$about])*
        #[derive(Debug, Args)]
        pub(super) struct $name {
            #[command(flatten)]
            common: Turned,
        }

        impl $name {
            pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
                self.common.run(&$turn, context, ui).await
            }
        }
    )*};
}

turns! {
    /// Start services that were stopped, and wait until they are ready
    Start => Turn::Start,
    /// Stop services without removing anything
    Stop => Turn::Stop,
    /// Stop and start services
    Restart => Turn::Restart,
    /// Freeze the processes of services
    Pause => Turn::Pause,
    /// Let frozen processes go on
    Unpause => Turn::Unpause,
}

#[derive(Debug, Args)]
struct Turned {
    /// Services [default: all]
    services: Vec<String>,
    /// How long a container may take to stop [default: its `stop_grace_period`]
    #[arg(short, long, value_name = "SPAN", value_parser = options::span)]
    timeout: Option<Duration>,
    /// Do not wait until what was started is ready
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for a service to become ready
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = options::span)]
    wait_timeout: Duration,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Turned {
    async fn run(self, turn: &Turn, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let options = turn::Options {
            services: self.services,
            grace: self.timeout,
            wait: !self.no_wait && matches!(turn, Turn::Start | Turn::Restart),
            wait_timeout: self.wait_timeout,
            dry_run: self.dry_run,
        };
        let plan = turn::turn(context, turn, &options).await?;
        if self.dry_run {
            show_plan(ui, &plan);
        } else if ui.wants_json() {
            ui.json(&json!({ "version": 1, "steps": plan.steps.len() }));
        } else if plan.is_empty() {
            ui.note("nothing to do");
        }
        Ok(())
    }
}

/// Send a signal to services
#[derive(Debug, Args)]
pub(super) struct Kill {
    /// The signal
    #[arg(short, long, default_value = "SIGKILL")]
    signal: String,
    #[command(flatten)]
    common: Turned,
}

impl Kill {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        self.common.run(&Turn::Kill(self.signal), context, ui).await
    }
}
