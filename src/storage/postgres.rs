//! Data that spans places which cannot be captured at one instant: a PostgreSQL cluster with a tablespace or its
//! log elsewhere. <https://www.postgresql.org/docs/current/backup-file.html>: all of it has to be copied at the
//! same moment, or the copy is of no use.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::protocol::Refusal;
use super::walk::{Met, Trouble, Turn, names, open_folder, part, walk};

/// How deep in a volume a cluster is looked for: images keep it at `.`, `data`, or `18/docker`.
const DEPTH: usize = 3;

/// How many things are looked at before a volume is taken for something else, such as a store of objects.
const LOOKS: usize = 10_000;

/// Goes through the clusters in data, which has a folder for each volume: each with its depth and its path.
fn clusters(
    data: BorrowedFd<'_>,
    mut each: impl FnMut(&OwnedFd, usize, &Path) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut looks = 0;
    walk(data, |met: &Met<'_>| {
        looks += 1;
        let depth = met.path.components().count();
        if met.is_left
            || looks > LOOKS
            || depth > DEPTH
            || !FileType::from_raw_mode(met.stat.st_mode).is_dir()
        {
            return Ok(Turn::Past);
        }
        let own = match open_folder(met.folder, met.name) {
            Ok(own) => own,
            Err(Errno::NOENT) => return Ok(Turn::Past),
            Err(errno) => {
                return Err(Refusal::from(Trouble { doing: "open", path: met.path.clone(), errno }));
            }
        };
        if rustix::fs::statat(&own, "PG_VERSION", AtFlags::SYMLINK_NOFOLLOW).is_err() {
            return Ok(Turn::Into);
        }
        each(&own, depth, &met.path)?;
        Ok(Turn::Past)
    })
}

/// Refuses data with a cluster that has a link out of its volume.
pub(super) fn leads_nowhere_else(data: BorrowedFd<'_>) -> Result<(), Refusal> {
    clusters(data, |own, depth, at| {
        let mut links = Vec::from_iter(link(own, c"pg_wal", "pg_wal".into()));
        if let Ok(spaces) = open_folder(own.as_fd(), c"pg_tblspc") {
            for name in names(&spaces).unwrap_or_default() {
                let path = Path::new("pg_tblspc").join(part(&name));
                links.extend(link(&spaces, &name, path));
            }
        }
        for (path, target) in links {
            if leads_out(depth - 1 + path.components().count() - 1, &target) {
                let path = at.join(path).to_string_lossy().into_owned();
                return Err(Refusal::LeadsOut { path });
            }
        }
        Ok(())
    })
}

/// The file that `ALTER SYSTEM` writes; of two equal settings the later one counts
/// (<https://www.postgresql.org/docs/current/config-setting.html>).
const AUTO: &CStr = c"postgresql.auto.conf";
/// What stands around our settings in it.
const BEGIN: &str = "# devenv: settings of a branch";
const END: &str = "# devenv: end";

/// Writes settings for every cluster in data, none of which runs.
pub(super) fn settle(data: BorrowedFd<'_>, settings: &BTreeMap<String, String>) -> Result<(), Refusal> {
    clusters(data, |own, _, at| {
        let trouble =
            |errno| Refusal::from(Trouble { doing: "write the settings of", path: at.to_owned(), errno });
        let write = || {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(own, AUTO, flags, Mode::RUSR | Mode::WUSR)?;
            let server = rustix::fs::statat(own, "PG_VERSION", AtFlags::SYMLINK_NOFOLLOW)?;
            let owner = (Uid::from_raw(server.st_uid), Gid::from_raw(server.st_gid));
            rustix::fs::fchown(&file, Some(owner.0), Some(owner.1))?;
            let mut file = File::from(file);
            let mut text = String::new();
            // What is no text is no settings file that the server could read either.
            file.read_to_string(&mut text)?;
            let text = with_settings(&text, settings);
            file.rewind()?;
            file.set_len(0)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error: io::Error| trouble(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    })
}

/// The text of a settings file with ours at its end, in the place of those that were written before.
fn with_settings(text: &str, settings: &BTreeMap<String, String>) -> String {
    let mut kept = String::new();
    let mut ours = false;
    for line in text.lines() {
        ours |= line == BEGIN;
        if !ours {
            kept.push_str(line);
            kept.push('\n');
        }
        ours &= line != END;
    }
    if settings.is_empty() {
        return kept;
    }
    let lines: String =
        settings.iter().map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''"))).collect();
    format!("{kept}{BEGIN}\n{lines}{END}\n")
}

/// The symbolic link of that name, if it is one, with where it leads.
fn link(folder: &OwnedFd, name: &CStr, path: PathBuf) -> Option<(PathBuf, PathBuf)> {
    let target = rustix::fs::readlinkat(folder, name, Vec::new()).ok()?;
    Some((path, PathBuf::from(std::ffi::OsStr::from_bytes(target.as_bytes()))))
}

/// Whether a link leads out of the volume that it stands in, so many folders below the volume's own.
fn leads_out(depth: usize, target: &Path) -> bool {
    let mut depth = depth;
    for component in target.components() {
        match component {
            // Where that is in a container is not to be seen from here.
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::Normal(_) => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;

    use super::super::walk::open_root;
    use super::*;

    #[test]
    fn a_log_or_a_tablespace_elsewhere_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let check = || leads_nowhere_else(open_root(dir.path()).unwrap().as_fd());
        let cluster = dir.path().join("db/18/docker");
        create_dir_all(cluster.join("pg_tblspc/1234")).unwrap();
        write(cluster.join("PG_VERSION"), "18\n").unwrap();
        symlink("../../other", cluster.join("pg_wal")).unwrap();
        assert_eq!(check(), Ok(()), "db/other is in the same volume");
        symlink("/mnt/fast", cluster.join("pg_tblspc/16384")).unwrap();
        let path = "db/18/docker/pg_tblspc/16384".to_owned();
        assert_eq!(check(), Err(Refusal::LeadsOut { path }));
        std::fs::remove_file(cluster.join("pg_tblspc/16384")).unwrap();
        std::fs::remove_file(cluster.join("pg_wal")).unwrap();
        symlink("../../../wal", cluster.join("pg_wal")).unwrap();
        assert_eq!(check(), Err(Refusal::LeadsOut { path: "db/18/docker/pg_wal".to_owned() }));
        // Elsewhere a link is nobody's business.
        std::fs::remove_file(cluster.join("PG_VERSION")).unwrap();
        assert_eq!(check(), Ok(()));
    }

    #[test]
    fn settings_stand_behind_what_there_was_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = dir.path().join("db");
        create_dir_all(&cluster).unwrap();
        write(cluster.join("PG_VERSION"), "17\n").unwrap();
        write(cluster.join("postgresql.auto.conf"), "work_mem = '8MB'\n").unwrap();
        let settle = |settings: &[(&str, &str)]| {
            let settings =
                settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            super::settle(open_root(dir.path()).unwrap().as_fd(), &settings).unwrap();
            std::fs::read_to_string(cluster.join("postgresql.auto.conf")).unwrap()
        };
        settle(&[("fsync", "off"), ("a.b", "it's")]);
        let text = settle(&[("fsync", "off"), ("a.b", "it's")]);
        let block = format!("{BEGIN}\na.b = 'it''s'\nfsync = 'off'\n{END}\n");
        assert_eq!(text, format!("work_mem = '8MB'\n{block}"));
        assert_eq!(settle(&[]), "work_mem = '8MB'\n");
        // A link that a container left is not followed.
        std::fs::remove_file(cluster.join("postgresql.auto.conf")).unwrap();
        symlink("/etc/hostname", cluster.join("postgresql.auto.conf")).unwrap();
        assert!(super::settle(open_root(dir.path()).unwrap().as_fd(), &BTreeMap::new()).is_err());
    }

    #[test]
    fn up_and_down() {
        assert!(!leads_out(2, Path::new("../../a/..")) && !leads_out(1, Path::new("../a/./b")));
        assert!(leads_out(2, Path::new("../../a/../..")) && leads_out(0, Path::new("..")));
    }
}
