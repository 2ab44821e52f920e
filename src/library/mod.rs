//! What the program carries with it: templates (whole stacks), modules (one service each) and samples, so that
//! an installed `devenv` needs no checkout; and what becomes of them in a project, decided as data.
//!
//! Pure: what a project holds is handed in, what is to be written is handed out.

pub mod editor;
pub mod ignore;
pub mod include;
pub mod jsonc;
pub mod manifest;
pub mod record;
pub mod schemas;
pub mod writing;

use crate::base::{Failure, Kind, guess};
pub use manifest::{Module, Template};
use record::Record;
use writing::{Manner, Wanted};

/// A file of `compose/` or `seeds/`.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// From the top of the package, parts separated by `/`.
    pub path: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
    /// Whether it may be run.
    pub executable: bool,
}

/// Every file, sorted by path.
pub static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// Other names for modules: what is in them, and what people look for.
const ALIASES: [(&str, &str); 10] = [
    ("redis", "cache"),
    ("valkey", "cache"),
    ("minio", "storage-s3"),
    ("s3", "storage-s3"),
    ("rabbitmq", "queue-rabbitmq"),
    ("amqp", "queue-rabbitmq"),
    ("nats", "queue-nats"),
    ("prometheus", "monitoring"),
    ("metrics", "monitoring"),
    ("postgres-exporter", "monitoring"),
];

/// How the names of all images begin that are built from our recipes: a domain, so that no official image is
/// ever meant by them.
pub const OUR_IMAGES: &str = "devenv.local/";

/// The names of the templates.
pub fn template_names() -> impl Iterator<Item = &'static str> {
    folders_with("template.json")
}

/// The names of the modules.
pub fn module_names() -> impl Iterator<Item = &'static str> {
    folders_with("module.json")
}

/// The names of the templates, as a list.
#[must_use]
pub fn template_names_listed() -> Vec<&'static str> {
    template_names().collect()
}

/// The names of the modules and their other names, as a list.
#[must_use]
pub fn module_names_listed() -> Vec<&'static str> {
    module_names().chain(ALIASES.iter().map(|(alias, _)| *alias)).collect()
}

/// The other names of a module.
pub fn aliases(module: &str) -> impl Iterator<Item = &'static str> {
    ALIASES.iter().filter(move |(_, name)| *name == module).map(|(alias, _)| *alias)
}

fn folders_with(manifest: &'static str) -> impl Iterator<Item = &'static str> {
    FILES.iter().filter_map(move |file| {
        let folder = file.path.strip_prefix("compose/")?.strip_suffix(manifest)?.strip_suffix('/')?;
        (!folder.contains('/')).then_some(folder)
    })
}

/// The file at a path.
fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// A template by its name.
pub fn template(name: &str) -> Result<Template, Failure> {
    match file(&format!("compose/{name}/template.json")) {
        Some(file) => parsed(file),
        None => Err(unknown("template", name, template_names(), "devenv template list")),
    }
}

/// A module by its name or one of its other names.
pub fn module(name: &str) -> Result<Module, Failure> {
    let own = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, own)| own);
    if let Some(file) = file(&format!("compose/{own}/module.json")) {
        return parsed(file);
    }
    if ["search", "meilisearch", "elasticsearch", "typesense"].contains(&name) {
        return Err(Failure::new(Kind::Usage, "search is no module: it comes with the database")
            .hint("use Postgres full text search, the extension `rum` for ranking, `vector` for meaning"));
    }
    if ["mailpit", "mail", "inbucket"].contains(&name) {
        return Err(Failure::new(
            Kind::Usage,
            "a mail catcher is no module: it is part of the template `supabase`",
        )
        .hint("devenv template show supabase"));
    }
    Err(unknown("module", name, module_names_listed().into_iter(), "devenv module list"))
}

/// We wrote it, and a test reads each; a mistake is told all the same.
fn parsed<T: serde::de::DeserializeOwned>(file: &File) -> Result<T, Failure> {
    serde_json::from_slice(file.bytes)
        .map_err(|error| Failure::new(Kind::Failed, format!("{} in this program", file.path)).source(error))
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>, listing: &str) -> Failure {
    let failure = Failure::new(Kind::Usage, format!("no such {what}: {name}"));
    // A third of the letters: `mongo` is not meant to be `minio`.
    match guess::closest(name, known, |_| name.chars().count() / 3) {
        Some(known) => failure.hint(guess::did_you_mean(known)),
        None => failure.hint(format!("see them with `{listing}`")),
    }
}

impl Template {
    /// The compose file's text.
    pub fn compose_text(&self) -> Result<&'static str, Failure> {
        let path = joined(&format!("compose/{}", self.name), &self.compose.from);
        file(&path)
            .and_then(|file| std::str::from_utf8(file.bytes).ok())
            .ok_or_else(|| Failure::new(Kind::Failed, format!("this program has no {path}")))
    }

    /// What a project with this template holds. The compose file comes last: a project without one is seen to
    /// be unfinished.
    pub fn wanted(&self, name: Option<&str>) -> Result<Vec<Wanted>, Failure> {
        let own = format!("compose/{}", self.name);
        let mut wanted = Vec::new();
        for copy in &self.copy {
            wanted.extend(below(&joined(&own, &copy.from), &copy.to, &copy.except));
        }
        if let Some(sample) = &self.sample {
            let from = joined(&own, &sample.from);
            wanted.extend(below(&from, &sample.to, &[]).map(|file| Wanted {
                manner: Manner::Sample { folder: sample.to.clone(), unless: sample.unless_exists.clone() },
                ..file
            }));
        }
        let text = self.compose_text()?;
        let text = name.map_or_else(|| text.to_owned(), |name| format!("name: {name}\n\n{text}"));
        wanted.push(Wanted::own(&self.compose.to, text));
        let record = Record::of(&self.folder(), &wanted);
        wanted.insert(wanted.len() - 1, record);
        Ok(wanted)
    }

    /// The folder of a project that what belongs to the template is copied to.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("compose/{}", self.name)
    }
}

impl Module {
    /// The folder of a project that the module is copied to.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("compose/{}", self.name)
    }

    /// The compose file that a project includes.
    #[must_use]
    pub fn include(&self) -> String {
        format!("compose/{}/compose.yaml", self.name)
    }

    /// What a project with this module holds.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> =
            below(&self.folder(), &self.folder(), &["module.json".to_owned()]).collect();
        wanted.push(Record::of(&self.folder(), &wanted));
        wanted
    }
}

/// The files below a folder of the library, as files below `to`.
fn below(from: &str, to: &str, except: &[String]) -> impl Iterator<Item = Wanted> {
    FILES.iter().filter_map(move |file| {
        let path = file.path.strip_prefix(from)?.strip_prefix('/')?;
        let left_out = except.iter().any(|pattern| match pattern.strip_prefix("**/") {
            Some(name) => path.split('/').any(|part| part == name),
            None => {
                path == pattern || path.strip_prefix(pattern.as_str()).is_some_and(|p| p.starts_with('/'))
            }
        });
        (!left_out).then(|| Wanted {
            executable: file.executable,
            ..Wanted::own(&format!("{to}/{path}"), file.bytes)
        })
    })
}

/// `base/path` without `.` and `..`.
fn joined(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').collect();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_on_the_shelves_can_be_read_and_nothing_else_is_there() {
        assert!(template_names().any(|name| name == "supabase"));
        for name in template_names() {
            let template = template(name).unwrap();
            assert_eq!(template.name, name);
            let wanted = template.wanted(None).unwrap();
            assert_eq!(wanted.last().unwrap().path, "compose.yaml");
            assert!(wanted.iter().any(|file| file.path == "compose/supabase/Dockerfile"));
            assert!(wanted.iter().any(|file| file.path == "supabase/config.toml"));
            assert!(wanted.iter().any(|file| file.path == "compose/supabase/build/fetch" && file.executable));
            assert!(!wanted.iter().any(|file| file.path.ends_with("template.json")));
        }
        assert!(module_names().count() >= 5);
        for name in module_names() {
            let module = module(name).unwrap();
            assert_eq!(module.name, name);
            assert!(module.wanted().iter().any(|file| file.path == module.include()), "{name}");
        }
        for (alias, name) in ALIASES {
            assert_eq!(module(alias).unwrap().name, name);
        }
        for file in FILES {
            let parts: Vec<&str> = file.path.split('/').collect();
            assert!(!parts.iter().any(|part| ["node_modules", "test"].contains(part)), "{}", file.path);
        }
    }

    #[test]
    fn what_stands_on_disk_is_what_is_embedded() {
        let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in FILES {
            assert!(
                std::fs::read(top.join(file.path)).unwrap() == file.bytes,
                "{} is newer than the program: touch src/library/build.rs",
                file.path
            );
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_is_put_right() {
        assert_eq!(module("redsi").unwrap_err().hints, ["did you mean `redis`?"]);
        assert_eq!(template("supabsae").unwrap_err().hints, ["did you mean `supabase`?"]);
        assert_eq!(module("kafka").unwrap_err().hints, ["see them with `devenv module list`"]);
    }
}
