//! An environment in one file: what stands in it, and what of it is let in when it is read again. Pure.
//!
//! The file is a tar (POSIX.1-2001, `pax`), compressed by gzip. In this order: [`MANIFEST`], which says what it is; the
//! project's files below [`FILES`]; the volumes below [`DATA`]; and [`SEAL`], a checksum over all before it. Whoever
//! wants to look into it uses `tar -tzf`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the archive is.
pub const MANIFEST: &str = "devenv/manifest.json";
/// Below it, the files that the project is written in.
pub const FILES: &str = "devenv/files";
/// Below it, a folder for each volume.
pub const DATA: &str = "data";
/// The checksum, last of all.
pub const SEAL: &str = "devenv/seal";

/// The version of this format.
pub const VERSION: u32 = 1;
/// The longest manifest and the longest of the project's files.
pub const LONGEST: u64 = 4 << 20;

/// What an archive is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// The program that made it.
    pub devenv: String,
    /// When, in seconds since 1970.
    pub created: i64,
    /// The compose project that the environment is of.
    pub project: String,
    /// What the environment is called.
    pub environment: String,
    /// Whether it is the project's default one.
    pub default: bool,
    /// The git branch that it follows.
    pub git: Option<String>,
    /// The branch of the data that it works on; none where it has no data.
    pub branch: Option<String>,
    /// Whose it is.
    pub owner: String,
    /// The ports of the machine that it has instead of those that the file fixes.
    pub ports: BTreeMap<String, u16>,
    /// The keys of its volumes.
    pub volumes: Vec<String>,
    /// The project's files, as paths below its folder.
    pub files: Vec<String>,
    /// Bytes of its data on the disk, as a measure of what there is to copy.
    pub bytes: u64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file with content.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// Another name of a file that came before.
    Link,
    /// A named pipe.
    Pipe,
    /// Anything else: devices.
    Other,
}

/// One entry, as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Where a link leads.
    pub target: Option<Vec<u8>>,
    /// The bytes of its content.
    pub size: u64,
}

/// Where an entry belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The manifest.
    Manifest,
    /// A file of the project, by its path below the project's folder.
    File(String),
    /// Data.
    Data,
    /// The checksum.
    Seal,
}

/// Why an archive is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no archive of ours.
    #[error("it is no archive of devenv")]
    Foreign,
    /// It is one of a newer devenv.
    #[error("it was made by a newer devenv (version {0} of the format)")]
    Newer(u32),
    /// A path that is not a plain one below a folder that came before.
    #[error("it holds the path {0:?}, which leads out of its place")]
    Path(String),
    /// A link that leads to something that is not in the same volume.
    #[error("its entry {path:?} is a link to {target:?}, which is not in it")]
    Link {
        /// The entry.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A device.
    #[error("its entry {0:?} is a device")]
    Device(String),
    /// The same path twice.
    #[error("it holds {0:?} twice")]
    Twice(String),
    /// Something that the manifest does not name.
    #[error("it holds {0:?}, which its manifest does not name")]
    Unnamed(String),
    /// Something is too large, or not there.
    #[error("{0}")]
    Form(&'static str),
    /// The checksum is another one.
    #[error("its checksum is wrong: it was damaged or cut off")]
    Damaged,
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Lets entries in, one after the other.
#[derive(Debug, Default)]
pub struct Gate {
    manifest: Option<Manifest>,
    folders: BTreeSet<Vec<u8>>,
    files: BTreeSet<Vec<u8>>,
    others: BTreeSet<Vec<u8>>,
    sealed: bool,
}

impl Gate {
    /// Takes the manifest, which comes first.
    pub fn begin(&mut self, text: &[u8]) -> Result<Manifest, Refused> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(text).map_err(|_| Refused::Foreign)?;
        if version > VERSION {
            return Err(Refused::Newer(version));
        }
        let manifest: Manifest = serde_json::from_slice(text).map_err(|_| Refused::Foreign)?;
        // They become names of folders.
        for name in &manifest.volumes {
            let parts = parts(name.as_bytes()).filter(|parts| parts.len() == 1);
            parts.ok_or_else(|| Refused::Path(name.clone()))?;
        }
        for file in &manifest.files {
            let hidden = file.split('/').any(|part| part == ".git" || part == ".devenv");
            parts(file.as_bytes()).filter(|_| !hidden).ok_or_else(|| Refused::Path(file.clone()))?;
        }
        self.manifest = Some(manifest.clone());
        Ok(manifest)
    }

    /// Says where an entry belongs, or why it is not let in.
    pub fn admit(&mut self, entry: &Entry) -> Result<Place, Refused> {
        // Only a folder's name may end so.
        let path = match entry.kind {
            Kind::Folder => entry.path.strip_suffix(b"/").unwrap_or(&entry.path),
            _ => &entry.path,
        };
        let told = || shown(&entry.path);
        if self.sealed {
            return Err(Refused::Form("something follows its checksum"));
        }
        let parts = parts(path).ok_or_else(|| Refused::Path(told()))?;
        let is_small_file = entry.kind == Kind::File && entry.size <= LONGEST;
        let Some(manifest) = &self.manifest else {
            let first = path == MANIFEST.as_bytes() && is_small_file;
            return if first { Ok(Place::Manifest) } else { Err(Refused::Foreign) };
        };
        if path == SEAL.as_bytes() {
            self.sealed = true;
            return if is_small_file {
                Ok(Place::Seal)
            } else {
                Err(Refused::Form("its checksum is no file"))
            };
        }
        if let Some(below) = path.strip_prefix(FILES.as_bytes()).and_then(|rest| rest.strip_prefix(b"/")) {
            let name = manifest.files.iter().find(|name| name.as_bytes() == below);
            let name = name.filter(|_| is_small_file).ok_or_else(|| Refused::Unnamed(told()))?.clone();
            return if self.others.insert(path.to_vec()) {
                Ok(Place::File(name))
            } else {
                Err(Refused::Twice(told()))
            };
        }
        let [first, volume, inside @ ..] = parts.as_slice() else { return Err(Refused::Unnamed(told())) };
        if *first != DATA.as_bytes() || !manifest.volumes.iter().any(|name| name.as_bytes() == *volume) {
            return Err(Refused::Unnamed(told()));
        }
        if inside.is_empty() {
            // A volume is a folder.
            if entry.kind != Kind::Folder {
                return Err(Refused::Path(told()));
            }
        } else {
            // Nothing is ever written through what is no folder, such as a link that came before.
            let above = &path[..path.len() - inside.last().map_or(0, |name| name.len()) - 1];
            if !self.folders.contains(above) {
                return Err(Refused::Path(told()));
            }
        }
        if [&self.folders, &self.files, &self.others].iter().any(|all| all.contains(path)) {
            return Err(Refused::Twice(told()));
        }
        match entry.kind {
            Kind::Folder => drop(self.folders.insert(path.to_vec())),
            Kind::File => drop(self.files.insert(path.to_vec())),
            Kind::Symlink | Kind::Pipe => drop(self.others.insert(path.to_vec())),
            Kind::Link => {
                // To a file of the same volume, whose prefix is that of the path.
                let volume = [DATA.as_bytes(), b"/", volume, b"/"].concat();
                let target = entry.target.as_deref().unwrap_or_default();
                if !target.starts_with(&volume) || !self.files.contains(target) {
                    return Err(Refused::Link { path: told(), target: shown(target) });
                }
                self.files.insert(path.to_vec());
            }
            Kind::Other => return Err(Refused::Device(told())),
        }
        Ok(Place::Data)
    }

    /// Looks whether all is there, at the end.
    pub fn end(&self) -> Result<(), Refused> {
        let manifest = self.manifest.as_ref().ok_or(Refused::Foreign)?;
        let has = |name: &String| self.folders.contains(format!("{DATA}/{name}").as_bytes());
        let files = |name: &String| self.others.contains(format!("{FILES}/{name}").as_bytes());
        if !self.sealed {
            return Err(Refused::Damaged);
        }
        if !manifest.volumes.iter().all(has) || !manifest.files.iter().all(files) {
            return Err(Refused::Form("not all is there that its manifest names"));
        }
        Ok(())
    }
}

/// The parts of a relative path that leads down only.
fn parts(path: &[u8]) -> Option<Vec<&[u8]>> {
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let plain = |part: &&[u8]| !part.is_empty() && **part != *b"." && **part != *b".." && !part.contains(&0);
    parts.iter().all(plain).then_some(parts)
}

/// A checksum over entries, in their order.
#[derive(Debug, Clone, Default)]
pub struct Seal(Sha256);

impl Seal {
    /// An entry begins: its path, its header (`ustar` block) and where it leads. Each is told apart from the next.
    pub fn entry(&mut self, path: &[u8], header: &[u8], target: &[u8]) {
        for piece in [path, header, target] {
            self.0.update(u64::try_from(piece.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.0.update(piece);
        }
    }

    /// Content of the entry that began last.
    pub fn content(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The text of the checksum.
    #[must_use]
    pub fn text(&self) -> String {
        format!("sha256 {}\n", hex::encode(self.0.clone().finalize()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            version: VERSION,
            project: "shop".to_owned(),
            environment: "qa".to_owned(),
            volumes: vec!["db".to_owned(), "files".to_owned()],
            files: vec!["compose.yaml".to_owned(), "env/.env".to_owned()],
            ..Manifest::default()
        }
    }

    fn gate() -> Gate {
        let mut gate = Gate::default();
        gate.begin(&serde_json::to_vec(&manifest()).unwrap()).unwrap();
        gate
    }

    fn entry(path: &str, kind: Kind, target: &str) -> Entry {
        let target = (!target.is_empty()).then(|| target.as_bytes().to_vec());
        Entry { path: path.as_bytes().to_vec(), kind, target, size: 1 }
    }

    /// What comes of entries, one after the other: `ok`, or why not.
    fn told(entries: &[(&str, Kind, &str)]) -> Vec<String> {
        let mut gate = gate();
        let one = |(path, kind, target): &(&str, Kind, &str)| match gate.admit(&entry(path, *kind, target)) {
            Ok(_) => "ok".to_owned(),
            Err(refused) => refused.to_string(),
        };
        entries.iter().map(one).collect()
    }

    #[test]
    fn what_is_whole_is_let_in() {
        use Kind::{File, Folder, Link, Pipe, Symlink};
        let mut gate = gate();
        let mut places = Vec::new();
        for (path, kind, target) in [
            ("devenv/files/compose.yaml", File, ""),
            ("devenv/files/env/.env", File, ""),
            ("data/db/", Folder, ""),
            ("data/db/base/", Folder, ""),
            ("data/db/base/1", File, ""),
            ("data/db/base/2", Link, "data/db/base/1"),
            ("data/db/log", Symlink, "/var/log/anything"),
            ("data/db/pipe", Pipe, ""),
            ("data/files/", Folder, ""),
            ("devenv/seal", File, ""),
        ] {
            places.push(gate.admit(&entry(path, kind, target)).unwrap());
        }
        assert_eq!(places[1], Place::File("env/.env".to_owned()));
        assert_eq!((places[4].clone(), places[9].clone()), (Place::Data, Place::Seal));
        assert_eq!(gate.end(), Ok(()));
        assert!(gate.admit(&entry("data/db/more", File, "")).is_err(), "behind the seal");
    }

    #[test]
    fn hostile_entries_are_refused() {
        use Kind::{File, Folder, Link, Other, Symlink};
        let folder = ("data/db", Folder, "");
        for hostile in [
            ("/etc/passwd", File, ""),
            ("../x", File, ""),
            ("data/db/../../x", File, ""),
            ("data/db/./x", File, ""),
            ("data/db//x", File, ""),
            ("data/other/x", File, ""),
            ("data/other", Folder, ""),
            ("data", Folder, ""),
            ("devenv/files/../../.bashrc", File, ""),
            ("devenv/files/unnamed", File, ""),
            ("devenv/files/compose.yaml", Symlink, "/etc/passwd"),
            ("devenv/manifest.json", File, ""),
            ("data/db/a/b", File, ""),
            ("data/db/dev", Other, ""),
            ("data/db/l", Link, "/etc/shadow"),
            ("data/db/l", Link, "data/files/x"),
            ("data/db/l", Link, ""),
            ("data/files", Symlink, "/etc"),
        ] {
            let all = told(&[folder, hostile]);
            assert!(all[0] == "ok" && all[1] != "ok", "{hostile:?}: {all:?}");
        }
        let through = told(&[folder, ("data/db/a", Symlink, "/etc"), ("data/db/a/passwd", File, "")]);
        assert!(through[1] == "ok" && through[2].contains("leads out of its place"), "{through:?}");
        let twice = told(&[folder, ("data/db/a", File, ""), ("data/db/a", Folder, "")]);
        assert!(twice[2].contains("twice"), "{twice:?}");
    }

    #[test]
    fn manifests_are_judged_too() {
        let begin = |manifest: &Manifest| Gate::default().begin(&serde_json::to_vec(manifest).unwrap());
        assert_eq!(begin(&Manifest { version: 2, ..manifest() }), Err(Refused::Newer(2)));
        for volume in ["..", "a/b", "", "/"] {
            assert!(begin(&Manifest { volumes: vec![volume.to_owned()], ..manifest() }).is_err(), "{volume}");
        }
        for file in ["../compose.yaml", "/etc/passwd", ".git/hooks/post-checkout", ".devenv/project"] {
            assert!(begin(&Manifest { files: vec![file.to_owned()], ..manifest() }).is_err(), "{file}");
        }
        assert_eq!(Gate::default().begin(b"{}"), Err(Refused::Foreign));
        let mut gate = gate();
        assert_eq!(gate.end(), Err(Refused::Damaged), "no seal");
        gate.admit(&entry(SEAL, Kind::File, "")).unwrap();
        assert!(matches!(gate.end(), Err(Refused::Form(_))), "nothing else");
    }

    #[test]
    fn a_seal_tells_entries_apart() {
        let of = |pieces: &[&str]| {
            let mut seal = Seal::default();
            for piece in pieces {
                seal.entry(piece.as_bytes(), b"h", b"");
                seal.content(b"x");
            }
            seal.text()
        };
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
    }

    proptest! {
        #[test]
        fn nothing_is_let_in_that_leads_out(path in "(data|devenv)?(/?(db|files|\\.\\.|\\.|a|/)){0,6}") {
            let mut gate = gate();
            for folder in ["data/db", "data/db/a"] {
                gate.admit(&entry(folder, Kind::Folder, "")).unwrap();
            }
            if gate.admit(&entry(&path, Kind::File, "")).is_ok() {
                prop_assert!(!path.split('/').any(|part| part == ".." || part == "." || part.is_empty()));
                prop_assert!(path.starts_with("data/db/") || path.starts_with("devenv/files/"));
            }
        }
    }
}
