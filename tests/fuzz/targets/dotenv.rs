//! Any file of variables, in each of its forms, by itself and as the files that a service names.

#![no_main]

use std::io;
use std::path::{Path, PathBuf};

use devenv::compose::dotenv::{Format, parse};
use devenv::compose::{FileKind, Files, Request, load};
use libfuzzer_sys::fuzz_target;

const COMPOSE: &str = "services:\n  plain: {image: i, env_file: [{path: v, required: false}]}\n  \
                       raw: {image: i, env_file: [{path: v, format: raw}]}\n";
const LABELS: &str = "services: {a: {image: i, label_file: v}}";

struct Disk<'a> {
    compose: &'a str,
    variables: &'a [u8],
}

impl Files for Disk<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/shop/compose.yaml") => Ok(self.compose.into()),
            Some("/shop/v" | "/shop/.env") => Ok(self.variables.to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn kind(&self, path: &Path) -> Option<FileKind> {
        // As the project's own it is read alone: a mistake there would hide the others.
        let hidden = path == Path::new("/shop/.env") && !self.compose.is_empty();
        (!hidden && self.read(path).is_ok()).then_some(FileKind::File)
    }
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }
    fn stdin(&self) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn host(name: &str) -> Option<String> {
    match name {
        "A" => Some("alpha".into()),
        "E" => Some(String::new()),
        _ => None,
    }
}

fuzz_target!(|data: &[u8]| {
    let request = Request::new("/shop", [("A".to_owned(), "alpha".to_owned())].into());
    for compose in [COMPOSE, LABELS, ""] {
        let _ = load(&request, &Disk { compose, variables: data });
    }
    let text = String::from_utf8_lossy(data);
    let lines = u32::try_from(text.split('\n').count()).expect("few lines");
    for format in [Format::Dotenv, Format::Raw] {
        match parse(&text, format, &host) {
            Ok(found) => {
                assert!(found.unset.iter().all(|(_, line)| (1..=lines).contains(line)), "{:?}", found.unset);
                let again = parse(&text, format, &host).expect("read before");
                assert_eq!(again, found);
                // What is in one line reads from the raw form as it stands.
                for (key, value) in found.values.iter().filter(|_| format == Format::Raw) {
                    if !value.contains('\r') {
                        let line = format!("\n{key}={value}\n");
                        let one = parse(&line, Format::Raw, &host).expect("one line");
                        assert_eq!(one.values.get(key), Some(value), "{line:?}");
                    }
                }
            }
            Err(error) => assert!((1..=lines).contains(&error.line), "{error}, of {lines} lines"),
        }
    }
});
