//! `devenv __keeper`: what our own containers run beside the engine. Nobody types it, so it starts nothing that
//! commands need: no runtime, no settings, no terminal.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::storage::StorageError;
use crate::storage::image::{self, Create, Wish};
use crate::storage::protocol::{Ask, Driver, Request};
use crate::storage::serve::{self, Options};

/// Keeps the pool
#[derive(Debug, clap::Args)]
pub(super) struct Keeper {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Answers questions about the pool, one JSON document a line
    Serve {
        #[command(flatten)]
        pool: Pool,
        /// Go on when the input ends, until SIGTERM
        #[arg(long)]
        stay: bool,
    },
    /// Opens or makes the pool's file and puts it behind a loop device; prints which
    Attach {
        #[arg(long)]
        file: PathBuf,
        /// Make it if it is not there
        #[arg(long)]
        create: bool,
        /// Its size in bytes, when it is made [default: chosen from the free disk]
        #[arg(long)]
        size: Option<u64>,
        /// Its file system, when it is made
        #[arg(long, value_parser = driver, default_value = "btrfs")]
        driver: Driver,
        /// The pool that it has to be
        #[arg(long)]
        uuid: Option<String>,
    },
    /// Says how the pool in a folder copies; `null` where there is none
    Find {
        #[arg(long)]
        folder: PathBuf,
    },
    /// Takes the pool's file off its loop devices
    Detach {
        #[arg(long)]
        file: PathBuf,
        /// And removes it, when what it was made for cannot be had
        #[arg(long)]
        remove: bool,
    },
    /// Takes a pool away with all that is in it
    Clear {
        #[arg(long)]
        folder: PathBuf,
    },
    /// Copies folders from elsewhere into new data; tells as `serve` does
    Import {
        #[command(flatten)]
        pool: Pool,
        /// The id that answers carry
        #[arg(long, default_value = "import")]
        request: String,
        #[arg(long)]
        id: String,
        /// `KEY=PATH`, for each folder
        #[arg(long = "folder", value_parser = super::options::pair)]
        folders: Vec<(String, String)>,
        /// The manifest, as JSON
        #[arg(long, value_parser = json, default_value = "null")]
        manifest: serde_json::Value,
    },
}

/// Which pool.
#[derive(Debug, clap::Args)]
struct Pool {
    /// Where it is mounted
    #[arg(long)]
    root: PathBuf,
    /// Its file
    #[arg(long)]
    file: Option<PathBuf>,
    /// How it copies
    #[arg(long, value_parser = driver)]
    driver: Driver,
}

impl Pool {
    fn options(self, stay: bool) -> Options {
        Options { root: self.root, file: self.file, driver: self.driver, stay }
    }
}

fn driver(text: &str) -> Result<Driver, String> {
    let all = [Driver::Btrfs, Driver::Reflink, Driver::Copy];
    all.into_iter().find(|driver| driver.word() == text).ok_or_else(|| "btrfs, reflink or copy".to_owned())
}

fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

impl Keeper {
    /// Does it; a failure is one line on standard error, for whoever reads the container's log.
    pub(super) fn run(self) -> ExitCode {
        match self.act.perform() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let why = std::error::Error::source(&error).map(|source| format!(": {source}"));
                let _ = writeln!(std::io::stderr(), "{error}{}", why.unwrap_or_default());
                ExitCode::from(8)
            }
        }
    }
}

impl Act {
    fn perform(self) -> Result<(), StorageError> {
        match self {
            Self::Serve { pool, stay } => serve::serve(&pool.options(stay)),
            Self::Attach { file, create, size, driver, uuid } => {
                let create = create.then_some(Create { driver, bytes: size });
                let attached = image::attach(&Wish { file, create, uuid })?;
                print(&attached)
            }
            Self::Find { folder } => print(&image::find(&folder)?),
            Self::Detach { file, remove } => {
                image::detach(&file)?;
                let cannot =
                    |source| StorageError::System { doing: "remove the pool's file".to_owned(), source };
                if remove { std::fs::remove_file(&file).map_err(cannot) } else { Ok(()) }
            }
            Self::Clear { folder } => image::clear(&folder),
            Self::Import { pool, request, id, folders, manifest } => {
                let folders: BTreeMap<_, _> = folders.into_iter().collect();
                let request = Request { id: request, ask: Ask::Import { id, folders, manifest } };
                serve::import(&pool.options(false), request, std::io::stdout())
            }
        }
    }
}

fn print(value: &impl serde::Serialize) -> Result<(), StorageError> {
    let mut line = serde_json::to_vec(value).map_err(|_| StorageError::Unexpected)?;
    line.push(b'\n');
    let cannot = |source| StorageError::System { doing: "write the answer".to_owned(), source };
    std::io::stdout().write_all(&line).map_err(cannot)
}
