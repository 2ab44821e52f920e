//! Which project a checkout is: an id of its own in `.devenv/project`, so that a checkout can move and keep its
//! branches, and a copy of one is told from it.

use std::fs;
use std::path::{Path, PathBuf};

use super::new_id;
use crate::base::{Event, Failure, Kind, Place};
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

/// Whether the checkout in this folder is the project with this id.
#[must_use]
pub fn is_at(directory: &Path, id: &str) -> bool {
    read(directory).as_deref() == Some(id)
}

/// The record of the project; one that is new, or has moved, is not written yet.
pub fn identify(context: &Context, subject: &Subject, known: &[Project]) -> Result<Project, Failure> {
    let directory = subject.project.working_dir.clone();
    let directory = directory.canonicalize().unwrap_or(directory);
    let here = directory.display().to_string();
    let name = subject.project.name.clone();
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

/// Writes the id where the next command finds it, out of git's sight.
pub fn write(context: &Context, subject: &Subject, project: &Project) -> Result<(), Failure> {
    let directory = &subject.project.working_dir;
    if read(directory).as_ref() == Some(&project.id) {
        return Ok(());
    }
    let path = file(directory);
    let folder = directory.join(".devenv");
    let written = fs::create_dir_all(&folder)
        .and_then(|()| {
            let ignore = folder.join(".gitignore");
            if ignore.exists() { Ok(()) } else { place::write(&ignore, b"*\n", false) }
        })
        .and_then(|()| place::write(&path, format!("{}\n", project.id).as_bytes(), false));
    written.map_err(|error| {
        Failure::new(Kind::Unreachable, "the project's id cannot be written")
            .at(Place::file(context.shown(&path)))
            .source(error)
            .hint("devenv has to be able to write into the project's folder")
    })
}
