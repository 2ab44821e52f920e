//! Keys in files that nobody but this user can read, outside of any repository.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::base::{Failure, Kind, Place};

/// How many bytes a key has.
const BYTES: usize = 32;

/// A file that holds a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyFile<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// What it is called in messages.
    pub what: &'a str,
    /// What to do where others could read it, after it is theirs no more.
    pub exposed: &'a str,
}

impl KeyFile<'_> {
    fn failed(&self, what: &str, error: std::io::Error) -> Failure {
        let message = format!("{} cannot be {what}", self.what);
        Failure::new(Kind::Failed, message).at(Place::file(self.path)).source(error)
    }

    /// What it says; made where it is not there yet. The caller judges whether that is a key.
    pub(super) fn text(&self) -> Result<String, Failure> {
        match fs::read_to_string(self.path) {
            Ok(text) => {
                let mode = fs::metadata(self.path).map_or(0, |found| found.permissions().mode() & 0o077);
                if mode == 0 {
                    return Ok(text);
                }
                Err(Failure::new(Kind::Data, format!("others can read {}", self.what))
                    .at(Place::file(self.path))
                    .hint(format!("`chmod 600 {}`, and {}", self.path.display(), self.exposed)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => self.make(),
            Err(error) => Err(self.failed("read", error)),
        }
    }

    /// Makes a key, unless another command was faster.
    pub(super) fn make(&self) -> Result<String, Failure> {
        let mut bytes = [0; BYTES];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|error| {
            Failure::new(Kind::Failed, "no random numbers").source(std::io::Error::from(error))
        })?;
        let text = hex::encode(bytes);
        let half = self.path.with_extension(format!("half-{}", std::process::id()));
        let write = || {
            fs::create_dir_all(self.path.parent().unwrap_or(Path::new("/")))?;
            let _ = fs::remove_file(&half);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
            writeln!(file, "{text}").and_then(|()| file.sync_all())?;
            // Unlike a rename, this never takes the place of a key that somebody uses already.
            let linked = fs::hard_link(&half, self.path);
            fs::remove_file(&half)?;
            linked
        };
        match write() {
            Ok(()) => Ok(text),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::read_to_string(self.path).map_err(|error| self.failed("read", error))
            }
            Err(error) => Err(self.failed("written", error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.key");
        let file = KeyFile { path: &path, what: "the key of a test", exposed: "make another" };
        let made = file.text().unwrap();
        assert_eq!(hex::decode(&made).unwrap().len(), BYTES);
        assert_eq!(file.text().unwrap().trim(), made);
        assert_eq!(file.make().unwrap().trim(), made, "it is not replaced");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(file.text().unwrap_err().to_string().contains("others can read the key of a test"));
    }
}
