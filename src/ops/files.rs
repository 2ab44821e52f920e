//! The disk, as the loader wants to see it.

use std::fs;
use std::io;
use std::path::Path;

use crate::compose::Files;

/// Reads from the disk and from standard input.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
}
