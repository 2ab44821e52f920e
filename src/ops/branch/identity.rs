//! Which project a checkout is: an id of its own in `.devenv/project`, so that a checkout can move and keep its
//! branches, and a copy of one is told from it.

use std::fs;
use std::path::{Path, PathBuf};

use super::new_id;
use crate::base::{Event, Failure, Kind, Place};
use crate::git::Repository;
use crate::lineage::Project;
use crate::ops::{Context, Subject, place};

fn file(directory: &Path) -> PathBuf {
    directory.join(".devenv/project")
}

fn read(directory: &Path) -> Option<String> {
    let id = fs::read_to_string(file(directory)).ok()?.trim().to_owned();
    (!id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        .then_some(id)
}

/// The folder that a project is known by: that of the main working tree, whichever one a command is given in.
#[must_use]
pub fn home(directory: &Path) -> PathBuf {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    Repository::find(&directory).map_or_else(|| directory.clone(), |found| found.in_main(&directory))
}

/// The id of the project whose folder this is, if it has one yet.
#[must_use]
pub fn id_of(directory: &Path, known: &[Project]) -> Option<String> {
    let home = home(directory);
    let by_folder = || known.iter().find(|it| Path::new(&it.directory) == home).map(|it| it.id.clone());
    read(&home).or_else(by_folder)
}

/// Whether the checkout in this folder is the project with this id.
#[must_use]
pub fn is_at(directory: &Path, id: &str) -> bool {
    read(directory).as_deref() == Some(id)
}

/// The record of the project; one that is new, or has moved, is not written yet.
pub fn identify(context: &Context, subject: &Subject, known: &[Project]) -> Result<Project, Failure> {
    let directory = home(&subject.project.working_dir);
    let here = directory.display().to_string();
    // Environments of git branches have names of their own; the project has that of the compose project itself.
    let name = match (&context.choice.apart, &context.standing) {
        (Some(_), Some(standing)) => standing.base.clone(),
        _ => subject.project.name.clone(),
    };
    let engine = context.engine_name();
    let made = |id: String| {
        // Other environments of the checkout have other names; the project keeps the one that it began with.
        let first = known.iter().find(|it| it.id == id).map_or(&name, |it| &it.name);
        Project { id, name: first.clone(), directory: here.clone(), engine: engine.clone() }
    };
    let Some(id) = read(&directory) else {
        // The file may have been cleaned away; the folder tells as well.
        let same = known.iter().find(|it| it.directory == here && it.engine == engine);
        return Ok(made(match same {
            Some(same) => same.id.clone(),
            None => new_id()?,
        }));
    };
    let Some(record) = known.iter().find(|it| it.id == id) else { return Ok(made(id)) };
    let elsewhere = record.directory != here && read(Path::new(&record.directory)).as_ref() == Some(&id);
    if !elsewhere {
        return Ok(made(id));
    }
    if record.name == name {
        return Err(Failure::new(
            Kind::Conflict,
            format!("two checkouts claim to be the project `{name}` ({id}): {} and {here}", record.directory),
        )
        .hint(format!(
            "if this one is a copy, remove {} and give it a name of its own: `name:` in the compose file, or -p",
            file(&directory).display()
        )));
    }
    context.events.tell(Event::note(format!(
        "this checkout is a copy of {}: it gets branches of its own",
        record.directory
    )));
    let own = made(new_id()?);
    write(context, subject, &own)?;
    Ok(own)
}

/// Makes the folder in which devenv keeps what belongs to a checkout, out of git's sight.
pub(in crate::ops) fn private_folder(directory: &Path) -> std::io::Result<()> {
    let folder = directory.join(".devenv");
    place::create_folders(&folder, &mut Vec::new())?;
    let ignore = folder.join(".gitignore");
    if ignore.exists() { Ok(()) } else { place::write_private(&ignore, b"*\n") }
}

/// Writes the id where the next command finds it, out of git's sight.
pub fn write(context: &Context, subject: &Subject, project: &Project) -> Result<(), Failure> {
    let directory = &home(&subject.project.working_dir);
    // The main working tree may stand on a commit without that folder; the catalogue knows it all the same.
    if read(directory).as_ref() == Some(&project.id) || !directory.is_dir() {
        return Ok(());
    }
    let path = file(directory);
    let written = private_folder(directory)
        .and_then(|()| place::write_private(&path, format!("{}\n", project.id).as_bytes()));
    written.map_err(|error| {
        Failure::new(Kind::Unreachable, "the project's id cannot be written")
            .at(Place::file(context.shown(&path)))
            .source(error)
            .hint("devenv has to be able to write into the project's folder")
    })
}
