//! From a saved file to the container that sees it, beside the real `docker compose watch`, in turns.
//!
//! What the container sees is read through `/proc/PID/root`, which wants root, every half millisecond.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{InspectContainerOptions, RemoveContainerOptionsBuilder};

use crate::Options;
use crate::process::{self, Programs, told};
use crate::table::{Report, Row, Target, Unit};

const SUBJECT: &str = "watch";
const COMPOSE: &str = include_str!("compose.yaml");
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

fn project(name: &str) -> String {
    format!("dvb-watch-{name}")
}

/// One program that watches its own project.
struct Contestant {
    name: &'static str,
    directory: PathBuf,
    /// The container's folder, as this machine sees it.
    inside: PathBuf,
    watch: Child,
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.watch),
            rustix::process::Signal::INT,
        );
        let _ = self.watch.wait();
    }
}

pub async fn run(
    options: &Options,
    programs: &Programs,
    engine: &Docker,
    report: &mut Report,
) -> Result<(), String> {
    if !options.wants(SUBJECT) {
        return Ok(());
    }
    clean(engine).await;
    let folder = tempfile::tempdir().map_err(told)?;
    let result = all(options, programs, engine, report, folder.path()).await;
    clean(engine).await;
    if let Err(why) = result {
        report.note(format!("{SUBJECT}: {why}"));
    }
    Ok(())
}

/// Takes away what an interrupted run left.
pub async fn clean(engine: &Docker) {
    for name in ["devenv", "compose"] {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let _ = engine.remove_container(&format!("{}-web-1", project(name)), Some(options)).await;
        let _ = engine.remove_network(&format!("{}_default", project(name))).await;
    }
}

async fn all(
    options: &Options,
    programs: &Programs,
    engine: &Docker,
    report: &mut Report,
    folder: &Path,
) -> Result<(), String> {
    let mut contestants = vec![begin("devenv", &programs.devenv, engine, folder).await?];
    if let Some(compose) = &programs.compose {
        contestants.push(begin("compose", compose, engine, folder).await?);
    }
    for contestant in &contestants {
        // Until it is heard at all, it is not measured.
        let began = Instant::now();
        while contestant.one("ready").is_err() && began.elapsed() < PATIENCE {}
    }
    let names: Vec<&'static str> = contestants.iter().map(|it| it.name).collect();
    let most = |milliseconds| vec![Target::Time(Duration::from_millis(milliseconds))];
    let mut one = Row::new("watch one file", &names, most(120));
    for round in 0..options.rounds(100) {
        for contestant in &contestants {
            one.add(contestant.name, contestant.one(&format!("round {round}"))?);
            // Not within the quiet time of the last.
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let mut worst = Row::new("watch one file, p99", &names, most(300));
    for name in &names {
        let mut figures = one.of(name).to_vec();
        figures.sort_by(f64::total_cmp);
        if let Some(figure) = figures.get((figures.len() * 99).div_ceil(100).saturating_sub(1)) {
            worst.add_figure(name, *figure);
        }
    }
    report.add(one);
    report.add(worst);
    for (count, rounds, target) in [(200, options.rounds(5), 300), (10_000, options.rounds(2), 3000)] {
        let mut row = Row::new(format!("watch {count} files"), &names, most(target));
        for round in 0..rounds {
            for contestant in &contestants {
                row.add(contestant.name, contestant.many(folder, count, round)?);
            }
        }
        report.add(row);
    }
    let mut memory = Row::new("watch memory", &names, vec![Target::Most(30e6)]).in_unit(Unit::Bytes);
    for contestant in &contestants {
        memory.add_figure(contestant.name, contestant.resident()?);
    }
    report.add(memory);
    Ok(())
}

async fn begin(
    name: &'static str,
    program: &Path,
    engine: &Docker,
    folder: &Path,
) -> Result<Contestant, String> {
    let directory = folder.join(name);
    fs::create_dir_all(directory.join("src")).map_err(told)?;
    fs::write(directory.join("compose.yaml"), COMPOSE).map_err(told)?;
    fs::write(directory.join("src/first"), "first").map_err(told)?;
    let project = project(name);
    let variables = [("DEVENV_GATEWAY".to_owned(), "off".to_owned())];
    process::run(program, &["-p", &project, "up", "-d"], &directory, &variables)?;
    let found = engine
        .inspect_container(&format!("{project}-web-1"), None::<InspectContainerOptions>)
        .await
        .map_err(told)?;
    let process = found.state.and_then(|state| state.pid).ok_or("the container does not run")?;
    let watch = Command::new(program)
        .args(["-p", &project, "watch", "--no-up"])
        .current_dir(&directory)
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(told)?;
    let inside = PathBuf::from(format!("/proc/{process}/root/app/src"));
    Ok(Contestant { name, directory, inside, watch })
}

/// How long it takes until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) -> Result<Duration, String> {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > PATIENCE {
            return Err(format!("{what}: not within {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(began.elapsed())
}

impl Contestant {
    /// Saves one file.
    fn one(&self, content: &str) -> Result<Duration, String> {
        fs::write(self.directory.join("src/first"), content).map_err(told)?;
        let inside = self.inside.join("first");
        until("one file", || fs::read_to_string(&inside).is_ok_and(|there| there == content))
    }

    /// Puts a folder with so many files in its place, as `git checkout` does; counted from the first file on.
    fn many(&self, folder: &Path, count: usize, round: usize) -> Result<Duration, String> {
        let name = format!("{count}-{round}");
        let made = folder.join(&name);
        for number in 0..count {
            let below = made.join((number / 100).to_string());
            fs::create_dir_all(&below).map_err(told)?;
            fs::write(below.join(number.to_string()), format!("{number} ").repeat(300)).map_err(told)?;
        }
        fs::rename(&made, self.directory.join("src").join(&name)).map_err(told)?;
        let inside = self.inside.join(&name);
        let last = |number: usize| {
            let file = inside.join((number / 100).to_string()).join(number.to_string());
            fs::metadata(file).is_ok_and(|found| found.len() > 0)
        };
        until(&name, || last(0) && last(count - 1) && (0..count).all(last))
    }

    /// Memory of the program, by the kernel's figures.
    fn resident(&self) -> Result<f64, String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.watch.id())).map_err(told)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.map(|kib| kib * 1024.0).ok_or_else(|| "no memory is told".to_owned())
    }
}
