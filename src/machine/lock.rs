//! A lock between processes of this machine; the kernel frees it when its holder ends, however that happens.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::MachineError;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`; none when somebody else holds it.
    pub fn take(path: &Path) -> Result<Option<Self>, MachineError> {
        let cannot = |source| MachineError::Io { doing: "cannot lock", path: path.to_owned(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(cannot)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(problem) => Err(cannot(problem.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path).unwrap();
        assert!(first.is_some());
        assert!(Lock::take(&path).unwrap().is_none());
        drop(first);
        // A child that another test is starting may still hold our file until it runs its program.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while Lock::take(&path).unwrap().is_none() {
            assert!(std::time::Instant::now() < end, "never freed");
        }
        assert!(Lock::take(Path::new("/no/such/dir/lock")).is_err());
    }
}
