//! Connects: one file a verb. Opens the doors, decides nothing about the domain, turns the rooms' errors into
//! failures with a hint. The only room that reads the clock.

pub mod apply;
pub mod branch;
pub mod database;
pub mod doctor;
pub mod down;
pub mod engine;
pub mod environment;
pub mod explain;
pub mod failures;
pub mod files;
pub mod gateway;
pub mod generate;
pub mod hooks;
pub mod images;
pub mod init;
mod inputs;
mod keyfile;
pub mod lock;
pub mod look;
pub mod mask;
mod memory;
pub mod migrate;
pub mod modules;
pub mod official;
pub mod place;
pub mod pool;
mod ports;
pub mod run;
pub mod seed;
pub mod status;
pub mod stop;
mod support;
pub mod turn;
pub mod up;
pub mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::{Events, Failure, Kind, Place};
use crate::compose::{self, Loaded, Project};
use crate::engine::credentials::Credentials;
use crate::engine::endpoint::{self, Settings};
use crate::engine::{Engine, Lent, Scope, build};
use crate::machine::authorities;
use crate::plan::{Observed, names};
use crate::supabase::Stack;

/// What every command is given: where it was called, with what environment, and where its events go.
#[derive(Debug, Clone)]
pub struct Context {
    /// The directory the command was called in, or `-C`.
    pub directory: PathBuf,
    /// The environment's variables.
    pub environment: BTreeMap<String, String>,
    /// Which compose files, project and profiles.
    pub choice: Choice,
    /// Where events go.
    pub events: Events,
    /// How long to wait for another command on the same project.
    pub lock_timeout: Duration,
    /// Whether a warning about the files is an error.
    pub strict: bool,
    /// How the command was called, for others who have to wait for it.
    pub command_line: String,
    /// Whether it is to stop, and whether it may.
    pub stop: stop::Stop,
    /// Which environment it means; none before that is known, and for commands that mean none.
    pub standing: Option<environment::Standing>,
}

/// The options that choose a project.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// `-f`, as given.
    pub files: Vec<String>,
    /// `-p`.
    pub project: Option<String>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// `--env-file`.
    pub env_files: Vec<PathBuf>,
    /// `--images`: official ones, or those built from source.
    pub images: official::Images,
    /// For an environment beside the compose project itself: what sets it apart from that.
    pub apart: Option<Apart>,
}

/// What sets an environment apart from the compose project itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apart {
    /// What its name has behind the project's.
    pub suffix: String,
    /// The ports that it has instead of those that the file fixes ([`crate::lineage::Environment::ports`]).
    pub ports: BTreeMap<String, u16>,
}

impl Context {
    /// Reads the project; warnings are told as they are found.
    pub fn load(&self, targets: &[String]) -> Result<Loaded, Failure> {
        self.load_request(&self.request(targets))
    }

    /// The same for a request that differs.
    pub fn load_request(&self, request: &compose::Request) -> Result<Loaded, Failure> {
        let mut loaded = compose::load(request, &files::Disk)?;
        self.warn(std::mem::take(&mut loaded.warnings))?;
        Ok(loaded)
    }

    /// Reads the project and leaves its warnings to the caller.
    pub fn load_quietly(&self, targets: &[String]) -> Result<Loaded, Failure> {
        compose::load(&self.request(targets), &files::Disk)
    }

    /// Reads the project for a command that makes something of it, or shows what is made of it: besides the
    /// loader's warnings, keys without effect are told.
    pub fn load_judged(
        &self,
        request: &compose::Request,
        engine: Option<&Engine>,
    ) -> Result<Loaded, Failure> {
        let mut loaded = compose::load(request, &files::Disk)?;
        self.judge(&mut loaded, engine)?;
        Ok(loaded)
    }

    /// Reads the files without making a project of them, which leaves variables as they are written.
    pub fn load_model(&self, request: &compose::Request) -> Result<compose::Model, Failure> {
        let mut model = compose::load_model(request, &files::Disk)?;
        self.warn(std::mem::take(&mut model.warnings))?;
        Ok(model)
    }

    /// Tells warnings about the user's files; with `--strict` they are what the command fails with.
    fn warn(&self, warnings: Vec<Failure>) -> Result<(), Failure> {
        if self.strict && !warnings.is_empty() {
            return Err(Failure::all(warnings).hint("without `--strict` it would be a warning"));
        }
        for mut warning in warnings {
            for place in &mut warning.places {
                place.path = self.shown(&place.path);
            }
            self.events.warn(&warning);
        }
        Ok(())
    }

    /// What the loader is asked.
    #[must_use]
    pub fn request(&self, targets: &[String]) -> compose::Request {
        compose::Request {
            files: self.choice.files.clone(),
            project_name: self.choice.project.clone(),
            project_directory: self.choice.project_directory.clone(),
            profiles: self.choice.profiles.clone(),
            env_files: self.choice.env_files.clone(),
            targets: targets.to_vec(),
            own: environment::secrets::own(self),
            ..compose::Request::new(&self.directory, self.environment.clone())
        }
    }

    /// Connects to the engine that the environment names.
    pub async fn engine(&self) -> Result<Engine, Failure> {
        let (endpoint, docker) = engine::open(&self.engine_settings()).await?;
        let named = self.environment.get("SSL_CERT_FILE").map(Path::new);
        let lent = Lent {
            endpoint: build::Endpoint::from_host(&endpoint.host.to_string()).ok_or_else(|| {
                Failure::new(Kind::Unreachable, format!("{} takes no builds", endpoint.host))
            })?,
            ca_bundle: authorities::find(named, |path| std::fs::read_to_string(path))
                .map(|bundle| bundle.path),
            credentials: self.credentials()?,
        };
        Ok(Engine::new(docker, lent))
    }

    /// The engine, as the records name it.
    #[must_use]
    pub fn engine_name(&self) -> String {
        let endpoint = endpoint::resolve_here(&self.engine_settings());
        endpoint.map(|endpoint| endpoint.host.to_string()).unwrap_or_default()
    }

    /// Whether the engine publishes its ports on this very machine.
    #[must_use]
    pub fn engine_is_here(&self) -> bool {
        endpoint::resolve_here(&self.engine_settings()).is_ok_and(|endpoint| endpoint.host.is_local())
    }

    /// Logins of registries, from Docker's own settings.
    fn credentials(&self) -> Result<Credentials, Failure> {
        let home = self.environment.get("HOME").map(|home| PathBuf::from(home).join(".docker"));
        let directory = self.environment.get("DOCKER_CONFIG").map(PathBuf::from).or(home);
        let Some(path) = directory.map(|directory| directory.join("config.json")) else {
            return Ok(Credentials::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Credentials::parse(&text).map_err(|error| {
                Failure::new(Kind::Files, "Docker's settings cannot be read")
                    .at(Place::file(path))
                    .source(error)
            }),
            Err(_) => Ok(Credentials::default()),
        }
    }

    /// A path as the user would write it: relative to where the command was called, if it lies below.
    #[must_use]
    pub fn shown(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.directory).unwrap_or(path).to_path_buf()
    }

    /// The project's name where it is said outside of a compose file.
    #[must_use]
    pub fn named_project(&self) -> Option<String> {
        let variable = self.environment.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
        self.choice.project.clone().or_else(|| variable.cloned())
    }

    /// What the environment says about the engine.
    #[must_use]
    pub fn engine_settings(&self) -> Settings {
        let text = |name: &str| self.environment.get(name).filter(|value| !value.is_empty()).cloned();
        let path = |name: &str| text(name).map(PathBuf::from);
        Settings {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_config: path("DOCKER_CONFIG"),
            tls_verify: text("DOCKER_TLS_VERIFY"),
            cert_path: path("DOCKER_CERT_PATH"),
            home: path("HOME"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
        }
    }
}

/// The project that a command is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The project; only its name is known when there was no compose file to read.
    pub project: Project,
    /// The compose files, absolute; none when there was none to read.
    pub files: Vec<PathBuf>,
    /// The files of `--env-file`, absolute.
    pub env_files: Vec<PathBuf>,
    /// The Supabase-style stack that it is, if it is one.
    pub stack: Option<Stack>,
    /// Keys of the file that do not act on every engine.
    pub uses: Vec<compose::support::Use>,
}

impl Subject {
    /// Whether the compose file could be read, so that more than the name is known.
    #[must_use]
    pub fn is_written(&self) -> bool {
        !self.files.is_empty()
    }

    /// Fails when a service is named that the compose file does not have.
    pub fn knows(&self, services: &[String]) -> Result<(), Failure> {
        let known = |name: &String| self.project.all_services().any(|(known, _)| known == name);
        match services.iter().find(|name| self.is_written() && !known(name)) {
            Some(name) => Err(failures::no_service(name, &self.project)),
            None => Ok(()),
        }
    }
}

impl Context {
    /// The project of the compose file.
    pub fn subject(&self, targets: &[String]) -> Result<Subject, Failure> {
        self.subject_of(self.load(targets)?)
    }

    /// The same with the images that `--images`, the file, or the circumstances choose, for commands that make
    /// something of it: what has no effect, or none on this engine, is told.
    pub async fn subject_with_images(&self, engine: &Engine, targets: &[String]) -> Result<Subject, Failure> {
        let loaded = self.load_judged(&self.request(targets), Some(engine))?;
        self.subject_of(official::choose(self, engine, loaded, targets, self.choice.images).await?)
    }

    fn subject_of(&self, loaded: Loaded) -> Result<Subject, Failure> {
        let uses = compose::support::uses(&loaded.project, &loaded.places);
        let Loaded { mut project, files, env_files, places, .. } = loaded;
        self.set_apart(&mut project);
        let stack = match project.extensions.get("x-devenv") {
            Some(section) => {
                let services: Vec<&str> = project.all_services().map(|(name, _)| name.as_str()).collect();
                Stack::read(section, &services, &|path| places.at(path))?
            }
            None => None,
        };
        let gateway = crate::plan::gateway::read(&project).err().into_iter().flatten();
        let mistakes = gateway.chain(crate::plan::memory::read(&project).err().into_iter().flatten());
        let told: Vec<Failure> = mistakes
            .map(|mistake| {
                let mut failure = Failure::new(Kind::Files, mistake.why);
                failure.places.extend(places.at(&mistake.path));
                failure
            })
            .collect();
        if !told.is_empty() {
            return Err(Failure::all(told));
        }
        // The label names them only when they were chosen.
        let env_files = if self.choice.env_files.is_empty() { Vec::new() } else { env_files };
        Ok(Subject { project, files, env_files, stack, uses })
    }

    /// The project of the compose file; or, where there is none, a project that only has the name `-p` gave.
    pub fn subject_or_name(&self) -> Result<Subject, Failure> {
        self.subject(&[]).or_else(|failure| self.name_only(failure))
    }

    /// A project that only has the name `-p` gave, where `failure` says that there is no compose file.
    fn name_only(&self, failure: Failure) -> Result<Subject, Failure> {
        match self.named_project() {
            Some(name) if self.choice.files.is_empty() && failure.kind == Kind::Files => {
                let project = Project { name, ..Project::default() };
                Ok(Subject {
                    project,
                    files: Vec::new(),
                    env_files: Vec::new(),
                    stack: None,
                    uses: Vec::new(),
                })
            }
            _ => Err(failure),
        }
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX).saturating_add(wrong_by())
}

/// By how much the clock is wrong, in tests.
fn wrong_by() -> i64 {
    fail::fail_point!("clock", |seconds| seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(0));
    0
}

/// All that has to be looked at for a project.
#[must_use]
pub fn scope(project: &Project) -> Scope {
    Scope {
        project: project.name.clone(),
        images: names::images(project).map(|(_, image)| image).collect(),
        networks: project.networks.values().map(|network| network.name.clone()).collect(),
        volumes: project.volumes.values().map(|volume| volume.name.clone()).collect(),
    }
}

/// What the engine holds for a project.
pub async fn observe(engine: &Engine, project: &Project) -> Result<Observed, Failure> {
    engine.observe(&scope(project)).await.map_err(failures::engine)
}
