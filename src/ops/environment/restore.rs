//! `env restore`: an environment out of a file that `env archive` wrote, in this project's folder or in an empty one, on
//! this machine or another.
//!
//! The file is read to its end and judged before anything is made; then its data becomes a branch, and the branch an
//! environment.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use tokio_util::io::SyncIoBridge;

use super::archive::Meter;
use super::packing::{self, Found, Trouble};
use super::{Words, make, records, resolve};
use crate::base::{Event, Failure, Kind, Place, size};
use crate::lineage::archive::Manifest;
use crate::lineage::which::label;
use crate::lineage::{Branch, Changes, Record, State};
use crate::ops::branch::{Branches, adopt, failpoint, new_id, now};
use crate::ops::{Context, failures, gateway, place};
use crate::storage::protocol::Ask;

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The context of the environment.
    pub context: Context,
    /// What the archive was.
    pub manifest: Manifest,
    /// Bytes of the files of its volumes.
    pub bytes: u64,
    /// The branch of the data that it works on, by name; none where it has no data.
    pub branch: Option<String>,
    /// Files of the project that were written.
    pub written: Vec<String>,
    /// Files of the project that are there already, and are not as in the archive.
    pub differ: Vec<String>,
}

/// What stands in an archive; a failure where it is not whole.
pub async fn look(context: &Context, file: &Path) -> Result<(Manifest, u64), Failure> {
    let found = judge(context, file).await?;
    Ok((found.manifest, found.bytes))
}

async fn judge(context: &Context, file: &Path) -> Result<Found, Failure> {
    let path = context.directory.join(file);
    let events = context.events.clone();
    let meter = Meter::begin(&events, "archive", "checking", None);
    let told = meter.counts();
    let shown = path.clone();
    let read = move || packing::read(&path, None, told);
    let read = tokio::task::spawn_blocking(read).await;
    drop(meter);
    read.unwrap_or_else(|error| Err(io::Error::other(error).into())).map_err(cannot(&shown))
}

fn cannot(file: &Path) -> impl FnOnce(Trouble) -> Failure {
    let file = file.to_owned();
    move |trouble| {
        let refused = matches!(trouble, Trouble::Refused(_));
        let (kind, message) = if refused {
            (Kind::Data, "this archive is not let in: nothing was made of it")
        } else {
            (Kind::Failed, "the archive cannot be read")
        };
        Failure::new(kind, message).at(Place::file(&file)).source(trouble)
    }
}

/// Makes an environment of an archive, called as it was or as `name` says.
pub async fn restore(context: &Context, file: &Path, name: Option<&str>) -> Result<Restored, Failure> {
    let found = judge(context, file).await?;
    let (written, differ) = write_files(context, &found)?;
    // The project may be there only now.
    let here = resolve(context, Words::default()).await?;
    let standing = here.standing()?.clone();
    let manifest = &found.manifest;
    let wanted = match name {
        Some(name) => label(name),
        None if manifest.default => standing.default.clone(),
        None => label(&manifest.environment),
    };
    let own = standing.name_of(&wanted);
    let all = records(&here, &standing.folder).await?;
    let is_default = own == standing.base;
    let taken = all.iter().any(|it| it.name == own && (it.state == State::Ready || !is_default));
    if taken && !is_default {
        return Err(Failure::new(Kind::Conflict, format!("there is an environment `{wanted}` already"))
            .hint("`--as NAME` gives it another name")
            .hint("one that was destroyed is there for seven days: `devenv env undelete` has it back"));
    }
    let base = here.in_environment(&standing, all.iter().find(|it| it.name == standing.base), &standing.base);
    let mut branches = Branches::change(&base).await?;
    if is_default && branches.lineage.current(&branches.environment).is_some() {
        return Err(Failure::new(
            Kind::Conflict,
            format!("environment `{wanted}` has data already, and the archive would take its place"),
        )
        .hint("`--as NAME` makes another environment of it"));
    }
    let mut branch = None;
    if !manifest.volumes.is_empty() {
        let called = free_name(
            &branches,
            if is_default { manifest.branch.as_deref().unwrap_or(&wanted) } else { &wanted },
        );
        adopt::adopt(&mut branches, Some(&called)).await?;
        branch = Some(bring(&mut branches, &found, &context.directory.join(file), called).await?);
    }
    let ready = if is_default {
        if let Some(branch) = &branch {
            branches.turn_to(branch).await?;
        }
        drop(branches);
        base
    } else {
        drop(branches);
        let mut there = here.in_environment(&standing, None, &own);
        if let Some(it) = &mut there.standing {
            // It follows its git branch again where there is one of that name.
            let has =
                |name: &String| standing.repository.as_ref().is_some_and(|found| found.has_branch(name));
            it.git = manifest.git.clone().filter(|git| name.is_none() && has(git));
        }
        let data = match &branch {
            Some(branch) => make::Data::Standing(branch.name.clone()),
            None => make::Data::Empty,
        };
        let options = make::Options { from: Some(standing.default.clone()), data, ttl: None };
        let made = make::make(&there, &options).await?;
        make::tell(&there, &made);
        here.in_environment(&standing, Some(&made.record), &own)
    };
    gateway::tell(&ready).await;
    let Found { manifest, bytes, .. } = found;
    Ok(Restored {
        context: ready,
        manifest,
        bytes,
        branch: branch.map(|branch| branch.name),
        written,
        differ,
    })
}

/// A name for the branch that nobody has.
fn free_name(branches: &Branches<'_>, wanted: &str) -> String {
    let mut name = wanted.to_owned();
    let mut number = 1_u32;
    while branches.lineage.free_branch_name(&name).is_err() {
        number += 1;
        name = format!("{wanted}-{number}");
    }
    name
}

/// Makes a branch of the archive's data.
async fn bring(
    branches: &mut Branches<'_>,
    found: &Found,
    file: &Path,
    name: String,
) -> Result<Branch, Failure> {
    let pool = branches.pool().await?;
    let status = pool.client.status().await.map_err(failures::storage)?;
    if status.free < status.floor.saturating_add(found.bytes) {
        return Err(Failure::new(
            Kind::Storage,
            format!(
                "the archive holds {} of data; the pool has {} free, of which {} have to stay so",
                size::bytes(found.bytes),
                size::bytes(status.free),
                size::bytes(status.floor)
            ),
        )
        .hint("`devenv pool grow SIZE` makes it larger"));
    }
    let id = new_id()?;
    let detail = json!({ "branch": id });
    // What recovers from a branch that was cut off takes this away too.
    let intent = branches.begin("branch create", detail).await?;
    failpoint!("env:restore:begun");
    let branch = Branch {
        volumes: found.manifest.volumes.clone(),
        sequence: intent.sequences().start,
        ..Branch::new(id.clone(), &branches.project, &name, now())
    };
    let work = async {
        let manifest = branches.manifest(Record::Branch(branch.clone()));
        let pool = branches.pool().await?;
        pool.ask(Ask::Make { id: id.clone(), folders: branch.volumes.clone(), manifest }).await?;
        failpoint!("env:restore:made");
        unpack(branches, found, file, &id).await?;
        failpoint!("env:restore:unpacked");
        pool.ask(Ask::Sync).await?;
        branches.settle(&branch).await
    };
    if let Err(failure) = work.await {
        // If that fails too, the next command does it.
        let _ = branches.take_back(intent, &[id]).await;
        return Err(failure);
    }
    let changes = Changes { put_branches: vec![branch.clone()], ..Changes::default() };
    branches.finish(intent, &changes).await?;
    failpoint!("env:restore:committed");
    Ok(branch)
}

async fn unpack(branches: &Branches<'_>, found: &Found, file: &Path, id: &str) -> Result<(), Failure> {
    let pool = branches.pool().await?;
    let events = branches.context.events.clone();
    let subject = format!("branch of {}", found.manifest.environment);
    let began = Instant::now();
    let meter = Meter::begin(&events, &subject, "unpacking", Some(found.bytes));
    let told = meter.counts();
    let (writer, reader) = tokio::io::duplex(256 * 1024);
    let path = file.to_owned();
    let packed = tokio::task::spawn_blocking(move || -> Result<Found, Trouble> {
        let mut bridge = SyncIoBridge::new(writer);
        let found = {
            let mut out = tar::Builder::new(&mut bridge as &mut dyn Write);
            let found = packing::read(&path, Some(&mut out), told)?;
            out.finish()?;
            found
        };
        bridge.shutdown()?;
        Ok(found)
    });
    let sent = branches.engine.upload(&pool.keeper, &pool.inside(id), reader).await;
    let packed = packed.await.unwrap_or_else(|error| Err(io::Error::other(error).into()));
    drop(meter);
    // What is wrong with the file ends what is sent, too.
    let again = match (packed, sent) {
        (Err(refused @ Trouble::Refused(_)), _) => return Err(cannot(file)(refused)),
        (_, Err(error)) => return Err(failures::engine(error)),
        (Err(trouble), Ok(())) => return Err(cannot(file)(trouble)),
        (Ok(again), Ok(())) => again,
    };
    if again.seal != found.seal {
        return Err(
            Failure::new(Kind::Conflict, "the archive was changed while it was read").at(Place::file(file))
        );
    }
    events.tell(Event::Done { subject, outcome: "unpacked".to_owned(), took: began.elapsed() });
    Ok(())
}

/// Writes the project's files that are not there; says which, and which are there and differ.
fn write_files(context: &Context, found: &Found) -> Result<(Vec<String>, Vec<String>), Failure> {
    let folder: PathBuf = match context.load_quietly(&[]) {
        Ok(loaded) => loaded.project.working_dir,
        Err(failure) if failure.kind == Kind::Files && !has_compose_file(context) => {
            context.directory.clone()
        }
        Err(failure) => return Err(failure),
    };
    let (mut written, mut differ) = (Vec::new(), Vec::new());
    for (name, content) in &found.files {
        let path = folder.join(name);
        let failed = |error: io::Error| {
            Failure::new(Kind::Files, "this cannot be written")
                .at(Place::file(context.shown(&path)))
                .source(error)
        };
        match fs::read(&path) {
            Ok(there) if there == *content => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
                if let Some(above) = path.parent() {
                    fs::create_dir_all(above).map_err(failed)?;
                }
                // It may hold secrets, as the archive does.
                place::write_private(&path, content).map_err(failed)?;
                written.push(name.clone());
            }
            Ok(_) | Err(_) => differ.push(name.clone()),
        }
    }
    Ok((written, differ))
}

fn has_compose_file(context: &Context) -> bool {
    !context.choice.files.is_empty()
        || ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"]
            .iter()
            .any(|name| context.directory.join(name).exists())
}
