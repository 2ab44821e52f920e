//! Data as plain folders, copied file by file: sharing blocks where the file system can (`reflink`), else byte by
//! byte (`copy`). Everything of a file comes along: owner, mode, times, extended attributes, hard links, holes.
//!
//! One thread goes through the folders and makes them; some others copy what is in them, since most of the time goes
//! into waiting for the disk.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::driver::{Meter, Storage, refusal};
use super::ioctl;
use super::protocol::{Driver, Refusal, Size};
use super::walk::{Met, Trouble, Turn, open_folder, part, walk};

/// Folders and files, on any file system (`copy`) or on one that shares blocks (`reflink`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree {
    /// Whether files share their blocks with what they are copied from.
    pub(super) reflink: bool,
}

/// What a database writes at once. XFS would take sixteen times that for each, and give the rest back minutes later:
/// a busy server on a copy would fill the pool.
const PAGE: u32 = 8192;

impl Storage for Tree {
    fn driver(&self) -> Driver {
        if self.reflink { Driver::Reflink } else { Driver::Copy }
    }

    fn is_atomic(&self) -> bool {
        false
    }

    fn prepare(&self, folder: BorrowedFd<'_>) -> Result<(), Refusal> {
        if !self.reflink {
            return Ok(());
        }
        ioctl::set_cow_extent(folder, PAGE).map_err(refusal("set the size of writes into shared blocks"))
    }

    fn make(&self, folder: BorrowedFd<'_>, name: &str) -> Result<(), Refusal> {
        rustix::fs::mkdirat(folder, name, Mode::from(0o755)).map_err(refusal("make a folder"))
    }

    fn cost(&self, data: BorrowedFd<'_>) -> Result<u64, Refusal> {
        if self.reflink { Ok(0) } else { Ok(bytes(data)?) }
    }

    fn copy(
        &self,
        data: BorrowedFd<'_>,
        folder: BorrowedFd<'_>,
        name: &str,
        _frozen: bool,
        meter: &Meter,
    ) -> Result<(), Refusal> {
        self.make(folder, name)?;
        let to = open_folder(folder, name).map_err(refusal("open a folder"))?;
        Ok(copy(data, to.as_fd(), self.reflink, meter)?)
    }

    fn freeze(&self, _data: BorrowedFd<'_>) -> Result<(), Refusal> {
        // A plain file system has nothing that root could not write. The rest of devenv gives frozen data to no
        // container.
        Ok(())
    }

    fn thaw(&self, _data: BorrowedFd<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn remove(&self, folder: BorrowedFd<'_>, name: &str) -> Result<(), Refusal> {
        Ok(remove(folder, name)?)
    }

    fn size(&self, data: BorrowedFd<'_>) -> Result<Size, Refusal> {
        Ok(size(data)?)
    }

    fn enlarge(&self, root: BorrowedFd<'_>, bytes: u64) -> Result<(), Refusal> {
        if !self.reflink {
            return Ok(());
        }
        let (block, blocks) = ioctl::xfs_blocks(root).map_err(refusal("measure the pool"))?;
        let wanted = bytes / u64::from(block);
        if wanted <= blocks {
            return Ok(());
        }
        ioctl::enlarge_xfs(root, wanted).map_err(refusal("enlarge the pool"))
    }
}

/// Bytes of all files below, as they lie on the disk.
pub(super) fn bytes(data: BorrowedFd<'_>) -> Result<u64, Trouble> {
    let mut bytes = 0;
    walk(data, |met: &Met<'_>| {
        if FileType::from_raw_mode(met.stat.st_mode).is_file() {
            bytes += on_disk(&met.stat);
        }
        Ok::<_, Trouble>(Turn::Into)
    })?;
    Ok(bytes)
}

fn on_disk(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0) * 512
}

/// Bytes that only these files have, and those that others have too.
pub(super) fn size(data: BorrowedFd<'_>) -> Result<Size, Trouble> {
    let mut size = Size::default();
    let mut seen = HashSet::new();
    walk(data, |met: &Met<'_>| {
        let file = FileType::from_raw_mode(met.stat.st_mode).is_file() && met.stat.st_blocks > 0;
        let again = met.stat.st_nlink > 1 && !seen.insert((met.stat.st_dev, met.stat.st_ino));
        if !file || again {
            return Ok(Turn::Into);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let answer =
            rustix::fs::openat(met.folder, met.name, flags, Mode::empty()).and_then(|file| file_size(&file));
        match answer {
            Ok((own, shared)) => {
                size.own += own;
                size.shared += shared;
            }
            // Gone meanwhile.
            Err(Errno::NOENT) => {}
            // A file system that cannot tell shares nothing.
            Err(Errno::OPNOTSUPP | Errno::NOTTY) => size.own += on_disk(&met.stat),
            Err(errno) => return Err(Trouble { doing: "measure", path: met.path.clone(), errno }),
        }
        Ok(Turn::Into)
    })?;
    Ok(size)
}

fn file_size(file: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
    let (mut own, mut shared, mut start) = (0, 0, 0);
    loop {
        let extents = ioctl::extents(file, start)?;
        for extent in &extents {
            *(if extent.is_shared() { &mut shared } else { &mut own }) += extent.length;
        }
        match extents.last() {
            Some(last) if !last.is_last() && last.logical + last.length > start => {
                start = last.logical + last.length;
            }
            _ => return Ok((own, shared)),
        }
    }
}

/// Takes a folder away with all that is in it.
pub(super) fn remove(folder: BorrowedFd<'_>, name: &str) -> Result<(), Trouble> {
    let own = match open_folder(folder, name) {
        Ok(own) => own,
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return rustix::fs::unlinkat(folder, name, AtFlags::empty()).map_err(Trouble::at("remove", name));
        }
        Err(errno) => return Err(Trouble { doing: "open", path: name.into(), errno }),
    };
    walk(own.as_fd(), |met: &Met<'_>| {
        let is_folder = FileType::from_raw_mode(met.stat.st_mode).is_dir();
        if is_folder && !met.is_left {
            return Ok(Turn::Into);
        }
        let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match rustix::fs::unlinkat(met.folder, met.name, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(Turn::Past),
            Err(errno) => Err(Trouble { doing: "remove", path: met.path.clone(), errno }),
        }
    })?;
    rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR).map_err(Trouble::at("remove", name))
}

/// A folder and its copy, which is finished (owner, mode, times) when nobody has anything to put into it any more.
struct Folder {
    from: OwnedFd,
    to: OwnedFd,
    path: PathBuf,
    stat: Stat,
}

/// A file to copy.
struct Job {
    folder: Arc<Folder>,
    name: CString,
    stat: Stat,
}

/// What all threads of one copy know.
struct Copier<'a> {
    reflink: bool,
    meter: &'a Meter,
    failed: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
}

/// How many files may wait for a thread, and so how many folders are open at most besides those on the way down.
const WAITING: usize = 256;

/// Copies what is in `from` into the folder `to`, which is empty, and makes `to` like `from`.
pub(super) fn copy(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    reflink: bool,
    meter: &Meter,
) -> Result<(), Trouble> {
    // Blocks that are shared take no time that one would watch.
    if !reflink {
        meter.expect(bytes(from)?);
    }
    let copier = Copier { reflink, meter, failed: AtomicBool::new(false), trouble: Mutex::new(None) };
    let (send, receive) = sync_channel::<Job>(WAITING);
    let receive = Mutex::new(receive);
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| copier.work(&receive));
        }
        let walked = copier.go(from, to, &send);
        // Those who wait for more hear of the end.
        drop(send);
        if let Err(trouble) = walked {
            copier.fail(trouble);
        }
    });
    match copier.trouble.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(trouble) => Err(trouble),
        None => Ok(()),
    }
}

impl Copier<'_> {
    /// Keeps what went wrong first; everybody stops.
    fn fail(&self, trouble: Trouble) {
        self.failed.store(true, Ordering::Relaxed);
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trouble);
    }

    /// Copies files until there are no more.
    fn work(&self, receive: &Mutex<Receiver<Job>>) {
        loop {
            let job = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { folder, name, stat }) = job else { return };
            let done =
                if self.failed.load(Ordering::Relaxed) { Ok(()) } else { self.file(&folder, &name, &stat) };
            if let Err(trouble) = done.and_then(|()| self.leave(folder)) {
                self.fail(trouble);
            }
        }
    }

    /// Makes a folder like the one that it was copied from, if this was the last to put something into it.
    fn leave(&self, folder: Arc<Folder>) -> Result<(), Trouble> {
        let Some(folder) = Arc::into_inner(folder) else { return Ok(()) };
        if self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        dress(folder.from.as_fd(), folder.to.as_fd(), &folder.stat)
            .map_err(Trouble::at("set the owner, mode and times of", folder.path))
    }

    /// Makes all folders, and all that is no file of its own.
    fn go(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, send: &SyncSender<Job>) -> Result<(), Trouble> {
        let folder = |from: OwnedFd, to: OwnedFd, path: PathBuf| {
            let stat = rustix::fs::fstat(&from).map_err(Trouble::at("look at", &path))?;
            let names = super::walk::names(&from).map_err(Trouble::at("read", &path))?;
            Ok::<_, Trouble>((Arc::new(Folder { from, to, path, stat }), names.into_iter()))
        };
        let open = |at: BorrowedFd<'_>, path: &Path, name: &std::ffi::CStr| {
            open_folder(at, name).map_err(Trouble::at("open", path))
        };
        let mut linked: HashMap<(u64, u64), PathBuf> = HashMap::new();
        let root = Path::new("");
        let mut levels = vec![folder(open(from, root, c".")?, open(to, root, c".")?, PathBuf::new())?];
        while let Some((top, names)) = levels.last_mut() {
            if self.failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let Some(name) = names.next() else {
                if let Some((left, _)) = levels.pop() {
                    self.leave(left)?;
                }
                continue;
            };
            let path = top.path.join(part(&name));
            let stat = rustix::fs::statat(&top.from, &name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(Trouble::at("look at", &path))?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    rustix::fs::mkdirat(&top.to, &name, Mode::RWXU).map_err(Trouble::at("make", &path))?;
                    let (from, to) =
                        (open(top.from.as_fd(), &path, &name)?, open(top.to.as_fd(), &path, &name)?);
                    levels.push(folder(from, to, path)?);
                }
                FileType::RegularFile if stat.st_nlink > 1 => match linked.get(&(stat.st_dev, stat.st_ino)) {
                    Some(first) => {
                        link(to, first, top.to.as_fd(), &name).map_err(Trouble::at("link", path))?;
                    }
                    None => {
                        self.file(top, &name, &stat)?;
                        linked.insert((stat.st_dev, stat.st_ino), path);
                    }
                },
                FileType::RegularFile => {
                    // Nobody receives any more only when all threads have ended, which they do not before this.
                    let _ = send.send(Job { folder: Arc::clone(top), name, stat });
                }
                // Whoever listened there listens there no more.
                FileType::Socket => {}
                kind => special(top, &name, &stat, kind).map_err(Trouble::at("copy", path))?,
            }
        }
        Ok(())
    }

    fn file(&self, folder: &Folder, name: &CString, stat: &Stat) -> Result<(), Trouble> {
        let copy = || {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let from = rustix::fs::openat(&folder.from, name, flags, Mode::empty())?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let to = rustix::fs::openat(&folder.to, name, flags, Mode::RUSR | Mode::WUSR)?;
            if stat.st_size > 0 {
                if self.reflink {
                    rustix::fs::ioctl_ficlone(&to, &from)?;
                } else {
                    self.content(from.as_fd(), to.as_fd())?;
                }
            }
            dress(from.as_fd(), to.as_fd(), stat)
        };
        copy().map_err(Trouble::at("copy", folder.path.join(part(name))))
    }

    /// Copies what is written in a file, and leaves its holes.
    fn content(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let end = size_of_file(from)?;
        let mut offset = 0;
        while offset < end {
            let (begin, finish) = match rustix::fs::seek(from, SeekFrom::Data(offset)) {
                Ok(begin) => (begin, rustix::fs::seek(from, SeekFrom::Hole(begin))?.min(end)),
                // Only a hole is left.
                Err(Errno::NXIO) => break,
                // A file system that knows of no holes.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => (offset, end),
                Err(errno) => return Err(errno),
            };
            self.range(from, to, begin, finish)?;
            offset = finish.max(offset + 1);
        }
        rustix::fs::ftruncate(to, end)
    }

    /// Copies the bytes from `begin` to `end`, inside the kernel where it can.
    fn range(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        begin: u64,
        end: u64,
    ) -> rustix::io::Result<()> {
        /// Small enough for progress that is seen to move.
        const PIECE: u64 = 16 << 20;
        let mut at = begin;
        while at < end {
            let (mut input, mut output) = (at, at);
            // At most `PIECE`, which fits.
            let length = (end - at).min(PIECE) as usize;
            match rustix::fs::copy_file_range(from, Some(&mut input), to, Some(&mut output), length) {
                Ok(0) | Err(Errno::XDEV | Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) => {
                    return self.by_hand(from, to, at, end);
                }
                Ok(copied) => {
                    at += copied as u64;
                    self.meter.advance(copied as u64);
                    if self.failed.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// The same through a buffer.
    fn by_hand(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        begin: u64,
        end: u64,
    ) -> rustix::io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        let mut at = begin;
        while at < end {
            let room = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let read = rustix::io::retry_on_intr(|| rustix::io::pread(from, &mut buffer[..room], at))?;
            // It was cut off meanwhile.
            if read == 0 {
                break;
            }
            let mut written = 0;
            while written < read {
                let offset = at + written as u64;
                written +=
                    rustix::io::retry_on_intr(|| rustix::io::pwrite(to, &buffer[written..read], offset))?;
            }
            at += read as u64;
            self.meter.advance(read as u64);
        }
        Ok(())
    }
}

fn size_of_file(file: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    Ok(u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0))
}

/// Makes another name for the file that was copied to `first`, a path of any length below `root`.
fn link(
    root: BorrowedFd<'_>,
    first: &Path,
    folder: BorrowedFd<'_>,
    name: &CString,
) -> rustix::io::Result<()> {
    let mut at = open_folder(root, c".")?;
    let mut parts = first.iter().peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_some() {
            at = open_folder(at.as_fd(), part)?;
        } else {
            return rustix::fs::linkat(&at, part, folder, name, AtFlags::empty());
        }
    }
    Err(Errno::NOENT)
}

/// A symbolic link, a fifo or a device.
fn special(folder: &Folder, name: &CString, stat: &Stat, kind: FileType) -> rustix::io::Result<()> {
    if kind == FileType::Symlink {
        let target = rustix::fs::readlinkat(&folder.from, name, Vec::new())?;
        rustix::fs::symlinkat(&target, &folder.to, name)?;
    } else {
        let mode = Mode::from_raw_mode(stat.st_mode);
        rustix::fs::mknodat(&folder.to, name, kind, mode, stat.st_rdev)?;
    }
    let (owner, group) = owner(stat);
    rustix::fs::chownat(&folder.to, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
    if kind != FileType::Symlink {
        // What was made just now is no link, and nobody else writes here.
        rustix::fs::chmodat(&folder.to, name, Mode::from_raw_mode(stat.st_mode), AtFlags::empty())?;
    }
    rustix::fs::utimensat(&folder.to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Timestamps {
        last_access: time(stat.st_atime, i64::try_from(stat.st_atime_nsec).unwrap_or(0)),
        last_modification: time(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
    }
}

/// Gives a file or folder the owner, mode, attributes and times of another. The order matters: a new owner clears
/// some bits of the mode and the capabilities, and the access list stands in an attribute.
fn dress(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> rustix::io::Result<()> {
    let (owner, group) = owner(stat);
    rustix::fs::fchown(to, owner, group)?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    attributes(from, to)?;
    rustix::fs::futimens(to, &times(stat))
}

fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let mut names = [0_u8; 4096];
    let list = match rustix::fs::flistxattr(from, &mut names) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(()),
        Ok(length) => names[..length].to_vec(),
        // More than fit: the kernel's own limit (`XATTR_LIST_MAX`).
        Err(Errno::RANGE) => {
            let mut names = vec![0; 65536];
            let length = rustix::fs::flistxattr(from, names.as_mut_slice())?;
            names.truncate(length);
            names
        }
        Err(errno) => return Err(errno),
    };
    // `XATTR_SIZE_MAX`.
    let mut value = vec![0; 65536];
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let length = rustix::fs::fgetxattr(from, name, value.as_mut_slice())?;
        match rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            // A label of the host's policy, or what this file system has no word for: not the data's.
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL)
                if name.starts_with(b"security.selinux") || name.starts_with(b"system.") => {}
            answer => answer?,
        }
    }
    Ok(())
}
