//! The blocks that say what a file system is: recognised, and given an id of their own when a pool is made out of a
//! template.
//!
//! btrfs: `struct btrfs_super_block` (`linux/btrfs_tree.h`); a new id is set the way `btrfstune -m` does it: the id
//! that all other blocks carry becomes the `metadata_uuid`. XFS: `struct xfs_dsb` (`fs/xfs/libxfs/xfs_format.h`);
//! its id also stands in the log, so it stays, the pool's own is kept in the label, and the mount says `nouuid`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::protocol::Driver;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The driver that it is for.
    pub(super) driver: Driver,
    /// The pool's id.
    pub(super) uuid: String,
    /// Bytes that the file system takes.
    pub(super) bytes: u64,
}

/// Where btrfs keeps its superblock and the copies of it (`btrfs_sb_offset`).
const BTRFS: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];

/// `BTRFS_FEATURE_INCOMPAT_METADATA_UUID`.
const METADATA_UUID: u64 = 1 << 10;

/// Looks what a file holds; none when it is nothing of ours, or damaged.
pub(super) fn look(file: &File) -> io::Result<Option<Found>> {
    if let Some(block) = read(file, BTRFS[0])?.filter(is_btrfs) {
        let bytes = u64::from_le_bytes(field(&block, 0x70));
        return Ok(Some(Found { driver: Driver::Btrfs, uuid: uuid_text(field(&block, 0x20)), bytes }));
    }
    if let Some(block) = read(file, 0)?.filter(is_xfs) {
        let bytes = u64::from(u32::from_be_bytes(field(&block, 4)))
            .saturating_mul(u64::from_be_bytes(field(&block, 8)));
        let mut uuid: [u8; 16] = field(&block, 32);
        // The label holds the last six bytes of the pool's own id, as they are written.
        let label: [u8; 12] = field(&block, 108);
        if let Ok(own) = hex::decode(label) {
            uuid[10..].copy_from_slice(&own);
        }
        return Ok(Some(Found { driver: Driver::Reflink, uuid: uuid_text(uuid), bytes }));
    }
    Ok(None)
}

/// The block at an offset; none where the file has ended.
fn read(file: &File, offset: u64) -> io::Result<Option<[u8; 4096]>> {
    let mut block = [0; 4096];
    match file.read_exact_at(&mut block, offset) {
        Ok(()) => Ok(Some(block)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the file system that was just made out of a template an id of its own.
pub(super) fn name(file: &File, driver: Driver, random: [u8; 16]) -> io::Result<()> {
    match driver {
        Driver::Btrfs => name_btrfs(file, random),
        Driver::Reflink => name_xfs(file, random),
        Driver::Copy => Ok(()),
    }
}

fn name_btrfs(file: &File, random: [u8; 16]) -> io::Result<()> {
    for offset in BTRFS {
        // Copies stand only where the template reaches.
        let Some(mut block) = read(file, offset)?.filter(is_btrfs) else { continue };
        let old: [u8; 16] = field(&block, 0x20);
        let flags = u64::from_le_bytes(field(&block, 0xbc)) | METADATA_UUID;
        block[0x20..0x30].copy_from_slice(&random);
        block[0xbc..0xc4].copy_from_slice(&flags.to_le_bytes());
        block[0x23b..0x24b].copy_from_slice(&old);
        let sum = crc32c(&block[0x20..]);
        block[..4].copy_from_slice(&sum.to_le_bytes());
        file.write_all_at(&block, offset)?;
    }
    Ok(())
}

fn name_xfs(file: &File, random: [u8; 16]) -> io::Result<()> {
    let mut block = [0; 4096];
    file.read_exact_at(&mut block, 0)?;
    let size = u64::from(u32::from_be_bytes(field(&block, 4)));
    let group = size * u64::from(u32::from_be_bytes(field(&block, 84)));
    let groups = u64::from(u32::from_be_bytes(field(&block, 88)));
    for number in 0..groups {
        let offset = number * group;
        file.read_exact_at(&mut block, offset)?;
        block[108..120].copy_from_slice(hex::encode(&random[10..]).as_bytes());
        let sum = xfs_sum(&block);
        block[224..228].copy_from_slice(&sum.to_le_bytes());
        file.write_all_at(&block, offset)?;
    }
    Ok(())
}

fn is_btrfs(block: &[u8; 4096]) -> bool {
    block[0x40..0x48] == *b"_BHRfS_M" && u32::from_le_bytes(field(block, 0)) == crc32c(&block[0x20..])
}

fn is_xfs(block: &[u8; 4096]) -> bool {
    // Ours have sectors of 4 KiB, over which the sum goes.
    block[..4] == *b"XFSB" && u32::from_le_bytes(field(block, 224)) == xfs_sum(block)
}

fn xfs_sum(block: &[u8; 4096]) -> u32 {
    let mut block = *block;
    block[224..228].fill(0);
    crc32c(&block)
}

fn field<const SIZE: usize>(block: &[u8; 4096], at: usize) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes.copy_from_slice(&block[at..at + SIZE]);
    bytes
}

/// An id as it is written (RFC 9562).
pub(super) fn uuid_text(bytes: [u8; 16]) -> String {
    let text = hex::encode(bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

/// CRC-32C (Castagnoli), bit by bit: a few blocks are all that is ever summed.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(sum & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_standards() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn an_id_is_written_in_five_parts() {
        let bytes: [u8; 16] = *b"devnv\0@\0\x80\0btrfs\0";
        assert_eq!(uuid_text(bytes), "6465766e-7600-4000-8000-627472667300");
    }
}
