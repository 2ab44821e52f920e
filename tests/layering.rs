//! Who may import whom, kept true over the sources: the rooms' floors, and the doors of outside crates.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import of ours. Pure rooms look neither up nor sideways, edges not at one another.
const ROOMS: [(&str, &[&str]); 22] = [
    ("base", &[]),
    ("compose", &["base"]),
    ("supabase", &["base"]),
    ("library", &["base"]),
    ("plan", &["base", "compose"]),
    ("lineage", &["base"]),
    ("schema", &["base"]),
    ("mask", &["base", "schema"]),
    ("generate", &["base", "schema"]),
    ("reload", &["base", "compose"]),
    ("engine", &["base", "compose", "plan"]),
    ("postgres", &["base", "schema", "mask"]),
    ("catalogue", &["base", "lineage"]),
    ("machine", &["base"]),
    // How one talks to what runs beside the engine; `storage` and `gateway` say what is said.
    ("talk", &["base"]),
    ("storage", &["base", "talk"]),
    ("gateway", &["base", "talk"]),
    ("git", &["base"]),
    ("watch", &["base", "reload"]),
    (
        "ops",
        &[
            "base",
            "compose",
            "supabase",
            "library",
            "plan",
            "lineage",
            "schema",
            "mask",
            "generate",
            "engine",
            "postgres",
            "catalogue",
            "machine",
            "storage",
            "git",
            "talk",
            "gateway",
            "reload",
            "watch",
        ],
    ),
    ("ui", &["base"]),
    (
        "cli",
        &[
            "base", "compose", "supabase", "library", "plan", "lineage", "schema", "mask", "generate",
            "engine", "storage", "gateway", "watch", "ops", "ui",
        ],
    ),
];

/// The rooms that outside crates may be used in; one that is not here may be used anywhere.
const DOORS: [(&str, &[&str]); 23] = [
    ("bollard", &["engine"]),
    ("bollard_buildkit_proto", &["engine"]),
    ("tonic", &["engine"]),
    ("tower", &["engine"]),
    ("hyper", &["gateway"]),
    ("hyper_util", &["engine", "gateway"]),
    ("http_body_util", &["gateway"]),
    ("tokio_rustls", &["gateway"]),
    ("rcgen", &["machine"]),
    ("notify", &["watch"]),
    ("prost", &["engine"]),
    ("sqlx", &["postgres", "catalogue"]),
    ("serde_yaml", &["compose", "mask", "generate"]),
    ("siphasher", &["mask"]),
    // The library writes into a compose file without disturbing what stands there.
    ("saphyr_parser", &["compose", "library"]),
    ("annotate_snippets", &["ui"]),
    ("indicatif", &["ui"]),
    ("dialoguer", &["ui"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("toml", &["supabase"]),
    ("tokio", &["engine", "postgres", "catalogue", "machine", "storage", "talk", "gateway", "ops", "cli"]),
    ("tracing_subscriber", &["cli"]),
];

/// Words that only some rooms may say, outside of tests. Pure rooms read no clock, environment or file.
const WORDS: [(&str, &[&str]); 10] = [
    ("println!", &["ui"]),
    ("eprintln!", &["ui"]),
    ("print!", &["ui"]),
    ("dbg!", &[]),
    ("std::env", &["cli"]),
    ("env::var", &["cli"]),
    ("std::process::exit", &["ui"]),
    ("SystemTime::now", &["ops", "engine", "machine", "watch"]),
    ("Instant::now", &["ops", "engine", "machine", "postgres", "gateway", "watch", "ui"]),
    (
        "std::fs",
        &["ops", "engine", "machine", "postgres", "catalogue", "storage", "gateway", "git", "watch", "cli"],
    ),
];

/// One source file, without comments, strings and unit tests.
struct Source {
    room: String,
    path: PathBuf,
    lines: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && path
                    .file_name()
                    .is_none_or(|name| name != "build.rs" || path.parent() != Some(&root.join("library")))
            {
                // `library/build.rs` is run by Cargo, before there is a program.
                let relative = path.strip_prefix(&root).unwrap().to_owned();
                let first = relative.iter().next().unwrap().to_string_lossy();
                let room = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { room, lines: code(&text), path: Path::new("src").join(relative) });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The lines that are code: up to the unit tests at the end of the file, without comments and strings.
fn code(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    let mut code: Vec<(usize, String)> = Vec::new();
    for (index, line) in lines {
        let line = without_strings(line);
        // An import that goes over several lines is one line here.
        match code.last_mut() {
            Some((_, open)) if open.trim_start().starts_with("use ") && !open.contains(';') => {
                open.push_str(line.trim());
            }
            _ => code.push((index + 1, line)),
        }
    }
    code
}

fn without_strings(line: &str) -> String {
    let line = line.split(" // ").next().unwrap_or(line);
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// Whether `line` says `word` as a word of its own.
fn says(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// Rooms of ours that a line names: `crate::a::b`, `crate::{a, b::c}`.
fn rooms_in(line: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in line.match_indices("crate::") {
        if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let name =
            |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            Some(list) => {
                let mut depth = 0;
                let mut at_name = true;
                for (at, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_name = true,
                        c if at_name && c.is_alphabetic() && depth == 0 => {
                            rooms.insert(name(&list[at..]));
                            at_name = false;
                        }
                        _ => {}
                    }
                }
            }
            None => {
                rooms.insert(name(rest));
            }
        }
    }
    rooms
}

#[test]
fn every_room_imports_only_what_is_below_it() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.room != "lib" && source.room != "main") {
        let Some(allowed) = rooms.get(source.room.as_str()) else {
            wrong.push(format!("{}: the room `{}` stands in no table", source.path.display(), source.room));
            continue;
        };
        for (number, line) in &source.lines {
            for named in rooms_in(line) {
                let known = rooms.contains_key(named.as_str());
                if known && named != source.room && !allowed.contains(&named.as_str()) {
                    wrong.push(format!(
                        "{}:{number}: `{}` imports `{named}`",
                        source.path.display(),
                        source.room
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn outside_crates_come_through_their_door() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in &source.lines {
            for (name, doors) in DOORS {
                let used = line.match_indices(&format!("{name}::")).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                });
                if used && !doors.contains(&source.room.as_str()) {
                    wrong.push(format!(
                        "{}:{number}: `{name}` comes through {doors:?}",
                        source.path.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn printing_the_clock_and_the_environment_have_their_rooms() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.room != "main") {
        for (number, line) in &source.lines {
            for (word, rooms) in WORDS {
                if says(line, word) && !rooms.contains(&source.room.as_str()) {
                    wrong.push(format!("{}:{number}: `{word}` belongs to {rooms:?}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_reads_them() {
    let found = |line: &str| rooms_in(line).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(found("use crate::{base::{Event, Failure}, plan};"), "base plan");
    assert_eq!(found("pub(crate) fn a() -> crate::base::Failure {"), "base");
    assert_eq!(found("pub(crate) use x;"), "");
    assert_eq!(code("use crate::{\n    base::Event,\n    ui,\n};\n")[0].1, "use crate::{base::Event,ui,};");
    assert!(says("        println!(\"a\")", "println!") && !says("eprintln!()", "println!"));
    assert!(says("std::env::var(x)", "env::var") && !says("env::variable", "env::var"));
}
