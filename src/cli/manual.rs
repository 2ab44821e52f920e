//! `man`.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_mangen::Man as Page;

use crate::base::{Failure, Kind};
use crate::ops::Context;
use crate::ui::Ui;

/// Print the manual page, or write one for every command into a folder
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  devenv man | man -l -\n  devenv man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// The folder; it is made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, command: clap::Command, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let Some(directory) = self.directory else {
            let mut page = Vec::new();
            Page::new(command).render(&mut page).map_err(|error| failed("the page", error))?;
            ui.bytes(&page);
            return Ok(());
        };
        let directory = context.directory.join(directory);
        let cannot = |error| failed(&directory.display().to_string(), error);
        fs::create_dir_all(&directory).map_err(cannot)?;
        // As root of the tree the command is not built yet; its pages are named after it.
        clap_mangen::generate_to(command, &directory).map_err(cannot)?;
        ui.note(&format!("wrote the pages into {}", directory.display()));
        Ok(())
    }
}

fn failed(what: &str, error: std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("{what} cannot be written")).source(error)
}
