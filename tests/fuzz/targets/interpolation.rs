//! Any text with variables, as a value of a compose file: each kind of key replaces the same, a text whose every
//! `$` is doubled stays what it was, and the casts refuse or take it.
//!
//! What follows a NUL is the value of `V`.

#![no_main]

use std::io;
use std::path::{Path, PathBuf};

use devenv::compose::{FileKind, Files, Loaded, Request, load, load_model};
use libfuzzer_sys::fuzz_target;

struct Disk(String);

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let here = path == Path::new("/shop/compose.yaml");
        here.then(|| self.0.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn kind(&self, path: &Path) -> Option<FileKind> {
        (path == Path::new("/shop/compose.yaml")).then_some(FileKind::File)
    }
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }
    fn stdin(&self) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn request(value: &str) -> Request {
    let set = [("A", "alpha"), ("E", ""), ("N", "12"), ("T", "yes"), ("D", "$A ${"), ("V", value)];
    Request::new("/shop", set.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect())
}

/// A text in double quotes: what JSON escapes, YAML reads; what YAML does not allow as it stands is escaped.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a text");
    json.chars()
        .map(|c| match c {
            '\u{7F}'..='\u{9F}' | '\u{FEFF}' | '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}' => {
                format!("\\u{:04x}", c as u32)
            }
            c => c.to_string(),
        })
        .collect()
}

/// What `text` becomes in a list and in a map.
fn replaced(text: &str, request: &Request) -> Option<(String, Option<String>)> {
    let text = quoted(text);
    let file = format!("services: {{a: {{image: i, command: [{text}], environment: {{K: {text}}}}}}}");
    let _ = load_model(request, &Disk(file.clone()));
    let Loaded { project, .. } = load(request, &Disk(file)).ok()?;
    let service = &project.services["a"];
    let command = service.command.as_ref().expect("a command").first().expect("one word").clone();
    Some((command, service.environment["K"].clone()))
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (text, value) = text.split_once('\0').unwrap_or((&text, "v"));
    let request = request(value);
    if let Some((command, variable)) = replaced(text, &request) {
        assert_eq!(Some(&command), variable.as_ref(), "{text:?}");
        assert!(text.contains('$') || command == text, "{text:?} became {command:?}");
    }
    let doubled = replaced(&text.replace('$', "$$"), &request).map(|(command, _)| command);
    assert_eq!(doubled.as_deref(), Some(text));
    let text = quoted(text);
    let casts = format!(
        "services: {{a: {{image: i, cpus: {text}, init: {text}, scale: {text}, pids_limit: {text}, \
         ports: [{text}], mem_limit: {text}, x-{text}: 1, healthcheck: {{interval: {text}, test: {text}}}}}}}"
    );
    let _ = load(&request, &Disk(casts));
    for key in
        ["cpus", "init", "scale", "ports", "mem_limit", "volumes", "command", "extra_hosts", "networks"]
    {
        let list = matches!(key, "ports" | "volumes" | "extra_hosts" | "networks");
        let value = if list { format!("[{text}]") } else { text.clone() };
        let file = format!("services: {{a: {{image: i, {key}: {value}}}}}");
        let _ = load(&request, &Disk(file));
    }
});
