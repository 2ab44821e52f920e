//! `build` and `pull`.

use clap::Args;
use serde_json::json;

use super::stack::show_plan;
use crate::base::Failure;
use crate::ops::Context;
use crate::ops::images::{self, Options};
use crate::plan::Plan;
use crate::ui::Ui;

/// Build the images of services
#[derive(Debug, Args)]
pub(super) struct Build {
    /// Services [default: all that have a `build`]
    services: Vec<String>,
    /// The services' dependencies too
    #[arg(long)]
    with_dependencies: bool,
    /// Run every step again
    #[arg(long)]
    no_cache: bool,
    /// Ask registries for newer base images
    #[arg(long)]
    pull: bool,
    /// Set a build argument; without a value it is taken from the environment (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]")]
    #[allow(clippy::struct_field_names, reason = "the option is called so")]
    build_arg: Vec<String>,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Build {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let options = Options {
            services: self.services,
            with_dependencies: self.with_dependencies,
            no_cache: self.no_cache,
            pull_base: self.pull,
            args: self
                .build_arg
                .iter()
                .map(|arg| match arg.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (arg.clone(), None),
                })
                .collect(),
            dry_run: self.dry_run,
            ..Options::default()
        };
        finish(ui, &images::build_all(context, &options).await?, self.dry_run);
        Ok(())
    }
}

/// Pull the images of services
#[derive(Debug, Args)]
pub(super) struct Pull {
    /// Services [default: all that have no `build`]
    services: Vec<String>,
    /// The services' dependencies too
    #[arg(long, visible_alias = "include-deps")]
    with_dependencies: bool,
    /// Only those that are not here
    #[arg(long)]
    missing: bool,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Pull {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let options = Options {
            services: self.services,
            with_dependencies: self.with_dependencies,
            missing_only: self.missing,
            dry_run: self.dry_run,
            ..Options::default()
        };
        finish(ui, &images::pull_all(context, &options).await?, self.dry_run);
        Ok(())
    }
}

fn finish(ui: &Ui, plan: &Plan, dry_run: bool) {
    if dry_run {
        show_plan(ui, plan);
    } else if ui.wants_json() {
        ui.json(
            &json!({ "version": 1, "images": plan.steps.iter().map(|step| &step.act).collect::<Vec<_>>() }),
        );
    } else if plan.is_empty() {
        ui.note("nothing to do");
    }
}
