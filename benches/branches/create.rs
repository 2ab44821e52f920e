//! `db branch create --start`: from the command to the first answer of the new database, while clients write to the
//! one that it is made from.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bollard::query_parameters::RemoveVolumeOptionsBuilder;

use super::servers::{self, ADMIN, DATABASE, Plain, Server, close, first_query, free_port, shell};
use super::site::{Load, Site};
use super::{Bench, POOL, Sources, dslr, ioctl, size, told};
use crate::process;
use crate::table::{Report, Row, Target};

pub(super) const SUBJECT: &str = "branch create";
const OURS: [&str; 3] = ["devenv", "raw", "xfs"];
/// What copies all bytes takes long, and is not near any target.
const COPIES: usize = 3;
const COPY: &str = "copy";
const EIGHTEEN: &str = "pg18 clone";

pub(super) async fn run(bench: &Bench<'_>, all: &[Sources<'_>], report: &mut Report) -> Result<(), String> {
    let dslr = dslr::find();
    if let Err(why) = &dslr {
        report.note(format!("{SUBJECT}: no dslr to compare with: {why}"));
    }
    let mut rows = Vec::new();
    for sources in all {
        let mut contestants = OURS.to_vec();
        contestants.extend(["cp -a", "createdb", "filecopy", "dump"]);
        contestants.extend(sources.eighteen.is_some().then_some(EIGHTEEN));
        contestants.extend(dslr.is_ok().then_some("dslr"));
        let subject = format!("{SUBJECT} {}", size(sources.scale));
        let row = Row::new(subject, &contestants, vec![Target::Ratio("raw", 1.3)]);
        let server = Server::like(bench, &sources.ours).await?;
        rows.push((row, contestants, server));
    }
    for round in 0..bench.options.rounds(7) {
        for (sources, (row, contestants, server)) in all.iter().zip(&mut rows) {
            contestants.rotate_left(usize::from(round > 0));
            for &contestant in contestants.iter() {
                let is_copy = !OURS.contains(&contestant);
                if is_copy && round >= COPIES {
                    continue;
                }
                let took = match (contestant, &sources.plain) {
                    ("devenv", _) => ours(bench, &sources.ours, round).await,
                    ("raw", _) => raw(bench, &sources.ours, server, round).await,
                    ("xfs", _) => ours(bench, &sources.xfs, round).await,
                    ("cp -a", Some(plain)) => cp(bench, plain).await,
                    (EIGHTEEN, _) => match &sources.eighteen {
                        Some(server) => database(bench, server, "filecopy", Path::new("")).await,
                        None => continue,
                    },
                    (_, Some(plain)) if is_copy => {
                        let dslr = dslr.as_deref().unwrap_or(Path::new(""));
                        database(bench, plain, contestant, dslr).await
                    }
                    _ => continue,
                };
                // One that fails is missing in the table; the others go on.
                match took {
                    Ok(took) => row.add(contestant, took),
                    Err(why) => report.note(format!("{SUBJECT} {contestant}: {why}")),
                }
            }
        }
    }
    let targets = vec![Target::Ratio("smallest", 1.2)];
    let mut flat = Row::new(format!("{SUBJECT} largest"), &["devenv", "smallest"], targets);
    if let (Some((first, ..)), Some((last, ..))) = (rows.first(), rows.last()) {
        first.of("devenv").iter().for_each(|&took| flat.add_figure("smallest", took));
        last.of("devenv").iter().for_each(|&took| flat.add_figure("devenv", took));
    }
    for (row, ..) in rows {
        report.add(row);
    }
    report.add(flat);
    Ok(())
}

/// As a user does it.
async fn ours(bench: &Bench<'_>, site: &Site<'_>, round: usize) -> Result<Duration, String> {
    let name = format!("b{round}");
    let load = Load::begin(bench.engine, site.container()).await?;
    let made = site.branch(&name, &["--start"]).await;
    load.end().await?;
    let (took, connection) = made?;
    close(connection).await;
    site.forget(&name)?;
    Ok(took)
}

/// The floor, on btrfs: one call of the kernel, two of the engine, and asking until there is an answer.
async fn raw(bench: &Bench<'_>, site: &Site<'_>, server: &Server, round: usize) -> Result<Duration, String> {
    let root = servers::place(bench.engine, &format!("{POOL}-mount")).await?;
    let copies = root.join("bench");
    std::fs::create_dir_all(&copies).map_err(told)?;
    let (name, port) = (format!("raw{round}"), free_port()?);
    let data = copies.join(&name).join("db").to_string_lossy().into_owned();
    let load = Load::begin(bench.engine, site.container()).await?;
    let made = async {
        let began = Instant::now();
        let live = File::open(root.join("live").join(&site.project)).map_err(told)?;
        let folder = File::open(&copies).map_err(told)?;
        ioctl::snapshot(live.as_fd(), &folder, &name, false).map_err(told)?;
        let running = server.start(&name, &data, port).await?;
        let connection = first_query(&running.uri("postgres")).await?;
        Ok::<_, String>((began.elapsed(), running, connection))
    };
    let made = made.await;
    load.end().await?;
    let (took, running, connection) = made?;
    close(connection).await;
    server.remove(running).await?;
    let folder = File::open(&copies).map_err(told)?;
    ioctl::destroy_subvolume(&folder, &name).map_err(told)?;
    Ok(took)
}

/// All files byte by byte, while the server is paused, and a server on the copy. Nobody writes meanwhile.
async fn cp(bench: &Bench<'_>, plain: &Plain) -> Result<Duration, String> {
    let volume = servers::volume(bench.engine, "copy").await?;
    let places: [PathBuf; 2] =
        [servers::place(bench.engine, &plain.volume).await?, servers::place(bench.engine, &volume).await?];
    let port = free_port()?;
    let began = Instant::now();
    bench.engine.pause_container(&plain.running.name).await.map_err(told)?;
    let copied = Command::new("cp").arg("-a").arg("-T").args(&places).status();
    bench.engine.unpause_container(&plain.running.name).await.map_err(told)?;
    if !copied.map_err(told)?.success() {
        return Err("cp failed".to_owned());
    }
    let running = plain.server.start(COPY, &volume, port).await?;
    let connection = first_query(&running.uri("postgres")).await?;
    let took = began.elapsed();
    close(connection).await;
    plain.server.remove(running).await?;
    let options = RemoveVolumeOptionsBuilder::default().force(true).build();
    bench.engine.remove_volume(&volume, Some(options)).await.map_err(told)?;
    Ok(took)
}

/// Another database in the same server, in whatever way.
async fn database(bench: &Bench<'_>, plain: &Plain, way: &str, dslr: &Path) -> Result<Duration, String> {
    let container = &plain.running.name;
    let uri = plain.running.uri(DATABASE);
    let program = |arguments: &[&str]| process::time(dslr, arguments, Path::new("/"), &[]);
    let line = match way {
        "createdb" => format!("createdb -U {ADMIN} -T {DATABASE} {COPY}"),
        "filecopy" => format!("createdb -U {ADMIN} -T {DATABASE} -S file_copy {COPY}"),
        _ => format!(
            "createdb -U {ADMIN} {COPY}; pg_dump -U {ADMIN} -Fc -Z0 {DATABASE} | pg_restore -U {ADMIN} -d {COPY}"
        ),
    };
    if way == "dslr" {
        // Its copy is a database of a name of its own; it is asked for by nobody before it is restored.
        let took = program(&["--url", &uri, "snapshot", COPY])?;
        program(&["--url", &uri, "delete", COPY])?;
        return Ok(took);
    }
    let began = Instant::now();
    shell(bench.engine, container, &line).await?;
    let connection = first_query(&plain.running.uri(COPY)).await?;
    let took = began.elapsed();
    close(connection).await;
    shell(bench.engine, container, &format!("dropdb -U {ADMIN} --force {COPY}")).await?;
    Ok(took)
}
