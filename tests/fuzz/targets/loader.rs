//! A compose file of any bytes: it is read or refused, and what is read prints to a text that reads the same.
//!
//! The file can extend and include `other.yaml`, and name `.env` and `e.env`: all there are.

#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use devenv::compose::project::Service;
use devenv::compose::{FileKind, Files, Loaded, Project, Request, load, load_model, print};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const OTHER: &str = "services:\n  base: {image: 'i:$TAG', ports: ['80'], environment: {A: 1}, volumes: ['./d:/d']}\n  \
                     more: {extends: base, labels: [l=1], depends_on: [base]}\nvolumes: {v: {}}\n";

struct Disk<'a>(&'a [u8]);

impl Files for Disk<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/shop/compose.yaml" | "-") => Ok(self.0.to_vec()),
            Some("/shop/other.yaml") => Ok(OTHER.into()),
            Some("/shop/e.env") => Ok("B=2\nC=$TAG\n".into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn kind(&self, path: &Path) -> Option<FileKind> {
        match path.to_str() {
            Some("/" | "/shop") => Some(FileKind::Directory),
            Some("/dev/null") => Some(FileKind::Other),
            _ => self.read(path).ok().map(|_| FileKind::File),
        }
    }
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }
    fn stdin(&self) -> io::Result<Vec<u8>> {
        self.read(Path::new("-"))
    }
}

fn request() -> Request {
    let set = [("HOME", "/home/u"), ("TAG", "t1"), ("A", "a $$ b"), ("E", "")];
    let environment: BTreeMap<_, _> = set.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Request { all_resources: true, ..Request::new("/shop", environment) }
}

fn again(text: &str, was: &[u8]) -> Loaded {
    load(&request(), &Disk(text.as_bytes())).unwrap_or_else(|failure| {
        panic!("what was printed is refused: {failure}\n{text}\nof\n{}", String::from_utf8_lossy(was))
    })
}

/// Keys whose members may be a list of `key=value`, which may say what their mapping may not.
const LISTS_OR_MAPS: [&str; 6] =
    ["additional_contexts", "annotations", "args", "environment", "labels", "sysctls"];

/// Where the reference's own print does not load to itself, ours must not either (each checked with 2.40.3): it
/// leaves the name of a resource out when it is empty; the same with the folder that is built, and with the
/// Dockerfile where none is written inline; it keeps a dependency on a service that no profile activates; it
/// doubles `$` in keys, which nothing halves; it leaves a container port out that is 0, where it does not refuse
/// it; a list may set a variable without a name where a map may not; and
/// what a list calls `x-…` is an extension when it is read as a map.
fn odd(project: &Project) -> bool {
    fn odd_key(value: &Value, parent: &str) -> bool {
        match value {
            Value::Object(map) => {
                let listed = LISTS_OR_MAPS.contains(&parent);
                map.iter().any(|(key, value)| {
                    key.contains('$')
                        || listed && (key.is_empty() || key.starts_with("x-"))
                        || odd_key(value, key)
                })
            }
            Value::Array(items) => items.iter().any(|item| odd_key(item, "")),
            _ => false,
        }
    }
    project.networks.values().any(|network| network.name.is_empty())
        || project.volumes.values().any(|volume| volume.name.is_empty())
        || project.secrets.values().any(|secret| secret.name.is_empty())
        || project.configs.values().any(|config| config.name.is_empty())
        || project.services.values().filter_map(|service| service.build.as_ref()).any(|build| {
            build.context.is_empty() || build.dockerfile.is_empty() && build.dockerfile_inline.is_empty()
        })
        || project
            .services
            .values()
            .any(|service| service.depends_on.keys().any(|name| !project.services.contains_key(name)))
        || project.services.values().any(|service| service.ports.iter().any(|port| port.target == 0))
        || odd_key(&serde_json::to_value(project).expect("plain data"), "")
}

/// What has no form in JSON that loads: the reference drops models, names a device's limits by other keys, leaves
/// out a half of a limit that is 0, and YAML reads no more than 1024 characters of a key before its `:`.
fn odd_in_json(project: &Project, json: &str) -> bool {
    let limits = |service: &Service| {
        let build = service.build.iter().flat_map(|build| build.ulimits.values());
        build.chain(service.ulimits.values()).any(|limit| limit.soft() == 0 || limit.hard() == 0)
    };
    let long = |line: &str| line.find("\": ").is_some_and(|end| end > 1_000);
    json.lines().any(long)
        || !project.models.is_empty()
        || json.contains("\"Path\": ")
        || project.services.values().any(limits)
}

/// How many ports the ranges of a text can become. Each is honest work, which a measured build does slowly.
fn spread(text: &str) -> usize {
    let end = |part: &str| part.bytes().rev().take_while(u8::is_ascii_digit).count();
    let start = |part: &str| part.bytes().take_while(u8::is_ascii_digit).count();
    let parts: Vec<&str> = text.split('-').collect();
    let number = |digits: &str| digits.parse::<usize>().unwrap_or(0);
    let range = |pair: &[&str]| {
        let (a, b) = (pair[0], pair[1]);
        number(&b[..start(b)]).saturating_sub(number(&a[a.len() - end(a)..])).min(65_535)
    };
    parts.windows(2).map(range).sum()
}

fuzz_target!(|data: &[u8]| {
    if spread(&String::from_utf8_lossy(data)) > 1_000 {
        return;
    }
    let _ = load_model(&request(), &Disk(data));
    let Ok(Loaded { project, places, .. }) = load(&request(), &Disk(data)) else { return };
    for service in project.services.keys() {
        let _ = places.at(&format!("services.{service}.ports[0]"));
    }
    if odd(&project) {
        return;
    }
    let yaml = print::to_yaml(&project);
    let _ = (print::hashes(&project), print::services(&project), print::images(&project));
    assert_eq!(
        print::to_yaml(&again(&yaml, data).project),
        yaml,
        "YAML of {}",
        String::from_utf8_lossy(data)
    );
    let Ok(json) = print::to_json(&project) else { return };
    if !odd_in_json(&project, &json) {
        let second = print::to_json(&again(&json, data).project).expect("printed before");
        assert_eq!(second, json, "JSON of {}", String::from_utf8_lossy(data));
    }
});
