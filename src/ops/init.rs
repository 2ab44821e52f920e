//! `init`: gives a folder what devenv needs. Decides first, about every file; writes only when nothing of the
//! user's would be lost; can be given again at any time.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Context, place};
use crate::base::{Failure, Kind, Place};
use crate::library::include::ComposeText;
use crate::library::record::Record;
use crate::library::writing::{self, Decision, Found, Manner, Step, Wanted};
use crate::library::{self, editor, ignore};

/// The names of a compose file, the first being the one that we write.
const COMPOSE_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder, if it is not the one that the command was called in; it is made.
    pub directory: Option<PathBuf>,
    /// The template.
    pub template: Option<String>,
    /// The project's name.
    pub name: Option<String>,
    /// Files for VS Code too.
    pub vscode: bool,
    /// Write what differs and keep the user's as a copy.
    pub force: bool,
    /// Only decide.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
pub struct Done {
    /// The folder.
    pub directory: PathBuf,
    /// The template.
    pub template: Option<String>,
    /// Every file.
    pub files: Vec<File>,
    /// The commands to give next.
    pub next: Vec<String>,
}

/// What became of a file.
#[derive(Debug, Serialize)]
pub struct File {
    /// From the folder.
    pub path: String,
    /// create, extend, renew, replace, unchanged or keep.
    pub step: &'static str,
    /// Why it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What could be added to it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
    /// Where the user's own is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
}

/// Whether a template has to be chosen: none was named, and the folder has no compose file.
pub fn needs_template(context: &Context, options: &Options) -> Result<bool, Failure> {
    Ok(options.template.is_none() && compose_file(&folder(context, options)?)?.is_none())
}

/// What to say when a template has to be chosen and nobody can be asked.
pub fn no_template(context: &Context, options: &Options) -> Failure {
    let folder = folder(context, options).unwrap_or_default();
    let names: Vec<&str> = library::template_names().collect();
    let failure = Failure::new(Kind::Usage, "there is no compose file here, and no template was chosen");
    if folder.join("supabase/config.toml").exists() {
        return failure.hint("this is a Supabase project: say `--template supabase`; it stays as it is");
    }
    failure.hint(format!("say which with --template: {}", names.join(", ")))
}

/// Gives the folder what devenv needs.
pub fn init(context: &Context, options: &Options) -> Result<Done, Failure> {
    let folder = folder(context, options)?;
    if let Some(name) = &options.name {
        check_name(name)?;
    }
    let existed = folder.is_dir();
    if !existed && !options.dry_run {
        place::create_folders(&folder, &mut Vec::new()).map_err(|error| {
            Failure::new(Kind::Failed, format!("{} cannot be made", folder.display())).source(error)
        })?;
    }
    let _lock = if folder.is_dir() { Some(place::lock(&folder)?) } else { None };
    let done = decide(&folder, options).and_then(|decisions| {
        let placed = if options.dry_run { Vec::new() } else { place::place(&folder, &decisions)? };
        let files = decisions.into_iter().map(|decision| told(decision, &placed)).collect();
        Ok(Done {
            files,
            template: options.template.clone(),
            next: next(context, &folder),
            directory: folder.clone(),
        })
    });
    if done.is_err() && !existed && !options.dry_run {
        // Only if it is empty.
        let _ = fs::remove_dir(&folder);
    }
    done
}

fn folder(context: &Context, options: &Options) -> Result<PathBuf, Failure> {
    let folder = context.directory.join(options.directory.as_deref().unwrap_or(Path::new("")));
    match fs::metadata(&folder) {
        Ok(there) if !there.is_dir() => {
            Err(Failure::new(Kind::Usage, format!("{} is no folder", folder.display())))
        }
        Ok(_) => folder.canonicalize().map_err(|error| {
            Failure::new(Kind::Files, format!("{} cannot be read", folder.display())).source(error)
        }),
        Err(_) => Ok(folder),
    }
}

fn compose_file(folder: &Path) -> Result<Option<&'static str>, Failure> {
    for name in COMPOSE_FILES {
        if place::look(folder, name)? != Found::Nothing {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn decide(folder: &Path, options: &Options) -> Result<Vec<Decision>, Failure> {
    let there = compose_file(folder)?;
    let mut wanted = vec![Wanted {
        manner: Manner::Lines(ignore::LINES.to_vec()),
        ..Wanted::own(".gitignore", format!("{}\n", ignore::LINES.join("\n")))
    }];
    let mut record = Record::default();
    let template = options.template.as_deref().map(library::template).transpose()?;
    if options.vscode {
        let mut names: Vec<String> = match fs::read_dir(folder) {
            Ok(entries) => {
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            }
            Err(_) => Vec::new(),
        };
        names.sort();
        let supabase = template.as_ref().map_or_else(
            || names.iter().any(|name| name == "supabase"),
            |template| template.name == "supabase",
        );
        wanted.extend(editor::wanted(&editor::Project { names: &names, supabase }));
    }
    if let Some(template) = &template {
        let name = match &options.name {
            Some(name) => Some(name.clone()),
            // A name that an earlier init wrote is no difference.
            None => present_name(folder, &template.compose.to)?,
        };
        wanted.extend(template.wanted(name.as_deref())?);
        record = place::record(folder, &template.folder())?;
    }
    let mut decisions = writing::decide(wanted, options.force, &record, &|path| place::look(folder, path))?;
    match (&template, there) {
        (Some(template), Some(there)) if there != template.compose.to => {
            decisions.push(Decision {
                path: there.to_owned(),
                step: Step::Conflict(format!("would be hidden by {}", template.compose.to)),
                content: Cow::default(),
                executable: false,
                whole: None,
            });
        }
        (None, Some(there)) => decisions.extend(named(folder, there, options.name.as_deref())?),
        _ => {}
    }
    match conflict(&decisions, there.filter(|_| template.is_some()), folder) {
        Some(failure) => Err(failure),
        None => Ok(decisions),
    }
}

/// The name in a compose file, if it can be read.
fn present_name(folder: &Path, file: &str) -> Result<Option<String>, Failure> {
    let Found::File(bytes) = place::look(folder, file)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let read = ComposeText::read(Path::new(file), &text);
    Ok(read.ok().and_then(|text| text.name().map(str::to_owned)))
}

/// The user's compose file with the name that was asked for.
fn named(folder: &Path, file: &str, name: Option<&str>) -> Result<Option<Decision>, Failure> {
    let path = folder.join(file);
    let (Some(name), Found::File(bytes)) = (name, place::look(folder, file)?) else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|error| {
        Failure::new(Kind::Files, "a compose file is UTF-8").at(Place::file(&path)).source(error)
    })?;
    let longer = ComposeText::read(Path::new(file), &text)?.with_name(name)?;
    Ok(Some(Decision {
        path: file.to_owned(),
        step: if longer == text { Step::Unchanged } else { Step::Extend },
        content: Cow::Owned(longer.into_bytes()),
        executable: false,
        whole: None,
    }))
}

fn conflict(decisions: &[Decision], there: Option<&str>, folder: &Path) -> Option<Failure> {
    let reasons: Vec<String> = decisions
        .iter()
        .filter_map(|decision| match &decision.step {
            Step::Conflict(reason) => Some(format!("{} {reason}", decision.path)),
            _ => None,
        })
        .collect();
    let count = match reasons.len() {
        0 => return None,
        1 => "a file is".to_owned(),
        count => format!("{count} files are"),
    };
    let message = format!("{count} in the way in {}; nothing was written", folder.display());
    let mut failure = Failure::new(Kind::Conflict, message);
    let forcible = decisions.iter().all(|decision| match &decision.step {
        Step::Conflict(reason) => reason == "differs",
        _ => true,
    });
    failure.evidence = reasons;
    if forcible {
        failure = failure.hint("--force writes them anew and keeps each of yours as NAME.bak");
    } else {
        failure = failure.hint("move them away, or choose another folder: devenv init --template … DIR");
    }
    if there.is_some() {
        failure = failure.hint("to keep your compose file and add only what it lacks, leave --template away");
    }
    Some(failure)
}

fn told(decision: Decision, placed: &[place::Placed]) -> File {
    let copy =
        placed.iter().find(|placed| placed.path == decision.path).and_then(|placed| placed.copy.clone());
    let step = decision.step.word();
    let (reason, snippet) = match decision.step {
        Step::Keep(reason, snippet) => (Some(reason), snippet),
        _ => (None, None),
    };
    File { path: decision.path, step, reason, snippet, copy }
}

fn next(context: &Context, folder: &Path) -> Vec<String> {
    let mut next = Vec::new();
    if let Ok(below) = folder.strip_prefix(&context.directory) {
        if !below.as_os_str().is_empty() {
            next.push(format!("cd {}", below.display()));
        }
    } else {
        next.push(format!("cd {}", folder.display()));
    }
    next.push("devenv up".to_owned());
    next
}

/// A project's name goes into names of containers, networks and volumes.
fn check_name(name: &str) -> Result<(), Failure> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.chars().all(good) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    let failure = Failure::new(
        Kind::Usage,
        format!(
            "`{name}` cannot be a project's name: it takes small letters, digits, - and _, a letter or digit first"
        ),
    );
    let close: String = name.to_lowercase().chars().map(|c| if good(c) { c } else { '-' }).collect();
    let close = close.trim_matches(['-', '_']);
    Err(if close.is_empty() { failure } else { failure.hint(format!("say --name {close}")) })
}
