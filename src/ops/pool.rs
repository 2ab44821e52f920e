//! The pool at the engine: found, made on first use, and talked to through its keeper.
//!
//! A pool is a folder of the engine's machine with a file in it, a file system in that file, a volume by which the
//! engine mounts it, and the keeper, a container that works on it. All of them have names that begin with the pool's.
//! Only the folder holds anything: all else is made again whenever it is missing, as after a restart of the machine.
//!
//! The folder lies below the engine's own root, where there is room for data, but in no volume: `docker system prune
//! --volumes` takes every volume that no container uses at the moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;

use super::{Context, failures};
use crate::base::{Event, Failure, Kind};
use crate::engine::own::{LABEL, Own};
use crate::engine::{Bindings, Engine};
use crate::lineage::{Manifest, Project};
use crate::machine::own;
use crate::plan::labels;
use crate::plan::observed::State;
use crate::storage::client::Client;
use crate::storage::image;
use crate::storage::protocol::{Ask, Driver, Outcome, Status, VERSION};
use crate::storage::{Refusal, StorageError};

const DRIVER: &str = "dev.devenv.pool.driver";
const KEEPER_VERSION: &str = "dev.devenv.keeper.version";
const REPOSITORY: &str = "devenv.local/keeper";
/// Where the pool's folder is in its containers, its file, and the file system.
const FOLDER: &str = "/file";
const FILE: &str = "/file/pool.img";
const ROOT: &str = "/pool";

/// What a new pool is to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// How it copies; none for the best that this engine allows.
    pub driver: Option<Driver>,
    /// Its size in bytes; none for one chosen from what is free.
    pub size: Option<u64>,
}

/// A pool that answers.
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How it copies.
    pub driver: Driver,
    /// Who is asked.
    pub client: Client,
    /// Its content, as the engine sees paths.
    root: String,
    /// Which keeper it is: another one whenever the pool was mounted anew.
    pub keeper: String,
}

impl Pool {
    /// The folder that a volume of an environment is bound to, as the engine sees paths.
    #[must_use]
    pub fn device(&self, environment: &str, volume: &str) -> String {
        format!("{}/live/{environment}/{volume}", self.root)
    }

    /// The folder of data, as the keeper sees paths.
    #[must_use]
    pub fn inside(&self, id: &str) -> String {
        format!("{ROOT}/data/{id}")
    }

    /// To what the volumes of an environment with these keys are bound.
    pub fn bindings<'a>(&self, environment: &str, keys: impl IntoIterator<Item = &'a String>) -> Bindings {
        let folder = |key: &String| (key.clone(), self.device(environment, key));
        Bindings { folders: keys.into_iter().map(folder).collect(), keeper: self.keeper.clone() }
    }

    /// Asks what has no progress to tell.
    pub async fn ask(&self, ask: Ask) -> Result<Outcome, Failure> {
        self.client.ask(ask, |_, _| ()).await.map_err(failures::storage)
    }

    /// Takes data away for good; what is not there is as good as gone.
    pub async fn remove(&self, id: &str) -> Result<(), Failure> {
        match self.client.ask(Ask::Remove { id: id.to_owned() }, |_, _| ()).await {
            Ok(_) | Err(StorageError::Refused(Refusal::Missing(_))) => Ok(()),
            Err(error) => Err(failures::storage(error)),
        }
    }

    /// What has to be mounted to work on the pool: volume or folder, path inside, read-only.
    #[must_use]
    pub fn volumes(&self) -> Vec<(String, String, bool)> {
        let source = match self.driver {
            Driver::Copy => self.root.clone(),
            _ => Names::of(&self.name).mount,
        };
        vec![(source, ROOT.to_owned(), false)]
    }

    /// Asks what may take long, and tells how far it is.
    pub async fn ask_telling(&self, context: &Context, subject: &str, ask: Ask) -> Result<Outcome, Failure> {
        let told = |done: u64, total: u64| {
            context.events.tell(Event::Progress {
                subject: subject.to_owned(),
                detail: "copying".to_owned(),
                done: Some(done),
                total: Some(total),
            });
        };
        self.client.ask(ask, told).await.map_err(failures::storage)
    }
}

/// What `__keeper attach` says.
#[derive(Debug, Deserialize)]
struct Attached {
    device: String,
    created: bool,
}

/// The engine's objects of one pool, by name.
struct Names {
    pool: String,
    mount: String,
    keeper: String,
}

impl Names {
    fn of(pool: &str) -> Self {
        Self { pool: pool.to_owned(), mount: format!("{pool}-mount"), keeper: format!("{pool}-keeper") }
    }
}

/// What there is of a pool, for who looks at the machine and changes nothing.
#[derive(Debug)]
pub enum Found {
    /// Its keeper answers.
    Answers(Status),
    /// It is there, and its keeper does not run.
    Asleep,
    /// It cannot be asked; why.
    Silent(String),
}

/// Looks at the pool `name`, if there is one, and leaves it asleep if it sleeps.
pub async fn look(engine: &Engine, name: &str) -> Option<Found> {
    let names = Names::of(name);
    let found = match talk(engine, &names).await {
        Ok(Some(pool)) => pool.client.status().await.map_err(failures::storage).map(Found::Answers),
        Ok(None) => match engine.own_volume(&names.mount).await.map_err(failures::engine) {
            Ok(None) => return None,
            Ok(Some(_)) => Ok(Found::Asleep),
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    };
    Some(found.unwrap_or_else(|failure| Found::Silent(failure.to_string())))
}

impl Context {
    /// The pool's name: one for a machine, unless the environment says otherwise.
    #[must_use]
    pub fn pool_name(&self) -> String {
        let named = self.environment.get("DEVENV_POOL").filter(|name| !name.is_empty());
        named.cloned().unwrap_or_else(|| "devenv-pool".to_owned())
    }

    /// Whether there seems to be a pool, at the cost of one question. One whose volume was pruned away is missed.
    pub async fn seems_to_have_pool(&self, engine: &Engine) -> Result<bool, Failure> {
        let names = Names::of(&self.pool_name());
        Ok(engine.own_volume(&names.mount).await.map_err(failures::engine)?.is_some())
    }

    /// The pool, if there is one: awake, mounted, and answering.
    pub async fn pool(&self, engine: &Engine) -> Result<Option<Pool>, Failure> {
        let names = Names::of(&self.pool_name());
        if let Some(pool) = talk(engine, &names).await? {
            return Ok(Some(pool));
        }
        let _lock = self.lock_pool(&names.pool).await?;
        match find(self, engine, &names).await? {
            Some(driver) => wake(self, engine, &names, driver).await.map(Some),
            None => Ok(None),
        }
    }

    /// The pool, made if there is none.
    pub async fn pool_or_create(&self, engine: &Engine, wanted: &Wanted) -> Result<Pool, Failure> {
        let names = Names::of(&self.pool_name());
        if let Some(pool) = talk(engine, &names).await? {
            return Ok(pool);
        }
        // Another command may make it while this one waits.
        let _lock = self.lock_pool(&names.pool).await?;
        match find(self, engine, &names).await? {
            Some(driver) => wake(self, engine, &names, driver).await,
            None => create(self, engine, &names, wanted).await,
        }
    }
}

/// How full the pool is.
pub async fn status(context: &Context) -> Result<Status, Failure> {
    existing(context).await?.client.status().await.map_err(failures::storage)
}

/// Makes the pool before anything needs it.
pub async fn create_now(context: &Context, wanted: &Wanted) -> Result<Status, Failure> {
    let engine = context.engine().await?;
    if context.pool(&engine).await?.is_some() {
        let name = context.pool_name();
        return Err(Failure::new(Kind::Conflict, format!("there is a pool `{name}` already"))
            .hint("`devenv pool grow SIZE` makes it larger"));
    }
    let pool = context.pool_or_create(&engine, wanted).await?;
    pool.client.status().await.map_err(failures::storage)
}

/// Makes the pool larger.
pub async fn grow(context: &Context, bytes: u64) -> Result<Status, Failure> {
    let pool = existing(context).await?;
    let _lock = context.lock_pool(&pool.name).await?;
    pool.ask(Ask::Grow { bytes }).await?;
    pool.client.status().await.map_err(failures::storage)
}

/// Who has something in the pool, for a person who is about to delete it: names of projects, and how much each has.
pub async fn inhabitants(context: &Context) -> Result<BTreeMap<String, usize>, Failure> {
    let items = existing(context).await?.client.list().await.map_err(failures::storage)?;
    let mut found = BTreeMap::new();
    for item in items {
        let project = item.manifest.and_then(|it| Some(it.get("project")?.get("name")?.as_str()?.to_owned()));
        *found.entry(project.unwrap_or_else(|| "somebody else".to_owned())).or_default() += 1;
    }
    Ok(found)
}

/// The projects that have data in a pool.
async fn projects(pool: &Pool) -> Result<Vec<Project>, Failure> {
    let items = pool.client.list().await.map_err(failures::storage)?;
    let manifests =
        items.into_iter().filter_map(|item| serde_json::from_value::<Manifest>(item.manifest?).ok());
    let by_id: BTreeMap<String, Project> =
        manifests.map(|manifest| (manifest.project.id.clone(), manifest.project)).collect();
    Ok(by_id.into_values().collect())
}

/// Takes the pool away with all that is in it, and what the engine has of it.
pub async fn delete(context: &Context) -> Result<(), Failure> {
    let engine = context.engine().await?;
    let names = Names::of(&context.pool_name());
    let _lock = context.lock(&names.pool).await?;
    let pool = existing(context).await?;
    let projects = projects(&pool).await?;
    let bound = engine.volumes_with(labels::BOUND).await.map_err(failures::engine)?;
    let mut ours = Vec::new();
    for name in bound {
        let volume = engine.own_volume(&name).await.map_err(failures::engine)?;
        let device = volume.and_then(|volume| volume.options.get("device").cloned()).unwrap_or_default();
        if !device.starts_with(&format!("{}/", pool.root)) {
            continue;
        }
        if !engine.users_of(&name).await.map_err(failures::engine)?.is_empty() {
            return Err(Failure::new(
                Kind::Conflict,
                format!("containers have `{name}` mounted, whose data it is"),
            )
            .hint("take them away first: `devenv down` in that project"));
        }
        ours.push(name);
    }
    let image = program_image(context, &engine).await?;
    drop(pool);
    engine.remove_container(&names.keeper, false).await.map_err(failures::engine)?;
    for name in ours.iter().chain([&names.mount]) {
        engine.forget_volume(name).await.map_err(failures::engine)?;
    }
    let place = folder(&engine, &names).await?;
    let parent = place.strip_suffix(&format!("/{}", names.pool)).unwrap_or(&place).to_owned();
    let own = Own {
        name: format!("{}-clear", names.pool),
        image,
        arguments: ["__keeper", "clear", "--folder", &format!("{FOLDER}/{}", names.pool)]
            .map(str::to_owned)
            .into(),
        volumes: vec![(parent, FOLDER.to_owned(), false)],
        devices: true,
        files: true,
        ..Own::default()
    };
    match engine.run_own(&own, |_| ()).await.map_err(failures::engine)? {
        // What has no data any more is no record either.
        (0, _, _) if context.has_catalogue() => {
            let catalogue = context.opened_catalogue().await?.catalogue;
            catalogue.replace(&projects, &BTreeMap::new(), 0).await.map_err(failures::catalogue)
        }
        (0, _, _) => Ok(()),
        (_, _, said) => {
            Err(Failure::new(Kind::Storage, format!("the pool `{}`: {}", names.pool, said.trim())))
        }
    }
}

/// What is wrong with the pool.
pub async fn check(context: &Context) -> Result<Vec<String>, Failure> {
    existing(context).await?.client.check().await.map_err(failures::storage)
}

async fn existing(context: &Context) -> Result<Pool, Failure> {
    let engine = context.engine().await?;
    context.pool(&engine).await?.ok_or_else(|| {
        Failure::new(Kind::Storage, format!("there is no pool `{}`", context.pool_name()))
            .hint("it makes itself on first use, by `devenv db branch create` for example")
    })
}

/// Talks to the keeper, if it runs and is of this version.
async fn talk(engine: &Engine, names: &Names) -> Result<Option<Pool>, Failure> {
    let found = engine.containers_with(&format!("{LABEL}=keeper")).await.map_err(failures::engine)?;
    let Some(keeper) = found.into_iter().find(|container| container.name == names.keeper) else {
        return Ok(None);
    };
    let label = |key: &str| keeper.labels.get(key).map(String::as_str);
    let version: u32 = label(KEEPER_VERSION).and_then(|version| version.parse().ok()).unwrap_or(0);
    if version > VERSION {
        return Err(Failure::new(
            Kind::Conflict,
            format!("the pool `{}` is kept by a newer devenv than this one", names.pool),
        )
        .hint("use that one, or upgrade this one"));
    }
    let driver = label(DRIVER).and_then(driver_of);
    let mounted = keeper.mounts.iter().find(|mount| mount.target == ROOT);
    let (Some(driver), Some(mounted)) = (driver, mounted) else { return Ok(None) };
    if keeper.state != State::Running || version < VERSION {
        return Ok(None);
    }
    let talk = engine.talk(&keeper.id).await.map_err(failures::engine)?;
    let client = Client::new(talk.hear, talk.say);
    Ok(Some(Pool {
        name: names.pool.clone(),
        driver,
        client,
        root: mounted.source.clone(),
        keeper: keeper.short_id().to_owned(),
    }))
}

/// How the pool copies, if there is one. The volume says so, and where that was pruned away, the folder does.
async fn find(context: &Context, engine: &Engine, names: &Names) -> Result<Option<Driver>, Failure> {
    if let Some(volume) = engine.own_volume(&names.mount).await.map_err(failures::engine)? {
        let driver = volume.labels.get(DRIVER).and_then(|word| driver_of(word)).ok_or_else(|| {
            Failure::new(Kind::Conflict, format!("the volume `{}` is no pool of devenv's", names.mount))
                .hint("let DEVENV_POOL name another one")
        })?;
        return Ok(Some(driver));
    }
    let image = program_image(context, engine).await?;
    let own = Own {
        name: format!("{}-find", names.pool),
        image,
        arguments: ["__keeper", "find", "--folder", FOLDER].map(str::to_owned).into(),
        volumes: vec![(folder(engine, names).await?, FOLDER.to_owned(), true)],
        ..Own::default()
    };
    // Of a command that was killed.
    engine.remove_container(&own.name, false).await.map_err(failures::engine)?;
    match engine.run_own(&own, |_| ()).await {
        Err(error) if error.is_missing_folder() => Ok(None),
        Err(error) => Err(failures::engine(error)),
        Ok((0, out, _)) => serde_json::from_str(&out).map_err(not_understood),
        Ok((_, _, said)) => Err(pool_failure(names, &said)),
    }
}

/// The folder that holds the pool, on the engine's machine.
async fn folder(engine: &Engine, names: &Names) -> Result<String, Failure> {
    let root = engine.root().await.map_err(failures::engine)?;
    Ok(format!("{}/devenv/{}", root.trim_end_matches('/'), names.pool))
}

fn not_understood(error: serde_json::Error) -> Failure {
    Failure::new(Kind::Storage, "the keeper said what was not understood").source(error)
}

/// What a container of ours said of the pool's file.
fn pool_failure(names: &Names, said: &str) -> Failure {
    Failure::new(Kind::Storage, format!("the pool `{}`: {}", names.pool, said.trim()))
        .hint("nothing was made in its place, and nothing was started")
}

fn driver_of(word: &str) -> Option<Driver> {
    [Driver::Btrfs, Driver::Reflink, Driver::Copy].into_iter().find(|driver| driver.word() == word)
}

/// Makes the volume of a pool, and the file in it.
async fn create(context: &Context, engine: &Engine, names: &Names, wanted: &Wanted) -> Result<Pool, Failure> {
    let began = Instant::now();
    context
        .events
        .tell(Event::Started { subject: names.pool.clone(), doing: "creating the pool".to_owned() });
    let image = program_image(context, engine).await?;
    let choices = match wanted.driver {
        Some(driver) => vec![driver],
        // A snapshot of btrfs takes the same time whatever is in it. XFS shares extent by extent, and a database that
        // is written to after a copy has two more for every page of it: 470,000 of them took 12 s. A server that
        // waits for each commit is faster on XFS. A plain folder has no size of its own.
        None if wanted.size.is_some() => vec![Driver::Btrfs, Driver::Reflink],
        None => vec![Driver::Btrfs, Driver::Reflink, Driver::Copy],
    };
    let mut refused: Vec<String> = Vec::new();
    for driver in choices {
        // Whether the engine's kernel has the file system shows when it mounts it, for the keeper.
        let mut is_new = false;
        let made = match create_with(engine, names, &image, driver, wanted.size, &mut is_new).await {
            Ok(()) => wake(context, engine, names, driver).await,
            Err(failure) => Err(failure),
        };
        match made {
            Ok(pool) => {
                let why =
                    if refused.is_empty() { String::new() } else { format!(" ({})", refused.join("; ")) };
                let outcome = format!("made with driver {}{why}", driver.word());
                context.events.tell(Event::Done {
                    subject: names.pool.clone(),
                    outcome,
                    took: began.elapsed(),
                });
                return Ok(pool);
            }
            Err(failure) => {
                engine.remove_container(&names.keeper, false).await.map_err(failures::engine)?;
                engine.forget_volume(&names.mount).await.map_err(failures::engine)?;
                if is_new {
                    // Nobody has anything in it yet. A loop device would keep the file's blocks after it is gone.
                    let _ = run_on_file(engine, names, &image, "detach", &["--remove".to_owned()]).await;
                }
                // A full disk is full for every driver.
                if failure.kind == Kind::Unreachable || wanted.driver.is_some() || driver == Driver::Copy {
                    return Err(failure);
                }
                refused.push(format!("not {}: {failure}", driver.word()));
            }
        }
    }
    Err(Failure::new(Kind::Storage, format!("no pool of that size can be made here: {}", refused.join("; ")))
        .hint("without --size, or with `--driver copy`, the data is copied byte by byte into a plain folder"))
}

/// The same with one driver; says whether the pool's file was made just now.
async fn create_with(
    engine: &Engine,
    names: &Names,
    image: &str,
    driver: Driver,
    size: Option<u64>,
    is_new: &mut bool,
) -> Result<(), Failure> {
    if driver == Driver::Copy {
        let folder = folder(engine, names).await?;
        let device = folder.clone();
        let arguments = ["__keeper", "find", "--folder", FOLDER].map(str::to_owned).into();
        let own = Own {
            name: format!("{}-find", names.pool),
            image: image.to_owned(),
            arguments,
            folder: Some((folder, FOLDER.to_owned())),
            ..Own::default()
        };
        let (code, _, said) = engine.run_own(&own, |_| ()).await.map_err(failures::engine)?;
        if code != 0 {
            return Err(pool_failure(names, &said));
        }
        return mount_volume(engine, names, driver, &device).await;
    }
    let mut words = vec!["--create".to_owned(), "--driver".to_owned(), driver.word().to_owned()];
    words.extend(size.into_iter().flat_map(|size| ["--size".to_owned(), size.to_string()]));
    let attached = attach(engine, names, image, &words).await?;
    *is_new = attached.created;
    if !attached.created {
        return Err(Failure::new(Kind::Conflict, format!("there is a pool `{}` already", names.pool)));
    }
    mount_volume(engine, names, driver, &attached.device).await
}

/// Attaches the pool's file to a loop device; says which.
async fn attach(engine: &Engine, names: &Names, image: &str, words: &[String]) -> Result<Attached, Failure> {
    let out = run_on_file(engine, names, image, "attach", words).await?;
    serde_json::from_str(&out).map_err(not_understood)
}

/// Lets a container of ours do something with the pool's file; gives what it said.
async fn run_on_file(
    engine: &Engine,
    names: &Names,
    image: &str,
    act: &str,
    words: &[String],
) -> Result<String, Failure> {
    let mut arguments: Vec<String> = ["__keeper", act, "--file", FILE].map(str::to_owned).into();
    arguments.extend_from_slice(words);
    let name = format!("{}-{act}", names.pool);
    // Of a command that was killed.
    engine.remove_container(&name, false).await.map_err(failures::engine)?;
    let place = folder(engine, names).await?;
    let mut own = Own { name, image: image.to_owned(), arguments, devices: true, ..Own::default() };
    if words.iter().any(|word| word == "--create") {
        own.folder = Some((place, FOLDER.to_owned()));
    } else {
        own.volumes = vec![(place, FOLDER.to_owned(), false)];
    }
    match engine.run_own(&own, |_| ()).await {
        Ok((0, out, _)) => Ok(out),
        Ok((_, _, said)) => Err(pool_failure(names, &said)),
        Err(error) if error.is_missing_folder() => Err(pool_failure(names, "its folder is gone")),
        Err(error) => Err(failures::engine(error)),
    }
}

/// The volume by which the engine mounts the pool. It names a loop device, which has another number after a restart
/// of the machine, so it is made again each time.
async fn mount_volume(engine: &Engine, names: &Names, driver: Driver, device: &str) -> Result<(), Failure> {
    engine.remove_volume(&names.mount).await.map_err(failures::engine)?;
    // A plain folder needs no volume; there is one all the same, so that one question tells whether there is a pool.
    let (kind, options) = image::options(driver).unwrap_or(("none", "bind"));
    let options = [("type", kind), ("device", device), ("o", options)];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let labels = BTreeMap::from([
        (LABEL.to_owned(), "mount".to_owned()),
        (DRIVER.to_owned(), driver.word().to_owned()),
    ]);
    engine.create_own_volume(&names.mount, &labels, &options).await.map_err(failures::engine)?;
    Ok(())
}

/// Starts the keeper of a pool that is there, under the pool's lock.
async fn wake(context: &Context, engine: &Engine, names: &Names, driver: Driver) -> Result<Pool, Failure> {
    if let Some(pool) = talk(engine, names).await? {
        return Ok(pool);
    }
    let image = program_image(context, engine).await?;
    // Of an earlier start of the machine, or of an older devenv.
    engine.remove_container(&names.keeper, false).await.map_err(failures::engine)?;
    let mut arguments: Vec<String> =
        ["__keeper", "serve", "--stay", "--root", ROOT, "--driver", driver.word()].map(str::to_owned).into();
    let mut volumes = Vec::new();
    let folder = folder(engine, names).await?;
    if driver == Driver::Copy {
        volumes.push((folder, ROOT.to_owned(), false));
    } else {
        let device = attach(engine, names, &image, &[]).await?.device;
        mount_volume(engine, names, driver, &device).await?;
        arguments.extend(["--file".to_owned(), FILE.to_owned()]);
        volumes.push((names.mount.clone(), ROOT.to_owned(), false));
        volumes.push((folder, FOLDER.to_owned(), false));
    }
    let labels = [
        (LABEL, "keeper".to_owned()),
        (DRIVER, driver.word().to_owned()),
        (KEEPER_VERSION, VERSION.to_string()),
    ];
    let keeper = Own {
        name: names.keeper.clone(),
        image,
        arguments,
        labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        volumes,
        devices: driver != Driver::Copy,
        files: true,
        ..Own::default()
    };
    let id = match engine.create_own(&keeper).await {
        Err(error) if error.is_missing_folder() => return Err(pool_failure(names, "its folder is gone")),
        answer => answer.map_err(failures::engine)?,
    };
    engine.start(&id).await.map_err(|error| {
        failures::engine(error)
            .hint("`devenv pool check` looks at the pool's file")
            .hint("`devenv doctor` looks at the engine")
    })?;
    let pool = talk(engine, names).await?.ok_or_else(|| {
        Failure::new(Kind::Storage, format!("the keeper of the pool `{}` ended at once", names.pool))
    })?;
    tokio::time::timeout(PATIENCE, pool.ask(Ask::Status)).await.map_err(|_| {
        Failure::new(Kind::Storage, format!("the keeper of the pool `{}` does not answer", names.pool))
    })??;
    Ok(pool)
}

/// How long a keeper may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(20);

/// The image that holds this program.
pub(super) async fn program_image(context: &Context, engine: &Engine) -> Result<String, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::new(Kind::Failed, "devenv cannot read its own program").source(error)
    };
    let program = own::program().map_err(cannot)?;
    let name = format!("{REPOSITORY}:{}", program.build);
    if !engine.has_image(&name).await.map_err(failures::engine)? {
        let subject = "keeper";
        context
            .events
            .tell(Event::Started { subject: subject.to_owned(), doing: "making its image".to_owned() });
        let began = Instant::now();
        let tar = tokio::task::spawn_blocking(move || program.tar("devenv")).await;
        let tar = tar.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(cannot)?;
        let tree = stream::iter([Ok(Bytes::from(tar))]);
        engine.import_program(&name, tree).await.map_err(failures::engine)?;
        // Another devenv may have made one that it has not used yet.
        if let Err(error) = engine.forget_old_programs(super::now(), 3600).await {
            tracing::debug!(%error, "images of an earlier devenv stay");
        }
        let outcome = "its image is made".to_owned();
        context.events.tell(Event::Done { subject: subject.to_owned(), outcome, took: began.elapsed() });
    }
    Ok(name)
}
