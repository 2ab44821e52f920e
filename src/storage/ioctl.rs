//! The kernel's ioctls that have no safe form elsewhere, each made safe by a function that can only be called with
//! what the kernel expects. But for one declaration in gateway/serve/thrift.rs, `unsafe` stands nowhere else.
//!
//! Numbers and structures are those of the kernel's headers for programs: `linux/btrfs.h`, `linux/fiemap.h`,
//! `linux/loop.h`, and xfsprogs' `xfs_fs.h` (all of them fixed for good, as the kernel keeps its interfaces).

#![allow(unsafe_code, reason = "see above")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Result;
use rustix::ioctl::{Direction, Getter, IntegerSetter, Ioctl, IoctlOutput, NoArg, Opcode, Setter, Updater};
use rustix::ioctl::{ioctl, opcode};

const BTRFS: u8 = 0x94;

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct Named {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`.
#[repr(C)]
struct NamedWithFlags {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// `BTRFS_SUBVOL_RDONLY`.
const FROZEN: u64 = 1 << 1;

/// `name` with zeros behind it, of which there has to be at least one.
fn padded<const SIZE: usize>(name: &str) -> Result<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    if name.len() >= SIZE || name.contains('\0') {
        return Err(rustix::io::Errno::NAMETOOLONG);
    }
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Ok(bytes)
}

/// Makes an empty subvolume in a folder (`BTRFS_IOC_SUBVOL_CREATE`).
pub(super) fn make_subvolume(folder: impl AsFd, name: &str) -> Result<()> {
    const CODE: Opcode = opcode::write::<Named>(BTRFS, 14);
    let arguments = Named { fd: 0, name: padded(name)? };
    // SAFETY: the code takes a `struct btrfs_ioctl_vol_args`, which `Named` is; the kernel only reads it.
    unsafe { ioctl(folder, Setter::<CODE, Named>::new(arguments)) }
}

/// Makes a snapshot of a subvolume in a folder (`BTRFS_IOC_SNAP_CREATE_V2`).
pub(super) fn snapshot(of: BorrowedFd<'_>, folder: impl AsFd, name: &str, frozen: bool) -> Result<()> {
    const CODE: Opcode = opcode::write::<NamedWithFlags>(BTRFS, 23);
    let flags = if frozen { FROZEN } else { 0 };
    let fd = of.as_raw_fd().into();
    let arguments = NamedWithFlags { fd, transid: 0, flags, unused: [0; 4], name: padded(name)? };
    // SAFETY: the code takes a `struct btrfs_ioctl_vol_args_v2`, which `NamedWithFlags` is; the kernel only reads
    // it, and the descriptor in it is open for as long as `of` is borrowed.
    unsafe { ioctl(folder, Setter::<CODE, NamedWithFlags>::new(arguments)) }
}

/// Takes a subvolume away (`BTRFS_IOC_SNAP_DESTROY`), which must have none below it.
pub(super) fn destroy_subvolume(folder: impl AsFd, name: &str) -> Result<()> {
    const CODE: Opcode = opcode::write::<Named>(BTRFS, 15);
    let arguments = Named { fd: 0, name: padded(name)? };
    // SAFETY: as in `make_subvolume`.
    unsafe { ioctl(folder, Setter::<CODE, Named>::new(arguments)) }
}

/// Whether a subvolume cannot be written (`BTRFS_IOC_SUBVOL_GETFLAGS`).
pub(super) fn is_frozen(subvolume: impl AsFd) -> Result<bool> {
    const CODE: Opcode = opcode::read::<u64>(BTRFS, 25);
    // SAFETY: the code writes a `__u64`, for which every value is one.
    let flags = unsafe { ioctl(subvolume, Getter::<CODE, u64>::new()) }?;
    Ok(flags & FROZEN != 0)
}

/// Lets a subvolume be written or not (`BTRFS_IOC_SUBVOL_SETFLAGS`).
pub(super) fn set_frozen(subvolume: impl AsFd, frozen: bool) -> Result<()> {
    const CODE: Opcode = opcode::write::<u64>(BTRFS, 26);
    // SAFETY: the code reads a `__u64`.
    unsafe { ioctl(subvolume, Setter::<CODE, u64>::new(if frozen { FROZEN } else { 0 })) }
}

/// `struct btrfs_ioctl_get_subvol_rootref_args`.
#[repr(C)]
struct Below {
    min_treeid: u64,
    /// Pairs of the tree's and the folder's number.
    rootref: [[u64; 2]; 255],
    num_items: u8,
    align: [u8; 7],
}

/// Whether a subvolume has others below it (`BTRFS_IOC_GET_SUBVOL_ROOTREF`), which a snapshot leaves out.
pub(super) fn has_subvolumes(subvolume: impl AsFd) -> Result<bool> {
    const CODE: Opcode = opcode::read_write::<Below>(BTRFS, 61);
    let mut below = Below { min_treeid: 0, rootref: [[0; 2]; 255], num_items: 0, align: [0; 7] };
    // SAFETY: the code reads and writes a `struct btrfs_ioctl_get_subvol_rootref_args`, which `Below` is; all its
    // fields are numbers.
    match unsafe { ioctl(subvolume, Updater::<CODE, Below>::new(&mut below)) } {
        // There are more than fit.
        Err(rustix::io::Errno::OVERFLOW) => Ok(true),
        answer => answer.map(|()| below.num_items > 0),
    }
}

/// Lets a btrfs take all of its device (`BTRFS_IOC_RESIZE` with the word `max`).
pub(super) fn enlarge_btrfs(root: impl AsFd) -> Result<()> {
    const CODE: Opcode = opcode::write::<Named>(BTRFS, 3);
    let arguments = Named { fd: 0, name: padded("max")? };
    // SAFETY: as in `make_subvolume`.
    unsafe { ioctl(root, Setter::<CODE, Named>::new(arguments)) }
}

/// `struct xfs_fsop_geom_v1`.
#[repr(C)]
struct Geometry {
    blocksize: u32,
    sizes: [u32; 7],
    datablocks: u64,
    others: [u64; 3],
    uuid: [u8; 16],
    rest: [u32; 7],
}

/// Size of a block and number of blocks of an XFS (`XFS_IOC_FSGEOMETRY_V1`).
pub(super) fn xfs_blocks(root: impl AsFd) -> Result<(u32, u64)> {
    const CODE: Opcode = opcode::read::<Geometry>(b'X', 100);
    // SAFETY: the code writes a `struct xfs_fsop_geom_v1`, which `Geometry` is; all its fields are numbers.
    let geometry = unsafe { ioctl(root, Getter::<CODE, Geometry>::new()) }?;
    Ok((geometry.blocksize, geometry.datablocks))
}

/// `struct xfs_growfs_data`.
#[repr(C)]
struct GrowXfs {
    newblocks: u64,
    imaxpct: u32,
}

/// Lets an XFS have so many blocks (`XFS_IOC_FSGROWFSDATA`), of which at most a quarter hold inodes, as `mkfs.xfs`
/// sets it.
pub(super) fn enlarge_xfs(root: impl AsFd, blocks: u64) -> Result<()> {
    const CODE: Opcode = opcode::write::<GrowXfs>(b'X', 110);
    // SAFETY: the code takes a `struct xfs_growfs_data`, which `GrowXfs` is; the kernel only reads it.
    unsafe { ioctl(root, Setter::<CODE, GrowXfs>::new(GrowXfs { newblocks: blocks, imaxpct: 25 })) }
}

/// `struct fsxattr` (`linux/fs.h`).
#[repr(C)]
#[derive(Clone, Copy)]
struct Attributes {
    flags: u32,
    extent: u32,
    extents: u32,
    project: u32,
    cow_extent: u32,
    rest: [u8; 8],
}

/// Lets a write into shared blocks of files that are made in this folder from now on take so many bytes, instead of an
/// XFS's usual 32 blocks (`FS_IOC_FSSETXATTR`, `FS_XFLAG_COWEXTSIZE`; `xfs_io(8)`, `cowextsize`).
pub(super) fn set_cow_extent(folder: impl AsFd, bytes: u32) -> Result<()> {
    const GET: Opcode = opcode::read::<Attributes>(b'X', 31);
    const SET: Opcode = opcode::write::<Attributes>(b'X', 32);
    const COW_EXTENT: u32 = 1 << 16;
    // SAFETY: the code writes a `struct fsxattr`, which `Attributes` is; all its fields are numbers.
    let mut attributes = unsafe { ioctl(folder.as_fd(), Getter::<GET, Attributes>::new()) }?;
    attributes.flags |= COW_EXTENT;
    attributes.cow_extent = bytes;
    // SAFETY: the code takes a `struct fsxattr`; the kernel only reads it.
    unsafe { ioctl(folder, Setter::<SET, Attributes>::new(attributes)) }
}

/// How many extents are asked for at once.
const EXTENTS: u32 = 64;

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Extent {
    /// Where it begins in the file.
    pub(super) logical: u64,
    physical: u64,
    /// Its bytes.
    pub(super) length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

impl Extent {
    /// Whether other files have its blocks too (`FIEMAP_EXTENT_SHARED`).
    pub(super) fn is_shared(&self) -> bool {
        self.flags & 0x2000 != 0
    }

    /// Whether it is the file's last one (`FIEMAP_EXTENT_LAST`).
    pub(super) fn is_last(&self) -> bool {
        self.flags & 0x1 != 0
    }
}

/// `struct fiemap` with room behind it.
#[repr(C)]
struct Map {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
    extents: [Extent; EXTENTS as usize],
}

/// The first extents of a file from `start` on (`FS_IOC_FIEMAP`).
pub(super) fn extents(file: impl AsFd, start: u64) -> Result<Vec<Extent>> {
    // The code counts the head only, `struct fiemap` without its extents.
    const CODE: Opcode = opcode::from_components(Direction::ReadWrite, b'f', 11, 32);
    let none = Extent { logical: 0, physical: 0, length: 0, reserved64: [0; 2], flags: 0, reserved: [0; 3] };
    let mut map = Map {
        start,
        length: u64::MAX - start,
        flags: 0,
        mapped: 0,
        count: EXTENTS,
        reserved: 0,
        extents: [none; EXTENTS as usize],
    };
    // SAFETY: the code takes a `struct fiemap` with `fm_extent_count` extents behind it, which `Map` is; the kernel
    // writes no more of them than that, and all fields are numbers.
    unsafe { ioctl(file, Updater::<CODE, Map>::new(&mut map)) }?;
    Ok(map.extents[..EXTENTS.min(map.mapped) as usize].to_vec())
}

/// `struct loop_info64`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct LoopInfo {
    /// `st_dev` of the file behind it.
    pub(super) device: u64,
    /// `st_ino` of the file behind it.
    pub(super) inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt: [u32; 2],
    flags: u32,
    names: [[u8; 64]; 2],
    key: [u8; 32],
    init: [u64; 2],
}

impl LoopInfo {
    /// A whole file, called `name` where devices are listed.
    fn of(name: &str) -> Self {
        let mut names = [[0; 64]; 2];
        let length = name.len().min(63);
        names[0][..length].copy_from_slice(&name.as_bytes()[..length]);
        Self {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            sizelimit: 0,
            number: 0,
            encrypt: [0; 2],
            flags: 0,
            names,
            key: [0; 32],
            init: [0; 2],
        }
    }
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `LO_FLAGS_DIRECT_IO`.
const DIRECT: u32 = 16;

/// `LOOP_CTL_GET_FREE`: no argument, and its answer is a number.
struct FreeLoop;

// SAFETY: the code takes no argument and answers with a number that is not negative (`linux/loop.h`).
unsafe impl Ioctl for FreeLoop {
    type Output = u32;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        0x4C82
    }

    fn as_ptr(&mut self) -> *mut core::ffi::c_void {
        core::ptr::null_mut()
    }

    unsafe fn output_from_ptr(answer: IoctlOutput, _: *mut core::ffi::c_void) -> Result<u32> {
        u32::try_from(answer).map_err(|_| rustix::io::Errno::RANGE)
    }
}

/// The number of a loop device that nobody uses, made if there is none (`LOOP_CTL_GET_FREE`).
pub(super) fn free_loop(control: impl AsFd) -> Result<u32> {
    // SAFETY: see `FreeLoop`.
    unsafe { ioctl(control, FreeLoop) }
}

/// Puts a file behind a loop device, around the page cache if `direct` (`LOOP_CONFIGURE`, Linux 5.8).
pub(super) fn configure_loop(
    device: impl AsFd,
    file: BorrowedFd<'_>,
    name: &str,
    direct: bool,
) -> Result<()> {
    let mut info = LoopInfo::of(name);
    info.flags = if direct { DIRECT } else { 0 };
    let fd = u32::try_from(file.as_raw_fd()).map_err(|_| rustix::io::Errno::BADF)?;
    let config = LoopConfig { fd, block_size: 0, info, reserved: [0; 8] };
    // SAFETY: the code takes a `struct loop_config`, which `LoopConfig` is; the kernel only reads it, and the
    // descriptor in it is open for as long as `file` is borrowed.
    unsafe { ioctl(device, Setter::<0x4C0A, LoopConfig>::new(config)) }
}

/// The same on an older kernel: first the file, then its name (`LOOP_SET_FD`, `LOOP_SET_STATUS64`).
pub(super) fn set_loop(device: impl AsFd, file: BorrowedFd<'_>, name: &str) -> Result<()> {
    let device = device.as_fd();
    let fd = usize::try_from(file.as_raw_fd()).map_err(|_| rustix::io::Errno::BADF)?;
    // SAFETY: the code takes a descriptor as a number, open for as long as `file` is borrowed.
    unsafe { ioctl(device, IntegerSetter::<0x4C00>::new_usize(fd)) }?;
    // SAFETY: the code takes a `struct loop_info64`, which `LoopInfo` is; the kernel only reads it.
    unsafe { ioctl(device, Setter::<0x4C04, LoopInfo>::new(LoopInfo::of(name))) }
}

/// What is behind a loop device (`LOOP_GET_STATUS64`); fails with `ENXIO` when nothing is.
pub(super) fn loop_info(device: impl AsFd) -> Result<LoopInfo> {
    // SAFETY: the code writes a `struct loop_info64`, which `LoopInfo` is; all its fields are numbers.
    unsafe { ioctl(device, Getter::<0x4C05, LoopInfo>::new()) }
}

/// Lets a loop device see the new size of its file (`LOOP_SET_CAPACITY`).
pub(super) fn refresh_loop(device: impl AsFd) -> Result<()> {
    // SAFETY: the code takes no argument.
    unsafe { ioctl(device, NoArg::<0x4C07>::new()) }
}

/// Takes the file from a loop device, at once or when nobody uses it any more (`LOOP_CLR_FD`).
pub(super) fn clear_loop(device: impl AsFd) -> Result<()> {
    // SAFETY: the code takes no argument.
    unsafe { ioctl(device, NoArg::<0x4C01>::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_kernels_sizes() {
        assert_eq!((size_of::<Named>(), size_of::<NamedWithFlags>(), size_of::<Below>()), (4096, 4096, 4096));
        assert_eq!((size_of::<Geometry>(), size_of::<GrowXfs>()), (112, 16));
        assert_eq!((size_of::<Extent>(), size_of::<Map>()), (56, 32 + 56 * EXTENTS as usize));
        assert_eq!((size_of::<LoopInfo>(), size_of::<LoopConfig>()), (232, 304));
        // As the headers' macros make them.
        assert_eq!(opcode::write::<NamedWithFlags>(BTRFS, 23), 0x5000_9417);
        assert_eq!(opcode::read::<Geometry>(b'X', 100), 0x8070_5864);
        assert_eq!(opcode::from_components(Direction::ReadWrite, b'f', 11, 32), 0xC020_660B);
    }

    #[test]
    fn a_name_has_a_zero_behind_it() {
        assert_eq!(padded::<4>("abc").unwrap(), *b"abc\0");
        assert!(padded::<4>("abcd").is_err() && padded::<4>("a\0").is_err());
    }
}
