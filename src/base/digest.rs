//! The hash of what is read.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// The SHA-256 of all that `from` still holds, in hexadecimal digits; an error is one of reading.
pub fn sha256(mut from: impl Read) -> io::Result<String> {
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hex::encode(digest.finalize())),
            length => digest.update(&buffer[..length]),
        }
    }
}
