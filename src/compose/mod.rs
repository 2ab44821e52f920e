//! Compose files: text → tree → interpolate → merge → normalize → [`Project`] → validate, as the reference
//! implementation (Docker Compose 2.40.3) answers. Pure: files come through a handed-in reader, variables
//! through the [`Request`].
//!
//! One stage, one file. The order of the stages is the reference's own, because another order gives other
//! results: `load` keeps it. Every value carries the place it was written at through all of them, so that any
//! mistake is shown in the line it was made in. A stage leaves out what it cannot read, and the next one goes on
//! with the rest: all mistakes are told together, but not what only follows from another one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

mod canonical;
mod consistency;
pub mod dotenv;
pub mod hash;
mod interpolate;
mod load;
mod merge;
mod normalize;
mod parse;
mod paths;
mod ports;
pub mod print;
mod problem;
mod profiles;
pub mod project;
mod scalar;
mod scanner;
mod schema;
pub mod secrets;
mod shell_words;
pub mod support;
mod tree;
mod typed;
mod units;
mod validate;

pub use hash::{VERSION as HASH_VERSION, network_hash, service_hash, volume_hash};
pub use interpolate::Variable;
pub use project::Project;

use indexmap::IndexMap;

use crate::base::{Failure, Kind, Place};
use load::{Scope, Session};
use problem::{Found, MAX_TOLD, Problem, Sources};
use tree::{Mark, Node, Value};

/// What to load and with what values; the caller reads the environment and the disk.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the command was called. Absolute.
    pub working_dir: PathBuf,
    /// The files, each laid over the one before; `-` is standard input. None: the usual names, here or further
    /// up, unless `COMPOSE_FILE` says otherwise.
    pub files: Vec<String>,
    /// The project's name, if it is given.
    pub project_name: Option<String>,
    /// The folder that relative paths start at, if it is not that of the first file.
    pub project_directory: Option<PathBuf>,
    /// Profiles to activate; none: those of `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// Files of variables instead of `.env`.
    pub env_files: Vec<PathBuf>,
    /// The caller's environment.
    pub environment: BTreeMap<String, String>,
    /// What the environment has of its own, if it is not the default one.
    pub own: Option<secrets::Own>,
    /// Whether variables are replaced.
    pub interpolate: bool,
    /// Whether `env_file`s are read into `environment`.
    pub resolve: bool,
    /// Services named on the command line: they activate their profiles, and only they and what they depend on
    /// are active. None: all.
    pub targets: Vec<String>,
    /// Whether networks, volumes, secrets, configs and models that no active service uses are kept.
    pub all_resources: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self::new("/", BTreeMap::new())
    }
}

impl Request {
    /// A request for what the usual files in a folder say.
    #[must_use]
    pub fn new(working_dir: impl Into<PathBuf>, environment: BTreeMap<String, String>) -> Self {
        Self {
            working_dir: working_dir.into(),
            files: Vec::new(),
            project_name: None,
            project_directory: None,
            profiles: Vec::new(),
            env_files: Vec::new(),
            environment,
            own: None,
            interpolate: true,
            resolve: true,
            targets: Vec::new(),
            all_resources: false,
        }
    }
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    File,
    /// A folder.
    Directory,
    /// A device, a socket, a pipe.
    Other,
}

/// The disk, as far as compose files need it. Paths are absolute.
pub trait Files {
    /// The content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// What stands at a path, symbolic links followed; nothing where there is nothing.
    fn kind(&self, path: &Path) -> Option<FileKind>;
    /// The path with its symbolic links followed.
    fn real_path(&self, path: &Path) -> io::Result<PathBuf>;
    /// What is typed or piped in, for `-f -`.
    fn stdin(&self) -> io::Result<Vec<u8>>;
}

/// A project, and what was learnt on the way to it.
#[derive(Debug)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What the user should know and nothing stops for.
    pub warnings: Vec<Failure>,
    /// The files of the command, absolute, as the label `…project.config_files` lists them.
    pub files: Vec<PathBuf>,
    /// The files that variables came from, absolute.
    pub env_files: Vec<PathBuf>,
    /// Where each value was written.
    pub places: Places,
}

/// Where the values of a project were written.
#[derive(Debug)]
pub struct Places {
    tree: Node,
    sources: Sources,
}

impl Places {
    /// The place of a path such as `services.web.ports[0]`, or of the nearest thing around it.
    pub fn at(&self, path: &str) -> Option<Place> {
        let mut mark = None;
        let mut here = &self.tree;
        let mut rest = path;
        while !rest.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let (next, step) = match &here.value {
                Value::List(items) => {
                    let (number, after) = rest.strip_prefix('[')?.split_once(']')?;
                    let Some(item) = items.get(number.parse::<usize>().ok()?) else { break };
                    ((item, item.mark), after)
                }
                Value::Map(map) => {
                    // A name may hold dots: the longest key that fits is meant.
                    let fits = |key: &&str| {
                        rest.strip_prefix(key)
                            .is_some_and(|after| after.is_empty() || after.starts_with(['.', '[']))
                    };
                    let Some(key) = map.keys().filter(fits).max_by_key(|key| key.len()) else { break };
                    let Some(node) = map.get(key) else { break };
                    ((node, map.key_mark(key)), &rest[key.len()..])
                }
                _ => break,
            };
            let (node, key) = next;
            let found = if node.mark.line > 0 && node.mark.width > 0 { node.mark } else { key };
            if found.line > 0 {
                mark = Some(found);
            }
            (here, rest) = (node, step);
        }
        mark.and_then(|mark| self.sources.place(mark))
    }
}

/// The mark of the value at the end of a way, or of the nearest thing around it.
fn locate(root: &Node, steps: &[&str]) -> Mark {
    let mut here = root;
    let mut mark = Mark::default();
    for step in steps {
        let (next, key) = match &here.value {
            Value::Map(map) => (map.get(step), map.key_mark(step)),
            Value::List(items) => (step.parse::<usize>().ok().and_then(|n| items.get(n)), Mark::default()),
            _ => (None, Mark::default()),
        };
        let Some(next) = next else { break };
        let found = if next.mark.line > 0 && next.mark.width > 0 { next.mark } else { key };
        if found.line > 0 {
            mark = found;
        }
        here = next;
    }
    mark
}

/// Loads a project.
///
/// # Errors
/// Everything that is wrong, as far as the stages can go on without it, each with its place.
pub fn load(request: &Request, files: &dyn Files) -> Result<Loaded, Failure> {
    let mut opened = open(request, files)?;
    let outcome = checked(request, &mut opened);
    let (project, tree) = opened.session.unless_found(outcome)?;
    let Opened { mut session, files: config_files, env_files, .. } = opened;
    let warnings = warnings(&mut session);
    Ok(Loaded {
        project,
        warnings,
        files: config_files.into_iter().map(PathBuf::from).collect(),
        env_files: env_files.into_iter().map(PathBuf::from).collect(),
        places: Places { tree, sources: session.sources },
    })
}

/// The stages, each of which goes on with what the one before left, and the tree that the project was read from.
fn checked(request: &Request, opened: &mut Opened<'_>) -> Result<(Project, Node), Failure> {
    let tree = opened.tree(true)?;
    let session = &mut opened.session;
    let at = |steps: &[&str]| locate(&tree, steps);
    let mut project = load::typed(session, tree.clone())?;
    project.working_dir = PathBuf::from(&opened.folder);
    project.environment = std::mem::take(&mut opened.environment);
    profiles::activate(&mut project, std::mem::take(&mut opened.profiles));
    let wrong = |steps: &[&str], inside: bool| session.wrong(&tree, steps, inside);
    let outcome = consistency::check(&mut project, &at, &wrong);
    session.go_on(outcome)?;
    session.service_labels(&mut project, &at)?;
    profiles::target(&mut project, &request.targets)?;
    if !request.all_resources {
        profiles::drop_unused(&mut project);
    }
    if request.resolve {
        session.service_environments(&mut project, &at)?;
    }
    session.go_on(consistency::container_names(&project, &at))?;
    Ok((project, tree))
}

/// The tree of a project that was not typed: what `config --no-interpolate` prints.
#[derive(Debug)]
pub struct Model {
    /// The merged, normalised tree.
    pub tree: serde_json::Value,
    /// The variables that it uses, sorted by name.
    pub variables: Vec<Variable>,
    /// What the user should know.
    pub warnings: Vec<Failure>,
}

/// Loads the tree of a project with its variables as they are written.
///
/// # Errors
/// As [`load`].
pub fn load_model(request: &Request, files: &dyn Files) -> Result<Model, Failure> {
    let request = Request { interpolate: false, ..request.clone() };
    let mut opened = open(&request, files)?;
    let outcome = opened.tree(true);
    let tree = opened.session.unless_found(outcome)?;
    let mut variables = BTreeMap::new();
    interpolate::variables(&tree, &mut variables);
    Ok(Model {
        tree: typed::json(&tree),
        variables: variables.into_values().collect(),
        warnings: warnings(&mut opened.session),
    })
}

/// A request whose files, variables and name are known.
struct Opened<'a> {
    session: Session<'a>,
    files: Vec<String>,
    env_files: Vec<String>,
    environment: BTreeMap<String, String>,
    folder: String,
    profiles: Vec<String>,
    name: String,
}

impl Opened<'_> {
    fn tree(&mut self, normalise: bool) -> Result<Node, Failure> {
        let scope = Scope {
            base: self.folder.clone(),
            folder: self.folder.clone(),
            environment: &self.environment,
            including: Vec::new(),
        };
        load::normalized(&mut self.session, &self.files, &scope, &self.name, normalise)
    }
}

fn open<'a>(request: &Request, files: &'a dyn Files) -> Result<Opened<'a>, Failure> {
    let cwd = request.working_dir.to_string_lossy().into_owned();
    let mut environment = request.environment.clone();
    environment.entry("PWD".into()).or_insert_with(|| cwd.clone());
    let mut session = Session {
        files,
        home: environment.get("HOME").filter(|home| !home.is_empty()).cloned(),
        cwd,
        interpolate: request.interpolate,
        sources: Sources::default(),
        found: Found::default(),
        ports: 0,
        warnings: Vec::new(),
        notes: Vec::new(),
    };
    let given_folder =
        request.project_directory.as_ref().map(|folder| session.absolute(&folder.to_string_lossy()));
    let folder_of = |session: &Session<'_>, files: &[String]| {
        let first = files.iter().find(|file| *file != "-");
        given_folder
            .clone()
            .or_else(|| first.map(|file| paths::parent(file)))
            .unwrap_or_else(|| session.cwd.clone())
    };
    if let Some(remote) = request.files.iter().find(|file| paths::is_remote(file)) {
        return Err(Failure::new(
            Kind::Files,
            format!("cannot read {remote}: files of other hosts are not fetched"),
        )
        .hint("clone it, and name the local file"));
    }
    let mut config_files: Vec<String> = Vec::new();
    if !request.files.is_empty() {
        config_files = session.find(&request.files, "");
    }

    // Variables, first from the folder that is known so far, for `COMPOSE_FILE` may stand in its `.env`.
    let named_env_files = named_env_files(request, &session);
    let use_dotenv = uses_dotenv(&environment)?;
    let default_env_file = |session: &Session<'_>, folder: &str| -> Vec<String> {
        let path = paths::join(folder, ".env");
        let there = matches!(session.kind(&path), Some(FileKind::File | FileKind::Other));
        if use_dotenv && there { vec![path] } else { Vec::new() }
    };
    let mut env_files = named_env_files.clone();
    if env_files.is_empty() {
        env_files = default_env_file(&session, &folder_of(&session, &config_files));
    }
    add_variables(&mut session, &mut environment, &env_files)?;
    if config_files.is_empty() {
        let listed = match environment.get("COMPOSE_FILE") {
            Some(list) => {
                let separator = environment.get("COMPOSE_PATH_SEPARATOR").filter(|s| !s.is_empty());
                list.split(separator.map_or(":", String::as_str)).map(str::to_owned).collect()
            }
            None => Vec::new(),
        };
        let start = folder_of(&session, &[]);
        config_files = session.find(&listed, &start);
    }
    let folder = folder_of(&session, &config_files);
    if config_files.is_empty() {
        return Err(Failure::new(Kind::Files, "no configuration file provided: not found")
            .hint("write a compose.yaml, or name one with --file"));
    }
    if named_env_files.is_empty() {
        let second = default_env_file(&session, &folder);
        if !second.is_empty() && second != env_files {
            add_variables(&mut session, &mut environment, &second)?;
            env_files = second;
        }
    }
    if let Some(own) = request.own.as_ref().filter(|_| request.interpolate) {
        for file in &config_files {
            for document in session.documents(file)? {
                own.add(&document.root, &mut environment)?;
            }
        }
    }
    let profiles = if request.profiles.is_empty() {
        let listed = environment.get("COMPOSE_PROFILES").map_or("", String::as_str);
        listed.split(',').map(|profile| profile.trim().to_owned()).collect()
    } else {
        request.profiles.clone()
    };
    let name = name(request, &mut session, &config_files, &environment, &folder)?;
    environment.insert("COMPOSE_PROJECT_NAME".into(), name.clone());
    Ok(Opened { session, files: config_files, env_files, environment, folder, profiles, name })
}

/// Files of variables that are named: on the command line, or in the caller's environment.
fn named_env_files(request: &Request, session: &Session<'_>) -> Vec<String> {
    if !request.env_files.is_empty() {
        return request.env_files.iter().map(|file| session.absolute(&file.to_string_lossy())).collect();
    }
    let listed = request.environment.get("COMPOSE_ENV_FILES").map_or("", String::as_str);
    listed.split(',').filter(|file| !file.is_empty()).map(|file| session.absolute(file)).collect()
}

fn uses_dotenv(environment: &BTreeMap<String, String>) -> Result<bool, Failure> {
    match environment.get("COMPOSE_DISABLE_ENV_FILE").map(String::as_str) {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(true),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(false),
        Some(other) => {
            let message = format!("COMPOSE_DISABLE_ENV_FILE must be true or false, not `{other}`");
            Err(Failure::new(Kind::Usage, message))
        }
    }
}

/// Adds what files of variables set and the environment does not.
fn add_variables(
    session: &mut Session<'_>,
    environment: &mut BTreeMap<String, String>,
    files: &[String],
) -> Result<(), Failure> {
    for (key, value) in session.env_from_files(files, environment)? {
        environment.entry(key).or_insert(value);
    }
    Ok(())
}

/// The project's name where only the name of its folder gives it one.
#[must_use]
pub fn folder_name(folder: &str) -> String {
    load::normalize_name(folder)
}

fn name(
    request: &Request,
    session: &mut Session<'_>,
    files: &[String],
    environment: &BTreeMap<String, String>,
    folder: &str,
) -> Result<String, Failure> {
    let from_environment = environment.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    let given = request.project_name.as_ref().filter(|name| !name.is_empty()).or(from_environment);
    if let Some(given) = given {
        let normal = load::normalize_name(given);
        if normal != *given {
            let message = format!(
                "invalid project name \"{given}\": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"
            );
            return Err(Failure::new(Kind::Usage, message).hint(format!("`{normal}` would do")));
        }
        return Ok(normal);
    }
    let of_folder = || load::normalize_name(folder.rsplit('/').next().unwrap_or_default());
    let (written, first) = session.name_in_files(files, environment)?;
    let written = load::normalize_name(&written.unwrap_or_default());
    Ok(match (written.is_empty(), first) {
        (false, _) => written,
        (true, false) => of_folder(),
        (true, true) => String::new(),
    })
}

/// How many places of one warning are shown.
const MAX_PLACES: usize = 20;

/// The warnings so far, each said once with all its places.
fn warnings(session: &mut Session<'_>) -> Vec<Failure> {
    let mut told: IndexMap<String, Problem> = IndexMap::new();
    for problem in std::mem::take(&mut session.warnings) {
        match told.get_mut(&problem.message) {
            Some(other) => {
                let new = problem.marks.into_iter().filter(|mark| !other.marks.contains(mark));
                let new: Vec<Mark> = new.take(MAX_PLACES.saturating_sub(other.marks.len())).collect();
                other.marks.extend(new);
            }
            None => {
                told.insert(problem.message.clone(), problem);
            }
        }
    }
    let mut warnings = std::mem::take(&mut session.notes);
    let more = told.len().saturating_sub(MAX_TOLD);
    warnings.extend(told.into_values().take(MAX_TOLD).map(|problem| session.sources.failure(problem)));
    if more > 0 {
        warnings.push(Failure::new(Kind::Files, format!("and {more} more warnings")));
    }
    warnings
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A disk in memory.
    #[derive(Default)]
    pub(crate) struct Disk(pub BTreeMap<PathBuf, Vec<u8>>);

    impl Disk {
        pub(crate) fn with(files: &[(&str, &str)]) -> Self {
            Self(files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect())
        }
    }

    impl Files for Disk {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }
        fn kind(&self, path: &Path) -> Option<FileKind> {
            if self.0.contains_key(path) {
                return Some(FileKind::File);
            }
            self.0.keys().any(|other| other.starts_with(path)).then_some(FileKind::Directory)
        }
        fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
            Ok(path.to_owned())
        }
        fn stdin(&self) -> io::Result<Vec<u8>> {
            self.read(Path::new("-"))
        }
    }

    fn request() -> Request {
        Request::new("/shop", BTreeMap::from([("HOME".to_owned(), "/home/u".to_owned())]))
    }

    fn shop(text: &str) -> Result<Loaded, Failure> {
        load(&request(), &Disk::with(&[("/shop/compose.yaml", text)]))
    }

    #[test]
    fn a_small_file() {
        let loaded = shop("services:\n  web:\n    image: nginx:$TAG\n    ports: ['8080:80']\n").unwrap();
        assert_eq!(loaded.project.name, "shop");
        assert_eq!(loaded.project.services["web"].ports[0].published, "8080");
        assert_eq!(loaded.project.networks["default"].name, "shop_default");
        assert_eq!(loaded.files, [PathBuf::from("/shop/compose.yaml")]);
        assert_eq!(loaded.warnings.len(), 1);
        let place = loaded.places.at("services.web.ports[0]").unwrap();
        assert_eq!(place.to_string(), "/shop/compose.yaml:4:13");
    }

    #[test]
    fn a_mistake_in_an_extended_file_is_shown_there() {
        let disk = Disk::with(&[
            ("/shop/compose.yaml", "services:\n  web:\n    extends: {file: base/b.yaml, service: web}\n"),
            ("/shop/base/b.yaml", "services:\n  web:\n    build: ctx\n    bogus: 1\n"),
        ]);
        let failure = load(&request(), &disk).unwrap_err();
        assert_eq!(failure.places[0].to_string(), "/shop/base/b.yaml:4:5");
    }

    #[test]
    fn extends_resolves_paths_where_they_were_written() {
        let disk = Disk::with(&[
            ("/shop/compose.yaml", "services:\n  web:\n    extends: {file: base/b.yaml, service: web}\n"),
            ("/shop/base/b.yaml", "services:\n  web:\n    build: ctx\n    volumes: ['./d:/d']\n"),
        ]);
        let project = load(&request(), &disk).unwrap().project;
        let web = &project.services["web"];
        assert_eq!(web.build.as_ref().map(|build| build.context.as_str()), Some("/shop/base/ctx"));
        assert_eq!(web.volumes[0].source, "/shop/base/d");
    }

    #[test]
    fn includes_bring_their_own_folder_and_variables() {
        let disk = Disk::with(&[
            (
                "/shop/compose.yaml",
                "include: [db/compose.yaml]\nservices:\n  web: {image: w, depends_on: [db]}\n",
            ),
            ("/shop/db/compose.yaml", "services:\n  db: {image: 'pg:$V', volumes: ['./x:/x']}\n"),
            ("/shop/db/.env", "V=16\n"),
        ]);
        let project = load(&request(), &disk).unwrap().project;
        assert_eq!(project.services["db"].image, "pg:16");
        assert_eq!(project.services["db"].volumes[0].source, "/shop/db/x");
    }

    #[test]
    fn cycles_are_named() {
        let disk = Disk::with(&[("/shop/compose.yaml", "include: [compose.yaml]\nservices: {}\n")]);
        assert!(load(&request(), &disk).unwrap_err().message.contains("include cycle"));
        let failure =
            shop("services:\n  a: {extends: b, image: i}\n  b: {extends: a, image: i}\n").unwrap_err();
        assert!(failure.message.contains("Circular reference"));
    }

    #[test]
    fn variables_come_from_the_environment_then_from_dotenv() {
        let disk = Disk::with(&[
            ("/shop/.env", "A=dot\nB=dot\nCOMPOSE_FILE=other.yaml\n"),
            ("/shop/other.yaml", "services: {a: {image: '$A-$B', env_file: e.env, environment: [A, X=1]}}\n"),
            ("/shop/e.env", "X=2\nY=$A\n"),
        ]);
        let mut request = request();
        request.environment.insert("A".into(), "host".into());
        let project = load(&request, &disk).unwrap().project;
        let a = &project.services["a"];
        assert_eq!(a.image, "host-dot");
        let shown: Vec<_> = a.environment.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
        assert_eq!(shown, [("A", Some("host")), ("X", Some("1")), ("Y", Some("host"))]);
    }

    #[test]
    fn targets_activate_their_profiles() {
        let text = "services:\n  a: {image: i}\n  b: {image: i, profiles: [p]}\n";
        assert_eq!(shop(text).unwrap().project.services.len(), 1);
        let mut request = request();
        request.targets = vec!["b".into()];
        let disk = Disk::with(&[("/shop/compose.yaml", text)]);
        let project = load(&request, &disk).unwrap().project;
        assert_eq!(project.services.keys().collect::<Vec<_>>(), ["b"]);
        request.targets = vec!["c".into()];
        assert!(load(&request, &disk).unwrap_err().message.contains("no such service"));
    }

    #[test]
    fn ranges_of_ports_end_before_the_memory_does() {
        // Found by the fuzz target `loader`: a line each, a gigabyte every five lines.
        let lines: String = (1..20).map(|n| format!("'127.0.0.{n}:1-65535:1-65535', ")).collect();
        let failure = shop(&format!("services: {{a: {{image: i, ports: [{lines}]}}}}\n")).unwrap_err();
        assert!(failure.message.contains("more than 70000 ports"), "{failure}");
    }

    #[test]
    fn ports_of_other_files_end_before_the_memory_does() {
        // A hundred services that extend or include one with a range of ports were a hundred copies of it before
        // anybody counted.
        let disk = |compose: String| {
            let mut disk = Disk::with(&[
                ("/shop/compose.yaml", &compose),
                ("/shop/b.yaml", "services: {b: {extends: {file: c.yaml, service: c}}}\n"),
                ("/shop/c.yaml", "services: {c: {image: i, ports: ['20000-59999']}}\n"),
            ]);
            for n in 1..4 {
                let text = format!("services: {{s{n}: {{extends: {{file: c.yaml, service: c}}}}}}\n");
                disk.0.insert(format!("/shop/{n}.yaml").into(), text.into_bytes());
            }
            disk
        };
        let extend = |from: usize| -> String {
            let one = |n| format!("  a{n}: {{extends: {{file: b.yaml, service: b}}}}\n");
            format!("services:\n{}", (from..4).map(one).collect::<String>())
        };
        assert_eq!(load(&request(), &disk(extend(3))).unwrap().project.services["a3"].ports.len(), 40_000);
        for compose in [extend(1), "include: [1.yaml, 2.yaml, 3.yaml]\n".into()] {
            let failure = load(&request(), &disk(compose)).unwrap_err();
            assert!(failure.message.contains("more than 70000 ports"), "{failure}");
            assert_eq!(failure.places[0].path, Path::new("/shop/compose.yaml"));
        }
    }

    #[test]
    fn what_config_prints_loads_to_itself() {
        let text = "name: n\nservices:\n  a:\n    image: 'i$$x'\n    command: echo 'a  b' \"$$HOME\"\n    environment: {A: 'x: y', B: '', C: null, D: \"l1\\nl2\\n\"}\n    \
                    ports: ['8000-8001:80-81', '127.0.0.1::90/udp']\n    volumes: ['vv:/v:ro', './b:/b', /anon]\n    \
                    healthcheck: {test: 'curl x', interval: 90s}\n    deploy: {resources: {limits: {cpus: '0.5', memory: 50M}}}\n    \
                    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}\n    extra_hosts: ['a:1.2.3.4']\n    x-a: [1, {b: c}]\n    \
                    secrets: [s]\n    depends_on: [b]\n  b: {build: {context: ., args: [X=1]}, links: [], init: true, mem_limit: 1g}\n\
                    volumes: {vv: {labels: [a=b]}}\nsecrets: {s: {file: ./f}}\n";
        let first = shop(text).unwrap().project;
        let again =
            |printed: &str| shop(printed).unwrap_or_else(|failure| panic!("{failure}\n{printed}")).project;
        let yaml = print::to_yaml(&first);
        assert_eq!(print::to_yaml(&again(&yaml)), yaml);
        let json = print::to_json(&first).unwrap();
        assert_eq!(print::to_json(&again(&json)).unwrap(), json);
        // Found by the fuzz target `loader`: characters that JSON holds as they are and YAML does not.
        let odd = "services: {a: {image: i, environment: {B: \"\\x82\\x85\\x7F\"}}}\n";
        let json = print::to_json(&shop(odd).unwrap().project).unwrap();
        assert_eq!(print::to_json(&again(&json)).unwrap(), json);
    }

    /// What a service may say, a line for each key and its forms. They all fit together.
    const SAYS: [&[&str]; 30] = [
        &["command: a 'b  c'", "command: [a, $$b]", "command: []", "command: null"],
        &["entrypoint: ''", "entrypoint: [sh, -c, \"x\\ny\\n\"]"],
        &["build: .", "build: {dockerfile_inline: FROM x}", "build: {args: [A, B=1, U], ssh: [default]}"],
        &["build: {context: https://x/y.git, ulimits: {nofile: 0}}", "build: {extra_hosts: [h=::1]}"],
        &["ports: [80, '8000-8002:90-92', '127.0.0.1::9/udp']", "ports: [{target: 1, published: 2-9}]"],
        &["volumes: ['v:/v/../w:ro', './d:/d', /anon, '~/h:/h']", "volumes: [{type: tmpfs, target: /t}]"],
        &["networks: [n]", "networks: {n: {aliases: [x]}, default: null}", "networks: {n: }"],
        &["environment: [A=1, B, U]", "environment: {A: 'x: y', B: null, C: 1.50, D: true}"],
        &["env_file: e.env", "env_file: [e.env, {path: none.env, required: false}]"],
        &["labels: [l=1, m]", "labels: {l: '$$x', k: ' #'}", "label_file: e.env"],
        &["depends_on: [base]", "depends_on: {base: {condition: service_healthy, restart: true}}"],
        &["links: ['base:b']", "links: [base]", "volumes_from: ['base:ro']", "pid: service:base"],
        &["secrets: [s]", "secrets: [{source: s, target: /t/s, mode: 0440}]"],
        &["configs: [c]", "configs: [{source: c, target: /c, uid: '1'}]"],
        &["healthcheck: {test: 'curl x', interval: 90s}", "healthcheck: {disable: true}"],
        &["healthcheck: {test: [NONE]}", "healthcheck: {test: [CMD, x], start_period: 1m30s}"],
        &["deploy: {resources: {limits: {cpus: 0.5, memory: 50M}}, labels: [q=1]}", "deploy: {replicas: 0}"],
        &["deploy: {restart_policy: {condition: on-failure, delay: 1.5s}}", "deploy: {mode: global}"],
        &["ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}", "ulimits: {core: {soft: 4, hard: 4}}"],
        &["extra_hosts: ['a:1.2.3.4', 'b=::1']", "extra_hosts: {a: [1.1.1.1, 2.2.2.2]}"],
        &["dns: 1.1.1.1", "dns: ['', 8.8.8.8]", "dns_search: [a.b]"],
        &["tmpfs: /tmpfs", "tmpfs: ['/x:size=1m', /y]", "shm_size: 64m"],
        &["logging: {driver: x, options: {a: 1, b: null}}", "logging: {options: {max-size: 1m}}"],
        &["devices: ['/dev/a:/dev/b', '/dev/c']", "gpus: [{count: all}]", "gpus: [{device_ids: ['0']}]"],
        &["sysctls: {a.b: 1}", "sysctls: [a.b=1]", "cap_add: [X]", "annotations: {a: b}"],
        &["pull_policy: if_not_present", "pull_policy: every_2h", "platform: linux/amd64"],
        &["stop_grace_period: 1h1.5s", "memswap_limit: 1.5gb", "mem_swappiness: 0", "cpu_percent: 50"],
        &["init: 'yes'", "tty: true", "read_only: false", "privileged: 'no'"],
        &["x-list: [1, {b: c, '': 2}]", "x-map: {z: 1, a: 017}", "x-date: 2001-01-01"],
        &["post_start: [{command: a b, user: u}]", "develop: {watch: [{path: ., action: rebuild}]}"],
    ];
    const REST: &str = "  base: {image: 'base:$TAG'}\nnetworks: {n: {driver_opts: {a: 1}}}\nvolumes: {v: }\n\
                        secrets: {s: {file: ./s}}\nconfigs: {c: {content: \"a $$\\n\"}}\nx-top: {a: '$TAG'}\n";

    /// A service of lines of [`SAYS`], each by its number from 1.
    fn said(chosen: &[usize]) -> String {
        let lines = SAYS.iter().zip(chosen).filter_map(|(forms, one)| forms.get(one.checked_sub(1)?));
        let mut keys = std::collections::BTreeSet::new();
        lines
            .filter(|line| keys.insert(line.split(':').next()))
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(
            one in proptest::collection::vec(0_usize..6, SAYS.len()),
            mut other in proptest::collection::vec(0_usize..6, SAYS.len()),
        ) {
            // Said twice, an entry of a list would be refused.
            other.iter_mut().zip(&one).filter(|(b, a)| b == a).for_each(|(b, _)| *b = 0);
            let text = format!(
                "services:\n  a:\n    image: i\n{}  b:\n    extends: a\n{}{REST}", said(&one), said(&other)
            );
            let file = |text: &str| Disk::with(&[("/shop/compose.yaml", text), ("/shop/e.env", "E=1\nF=$B\n")]);
            let mut request = request();
            request.environment.extend([("B", "b $ $$"), ("TAG", "t")].map(|(k, v)| (k.into(), v.into())));

            let disk = file(&text);
            let mut opened = open(&request, &disk).unwrap();
            let once = opened.tree(true).unwrap_or_else(|failure| panic!("{failure}\n{text}"));
            let mut twice = once.clone();
            normalize::tree(&mut twice, "shop", &|name| opened.environment.get(name).cloned());
            prop_assert_eq!(&twice, &once, "{}", text);

            // And once it is printed, by what `config` writes in either format.
            let first = load(&request, &disk).unwrap_or_else(|failure| panic!("{failure}\n{text}")).project;
            let again = |printed: &str| {
                load(&request, &file(printed)).unwrap_or_else(|failure| panic!("{failure}\n{printed}")).project
            };
            let yaml = print::to_yaml(&first);
            prop_assert_eq!(print::hashes(&again(&yaml)), print::hashes(&first));
            prop_assert_eq!(print::to_yaml(&again(&yaml)), yaml);
            let limited = text.contains("nofile: 0");
            let json = print::to_json(&first).unwrap();
            // The reference's JSON leaves a limit of 0 out, and what it leaves does not load.
            if !limited {
                prop_assert_eq!(print::to_json(&again(&json)).unwrap(), json);
            }
        }
    }
}
