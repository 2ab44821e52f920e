//! Loop devices: a file as a disk. Their numbers change from start to start, so the one of a file is always looked
//! for by the file itself, never remembered.
//!
//! <https://man7.org/linux/man-pages/man4/loop.4.html>. In a container, `/dev` has no nodes for them; they are made
//! by the numbers that `/sys/block` tells.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{StorageError, ioctl};

/// `/dev/loop-control`: `MISC_MAJOR` and `LOOP_CTRL_MINOR` (`linux/major.h`, `linux/miscdevice.h`).
const CONTROL: (u32, u32) = (10, 237);

/// How often another command may be quicker to take a free device.
const TRIES: usize = 64;

/// Puts the file behind a loop device, unless it is behind one already; says which.
pub(super) fn attach(file: &File, path: &Path) -> Result<String, StorageError> {
    if let Some(name) = behind(file)?.into_iter().next() {
        // The file may have grown while nobody looked.
        let _ = ioctl::refresh_loop(open(&name)?);
        return Ok(format!("/dev/{name}"));
    }
    let control = node("loop-control", FileType::CharacterDevice, CONTROL)
        .map_err(StorageError::system("open /dev/loop-control"))?;
    let label = path.to_string_lossy();
    for _ in 0..TRIES {
        let number = ioctl::free_loop(&control).map_err(StorageError::system("get a loop device"))?;
        let name = format!("loop{number}");
        let device = open(&name)?;
        let configured = match ioctl::configure_loop(&device, file.as_fd(), &label, true) {
            // Linux before 5.8.
            Err(Errno::INVAL | Errno::NOTTY) => ioctl::set_loop(&device, file.as_fd(), &label),
            answer => answer,
        };
        match configured {
            Ok(()) => return Ok(format!("/dev/{name}")),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(StorageError::system(format!("set up /dev/{name}"))(errno)),
        }
    }
    Err(StorageError::system("get a loop device")(Errno::BUSY))
}

/// Takes the file from all loop devices that it is behind.
pub(super) fn detach(file: &File) -> Result<(), StorageError> {
    for name in behind(file)? {
        match ioctl::clear_loop(open(&name)?) {
            Ok(()) | Err(Errno::NXIO) => {}
            Err(errno) => return Err(StorageError::system(format!("detach /dev/{name}"))(errno)),
        }
    }
    Ok(())
}

/// Lets the loop devices of a file see its new size.
pub(super) fn refresh(file: &File) -> Result<(), StorageError> {
    for name in behind(file)? {
        ioctl::refresh_loop(open(&name)?).map_err(StorageError::system(format!("enlarge /dev/{name}")))?;
    }
    Ok(())
}

/// The loop devices that a file is behind.
fn behind(file: &File) -> Result<Vec<String>, StorageError> {
    let own = rustix::fs::fstat(file).map_err(StorageError::system("look at the pool's file"))?;
    let mut found = Vec::new();
    // Without `/sys/block` there is none, or none that could be found.
    let Ok(devices) = std::fs::read_dir("/sys/block") else { return Ok(found) };
    for device in devices.flatten() {
        let Ok(name) = device.file_name().into_string() else { continue };
        // There only while a file is behind it.
        if !name.starts_with("loop") || !device.path().join("loop").exists() {
            continue;
        }
        match ioctl::loop_info(open(&name)?) {
            Ok(info) if (info.device, info.inode) == (own.st_dev, own.st_ino) => found.push(name),
            // Detached meanwhile, or somebody else's.
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}

/// Opens a loop device by its name.
fn open(name: &str) -> Result<File, StorageError> {
    let doing = format!("open /dev/{name}");
    // As in `7:3`.
    let numbers = std::fs::read_to_string(format!("/sys/block/{name}/dev"));
    let numbers = numbers.map_err(|source| StorageError::System { doing: doing.clone(), source })?;
    let numbers = numbers.trim().split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let numbers = numbers.ok_or_else(|| StorageError::system(doing.clone())(Errno::NODEV))?;
    node(name, FileType::BlockDevice, numbers).map_err(StorageError::system(doing))
}

/// Opens a device, and makes its node where there is none.
fn node(name: &str, kind: FileType, (major, minor): (u32, u32)) -> rustix::io::Result<File> {
    let path = Path::new("/dev").join(name);
    let open = || rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    match open() {
        Err(Errno::NOENT) => {
            let device = rustix::fs::makedev(major, minor);
            match rustix::fs::mknodat(CWD, &path, kind, Mode::RUSR | Mode::WUSR, device) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            Ok(open()?.into())
        }
        answer => Ok(answer?.into()),
    }
}
