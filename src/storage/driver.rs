//! What a driver has to be able to do, and how far it has come with it.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;

use super::protocol::{Driver, Refusal, Size};

/// Holds data as folders below the pool's root and copies it. Every driver passes the suite in `contract.rs`.
///
/// `folder` and `name` are always places of our own, below the root; what a driver is given as `data` may hold
/// anything that a container can write.
pub(super) trait Storage: Send + Sync {
    /// Which one it is.
    fn driver(&self) -> Driver;

    /// Whether [`copy`](Self::copy) makes the whole or nothing, also when the machine ends meanwhile, and is on the
    /// disk when it answers. Then nothing is built under another name first.
    fn is_atomic(&self) -> bool;

    /// Prepares the folder in which data is made, each time that the keeper starts.
    fn prepare(&self, _folder: BorrowedFd<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// Makes empty data.
    fn make(&self, folder: BorrowedFd<'_>, name: &str) -> Result<(), Refusal>;

    /// What a copy of `data` would take, in bytes.
    fn cost(&self, data: BorrowedFd<'_>) -> Result<u64, Refusal>;

    /// Copies `data`.
    fn copy(
        &self,
        data: BorrowedFd<'_>,
        folder: BorrowedFd<'_>,
        name: &str,
        frozen: bool,
        meter: &Meter,
    ) -> Result<(), Refusal>;

    /// Lets nobody write `data` any more, not even root, where the driver can hold that.
    fn freeze(&self, data: BorrowedFd<'_>) -> Result<(), Refusal>;

    /// Lets `data` be written again.
    fn thaw(&self, data: BorrowedFd<'_>) -> Result<(), Refusal>;

    /// Takes data away, with all that is in it.
    fn remove(&self, folder: BorrowedFd<'_>, name: &str) -> Result<(), Refusal>;

    /// How large `data` is.
    fn size(&self, data: BorrowedFd<'_>) -> Result<Size, Refusal>;

    /// Lets the file system have so many bytes, which its device has already.
    fn enlarge(&self, root: BorrowedFd<'_>, bytes: u64) -> Result<(), Refusal>;
}

/// How far something has come, in bytes; read by another thread than the one that works.
#[derive(Debug, Default)]
pub(super) struct Meter {
    done: AtomicU64,
    total: AtomicU64,
    finished: AtomicBool,
}

impl Meter {
    /// There are so many bytes more to do.
    pub(super) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes more are done.
    pub(super) fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Nobody is to be told any more.
    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    /// Whether nobody is to be told any more.
    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// Bytes that are done, and all of them. Files that grow meanwhile take nobody past the end.
    pub(super) fn read(&self) -> (u64, u64) {
        let total = self.total.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed).min(total), total)
    }
}

/// What the system said, in the words of the protocol. The pool fills in the bytes of [`Refusal::Full`].
pub(super) fn refusal(doing: impl Into<String>) -> impl FnOnce(Errno) -> Refusal {
    let doing = doing.into();
    move |errno| match errno {
        Errno::ROFS => Refusal::ReadOnly,
        Errno::NOSPC | Errno::DQUOT => Refusal::Full { free: 0, needed: 0 },
        errno => Refusal::System { doing, why: errno.to_string() },
    }
}
