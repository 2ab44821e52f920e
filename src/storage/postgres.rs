//! Data that spans places which cannot be captured at one instant: a PostgreSQL cluster with a tablespace or its
//! log elsewhere. <https://www.postgresql.org/docs/current/backup-file.html>: all of it has to be copied at the
//! same moment, or the copy is of no use.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::protocol::Refusal;
use super::walk::{Met, Trouble, Turn, names, open_folder, part, walk};

/// How deep in a volume a cluster is looked for: images keep it at `.`, `data`, or `18/docker`.
const DEPTH: usize = 3;

/// How many things are looked at before a volume is taken for something else, such as a store of objects.
const LOOKS: usize = 10_000;

/// Refuses data with a cluster that has a link out of its volume. `data` has a folder for each volume.
pub(super) fn leads_nowhere_else(data: BorrowedFd<'_>) -> Result<(), Refusal> {
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
        let mut links = Vec::from_iter(link(&own, c"pg_wal", "pg_wal".into()));
        if let Ok(spaces) = open_folder(own.as_fd(), c"pg_tblspc") {
            for name in names(&spaces).unwrap_or_default() {
                let path = Path::new("pg_tblspc").join(part(&name));
                links.extend(link(&spaces, &name, path));
            }
        }
        for (path, target) in links {
            if leads_out(depth - 1 + path.components().count() - 1, &target) {
                let path = met.path.join(path).to_string_lossy().into_owned();
                return Err(Refusal::LeadsOut { path });
            }
        }
        Ok(Turn::Past)
    })
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
    fn up_and_down() {
        assert!(!leads_out(2, Path::new("../../a/..")) && !leads_out(1, Path::new("../a/./b")));
        assert!(leads_out(2, Path::new("../../a/../..")) && leads_out(0, Path::new("..")));
    }
}
