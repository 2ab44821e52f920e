//! `env archive`: an environment in one file, its project's files, what the records say of it, and its data as of one
//! instant.
//!
//! The data is frozen as for a snapshot, in a moment, and read from that; what the intent names is taken away again,
//! also after a kill. The file has its name only when it is whole.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::io::SyncIoBridge;

use super::packing::{Packing, Trouble};
use crate::base::{Event, Events, Failure, Kind, Place};
use crate::lineage::archive::{LONGEST, Manifest, VERSION};
use crate::lineage::{Branch, Reason, Record, Snapshot, State};
use crate::ops::branch::capture::Capture;
use crate::ops::branch::{Branches, failpoint, new_id, now};
use crate::ops::{Context, Subject, failures};

/// Files by their paths below the project's folder.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// What was written.
#[derive(Debug)]
pub struct Archived {
    /// The file.
    pub file: PathBuf,
    /// What stands in it.
    pub manifest: Manifest,
    /// Its size in bytes.
    pub size: u64,
    /// Files of the project that do not lie in its folder, and so are not in it.
    pub left_out: Vec<PathBuf>,
}

/// Writes the context's environment into a file, which must not be there.
pub async fn archive(context: &Context, file: Option<&Path>) -> Result<Archived, Failure> {
    context.environment_is_there()?;
    let standing = context.standing()?.clone();
    let mut branches = Branches::change(context).await?;
    let name = || PathBuf::from(format!("{}-{}.devenv", standing.base, standing.label));
    let file = context.directory.join(file.map_or_else(name, Path::to_owned));
    if file.symlink_metadata().is_ok() {
        return Err(Failure::new(Kind::Conflict, "there is a file of that name already")
            .at(Place::file(context.shown(&file)))
            .hint("name another one"));
    }
    let branch = branches.lineage.current(&branches.environment).cloned();
    if branch.is_none() && !branches.data.volumes.is_empty() {
        return Err(Failure::new(
            Kind::Data,
            format!("the data of environment `{}` is not in the pool yet", standing.label),
        )
        .hint("`devenv env adopt` moves it there, once"));
    }
    let record = branches.lineage.environment(&branches.environment).cloned();
    let (files, left_out) = project_files(&branches.subject)?;
    let mut manifest = Manifest {
        version: VERSION,
        devenv: env!("CARGO_PKG_VERSION").to_owned(),
        created: now(),
        project: standing.base.clone(),
        environment: standing.label.clone(),
        default: standing.is_default(),
        git: standing.git.clone(),
        branch: branch.as_ref().map(|branch| branch.name.clone()),
        owner: record.as_ref().map_or_else(|| context.user(), |record| record.owner.clone()),
        ports: record.map(|record| record.ports).unwrap_or_default(),
        volumes: branch.as_ref().map(|branch| branch.volumes.clone()).unwrap_or_default(),
        files: files.iter().map(|(path, _)| path.clone()).collect(),
        bytes: 0,
    };
    let part = beside(&file);
    // Of a command that was killed.
    let _ = fs::remove_file(&part);
    let written = match branch {
        Some(branch) => frozen(&mut branches, &branch, &mut manifest, &files, &part).await,
        None => begin(&part, &manifest, &files).and_then(|packing| Ok(packing.end()?)).map_err(cannot(&part)),
    };
    let renamed =
        written.and_then(|()| fs::rename(&part, &file).map_err(|error| cannot(&file)(error.into())));
    if let Err(failure) = renamed {
        let _ = fs::remove_file(&part);
        return Err(failure);
    }
    let size = fs::metadata(&file).map_or(0, |found| found.len());
    Ok(Archived { file, manifest, size, left_out })
}

fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    file.with_file_name(format!(".{name}.part"))
}

fn cannot(file: &Path) -> impl FnOnce(Trouble) -> Failure {
    let file = file.to_owned();
    move |trouble| {
        Failure::new(Kind::Failed, "the archive cannot be written").at(Place::file(&file)).source(trouble)
    }
}

fn begin(part: &Path, manifest: &Manifest, files: &Files) -> Result<Packing, Trouble> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
    Ok(Packing::begin(file, manifest, files)?)
}

/// Freezes the data, writes it, and takes the frozen copy away.
async fn frozen(
    branches: &mut Branches<'_>,
    branch: &Branch,
    manifest: &mut Manifest,
    files: &Files,
    part: &Path,
) -> Result<(), Failure> {
    let id = new_id()?;
    let detail = json!({ "snapshot": id });
    // What recovers from a snapshot that was cut off takes this away too.
    let intent = branches.begin("snapshot save", detail.clone()).await?;
    let snapshot = Snapshot {
        id: id.clone(),
        project: branch.project.clone(),
        branch: branch.id.clone(),
        name: format!("{}-archive-{}", branch.name, &id[..6]),
        message: "for an archive".to_owned(),
        reason: Reason::Asked,
        volumes: branch.volumes.clone(),
        sequence: intent.sequences().start,
        created: manifest.created,
        expires: Some(manifest.created),
        attestation: None,
        state: State::Ready,
    };
    let what = Capture {
        from: branch.data.clone(),
        to: id.clone(),
        frozen: true,
        force: false,
        manifest: branches.manifest(Record::Snapshot(snapshot)),
    };
    let written = async {
        branches.capture(intent, &detail, &branch.id, what, None).await?;
        failpoint!("env:archive:frozen");
        copy(branches, &id, manifest, files, part).await
    };
    let written = written.await;
    let taken_back = branches.take_back(intent, &[id]).await;
    written?;
    taken_back
}

async fn copy(
    branches: &Branches<'_>,
    id: &str,
    manifest: &mut Manifest,
    files: &Files,
    part: &Path,
) -> Result<(), Failure> {
    let pool = branches.pool().await?;
    let sizes = pool.client.sizes(vec![id.to_owned()]).await.map_err(failures::storage)?;
    manifest.bytes = sizes.get(id).map_or(0, |size| size.own + size.shared);
    let tar = branches.engine.download(&pool.keeper, &pool.inside(id));
    let (manifest, files, part) = (manifest.clone(), files.clone(), part.to_owned());
    let (events, name, id) = (branches.context.events.clone(), manifest.environment.clone(), id.to_owned());
    let shown = part.clone();
    let began = Instant::now();
    let meter = Meter::begin(&events, &format!("environment {name}"), "archiving", Some(manifest.bytes));
    let told = meter.counts();
    let work = move || -> Result<(), Trouble> {
        let mut packing = begin(&part, &manifest, &files)?;
        packing.data(SyncIoBridge::new(tar), &id, told)?;
        Ok(packing.end()?)
    };
    let worked = tokio::task::spawn_blocking(work).await;
    drop(meter);
    worked.unwrap_or_else(|error| Err(io::Error::other(error).into())).map_err(cannot(&shown))?;
    let outcome = "archived".to_owned();
    events.tell(Event::Done { subject: format!("environment {name}"), outcome, took: began.elapsed() });
    Ok(())
}

/// Tells how far work is, a few times a second, until it is dropped.
pub(super) struct Meter {
    done: Arc<AtomicU64>,
    teller: tokio::task::JoinHandle<()>,
}

impl Meter {
    pub(super) fn begin(events: &Events, subject: &str, doing: &str, total: Option<u64>) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let (events, subject, detail, read) =
            (events.clone(), subject.to_owned(), doing.to_owned(), Arc::clone(&done));
        let teller = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                events.tell(Event::Progress {
                    subject: subject.clone(),
                    detail: detail.clone(),
                    // What is written may be a little more than what lies on the disk.
                    done: Some(read.load(Ordering::Relaxed).min(total.unwrap_or(u64::MAX))),
                    total,
                });
            }
        });
        Self { done, teller }
    }

    /// What is told of each piece that is done: its bytes.
    pub(super) fn counts(&self) -> impl Fn(u64) + Send + 'static {
        let done = Arc::clone(&self.done);
        move |bytes| {
            done.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.teller.abort();
    }
}

/// The project's files below its folder and what is in them; and those elsewhere.
fn project_files(subject: &Subject) -> Result<(Files, Vec<PathBuf>), Failure> {
    let folder = &subject.project.working_dir;
    let of_services = subject.project.services.values().flat_map(|service| &service.env_file);
    let mut all: BTreeSet<PathBuf> = subject.files.iter().chain(&subject.env_files).cloned().collect();
    all.extend(of_services.map(|file| folder.join(&file.path)));
    all.insert(folder.join(".env"));
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    for path in all {
        let below = path.strip_prefix(folder).ok().and_then(Path::to_str);
        let plain = below.filter(|below| {
            below.split('/').all(|part| !matches!(part, "" | "." | ".." | ".git" | ".devenv"))
        });
        let Ok(open) = File::open(&path) else { continue };
        let small = open.metadata().is_ok_and(|found| found.is_file() && found.len() <= LONGEST);
        match plain.filter(|_| small) {
            Some(below) => {
                let content = fs::read(&path).map_err(|error| {
                    Failure::new(Kind::Files, "this cannot be read").at(Place::file(&path)).source(error)
                })?;
                files.push((below.to_owned(), content));
            }
            None => left_out.push(path),
        }
    }
    Ok((files, left_out))
}
