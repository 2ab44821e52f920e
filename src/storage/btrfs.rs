//! Data as btrfs subvolumes: a copy is a snapshot, which takes the same time whatever is in it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::driver::{Meter, Storage, refusal};
use super::protocol::{Driver, Refusal, Size};
use super::walk::{Met, Trouble, Turn, open_folder, part, walk};
use super::{ioctl, tree};

/// The number of a subvolume's root folder (`BTRFS_FIRST_FREE_OBJECTID` in `linux/btrfs_tree.h`).
const ROOT: u64 = 256;

/// Subvolumes and snapshots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Btrfs;

impl Storage for Btrfs {
    fn driver(&self) -> Driver {
        Driver::Btrfs
    }

    fn is_atomic(&self) -> bool {
        // The kernel makes a snapshot inside one transaction and ends that before it answers
        // (`create_snapshot` in fs/btrfs/ioctl.c).
        true
    }

    fn make(&self, folder: BorrowedFd<'_>, name: &str) -> Result<(), Refusal> {
        ioctl::make_subvolume(folder, name).map_err(refusal("make a subvolume"))
    }

    fn cost(&self, _data: BorrowedFd<'_>) -> Result<u64, Refusal> {
        Ok(0)
    }

    fn copy(
        &self,
        data: BorrowedFd<'_>,
        folder: BorrowedFd<'_>,
        name: &str,
        frozen: bool,
        _meter: &Meter,
    ) -> Result<(), Refusal> {
        if has_subvolumes(data)? {
            return Err(Refusal::System {
                doing: "capture".to_owned(),
                why: "the data has subvolumes of its own, which a snapshot leaves out".to_owned(),
            });
        }
        ioctl::snapshot(data, folder, name, frozen).map_err(refusal("make a snapshot"))
    }

    fn freeze(&self, data: BorrowedFd<'_>) -> Result<(), Refusal> {
        set_frozen(data, true)
    }

    fn thaw(&self, data: BorrowedFd<'_>) -> Result<(), Refusal> {
        set_frozen(data, false)
    }

    fn remove(&self, folder: BorrowedFd<'_>, name: &str) -> Result<(), Refusal> {
        let own = match own_subvolume(folder, name) {
            Ok(own) => own,
            // A plain folder or file, as of somebody who works in the pool by hand.
            Err(Errno::NOTDIR | Errno::LOOP | Errno::INVAL) => return Ok(tree::remove(folder, name)?),
            Err(errno) => return Err(refusal("open a subvolume")(errno)),
        };
        if has_subvolumes(own.as_fd())? {
            self.thaw(own.as_fd())?;
            empty(own.as_fd())?;
        }
        ioctl::destroy_subvolume(folder, name).map_err(refusal("remove a subvolume"))
    }

    fn size(&self, data: BorrowedFd<'_>) -> Result<Size, Refusal> {
        Ok(tree::size(data)?)
    }

    fn enlarge(&self, root: BorrowedFd<'_>, _bytes: u64) -> Result<(), Refusal> {
        ioctl::enlarge_btrfs(root).map_err(refusal("enlarge the pool"))
    }
}

/// Opens a subvolume; a plain folder is `EINVAL`.
fn own_subvolume(folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let own = open_folder(folder, name)?;
    if rustix::fs::fstat(&own)?.st_ino == ROOT { Ok(own) } else { Err(Errno::INVAL) }
}

fn set_frozen(data: BorrowedFd<'_>, frozen: bool) -> Result<(), Refusal> {
    // Each change is a transaction of its own.
    if ioctl::is_frozen(data).map_err(refusal("look at a subvolume"))? == frozen {
        return Ok(());
    }
    ioctl::set_frozen(data, frozen).map_err(refusal("freeze or thaw a subvolume"))
}

fn has_subvolumes(data: BorrowedFd<'_>) -> Result<bool, Refusal> {
    match ioctl::has_subvolumes(data) {
        // Linux before 4.18 cannot tell.
        Err(Errno::NOTTY) => Ok(false),
        answer => answer.map_err(refusal("look for subvolumes")),
    }
}

/// Takes the subvolumes away that a container made in its data, the innermost first: no subvolume that has another
/// below it can be destroyed. What is no subvolume goes with the one that it is in.
fn empty(data: BorrowedFd<'_>) -> Result<(), Trouble> {
    walk(data, |met: &Met<'_>| {
        let is_subvolume = FileType::from_raw_mode(met.stat.st_mode).is_dir() && met.stat.st_ino == ROOT;
        if is_subvolume && met.is_left {
            let trouble = Trouble::at("remove the subvolume", &met.path);
            let Some(name) = part(met.name).to_str() else { return Err(trouble(Errno::INVAL)) };
            let thaw = open_folder(met.folder, name).and_then(|own| ioctl::set_frozen(own, false));
            thaw.and_then(|()| ioctl::destroy_subvolume(met.folder, name)).map_err(trouble)?;
        }
        Ok(Turn::Into)
    })
}
