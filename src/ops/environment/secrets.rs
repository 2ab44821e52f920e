//! What an environment has of its own among keys and passwords: the variables that the compose file leaves to it
//! (`x-devenv.secrets`). The default environment has what the file says, as under plain Compose; every other one has
//! values that are made of one key of this user's and the environment's name. So nothing is kept for an environment,
//! nothing is left of it, and the same one has the same values again.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::base::{Failure, Kind, Place};
use crate::compose::secrets::Own;
use crate::ops::Context;
use crate::ops::keyfile::KeyFile;

const FILE: &str = "secrets.key";

/// What the environment that a context means has of its own; none for the default one.
pub(in crate::ops) fn own(context: &Context) -> Option<Own> {
    let standing = context.standing.as_ref().filter(|standing| !standing.is_default())?;
    let (state, name) = (context.state_directory(), standing.name.clone());
    let path = state.map(|folder| folder.join(FILE)).ok()?;
    Some(Own::new(move |variable| {
        let exposed = "remove it if anybody did: every environment but the default one has other keys then";
        let file = KeyFile { path: &path, what: "the key that secrets of environments are made of", exposed };
        let mut key = [0; 32];
        hex::decode_to_slice(file.text()?.trim(), &mut key).map_err(|_| {
            Failure::new(Kind::Data, "the key that secrets of environments are made of is damaged")
                .at(Place::file(&path))
                .hint("restore it, or remove it: every environment but the default one has other keys then")
        })?;
        Ok(made(&key, &name, variable))
    }))
}

/// The value of a variable: HMAC-SHA-256 (RFC 2104) of the environment's name and the variable's, as hexadecimal digits,
/// which need no quotes anywhere.
fn made(key: &[u8; 32], environment: &str, variable: &str) -> String {
    // HMAC fills a shorter key up with zeros itself (section 2).
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in ["devenv environment secret", environment, variable] {
        // No name holds a zero byte.
        mac.update(part.as_bytes());
        mac.update(&[0]);
    }
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_of_each_environment_has_its_own() {
        let one = made(&[7; 32], "shop-qa", "JWT_SECRET");
        assert_eq!(one.len(), 64);
        assert_eq!(one, made(&[7; 32], "shop-qa", "JWT_SECRET"));
        let others = [
            made(&[8; 32], "shop-qa", "JWT_SECRET"),
            made(&[7; 32], "shop-q", "aJWT_SECRET"),
            made(&[7; 32], "shop-demo", "JWT_SECRET"),
            made(&[7; 32], "shop-qa", "SECRET_KEY"),
        ];
        assert!(others.iter().all(|other| *other != one));
    }
}
