//! The way from files to a project, stage by stage, in the order of the reference: parse, interpolate, extend,
//! reset, include, merge, check the schema, bring into the long form; then, once, fill in defaults, check,
//! resolve paths, normalise, select profiles, check again, read files of variables.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use super::dotenv::{self, Format};
use super::interpolate::{self, TemplateError};
use super::paths::{self, Resolver, join, parent};
use super::problem::{Found, Outcome, Problem, Sources, closest};
use super::project::Project;
use super::tree::{Mark, Node, Value};
use super::{FileKind, Files, canonical, merge, normalize, parse, schema, secrets, typed, validate};
use crate::base::guess::did_you_mean;
use crate::base::{Failure, Kind, Place};

const FILE_NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// How long a chain of `extends` or `include` may be.
const MAX_DEPTH: usize = 50;

/// What the stages need of the outside, and what they have learnt.
pub(crate) struct Session<'a> {
    pub files: &'a dyn Files,
    /// Where the command was called; absolute.
    pub cwd: String,
    pub interpolate: bool,
    pub sources: Sources,
    pub warnings: Vec<Problem>,
    /// What is wrong, as far as the stages could go on without it.
    pub found: Found,
    /// How many ports the document that is read now has from other files.
    pub ports: usize,
    /// Warnings that have no place in a file.
    pub notes: Vec<Failure>,
    pub home: Option<String>,
}

/// What a set of files is read with.
pub(crate) struct Scope<'s> {
    /// Where relative paths start; relative itself in an included file, until the outermost resolves it.
    pub base: String,
    /// The folder that files named by this one are looked for in.
    pub folder: String,
    pub environment: &'s BTreeMap<String, String>,
    /// The files that include this one, outermost first.
    pub including: Vec<String>,
}

/// A path of which the last part is looked at.
type Tracker = Vec<(String, String)>;

impl Session<'_> {
    /// An absolute path.
    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { canonical::clean(path) } else { join(&self.cwd, path) }
    }

    pub(crate) fn kind(&self, path: &str) -> Option<FileKind> {
        self.files.kind(FilePath::new(&self.absolute(path)))
    }

    /// The files to read: those named, or the first of the usual names here or further up.
    pub(crate) fn find(&mut self, named: &[String], start: &str) -> Vec<String> {
        if !named.is_empty() {
            return named
                .iter()
                .map(|file| if file == "-" { file.clone() } else { self.absolute(file) })
                .collect();
        }
        let mut folder = start.to_owned();
        loop {
            let here = |names: &[&str]| -> Vec<String> {
                names
                    .iter()
                    .map(|name| join(&folder, name))
                    .filter(|path| self.kind(path).is_some())
                    .collect()
            };
            let (files, overrides) = (here(&FILE_NAMES), here(&OVERRIDE_NAMES));
            if let Some(file) = files.first() {
                self.several("config", &files);
                let mut found = vec![file.clone()];
                if let Some(over) = overrides.first() {
                    self.several("override", &overrides);
                    found.push(over.clone());
                }
                return found;
            }
            let above = parent(&folder);
            if above == folder {
                return Vec::new();
            }
            folder = above;
        }
    }

    fn several(&mut self, what: &str, files: &[String]) {
        if files.len() > 1 {
            let message = format!("Found multiple {what} files with supported names: {}", files.join(", "));
            self.notes.push(Failure::new(Kind::Files, message).hint(format!("Using {}", files[0])));
        }
    }

    fn fail(&self, problems: Vec<Problem>) -> Failure {
        self.sources.failures(problems)
    }

    fn checked<T>(&self, outcome: Outcome<T>) -> Result<T, Failure> {
        outcome.map_err(|problems| self.fail(problems))
    }

    /// Remembers what a stage found wrong; the next one goes on with what it left.
    pub(crate) fn go_on(&mut self, outcome: Outcome<()>) -> Result<(), Failure> {
        outcome.or_else(|problems| self.found.add(problems, &self.sources))
    }

    /// What was loaded, unless anything was found wrong on the way.
    pub(crate) fn unless_found<T>(&mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        match outcome {
            outcome if self.found.is_empty() => outcome,
            outcome => {
                if let Err(failure) = outcome {
                    self.found.end(failure, &self.sources);
                }
                Err(self.found.failure())
            }
        }
    }

    /// Whether something was found wrong at the end of a way, or, if `inside`, anywhere below it.
    pub(crate) fn wrong(&self, root: &Node, steps: &[&str], inside: bool) -> bool {
        fn below(node: &Node, at: &dyn Fn(Mark) -> bool) -> bool {
            at(node.mark)
                || match &node.value {
                    Value::Map(map) => {
                        map.iter().any(|(key, member)| at(map.key_mark(key)) || below(member, at))
                    }
                    Value::List(items) => items.iter().any(|item| below(item, at)),
                    _ => false,
                }
        }
        let at = |mark: Mark| self.found.at(mark, &self.sources);
        if self.found.is_empty() {
            return false;
        }
        let node = steps.iter().try_fold(root, |node, step| node.get(step));
        at(super::locate(root, steps)) || inside && node.is_some_and(|node| below(node, &at))
    }

    /// Reads a file of YAML into its documents.
    pub(crate) fn documents(&mut self, path: &str) -> Result<Vec<parse::Document>, Failure> {
        let bytes = if path == "-" { self.files.stdin() } else { self.files.read(FilePath::new(path)) };
        let bytes = bytes.map_err(|error| {
            Failure::new(Kind::Files, format!("cannot read {path}")).at(Place::file(path)).source(error)
        })?;
        let file = self.sources.add(PathBuf::from(path), String::new());
        let text = self.checked(parse::decode(bytes, file))?;
        self.sources.set_text(file, text);
        self.checked(parse::documents(self.sources.text(file), file))
    }

    /// Reads several files, each over the one before.
    pub(crate) fn files(&mut self, files: &[String], scope: &Scope<'_>) -> Result<Node, Failure> {
        let mut tree = Node::new(Value::Map(super::tree::Mapping::default()), Mark::default());
        for file in files {
            tree = self.file(file, scope, tree)?;
        }
        canonical::defaults(&mut tree);
        self.go_on(validate::tree(&tree))?;
        self.resolve_paths(&mut tree, &scope.base)?;
        environment_sources(&mut tree, scope.environment);
        Ok(tree)
    }

    pub(crate) fn resolve_paths(&mut self, tree: &mut Node, base: &str) -> Result<(), Failure> {
        let files = self.files;
        let follow = |path: &str| follow(files, path);
        let resolver = Resolver { base, home: self.home.as_deref(), follow: &follow };
        let outcome = paths::tree(tree, &resolver);
        self.go_on(outcome)
    }

    fn file(&mut self, path: &str, scope: &Scope<'_>, mut tree: Node) -> Result<Node, Failure> {
        for document in self.documents(path)? {
            let parse::Document { mut root, resets } = document;
            if root.as_map().is_none() {
                let message =
                    if root.is_null() { "empty compose file" } else { "top-level object must be a mapping" };
                return Err(self.fail(vec![Problem::new(message, root.mark)]));
            }
            self.go_on(secrets::read(&root).map(drop))?;
            self.interpolate_tree(&mut root, scope.environment)?;
            let ports = std::mem::take(&mut self.ports);
            self.extend_all(&mut root, path, scope, &resets)?;
            merge::reset(&mut tree, &resets);
            self.include(&mut root, path, scope)?;
            self.ports = ports;
            tree = self.checked(merge::files(tree, root))?;
            self.go_on(merge::unique(&mut tree))?;
            self.go_on(schema::check(&mut tree))?;
            self.drop_version(&mut tree);
            tree = self.long(tree)?;
        }
        Ok(tree)
    }

    fn interpolate_tree(
        &mut self,
        root: &mut Node,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        if !self.interpolate {
            return Ok(());
        }
        let value = |name: &str| environment.get(name).cloned();
        let outcome = interpolate::tree(root, &value, &mut self.warnings);
        self.go_on(outcome)
    }

    /// Counts the ports that a service has from another file, where ranges are written out already. The stage that
    /// does that counts them, too, but all the copies would have been made before.
    fn count_ports(&mut self, service: &Node, mark: Mark) -> Result<(), Failure> {
        self.ports += service.get("ports").and_then(Node::as_list).map_or(0, <[Node]>::len);
        if self.ports > canonical::MAX_PORTS {
            return Err(self.fail(vec![canonical::too_many_ports(mark)]));
        }
        Ok(())
    }

    fn drop_version(&mut self, tree: &mut Node) {
        let Some(map) = tree.as_map_mut() else { return };
        let mark = map.key_mark("version");
        if map.remove("version").is_some() {
            let message = "the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion";
            self.warnings.push(Problem::new(message, mark));
        }
    }

    fn long(&mut self, mut tree: Node) -> Result<Node, Failure> {
        let outcome = canonical::tree(&mut tree, !self.interpolate, &mut self.warnings);
        self.go_on(outcome)?;
        canonical::omit_empty(&mut tree);
        // Ranges of ports show only now which entries are the same.
        self.go_on(merge::unique(&mut tree))?;
        Ok(tree)
    }

    // ---- extends ----------------------------------------------------------------------------------------

    fn extend_all(
        &mut self,
        root: &mut Node,
        file: &str,
        scope: &Scope<'_>,
        resets: &[Vec<String>],
    ) -> Result<(), Failure> {
        let Some(services) = root.get_mut("services") else { return Ok(()) };
        let mark = services.mark;
        if services.as_map().is_none() {
            return Err(self.fail(vec![Problem::new("services must be a mapping", mark)]));
        }
        let names: Vec<String> =
            services.as_map().into_iter().flat_map(|map| map.keys().map(str::to_owned)).collect();
        for name in names {
            let post = vec![resets.to_vec()];
            let extended = self.extend(&name, services, file, scope, &Vec::new(), &post)?;
            if let (Some(node), Some(map)) = (extended, services.as_map_mut()) {
                map.set(&name, node);
            }
        }
        Ok(())
    }

    /// A service with everything that it extends, or nothing when it is written as nothing.
    fn extend(
        &mut self,
        name: &str,
        services: &mut Node,
        file: &str,
        scope: &Scope<'_>,
        tracker: &Tracker,
        post: &[Vec<Vec<String>>],
    ) -> Result<Option<Node>, Failure> {
        let problem =
            |this: &Self, message: String, mark: Mark| Err(this.fail(vec![Problem::new(message, mark)]));
        let Some(service) = services.get(name).cloned() else { return Ok(None) };
        if service.is_null() {
            return Ok(None);
        }
        let Some(members) = service.as_map() else {
            return problem(self, format!("services.{name} must be a mapping"), service.mark);
        };
        let Some(extends) = members.get("extends") else { return Ok(Some(service)) };
        let mark = extends.mark;
        // Of the service, and of the file that it stands in.
        let mut marks = [mark; 2];
        let (reference, from) = match &extends.value {
            Value::Text(reference) => (reference.clone(), None),
            Value::Map(map) => {
                let Some(reference) = map.get("service").and_then(Node::as_text) else {
                    return problem(self, format!("extends.{name}.service is required"), mark);
                };
                marks = ["service", "file"].map(|key| map.get(key).map_or(mark, |node| node.mark));
                (reference.to_owned(), map.get("file").and_then(Node::as_text).map(str::to_owned))
            }
            _ => {
                return problem(self, format!("services.{name}.extends must be a mapping or a string"), mark);
            }
        };
        let mut post = post.to_vec();
        let mut others;
        let (base_services, filename) = if let Some(from) = &from {
            let (loaded, resets) = self.extended_file(name, &reference, from, file, scope, marks)?;
            post.push(resets);
            others = loaded;
            (&mut others, from.clone())
        } else {
            if services.get(&reference).is_none() {
                let names = services.as_map().into_iter().flat_map(super::tree::Mapping::keys);
                let guess = closest(&reference, names).map(did_you_mean);
                let message =
                    format!("cannot extend service \"{name}\" in {file}: service \"{reference}\" not found");
                let mut problem = Problem::new(message, marks[0]);
                problem.hint = guess;
                return Err(self.fail(vec![problem]));
            }
            (&mut *services, file.to_owned())
        };
        let step = (filename, name.to_owned());
        if tracker.contains(&step) {
            let mut lines = vec![format!("Circular reference: {} in {}", tracker[0].1, tracker[0].0)];
            let further = tracker[1..].iter().chain(std::iter::once(&step));
            lines.extend(further.map(|(file, service)| format!("extends {service} in {file}")));
            return problem(self, lines.join(", "), mark);
        }
        if tracker.len() >= MAX_DEPTH {
            return problem(self, format!("service \"{name}\" extends more than {MAX_DEPTH} others"), mark);
        }
        // The services of another file are gone when the one that extends them is made.
        let own = tracker.iter().all(|(of, _)| of == file);
        let mut tracker = tracker.clone();
        tracker.push(step);
        let Some(mut base) = self.extend(&reference, base_services, file, scope, &tracker, &post)? else {
            return Ok(Some(service));
        };
        for resets in &post {
            for reset in resets {
                if let [section, service, rest @ ..] = reset.as_slice()
                    && section == "services"
                    && service == name
                {
                    merge::reset(&mut base, &[rest.to_vec()]);
                }
            }
        }
        let mut merged = merge::service(base, service).map_err(|problem| self.fail(vec![problem]))?;
        if let Some(map) = merged.as_map_mut() {
            map.remove("extends");
        }
        if own && let Some(map) = services.as_map_mut() {
            self.count_ports(&merged, mark)?;
            map.set(name, merged.clone());
        }
        Ok(Some(merged))
    }

    /// The services of the file that an extended one stands in, their paths resolved against it.
    fn extended_file(
        &mut self,
        name: &str,
        reference: &str,
        from: &str,
        file: &str,
        scope: &Scope<'_>,
        [mark, file_mark]: [Mark; 2],
    ) -> Result<(Node, Vec<Vec<String>>), Failure> {
        if paths::is_remote(from) {
            let message = format!("cannot extend from {from}: files of other hosts are not fetched");
            return Err(
                self.fail(vec![Problem::new(message, file_mark).hint("clone it, and name the local file")])
            );
        }
        let path = join_absolute(&scope.folder, from);
        if self.kind(&path).is_none() {
            let message = format!("service \"{name}\" extends a file that does not exist: {path}");
            return Err(self.fail(vec![Problem::new(message, file_mark)]));
        }
        let base = self.relative_folder(&scope.folder, from);
        let mut tree = Node::new(Value::Map(super::tree::Mapping::default()), mark);
        let mut last = Vec::new();
        for document in self.documents(&path)? {
            let parse::Document { mut root, resets } = document;
            if root.as_map().is_none() {
                return Err(self.fail(vec![Problem::new("top-level object must be a mapping", root.mark)]));
            }
            self.interpolate_tree(&mut root, scope.environment)?;
            merge::reset(&mut tree, &resets);
            tree = self.checked(merge::files(tree, root))?;
            self.go_on(merge::unique(&mut tree))?;
            tree = self.long(tree)?;
            last = resets;
        }
        let missing =
            |what: String| Problem::new(format!("cannot extend service \"{name}\" in {what}"), mark);
        let problem = match tree.get("services") {
            None => Some(missing(format!("{path}: no services section"))),
            Some(services) => match services.as_map() {
                None => Some(missing(format!("{path}: services must be a mapping"))),
                Some(map) if !map.contains(reference) => {
                    let problem = missing(format!("{file}: service \"{reference}\" not found in {from}"));
                    Some(match closest(reference, map.keys()) {
                        Some(guess) => problem.hint(did_you_mean(guess)),
                        None => problem,
                    })
                }
                Some(_) => None,
            },
        };
        if let Some(problem) = problem {
            return Err(self.fail(vec![problem]));
        }
        self.resolve_paths(&mut tree, &base)?;
        let services = tree.as_map_mut().and_then(|map| map.remove("services"));
        Ok((services.unwrap_or_else(|| Node::null(mark)), last))
    }

    /// The folder of a file, seen from another folder.
    fn relative_folder(&self, folder: &str, file: &str) -> String {
        let mut path = join_absolute(folder, file);
        if self.kind(&path) != Some(FileKind::Directory) {
            path = join_absolute(folder, &parent(file));
        }
        paths::relative(folder, &path).unwrap_or(path)
    }

    // ---- include ----------------------------------------------------------------------------------------

    fn include(&mut self, root: &mut Node, path: &str, scope: &Scope<'_>) -> Result<(), Failure> {
        let Some(list) = root.as_map_mut().and_then(|map| map.remove("include")) else { return Ok(()) };
        if list.is_null() {
            return Ok(());
        }
        let Value::List(entries) = &list.value else {
            return Err(self.fail(vec![Problem::new("`include` must be a list", list.mark)]));
        };
        let mut including = scope.including.clone();
        including.push(path.to_owned());
        if including.len() > MAX_DEPTH {
            let message = format!("files include each other more than {MAX_DEPTH} levels deep");
            return Err(self.fail(vec![Problem::new(message, list.mark)]));
        }
        for entry in entries {
            let included = self.included(entry, scope, &including)?;
            for section in ["services", "volumes", "networks", "secrets", "configs", "models"] {
                self.import(root, included.get(section), section, entry.mark)?;
            }
        }
        Ok(())
    }

    fn included(&mut self, entry: &Node, scope: &Scope<'_>, including: &[String]) -> Result<Node, Failure> {
        let texts = |node: Option<&Node>| -> Vec<(String, Mark)> {
            match node.map(|node| (&node.value, node.mark)) {
                Some((Value::Text(text), mark)) => vec![(text.clone(), mark)],
                Some((Value::List(items), _)) => {
                    items.iter().filter_map(|item| Some((item.as_text()?.to_owned(), item.mark))).collect()
                }
                _ => Vec::new(),
            }
        };
        let (files, env_files, folder) = match &entry.value {
            Value::Text(_) => (texts(Some(entry)), Vec::new(), None),
            Value::Map(map) => {
                let folder =
                    map.get("project_directory").and_then(Node::as_text).filter(|text| !text.is_empty());
                (texts(map.get("path")), texts(map.get("env_file")), folder.map(str::to_owned))
            }
            _ => {
                return Err(
                    self.fail(vec![Problem::new("an entry of `include` is a path or a mapping", entry.mark)])
                );
            }
        };
        if let Value::Map(map) = &entry.value {
            for unknown in map.keys().filter(|key| !matches!(*key, "path" | "env_file" | "project_directory"))
            {
                let message = format!("`{unknown}` is not known in `include` and has no effect");
                self.warnings.push(Problem::new(message, map.key_mark(unknown)));
            }
        }
        let mut paths_found = Vec::new();
        let mut folder_relative = String::new();
        let mut folder_absolute = scope.folder.clone();
        for (number, (file, mark)) in files.iter().enumerate() {
            if paths::is_remote(file) {
                let message = format!("cannot include {file}: files of other hosts are not fetched");
                let problem = Problem::new(message, *mark).hint("clone it, and name the local file");
                return Err(self.fail(vec![problem]));
            }
            let path = join_absolute(&scope.folder, file);
            if number == 0 {
                (folder_relative, folder_absolute) = match &folder {
                    None => (self.relative_folder(&scope.folder, &path), parent(&path)),
                    Some(folder) if !folder.starts_with('/') => (
                        self.relative_folder(&scope.folder, folder),
                        self.absolute(&join(&scope.base, folder)),
                    ),
                    Some(folder) => (folder.clone(), folder.clone()),
                };
                if including.contains(&path) {
                    let mut cycle = including.to_vec();
                    cycle.push(path);
                    let message = format!("include cycle detected: {}", cycle.join(" includes "));
                    return Err(self.fail(vec![Problem::new(message, *mark)]));
                }
            }
            if self.kind(&path).is_none() {
                let message = format!("the included file does not exist: {path}");
                return Err(self.fail(vec![Problem::new(message, *mark)]));
            }
            paths_found.push(path);
        }
        let env_files = self.include_env_files(&env_files, scope, &folder_absolute)?;
        let mut environment = scope.environment.clone();
        for (key, value) in self.env_from_files(&env_files, scope.environment)? {
            environment.entry(key).or_insert(value);
        }
        let inner = Scope {
            base: folder_relative,
            folder: folder_absolute,
            environment: &environment,
            including: including.to_vec(),
        };
        self.files(&paths_found, &inner)
    }

    fn include_env_files(
        &mut self,
        named: &[(String, Mark)],
        scope: &Scope<'_>,
        folder: &str,
    ) -> Result<Vec<String>, Failure> {
        if named.is_empty() {
            let default = join(folder, ".env");
            let there = matches!(self.kind(&default), Some(FileKind::File | FileKind::Other));
            return Ok(if there { vec![default] } else { Vec::new() });
        }
        let mut files = Vec::new();
        for (file, mark) in named.iter().filter(|(file, _)| file != "/dev/null") {
            let path =
                if file.starts_with('/') { file.clone() } else { self.absolute(&join(&scope.base, file)) };
            let problem = match self.kind(&path) {
                None => format!("the env_file does not exist: {path}"),
                Some(FileKind::Directory) => format!("{path} is not a file"),
                Some(_) => {
                    files.push(path);
                    continue;
                }
            };
            return Err(self.fail(vec![Problem::new(problem, *mark)]));
        }
        Ok(files)
    }

    /// Copies what an included file declares; only what is equal may be declared twice.
    fn import(
        &mut self,
        root: &mut Node,
        from: Option<&Node>,
        section: &str,
        mark: Mark,
    ) -> Result<(), Failure> {
        let Some(from) = from.filter(|node| !node.is_null()) else { return Ok(()) };
        let Some(map) = root.as_map_mut() else { return Ok(()) };
        if !map.contains(section) {
            map.set(section, Node::new(Value::Map(super::tree::Mapping::default()), from.mark));
        }
        let Some(to) = map.get_mut(section) else { return Ok(()) };
        let to_mark = to.mark;
        let (Some(to), Some(from)) = (to.as_map_mut(), from.as_map()) else {
            let message = format!("{section} must be a mapping");
            return Err(self.fail(vec![Problem::new(message, to_mark)]));
        };
        let mut problems = Vec::new();
        for (name, node) in from.iter() {
            match to.get(name) {
                Some(own) if own == node => {}
                Some(own) => problems.push(
                    Problem::new(format!("{section}.{name} conflicts with imported resource"), own.mark)
                        .also(node.mark)
                        .also(mark)
                        .hint("put the change into an override file beside the included one: `path: [file, override]`"),
                ),
                None => {
                    if section == "services" {
                        self.count_ports(node, mark)?;
                    }
                    to.insert(name, from.key_mark(name), node.clone());
                }
            }
        }
        self.found.add(problems, &self.sources)
    }

    // ---- files of variables -----------------------------------------------------------------------------

    /// What files of variables set, the later over the earlier.
    pub(crate) fn env_from_files(
        &mut self,
        files: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for file in files {
            let path = self.absolute(file);
            match self.kind(&path) {
                None => {
                    let message = format!("couldn't find env file: {path}");
                    return Err(Failure::new(Kind::Files, message).at(Place::file(path)));
                }
                Some(FileKind::Directory) => {
                    let message = format!("{path} is a directory");
                    return Err(Failure::new(Kind::Files, message).at(Place::file(path)));
                }
                Some(_) => {}
            }
            let found = {
                let lookup = |name: &str| environment.get(name).or_else(|| all.get(name)).cloned();
                self.variables(&path, Format::Dotenv, BTreeMap::new(), &lookup)?
            };
            all.extend(found);
        }
        Ok(all)
    }

    fn variables(
        &mut self,
        path: &str,
        format: Format,
        earlier: BTreeMap<String, String>,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let bytes = self.files.read(FilePath::new(path)).map_err(|error| {
            Failure::new(Kind::Files, format!("cannot read {path}")).at(Place::file(path)).source(error)
        })?;
        if bytes.len() > parse::MAX_BYTES {
            let message = format!("{path} is too large to be a file of variables");
            return Err(Failure::new(Kind::Files, message).at(Place::file(path)));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let file = self.sources.add(PathBuf::from(path), text);
        let text = self.sources.text(file);
        let width = |line: u32| self.sources.width(file, line);
        match dotenv::parse_over(text, format, earlier, lookup) {
            Ok(found) => {
                for (name, line) in &found.unset {
                    let mark = Mark { file, line: *line, column: 1, width: width(*line) };
                    let mut warning = interpolate::unset(name, mark);
                    warning.hint = Some(
                        "write the value in single quotes to keep every `$`, or use `format: raw`".into(),
                    );
                    self.warnings.push(warning);
                }
                Ok(found.values)
            }
            Err(error) => {
                let mark = Mark { file, line: error.line, column: 1, width: width(error.line) };
                Err(self.fail(vec![Problem::new(format!("failed to read {path}: {error}"), mark)]))
            }
        }
    }

    /// Reads the `env_file`s of active services into their environment.
    pub(crate) fn service_environments(
        &mut self,
        project: &mut Project,
        at: &dyn Fn(&[&str]) -> Mark,
    ) -> Result<(), Failure> {
        let environment = project.environment.clone();
        for (name, service) in &mut project.services {
            for (key, value) in &mut service.environment {
                if value.is_none() {
                    *value = environment.get(key).cloned();
                }
            }
            let own = service.environment.clone();
            // What a file sets can use what an earlier one set, and what the service itself sets.
            let mut all: BTreeMap<String, String> =
                own.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
            for (number, env_file) in service.env_file.iter().enumerate() {
                let mark = at(&["services", name, "env_file", &number.to_string()]);
                if self.kind(&env_file.path).is_none() {
                    if env_file.required {
                        let message = format!("env file {} not found", env_file.path);
                        let problem =
                            Problem::new(message, mark).hint("create it, or write `required: false`");
                        self.found.add(vec![problem], &self.sources)?;
                    }
                    continue;
                }
                let format = match env_file.format.as_str() {
                    "" | ".env" => Format::Dotenv,
                    "raw" => Format::Raw,
                    other => {
                        let message = format!("unsupported env_file format \"{other}\"");
                        let problem = Problem::new(message, mark).hint("the formats are `.env` and `raw`");
                        self.found.add(vec![problem], &self.sources)?;
                        continue;
                    }
                };
                let lookup =
                    |name: &str| environment.get(name).cloned().or_else(|| own.get(name).cloned().flatten());
                all = self.variables(&env_file.path, format, all, &lookup)?;
            }
            let mut resolved: BTreeMap<String, Option<String>> =
                all.into_iter().map(|(key, value)| (key, Some(value))).collect();
            resolved.extend(own);
            service.environment = resolved;
            service.env_file.clear();
        }
        Ok(())
    }

    /// Reads the `label_file`s of active services into their labels.
    pub(crate) fn service_labels(
        &mut self,
        project: &mut Project,
        at: &dyn Fn(&[&str]) -> Mark,
    ) -> Result<(), Failure> {
        for (name, service) in &mut project.services {
            let mut labels: BTreeMap<String, String> = BTreeMap::new();
            for (number, file) in service.label_file.iter().enumerate() {
                if self.kind(file).is_none() {
                    let mark = at(&["services", name, "label_file", &number.to_string()]);
                    let message = format!("label file {file} not found");
                    self.found.add(vec![Problem::new(message, mark)], &self.sources)?;
                    continue;
                }
                let found = {
                    let lookup = |name: &str| labels.get(name).cloned();
                    self.variables(file, Format::Dotenv, BTreeMap::new(), &lookup)?
                };
                labels.extend(found);
            }
            labels.append(&mut service.labels);
            service.labels = labels;
            service.label_file.clear();
        }
        Ok(())
    }

    // ---- the name ---------------------------------------------------------------------------------------

    /// The name that the files give the project, the last one winning; whether a first document has one.
    pub(crate) fn name_in_files(
        &mut self,
        files: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Result<(Option<String>, bool), Failure> {
        let mut name = None;
        let mut first = false;
        for file in files.iter().filter(|file| *file != "-") {
            // A file that cannot be read is told about when it is loaded.
            let Ok(bytes) = self.files.read(FilePath::new(file)) else { continue };
            let Ok(text) = parse::decode(bytes, 0) else { continue };
            let Ok(documents) = parse::documents(&text, 0) else { continue };
            for (number, document) in documents.iter().enumerate() {
                let Some(found) = document.root.get("name").filter(|name| !name.is_null()) else { continue };
                let text = super::scalar::sprint(found);
                if !text.is_empty() {
                    first |= number == 0;
                    name = Some((text, found.mark));
                }
            }
        }
        let Some((text, _)) = name else { return Ok((None, false)) };
        if !self.interpolate {
            return Ok((Some(text), first));
        }
        let value = |name: &str| environment.get(name).cloned();
        let mut lookup = interpolate::Lookup::new(&value);
        match interpolate::substitute(&text, &mut lookup) {
            Ok(name) => Ok((Some(name), first)),
            Err(error) => {
                let message = match error {
                    TemplateError::Invalid | TemplateError::TooMuch => {
                        format!("the project's name cannot be read: {text}")
                    }
                    TemplateError::Required { variable, reason } => {
                        format!(
                            "the project's name needs the variable {variable}, which has no value: {reason}"
                        )
                    }
                };
                Err(Failure::new(Kind::Files, message))
            }
        }
    }
}

/// What may stand in a project's name, and nothing else.
pub(crate) fn normalize_name(name: &str) -> String {
    let kept: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

fn join_absolute(folder: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { join(folder, path) }
}

/// A path with its first symbolic link followed to the end.
fn follow(files: &dyn Files, path: &str) -> String {
    let mut here = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        here.push('/');
        here.push_str(part);
        let Ok(real) = files.real_path(FilePath::new(&here)) else { return path.to_owned() };
        let real = real.to_string_lossy();
        if real != here {
            return path.replacen(&here, &real, 1);
        }
    }
    path.to_owned()
}

/// Looks up what services, secrets and configs take from the environment.
fn environment_sources(tree: &mut Node, environment: &BTreeMap<String, String>) {
    if let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) {
        for (_, service) in services.iter_mut() {
            if let Some(Node { value: Value::List(entries), .. }) = service.get_mut("environment") {
                for entry in entries {
                    if let Value::Text(text) = &mut entry.value
                        && let Some(value) = environment.get(text.as_str())
                    {
                        *text = format!("{text}={value}");
                    }
                }
            }
        }
    }
    for section in ["secrets", "configs"] {
        let Some(map) = tree.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for (_, node) in map.iter_mut() {
            let mark = node.mark;
            let value = node
                .get("environment")
                .and_then(Node::as_text)
                .and_then(|name| environment.get(name))
                .cloned();
            if let (Some(value), Some(members)) = (value, node.as_map_mut()) {
                members.set("resolved", Node::text(value, Mark { width: 0, ..mark }));
            }
        }
    }
}

/// The tree of a whole project, before it is typed.
pub(crate) fn normalized(
    session: &mut Session<'_>,
    files: &[String],
    scope: &Scope<'_>,
    name: &str,
    normalise: bool,
) -> Result<Node, Failure> {
    let mut tree = session.files(files, scope)?;
    if tree.as_map().is_none_or(super::tree::Mapping::is_empty) {
        let place =
            files.first().map_or_else(|| Place::file(&scope.folder), |file| Place::file(file.clone()));
        return Err(Failure::new(Kind::Files, "empty compose file").at(place));
    }
    if name.is_empty() {
        return Err(Failure::new(Kind::Files, "project name must not be empty")
            .hint("write `name: shop` at the top of the file, or give it with --project-name"));
    }
    if normalise {
        let value = |name: &str| scope.environment.get(name).cloned();
        normalize::tree(&mut tree, name, &value);
    }
    Ok(tree)
}

/// The typed project of a normalised tree.
pub(crate) fn typed(session: &mut Session<'_>, tree: Node) -> Result<Project, Failure> {
    let (project, problems) = typed::project(tree, &mut session.warnings);
    session.found.add(problems, &session.sources)?;
    project.ok_or_else(|| session.found.failure())
}
