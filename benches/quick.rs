//! What takes milliseconds: the start of the binary, and reading compose files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Options;
use crate::process::{self, Programs};
use crate::table::{Report, Row, Target};

pub fn run(options: &Options, programs: &Programs, report: &mut Report) -> Result<(), String> {
    let samples = process::root().join("benches/samples");
    let ms = |count| Target::Time(Duration::from_millis(count));
    if options.wants("start-up") {
        let arguments = [vec!["--version"], vec!["version"]];
        race("start-up", options, programs, report, &samples, &arguments, vec![ms(10)])?;
    }
    let template = process::root().join("compose/supabase");
    for (name, directory) in
        [("config template", &template), ("config self-hosted", &samples.join("self-hosted"))]
    {
        if options.wants(name) {
            let arguments = [vec!["config"], vec!["config"]];
            race(name, options, programs, report, directory, &arguments, vec![ms(30)])?;
        }
    }
    Ok(())
}

/// devenv against Compose and against a program that does nothing, in turns.
fn race(
    name: &str,
    options: &Options,
    programs: &Programs,
    report: &mut Report,
    directory: &Path,
    arguments: &[Vec<&str>; 2],
    targets: Vec<Target>,
) -> Result<(), String> {
    let mut row = Row::new(name, &["devenv", "compose", "true"], targets);
    let nothing = PathBuf::from("/bin/true");
    let rounds = options.runs.unwrap_or(if options.quick { 3 } else { 25 });
    for round in 0..=rounds {
        let mut all = vec![("devenv", &programs.devenv, arguments[0].as_slice()), ("true", &nothing, &[])];
        all.extend(programs.compose.as_ref().map(|compose| ("compose", compose, arguments[1].as_slice())));
        for (contestant, program, arguments) in all {
            let took = process::time(program, arguments, directory, &[])?;
            // The first round warms the caches.
            if round > 0 {
                row.add(contestant, took);
            }
        }
    }
    report.add(row);
    Ok(())
}
