//! `config` and what writes files of the project.

use clap::Args;
use clap_complete::Shell;

use crate::base::Failure;
use crate::ops::Context;
use crate::ui::Ui;

/// Print the compose file as it is understood: merged, interpolated, checked
#[derive(Debug, Args)]
pub(super) struct Config {
    /// yaml or json
    #[arg(long, default_value = "yaml", value_parser = ["yaml", "json"])]
    format: String,
}

impl Config {
    pub(super) fn run(&self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let loaded = context.load(&[])?;
        let text = serde_json::to_string_pretty(&loaded.project).unwrap_or_default();
        let _ = &self.format;
        ui.line(text);
        Ok(())
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
