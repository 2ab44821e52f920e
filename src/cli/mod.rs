//! Listens: what was typed becomes the options of an operation. The only room that knows clap, and the
//! environment is handed to it by `main`.

mod backup;
mod copy;
mod crash;
mod db;
mod doctor;
mod env;
mod gateway;
mod generate;
mod hooks;
mod images;
mod init;
mod keeper;
mod library;
mod look;
mod manual;
mod mask;
mod migrate;
mod options;
mod pool;
mod project;
mod run;
mod schema;
mod stack;
mod watch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::base::{Failure, Kind};
use crate::ops::environment::Words;
use crate::ops::stop::Stop;
use crate::ops::{Choice, Context, environment, official};
use crate::ui::{Ui, Wishes};

/// Every git branch its own complete environment: the services of an ordinary compose file, and its own
/// writable copy of the data.
#[derive(Debug, Parser)]
#[command(
    name = "devenv",
    version,
    propagate_version = false,
    max_term_width = 100,
    disable_help_subcommand = true,
    infer_long_args = false,
    after_help = "Start here: `devenv init --template supabase`, then `devenv up`.\nExit codes: 0 done · 1 failed · 2 usage · 3 your files · 4 engine unreachable · 5 conflict · 6 unhealthy · 7 data · 8 storage · 130 interrupted"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options for every command")]
struct Global {
    /// Work as if started in this directory
    #[arg(short = 'C', value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A compose file; repeat it to merge several, `-` is standard input [default: compose.yaml, here or above]
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<String>,
    /// The project's name [default: from the file, else the directory's name]
    #[arg(short, long, alias = "project-name", global = true, value_name = "NAME")]
    project: Option<String>,
    /// Work in this environment [default: the git branch's; `devenv env --help` says more]
    #[arg(short, long, global = true, value_name = "ENV", conflicts_with = "branch")]
    env: Option<String>,
    /// Work on this branch of the data where it runs beside; `up` starts it there
    #[arg(short, long, global = true, value_name = "BRANCH")]
    branch: Option<String>,
    /// The directory that relative paths in the compose file start from
    #[arg(long, global = true, value_name = "DIR")]
    project_directory: Option<PathBuf>,
    /// Activate a profile (repeatable, `*` for all)
    #[arg(long = "profile", global = true, value_name = "NAME")]
    profiles: Vec<String>,
    /// Read variables from this file instead of .env (repeatable)
    #[arg(long = "env-file", global = true, value_name = "FILE")]
    env_files: Vec<PathBuf>,
    /// For services that name both: images that their makers publish, or images built from source
    #[arg(long, global = true, value_name = "WHICH", default_value = "auto")]
    images: Images,
    /// Data as JSON on stdout, events as JSON lines on stderr
    #[arg(long, global = true)]
    json: bool,
    /// Warnings and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Developers' log on stderr; repeat for more
    #[arg(long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Never ask; a question is a usage error that names the flag which answers it
    #[arg(long, global = true)]
    no_input: bool,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    yes: bool,
    /// Take every warning about the files for an error
    #[arg(long, global = true)]
    strict: bool,
    /// How long to wait for another command on the same project
    #[arg(long, global = true, value_name = "SPAN", default_value = "60s", value_parser = options::span)]
    lock_timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Images {
    Auto,
    Official,
    Source,
    /// `config --images` without a value: their names.
    #[value(skip)]
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(stack::Up),
    Down(stack::Down),
    #[command(alias = "ps", visible_alias = "s")]
    Status(stack::Status),
    Logs(look::Logs),
    Watch(watch::Watch),
    Exec(run::Exec),
    Run(run::Run),
    Start(stack::Start),
    Stop(stack::Stop),
    Restart(stack::Restart),
    Pause(stack::Pause),
    Unpause(stack::Unpause),
    Kill(stack::Kill),
    Build(images::Build),
    Pull(images::Pull),
    Config(project::Config),
    Port(look::Port),
    Top(look::Top),
    Events(look::Events),
    Wait(look::Wait),
    Cp(run::Cp),
    Init(init::Init),
    Template(library::Templates),
    Module(library::Modules),
    Schema(library::Schema),
    Completions(project::Completions),
    Man(manual::Man),
    Db(db::Db),
    Env(env::Env),
    Hook(env::Hook),
    Hooks(hooks::Hooks),
    Check(hooks::Check),
    /// `db branch`
    #[command(name = "b", hide = true)]
    Branch(db::Branches),
    Psql(db::Psql),
    Pool(pool::Pool),
    Gateway(gateway::Gateway),
    Gc(pool::Gc),
    State(pool::State),
    Doctor(doctor::Doctor),
    #[command(name = "__keeper", hide = true)]
    Keeper(keeper::Keeper),
    #[command(name = "__gateway", hide = true)]
    Served(gateway::Served),
    #[command(name = "__inside", hide = true)]
    Inside(watch::Inside),
}

/// Runs one command; its failure has been told when this returns.
#[must_use]
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let environment: BTreeMap<String, String> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that went away is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Command::Keeper(keeper) = cli.command {
        return keeper.run();
    }
    if let Command::Served(served) = cli.command {
        return served.run();
    }
    if let Command::Inside(inside) = cli.command {
        return inside.run();
    }
    start_log(cli.global.verbose, &environment);
    let ui = Ui::new(wishes(&cli.global, &environment));
    let result = context(&cli.global, &environment, &arguments, &ui).and_then(|context| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Kind::Failed, "no threads").source(error))?;
        let result =
            crash::caught(&environment, || runtime.block_on(run(cli.command, &cli.global, &context, &ui)));
        // A thread may still be reading standard input; nobody waits for it.
        runtime.shutdown_background();
        result
    });
    ui.settle();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.kind.exit_code();
            if !matches!(failure.kind, Kind::Status(_)) {
                ui.failure(&as_seen_from_here(failure));
            }
            ExitCode::from(code)
        }
    }
}

async fn run(command: Command, global: &Global, context: &Context, ui: &Ui) -> Result<(), Failure> {
    let own_signals = match &command {
        Command::Exec(_) | Command::Run(_) | Command::Psql(_) => true,
        Command::Up(up) => up.attach,
        _ => false,
    };
    let work = async {
        let words =
            Words { environment: global.env.as_deref(), branch: global.branch.is_some(), ..Words::default() };
        let context = match &command {
            // They look for themselves.
            Command::Env(_) | Command::Check(_) => return dispatch(command, context, words, ui).await,
            command if command.follows_git() => &environment::resolve(context, words).await?,
            _ if global.env.is_some() => return Err(needs_no_environment()),
            _ => context,
        };
        if global.branch.is_none() && command.needs_environment() {
            context.environment_is_there()?;
        }
        match (&global.branch, &command) {
            (Some(branch), _) => {
                let makes = matches!(command, Command::Up(_));
                let apart = crate::ops::branch::beside::context(context, branch, makes).await?;
                dispatch(command, &apart, words, ui).await
            }
            (None, Command::Up(up)) if up.dry_run || up.explain => {
                if let Some((label, from)) = environment::make::would_make(context).await? {
                    ui.note(&format!("would make environment {label} from {from}"));
                }
                dispatch(command, context, words, ui).await
            }
            (None, Command::Up(_)) => {
                let ready = environment::make::ensure(context).await?;
                dispatch(command, &ready, words, ui).await
            }
            _ => dispatch(command, context, words, ui).await,
        }
    };
    let work = Box::pin(work);
    if own_signals { work.await } else { unless_interrupted(work, context).await }
}

/// Does the work, which a signal ends as soon as it can be left, and a second one at once.
async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
    context: &Context,
) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    let code = tokio::select! {
        result = &mut work => return result,
        code = interruption() => code,
    };
    context.stop.ask();
    tokio::select! {
        _ = work => Err(interrupted(code)),
        () = context.stop.free() => Err(interrupted(code)),
        code = interruption() => {
            Err(interrupted(code).hint("services may still be paused: `devenv up` lets them go on"))
        }
    }
}

impl Command {
    /// Whether it is about the services or the data of one environment.
    fn follows_git(&self) -> bool {
        !matches!(
            self,
            Self::Config(_)
                | Self::Init(_)
                | Self::Template(_)
                | Self::Schema(_)
                | Self::Completions(_)
                | Self::Man(_)
                | Self::Pool(_)
                | Self::State(_)
                | Self::Doctor(_)
                | Self::Hook(_)
                | Self::Hooks(_)
                | Self::Keeper(_)
                | Self::Inside(_)
        )
    }
}

impl Command {
    /// Whether it works on what an environment has; `up` makes one.
    fn needs_environment(&self) -> bool {
        let does_without =
            matches!(self, Self::Up(_) | Self::Gc(_) | Self::Build(_) | Self::Pull(_) | Self::Gateway(_));
        self.follows_git() && !does_without
    }
}

fn needs_no_environment() -> Failure {
    Failure::new(Kind::Usage, "this command is not about one environment: it takes no --env")
}

async fn dispatch(command: Command, context: &Context, words: Words<'_>, ui: &Ui) -> Result<(), Failure> {
    match command {
        Command::Up(up) => up.run(context, ui).await,
        Command::Down(down) => down.run(context, ui).await,
        Command::Status(status) => status.run(context, ui).await,
        Command::Logs(logs) => logs.run(context, ui).await,
        Command::Watch(watch) => watch.run(context).await,
        Command::Exec(exec) => exec.run(context, ui).await,
        Command::Run(run) => run.run(context, ui).await,
        Command::Start(start) => start.run(context, ui).await,
        Command::Stop(stop) => stop.run(context, ui).await,
        Command::Restart(restart) => restart.run(context, ui).await,
        Command::Pause(pause) => pause.run(context, ui).await,
        Command::Unpause(unpause) => unpause.run(context, ui).await,
        Command::Kill(kill) => kill.run(context, ui).await,
        Command::Build(build) => build.run(context, ui).await,
        Command::Pull(pull) => pull.run(context, ui).await,
        Command::Config(config) => config.run(context, ui),
        Command::Port(port) => port.run(context, ui).await,
        Command::Top(top) => top.run(context, ui).await,
        Command::Events(events) => events.run(context, ui).await,
        Command::Wait(wait) => wait.run(context, ui).await,
        Command::Cp(cp) => cp.run(context, ui).await,
        Command::Db(db) => db.run(context, ui).await,
        Command::Env(env) => env.run(context, words, ui).await,
        Command::Hooks(hooks) => hooks.run(context, ui).await,
        Command::Check(check) => check.run(context, ui).await,
        Command::Hook(hook) => {
            hook.run(ui);
            Ok(())
        }
        Command::Branch(branches) => branches.run(context, ui).await,
        Command::Psql(psql) => psql.run(context).await,
        Command::Pool(pool) => pool.run(context, ui).await,
        Command::Gateway(gateway) => gateway.run(context, ui).await,
        Command::Gc(gc) => gc.run(context, ui).await,
        Command::State(state) => state.run(context, ui).await,
        Command::Doctor(doctor) => doctor.run(context, ui).await,
        // They have their own, smaller world; see `main`.
        Command::Keeper(_) | Command::Served(_) | Command::Inside(_) => Ok(()),
        Command::Init(init) => init.run(context, ui),
        Command::Template(template) => template.run(context, ui),
        Command::Module(module) => module.run(context, ui).await,
        Command::Schema(schema) => {
            schema.run(ui);
            Ok(())
        }
        Command::Man(man) => man.run(Cli::command(), context, ui),
        Command::Completions(completions) => {
            completions.run(&mut Cli::command(), ui);
            Ok(())
        }
    }
}

/// Ctrl-C, a polite kill, or a closed terminal: its exit code is 128 and the signal's number.
async fn interruption() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let next = async |kind: SignalKind| match signal(kind) {
        Ok(mut signal) => signal.recv().await.unwrap_or(()),
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = next(SignalKind::interrupt()) => 130,
        () = next(SignalKind::terminate()) => 143,
        () = next(SignalKind::hangup()) => 129,
    }
}

fn interrupted(code: u8) -> Failure {
    let kind = if code == 130 { Kind::Interrupted } else { Kind::Signalled(code) };
    Failure::new(kind, "interrupted").hint("the same command goes on where this one stopped")
}

fn wishes(global: &Global, environment: &BTreeMap<String, String>) -> Wishes {
    let set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    Wishes {
        color: match global.color {
            Color::Always => Some(true),
            Color::Never => Some(false),
            // https://no-color.org
            Color::Auto if set("NO_COLOR") || environment.get("TERM").is_some_and(|term| term == "dumb") => {
                Some(false)
            }
            Color::Auto => None,
        },
        json: global.json,
        quiet: global.quiet,
        no_input: global.no_input,
        yes: global.yes,
        plain: set("CI") || environment.get("TERM").is_none_or(|term| term == "dumb"),
    }
}

fn context(
    global: &Global,
    environment: &BTreeMap<String, String>,
    arguments: &[OsString],
    ui: &Ui,
) -> Result<Context, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(Kind::Files, "the current directory is gone").source(error))?;
    let directory = match &global.directory {
        Some(directory) => here.join(directory).canonicalize().map_err(|error| {
            Failure::new(Kind::Usage, format!("-C {}", directory.display())).source(error)
        })?,
        None => here.clone(),
    };
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    Ok(Context {
        directory,
        environment: environment.clone(),
        choice: Choice {
            files: global.files.clone(),
            project: global.project.clone(),
            project_directory: global.project_directory.clone(),
            profiles: global.profiles.clone(),
            env_files: global.env_files.clone(),
            images: match global.images {
                Images::Auto | Images::List => official::Images::Auto,
                Images::Official => official::Images::Official,
                Images::Source => official::Images::Source,
            },
            apart: None,
        },
        events: ui.events(),
        lock_timeout: global.lock_timeout,
        strict: global.strict,
        command_line: words.join(" "),
        stop: Stop::default(),
        standing: None,
    })
}

/// Paths as the user would write them: relative to the current directory, for what lies below it.
fn as_seen_from_here(mut failure: Failure) -> Failure {
    if let Ok(here) = std::env::current_dir() {
        for place in &mut failure.places {
            if let Ok(below) = place.path.strip_prefix(&here) {
                place.path = below.to_path_buf();
            }
        }
        failure.others = failure.others.into_iter().map(as_seen_from_here).collect();
    }
    failure
}

/// The developers' log: off unless asked for, by `-v` or by `RUST_LOG`.
fn start_log(verbose: u8, environment: &BTreeMap<String, String>) {
    let level = match verbose {
        0 => None,
        1 => Some("devenv=debug".to_owned()),
        _ => Some("devenv=trace,bollard=debug".to_owned()),
    };
    if let Some(filter) = level.or_else(|| environment.get("RUST_LOG").cloned()) {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .try_init();
    }
}
