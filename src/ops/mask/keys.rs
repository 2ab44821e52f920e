//! The key that masked values depend on: in the environment, or in a file of this user's that nobody else can read,
//! never in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::{Failure, Kind, Place};
use crate::mask::Key;
use crate::ops::Context;
use crate::ops::keyfile::KeyFile;

/// The variable that holds a key: 64 hexadecimal digits.
pub const VARIABLE: &str = "DEVENV_MASK_KEY";

/// What may be said of a key.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Of this document's form.
    pub version: u32,
    /// The beginning of a hash of it, which attestations name.
    pub id: String,
    /// Where it is: the variable or the file.
    pub place: String,
}

fn path(context: &Context) -> Result<PathBuf, Failure> {
    let name = context.load_quietly(&[]).map(|loaded| loaded.project.name);
    let name = name.unwrap_or_else(|_| "default".to_owned());
    Ok(context.state_directory()?.join("masks").join(format!("{name}.key")))
}

/// The key of the project; made where there is none yet.
pub fn key(context: &Context) -> Result<Key, Failure> {
    if let Some(text) = context.environment.get(VARIABLE).filter(|text| !text.is_empty()) {
        return Key::read(text).ok_or_else(|| {
            Failure::new(Kind::Usage, format!("{VARIABLE} is not a key"))
                .hint("it is 64 hexadecimal digits: `openssl rand -hex 32` makes one")
        });
    }
    let path = path(context)?;
    Key::read(&file(&path).text()?).ok_or_else(|| {
        Failure::new(Kind::Data, "the masking key is damaged")
            .at(Place::file(&path))
            .hint("restore it, or let `devenv db mask keys rotate` make another: what was masked before does not join with it")
    })
}

fn file(path: &Path) -> KeyFile<'_> {
    KeyFile { path, what: "the masking key", exposed: "`devenv db mask keys rotate` if anybody did" }
}

/// What may be said of the key.
pub fn show(context: &Context) -> Result<Shown, Failure> {
    let key = key(context)?;
    let place = match context.environment.get(VARIABLE).filter(|text| !text.is_empty()) {
        Some(_) => VARIABLE.to_owned(),
        None => path(context)?.display().to_string(),
    };
    Ok(Shown { version: 1, id: key.id(), place })
}

/// Makes another key; the one before is kept beside it. What was masked before does not join with what is masked now.
pub fn rotate(context: &Context) -> Result<Shown, Failure> {
    if context.environment.get(VARIABLE).is_some_and(|text| !text.is_empty()) {
        return Err(Failure::new(Kind::Usage, format!("the key comes from {VARIABLE}"))
            .hint("put another one there: `openssl rand -hex 32` makes one"));
    }
    let path = path(context)?;
    if path.exists() {
        let old = fs::read_to_string(&path)
            .ok()
            .and_then(|text| Key::read(&text))
            .map_or_else(|| "damaged".to_owned(), |key| key.id());
        let kept = path.with_extension(format!("{old}.old"));
        fs::rename(&path, &kept).map_err(|error| {
            Failure::new(Kind::Failed, "the masking key cannot be kept").at(Place::file(&kept)).source(error)
        })?;
    }
    file(&path).make()?;
    show(context)
}
