//! `watch`, and the program that it has inside containers.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use crate::base::Failure;
use crate::ops::Context;
use crate::ops::watch::{self, Options};

/// Write saved files into running services, and restart or rebuild them, by `develop.watch`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv watch              every service with watch rules; starts them first\n  devenv watch web          only this one\n  devenv watch --no-up      only look, and write into what runs\n\nThe rules stand in the compose file:\n\n  services:\n    web:\n      build: .\n      develop:\n        watch:\n          - {path: ./src, target: /app/src, action: sync, ignore: [node_modules/]}\n          - {path: ./package.json, action: rebuild}\n\nsync            the file is written into the container, with the container's user as its owner sync+restart    and the service is started again sync+exec       and the rule's `exec` is run in it restart         the service is started again rebuild         its image is built again and its containers are replaced; no other service's are\n\nLeft out are what the rule's `ignore` and the build's .dockerignore say, git's own folder, and the files that editors make for a moment. Folders that are left out are not even looked into.\n\nWhenever a container is seen for the first time, or again, its files are compared with the folder's by content: what differs is written, what is newer than the image too, and with `initial_sync: true` all that is missing. What the container has of its own is never removed.\n\nA migration that is saved is tried on a throw-away branch of the data first, with what is wrong in it shown at its line, and then applied to the current branch, with a snapshot before. An environment without branches (`devenv db branch --help`) has it applied at once. --no-migrate leaves that out.\n\nCtrl-C ends it; the services go on.\n\nTouches: the containers of these services; a small container beside each while it watches."
)]
pub(super) struct Watch {
    /// Services [default: all that have watch rules]
    services: Vec<String>,
    /// Do not start services
    #[arg(long)]
    no_up: bool,
    /// Look at the folders twice a second, even where the system tells of changes
    #[arg(long)]
    poll: bool,
    /// Leave saved migrations alone
    #[arg(long)]
    no_migrate: bool,
    /// Remove images that a rebuild leaves without a name; `--prune=false` keeps them
    #[arg(long, value_name = "YES", num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    prune: bool,
}

impl Watch {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let options = Options {
            services: self.services,
            up: !self.no_up,
            poll: self.poll,
            prune: self.prune,
            no_migrate: self.no_migrate,
        };
        watch::watch(context, &options).await
    }
}

/// Makes the files of a container as it is told
#[derive(Debug, Args)]
pub(super) struct Inside {
    /// Whose
    #[arg(long)]
    container: String,
    /// The user that they are given to
    #[arg(long, default_value = "")]
    user: String,
}

impl Inside {
    /// Serves; a failure is one line on standard error, for whoever reads the container's log.
    pub(super) fn run(self) -> ExitCode {
        match crate::watch::inside::serve(&self.container, &self.user) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{error}");
                ExitCode::FAILURE
            }
        }
    }
}
