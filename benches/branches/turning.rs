//! `db branch switch` and `reset` with all of the Supabase-style template's services up: the time until the API
//! answers with the other data.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use bollard::query_parameters::{StartContainerOptions, StopContainerOptions};
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::servers::{ask, close, first_query};
use super::site::Site;
use super::{Bench, POOL, told};
use crate::process;
use crate::table::{Report, Row, Target};

pub(super) const SUBJECT: &str = "branch switch";
const MAIN: &str = "main";
const OTHER: &str = "other";
/// The template's fixed key for programs of users.
const KEY: &str = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH";
const TABLE: &str = "create table public.marker (name text);
    grant select on public.marker to anon;
    insert into public.marker values ('main')";
const PATIENCE: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_millis(10);

pub(super) async fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let site = Site::new(bench, "supabase", POOL)?;
    let file = process::root().join("compose/supabase/compose.yaml");
    let text = std::fs::read_to_string(file).map_err(told)?;
    site.write("compose.yaml", &format!("name: {}\n{text}", site.project))?;
    site.write("supabase/config.toml", "project_id = \"bench\"\n")?;
    // Held until all are chosen, so that no two are the same.
    let names = ["DB_PORT", "API_PORT", "STUDIO_PORT", "MAIL_PORT"];
    let listeners = names.map(|_| TcpListener::bind("127.0.0.1:0"));
    let mut ports = Vec::new();
    for listener in listeners {
        ports.push(listener.and_then(|listener| listener.local_addr()).map_err(told)?.port());
    }
    let variables = names.iter().zip(&ports).map(|(name, port)| ((*name).to_owned(), port.to_string()));
    let site = site.with(variables.collect());
    site.devenv(&["up"])?;
    set(&site, TABLE).await?;
    let api = ports[1];
    answers(api, MAIN).await?;
    site.devenv(&["db", "branch", "create", OTHER])?;
    set(&site, "update public.marker set name = 'other'").await?;

    let targets = || vec![Target::Time(Duration::from_millis(700))];
    let mut switch = Row::new(SUBJECT, &["devenv", "exit", "raw"], targets());
    let mut reset = Row::new("branch reset", &["devenv", "exit"], targets());
    for round in 0..=bench.options.rounds(7) {
        let mut measured = Vec::new();
        for to in [MAIN, OTHER] {
            measured.push(("devenv", until(&site, &["db", "branch", "switch", to], api, to).await?));
            let took = restart(bench, &site, api, to).await?;
            measured.push(("raw", (took, took)));
        }
        // The first round warms the caches.
        for (contestant, (answered, ended)) in measured.into_iter().filter(|_| round > 0) {
            switch.add(contestant, answered);
            if contestant == "devenv" {
                switch.add("exit", ended);
            }
        }
        let (answered, ended) = until(&site, &["db", "branch", "reset"], api, MAIN).await?;
        if round > 0 {
            reset.add("devenv", answered);
            reset.add("exit", ended);
        }
        set(&site, "update public.marker set name = 'other'").await?;
    }
    report.add(switch);
    report.add(reset);
    site.devenv(&["down"])?;
    Ok(())
}

/// Changes the data of the branch that the services work on.
async fn set(site: &Site<'_>, sql: &'static str) -> Result<(), String> {
    let (_, url) = site.devenv(&["db", "url"])?;
    let mut connection = first_query(url.trim()).await?;
    ask(&mut connection, sql).await?;
    close(connection).await;
    Ok(())
}

/// Runs a command; when the API answered with `name`, and when the command ended.
async fn until(
    site: &Site<'_>,
    arguments: &[&str],
    api: u16,
    name: &'static str,
) -> Result<(Duration, Duration), String> {
    let began = Instant::now();
    let answered = tokio::spawn(async move {
        answers(api, name).await?;
        Ok::<_, String>(began.elapsed())
    });
    let ended = site.devenv(arguments)?.0;
    Ok((answered.await.map_err(told)??, ended))
}

/// The floor: the containers that have the data mounted are stopped, and started again on the same data.
async fn restart(
    bench: &Bench<'_>,
    site: &Site<'_>,
    api: u16,
    name: &'static str,
) -> Result<Duration, String> {
    let containers = ["db", "storage"].map(|service| format!("{}-{service}-1", site.project));
    let began = Instant::now();
    try_join_all(containers.iter().map(|it| bench.engine.stop_container(it, None::<StopContainerOptions>)))
        .await
        .map_err(told)?;
    try_join_all(containers.iter().map(|it| bench.engine.start_container(it, None::<StartContainerOptions>)))
        .await
        .map_err(told)?;
    answers(api, name).await?;
    Ok(began.elapsed())
}

/// Asks the API until it answers with this row.
async fn answers(api: u16, name: &str) -> Result<(), String> {
    let wanted = format!("[{{\"name\":\"{name}\"}}]");
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = tokio::time::timeout(Duration::from_secs(1), get(api)).await;
        let text = match answer {
            Ok(Ok(text)) if text.contains(&wanted) => return Ok(()),
            Ok(Ok(text)) => text,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "silence".to_owned(),
        };
        if Instant::now() > until {
            return Err(format!("the API never said {wanted}, but {text}"));
        }
        tokio::time::sleep(SOON).await;
    }
}

async fn get(api: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", api)).await?;
    let request = format!(
        "GET /rest/v1/marker?select=name HTTP/1.1\r\nHost: 127.0.0.1\r\napikey: {KEY}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}
