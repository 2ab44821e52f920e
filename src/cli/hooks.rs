//! `hooks` and `check`: git and the environment, kept together.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::base::{Event, Failure, Kind};
use crate::ops::hooks::{self, Found, HOOKS, Installed};
use crate::ops::{Context, up};
use crate::ui::{Table, Ui, words};

/// Let the environment follow `git checkout`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv hooks install\n  git checkout feat/login      its environment is brought up in the background\n  devenv hooks status\n  devenv hooks uninstall\n\nHooks that are there go on working, those of husky and lefthook too, and `uninstall` leaves each file as it was.\nAfter a checkout the environment follows where the one before runs. Before a commit it is checked that commands here work on the git branch's environment; `git commit --no-verify` passes over that."
)]
pub(super) struct Hooks {
    #[command(subcommand)]
    command: HooksCommand,
}

#[derive(Debug, Subcommand)]
enum HooksCommand {
    /// Add devenv to this repository's hooks
    Install(Change),
    /// Take it out again
    Uninstall(Change),
    /// Show what is installed
    Status,
    /// What a hook runs
    Run(Run),
    /// What goes on in the background after a checkout
    #[command(hide = true)]
    Follow(Follow),
}

#[derive(Debug, Args)]
struct Change {
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct Run {
    /// The hook
    #[arg(value_parser = HOOKS)]
    hook: String,
    /// What git gave it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Debug, Args)]
struct Follow {
    /// The environment that was current
    before: String,
}

/// The file of the program that runs.
fn program() -> Result<std::path::PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(Kind::Failed, "devenv's own file is not known").source(error))
}

impl Hooks {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            HooksCommand::Install(change) => {
                let done = hooks::install(context, &program()?, change.dry_run)?;
                if done.shared {
                    let text = "hooks are kept outside of this repository (core.hooksPath): in others they do nothing";
                    context.events.tell(Event::warning(text));
                }
                show(ui, &done);
                Ok(())
            }
            HooksCommand::Uninstall(change) => {
                show(ui, &hooks::uninstall(context, change.dry_run)?);
                Ok(())
            }
            HooksCommand::Status => {
                show(ui, &hooks::status(context)?);
                Ok(())
            }
            HooksCommand::Run(run) => run.run(context, ui).await,
            HooksCommand::Follow(follow) => follow.run(context, ui).await,
        }
    }
}

fn show(ui: &Ui, installed: &Installed) {
    if ui.wants_json() {
        ui.json(installed);
        return;
    }
    let mut table = Table::new(&["HOOK", "STATE", "FILE"]);
    for row in &installed.hooks {
        let state = match row.found {
            Found::Missing => "not installed",
            Found::Own => "installed",
            Found::Part => "installed, in a hook that was there",
            Found::Wrapper => "installed, before a hook that was there",
        };
        table.row([row.hook.to_owned(), state.to_owned(), row.path.display().to_string()]);
    }
    ui.table(&table);
    if let Some(manager) = installed.manager {
        ui.note(&format!("{manager} keeps hooks here too; if it writes them anew, install again"));
    }
    if installed.log.exists() {
        ui.note(&format!("what happened in the background: {}", installed.log.display()));
    }
}

impl Run {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        if self.hook == "pre-commit" {
            return match hooks::check(context, None).await {
                Err(failure) if failure.kind == Kind::Conflict => {
                    Err(failure.hint("`git commit --no-verify` commits all the same"))
                }
                // Whatever else is wrong is not git's affair.
                _ => Ok(()),
            };
        }
        match hooks::post_checkout(context, &self.arguments, &program()?) {
            Ok(said) => {
                for said in said {
                    ui.note(&format!("devenv: environment {} follows", words::harmless(&said.environment)));
                }
            }
            Err(failure) => context.events.warn(&failure),
        }
        Ok(())
    }
}

impl Follow {
    async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        if let Some(ready) = hooks::background(context, &self.before).await? {
            up::up(&ready, &super::env::start_options()).await?;
            super::env::write_dotenv(&ready, ui).await?;
            ui.note(&format!("environment {} is up", ready.standing()?.label));
        }
        Ok(())
    }
}

/// Check that commands here work on the expected environment
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv check                    the files, and that the git branch's environment is meant\n  devenv check --expect-env qa    exit code 5 where another one is meant"
)]
pub(super) struct Check {
    /// The environment [default: that of the git branch]
    #[arg(long, value_name = "ENV")]
    expect_env: Option<String>,
}

impl Check {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        context.load_judged(&context.request(&[]), None)?;
        let standing = hooks::check(context, self.expect_env.as_deref()).await?;
        if ui.wants_json() {
            ui.json(&json!({ "version": 1, "environment": standing.label, "name": standing.name }));
        }
        ui.note(&format!("commands here work on environment {} ({})", standing.label, standing.origin));
        Ok(())
    }
}
