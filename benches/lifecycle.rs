//! Whole stacks: cold `up` until all are ready, `up` with nothing to do, `down`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use crate::Options;
use crate::floor::{Floor, of_project};
use crate::process::{self, Programs};
use crate::table::{Report, Row, Target};

/// A stack to be started and taken away.
struct Stack {
    name: &'static str,
    /// The compose project; the sample's own `name`.
    project: &'static str,
    directory: PathBuf,
    variables: Vec<(String, String)>,
    /// How Compose is told to end when all is ready. (`--wait` counts a one-shot that ended as a failure.)
    compose_up: &'static [&'static str],
    rounds: usize,
    cold: Vec<Target>,
    idle: Vec<Target>,
    down: Vec<Target>,
}

const PROJECTS: [&str; 3] = ["dvb-chain", "dvb-conditions", "dvb-supabase"];

pub async fn run(
    options: &Options,
    programs: &Programs,
    engine: &Docker,
    report: &mut Report,
) -> Result<(), String> {
    clean(engine).await;
    let samples = process::root().join("benches/samples");
    let hundred = || Target::Time(Duration::from_millis(100));
    let mut stacks = vec![
        Stack {
            name: "chain",
            project: PROJECTS[0],
            directory: samples.join("chain"),
            variables: Vec::new(),
            compose_up: &["up", "-d"],
            rounds: 7,
            cold: vec![Target::Ratio("raw", 1.10)],
            idle: vec![hundred()],
            down: vec![Target::Ratio("raw", 1.15)],
        },
        Stack {
            name: "conditions",
            project: PROJECTS[1],
            directory: samples.join("conditions"),
            variables: Vec::new(),
            compose_up: &["up", "-d"],
            rounds: 7,
            cold: vec![Target::Ratio("raw", 1.10)],
            idle: vec![hundred(), Target::Ratio("compose", 0.05)],
            down: vec![Target::Ratio("raw", 1.15)],
        },
    ];
    let temporary = tempfile::tempdir().map_err(|error| error.to_string())?;
    if options.wants("supabase") {
        match supabase(temporary.path(), engine).await {
            Ok(stack) => stacks.push(stack),
            Err(why) => report.note(format!("supabase is left out: {why}")),
        }
    }
    for stack in stacks.iter().filter(|stack| options.wants(stack.name)) {
        if let Err(why) = race(stack, options, programs, engine, report).await {
            report.note(format!("{}: {why}", stack.name));
        }
        clean(engine).await;
    }
    Ok(())
}

/// The template in a project of its own, on free ports, if its images are there.
async fn supabase(directory: &Path, engine: &Docker) -> Result<Stack, String> {
    for image in ["postgres:17", "gateway:2", "realtime:2", "functions:1", "mail:1"] {
        let image = format!("devenv.local/supabase/{image}");
        engine
            .inspect_image(&image)
            .await
            .map_err(|_| format!("the image {image} is not there (devenv build)"))?;
    }
    let failed = |error: std::io::Error| error.to_string();
    let text =
        std::fs::read_to_string(process::root().join("compose/supabase/compose.yaml")).map_err(failed)?;
    std::fs::write(directory.join("compose.yaml"), format!("name: {}\n{text}", PROJECTS[2]))
        .map_err(failed)?;
    std::fs::create_dir_all(directory.join("supabase/migrations")).map_err(failed)?;
    std::fs::write(directory.join("supabase/config.toml"), "project_id = \"bench\"\n").map_err(failed)?;
    // Held until all are chosen, so that no two are the same.
    let listeners: Vec<TcpListener> =
        (0..4).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>().map_err(failed)?;
    let mut variables = Vec::new();
    for (name, listener) in ["DB_PORT", "API_PORT", "STUDIO_PORT", "MAIL_PORT"].iter().zip(&listeners) {
        variables.push(((*name).to_owned(), listener.local_addr().map_err(failed)?.port().to_string()));
    }
    Ok(Stack {
        name: "supabase",
        project: PROJECTS[2],
        directory: directory.to_path_buf(),
        variables,
        compose_up: &["up", "-d", "--wait"],
        rounds: 5,
        cold: vec![Target::Ratio("raw", 1.15)],
        idle: vec![Target::Time(Duration::from_millis(100))],
        down: vec![Target::Ratio("raw", 1.15)],
    })
}

/// The contestants in turns, each through a whole life; every round begins with another of them.
async fn race(
    stack: &Stack,
    options: &Options,
    programs: &Programs,
    engine: &Docker,
    report: &mut Report,
) -> Result<(), String> {
    let ours =
        |arguments: &[&str]| process::time(&programs.devenv, arguments, &stack.directory, &stack.variables);
    let (devenv_up, devenv_down) = (["up"], ["down"]);
    // One life that is not counted: caches get warm, and the floor learns what has to be made.
    ours(&devenv_up)?;
    let floor = Floor::copy(engine, stack.project).await?;
    clean(engine).await;
    let mut contestants = vec!["devenv", "raw"];
    if programs.compose.is_some() {
        contestants.insert(1, "compose");
    }
    let row = |what: &str, targets| {
        Row::new(format!("{} {what}", stack.name), &["devenv", "compose", "raw"], targets)
    };

    let (mut cold, mut idle, mut down) = (
        row("cold up", stack.cold.clone()),
        row("no-op up", stack.idle.clone()),
        row("down", stack.down.clone()),
    );
    for round in 0..options.rounds(stack.rounds) {
        contestants.rotate_left(usize::from(round > 0));
        for &contestant in &contestants {
            let theirs = |arguments: &[&str]| {
                let compose = programs.compose.as_deref().ok_or("no Compose")?;
                process::time(compose, arguments, &stack.directory, &stack.variables)
            };
            let began = Instant::now();
            let took = match contestant {
                "devenv" => ours(&devenv_up)?,
                "compose" => theirs(stack.compose_up)?,
                _ => floor.up().await.map(|()| began.elapsed())?,
            };
            cold.add(contestant, took);
            let unready = floor.unready().await?;
            if !unready.is_empty() {
                report.note(format!(
                    "{} {contestant}: ended before {} was ready",
                    stack.name,
                    unready.join(", ")
                ));
            }
            // Compose has no change to make in what devenv made, and the reverse: each looks at its own.
            let began = Instant::now();
            let took = match contestant {
                "devenv" => ours(&devenv_up)?,
                "compose" => theirs(stack.compose_up)?,
                _ => floor.look().await.map(|()| began.elapsed())?,
            };
            idle.add(contestant, took);
            let began = Instant::now();
            let took = match contestant {
                "devenv" => ours(&devenv_down)?,
                "compose" => theirs(&["down"])?,
                _ => floor.down().await.map(|()| began.elapsed())?,
            };
            down.add(contestant, took);
            clean(engine).await;
        }
    }
    for row in [cold, idle, down] {
        report.add(row);
    }
    Ok(())
}

/// Takes away all that the samples' projects left, volumes too.
pub async fn clean(engine: &Docker) {
    for project in PROJECTS {
        let filters = of_project(project);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        for found in engine.list_containers(Some(options)).await.unwrap_or_default() {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let _ = engine.remove_container(&found.id.unwrap_or_default(), Some(options)).await;
        }
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        for found in engine.list_networks(Some(options)).await.unwrap_or_default() {
            let _ = engine.remove_network(&found.id.unwrap_or_default()).await;
        }
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let found = engine.list_volumes(Some(options)).await.map(|found| found.volumes).unwrap_or_default();
        for volume in found.unwrap_or_default() {
            let options = RemoveVolumeOptionsBuilder::default().force(true).build();
            let _ = engine.remove_volume(&volume.name, Some(options)).await;
        }
    }
}
