//! pgbench on a branch and on a plain volume of the same size, by servers with the same settings.

use std::time::Duration;

use super::servers::{self, ADMIN, DATABASE, close, first_query, free_port, shell};
use super::{Bench, Sources, size};
use crate::table::{Report, Row, Target, Unit};

pub(super) const SUBJECT: &str = "branch pgbench";
pub(super) const MEMORY: &str = "branch memory";
/// What `--fast` sets.
const FAST: [&str; 3] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
const BRANCH: &str = "run";
const FASTER: &str = "fast";

/// One way to run pgbench.
struct Way {
    name: &'static str,
    arguments: &'static str,
}

/// The image's own setting is `synchronous_commit=off`; most other servers wait for each commit.
const WAYS: [Way; 3] = [
    Way { name: "tpc-b", arguments: "" },
    Way { name: "tpc-b, commits waited for", arguments: "-c synchronous_commit=on" },
    Way { name: "select", arguments: "" },
];

pub(super) async fn run(bench: &Bench<'_>, sources: &Sources<'_>, report: &mut Report) -> Result<(), String> {
    let Some(plain) = &sources.plain else { return Ok(()) };
    let sites = [&sources.ours, &sources.xfs];
    for site in sites {
        close(site.branch(BRANCH, &["--start"]).await?.1).await;
    }
    if bench.options.wants(MEMORY) {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut row = Row::new(MEMORY, &["devenv"], Vec::new()).in_unit(Unit::Bytes);
        let memory = servers::memory(bench.engine, &sources.ours.beside(BRANCH)).await?;
        row.add_figure("devenv", f64::from(u32::try_from(memory >> 10).unwrap_or(u32::MAX)) * 1024.0);
        report.add(row);
    }
    if !bench.options.wants(SUBJECT) {
        return Ok(());
    }
    let contestants = sites.map(|site| site.beside(BRANCH));
    let contestants = [
        ("devenv", contestants[0].clone()),
        ("plain", plain.running.name.clone()),
        ("xfs", contestants[1].clone()),
    ];
    race(bench, &size(sources.scale), &contestants, &WAYS, report).await?;
    for site in sites {
        site.forget(BRANCH)?;
        close(site.branch(FASTER, &["--start", "--fast"]).await?.1).await;
    }
    // The same volume, by a server with the settings of the branch.
    let stop = None::<bollard::query_parameters::StopContainerOptions>;
    bench.engine.stop_container(&plain.running.name, stop).await.map_err(super::told)?;
    let server = plain.server.clone().with(&FAST);
    let running = server.start(FASTER, &plain.volume, free_port()?).await?;
    close(first_query(&running.uri("postgres")).await?).await;
    let contestants = [
        ("devenv", sources.ours.beside(FASTER)),
        ("plain", running.name.clone()),
        ("xfs", sources.xfs.beside(FASTER)),
    ];
    let ways = [Way { name: "fast, tpc-b", arguments: "" }, Way { name: "fast, select", arguments: "" }];
    race(bench, &size(sources.scale), &contestants, &ways, report).await?;
    server.remove(running).await?;
    for site in sites {
        site.forget(FASTER)?;
    }
    Ok(())
}

/// The servers in turns, one at a time; every round begins with another of them.
async fn race(
    bench: &Bench<'_>,
    size: &str,
    contestants: &[(&'static str, String); 3],
    ways: &[Way],
    report: &mut Report,
) -> Result<(), String> {
    let seconds = if bench.options.quick { 4 } else { 10 };
    let names = contestants.each_ref().map(|(name, _)| *name);
    // What was never read is read now, once, by all.
    for (_, container) in contestants {
        shell(bench.engine, container, "cat \"$PGDATA\"/base/*/* >/dev/null").await?;
    }
    for way in ways {
        let subject = format!("{SUBJECT} {size} {}", way.name);
        let mut row = Row::new(subject, &names, vec![Target::AtLeast("plain", 0.9)]).in_unit(Unit::Rate);
        let mode = if way.name.ends_with("select") { "-S" } else { "" };
        let mut turns: Vec<_> = contestants.iter().collect();
        for round in 0..bench.options.rounds(3) {
            turns.rotate_left(usize::from(round > 0));
            for (name, container) in &turns {
                row.add_figure(name, pgbench(bench, container, way.arguments, mode, seconds).await?);
            }
        }
        report.add(row);
    }
    Ok(())
}

/// Transactions in a second.
async fn pgbench(
    bench: &Bench<'_>,
    container: &str,
    settings: &str,
    mode: &str,
    seconds: u32,
) -> Result<f64, String> {
    let line = format!(
        "psql -q -U {ADMIN} -c CHECKPOINT {DATABASE}
         PGOPTIONS='{settings}' pgbench -n -c 4 -j 2 -T {seconds} {mode} -U {ADMIN} {DATABASE}"
    );
    let printed = shell(bench.engine, container, &line).await?;
    let rate = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next());
    rate.and_then(|rate| rate.parse().ok()).ok_or_else(|| format!("pgbench said no rate: {printed}"))
}
