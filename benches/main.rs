//! The numbers that devenv promises, as ratios against the peer or the floor of the same run. Nothing is
//! asserted: machines are noisy, and a person reads the table. How to run it: `benches/README.md`.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout, clippy::print_stderr)]

mod branches;
mod floor;
mod gateway;
mod lifecycle;
mod process;
mod quick;
mod table;
mod watch;

use std::path::PathBuf;
use std::time::Instant;

use bollard::Docker;
use process::Programs;
use table::Report;

/// What was typed after `cargo bench --`.
pub struct Options {
    /// Only subjects whose name holds one of these.
    filters: Vec<String>,
    /// Rounds of each subject, unless it is cheap and takes more.
    runs: Option<usize>,
    /// Few rounds: does it work at all?
    quick: bool,
    /// The largest size of data too.
    full: bool,
    /// Where the figures go too, every single one.
    json: Option<PathBuf>,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { filters: Vec::new(), runs: None, quick: false, full: false, json: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "--runs" => options.runs = Some(value()?.parse().map_err(|_| "--runs wants a number")?),
                "--json" => options.json = Some(value()?.into()),
                "--quick" => options.quick = true,
                "--full" => options.full = true,
                // What cargo adds.
                "--bench" => {}
                flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
                filter => options.filters.push(filter.to_owned()),
            }
        }
        Ok(options)
    }

    fn wants(&self, subject: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| subject.contains(filter.as_str()))
    }

    fn rounds(&self, usual: usize) -> usize {
        self.runs.unwrap_or(if self.quick { 2 } else { usual })
    }
}

#[tokio::main]
async fn main() -> Result<(), String> {
    let options = Options::read(std::env::args().skip(1)).map_err(|word| {
        format!("{word}\nusage: cargo bench -- [FILTER…] [--runs N] [--quick | --full] [--json FILE]")
    })?;
    let programs = Programs::find()?;
    let engine = Docker::connect_with_defaults().map_err(|error| format!("no engine: {error}"))?;
    let engine = engine.negotiate_version().await.map_err(|error| format!("no engine: {error}"))?;
    let began = Instant::now();
    let mut report = Report::begin(&programs, &engine).await;
    let work = async {
        quick::run(&options, &programs, &mut report)?;
        lifecycle::run(&options, &programs, &engine, &mut report).await?;
        gateway::run(&options, &programs, &engine, &mut report).await?;
        watch::run(&options, &programs, &engine, &mut report).await?;
        branches::run(&options, &programs, &engine, &mut report).await
    };
    let result = tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Err("interrupted".to_owned()),
    };
    lifecycle::clean(&engine).await;
    branches::clean(&engine).await;
    gateway::clean(&engine).await;
    watch::clean(&engine).await;
    report.end(began.elapsed(), options.json.as_deref())?;
    result
}
