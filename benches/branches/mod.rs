//! Branches of data: making one, turning to one, working on one, having many.

mod create;
mod dslr;
mod eighteen;
mod many;
mod running;
mod servers;
mod site;
mod turning;

/// The kernel's calls behind a snapshot, as the keeper makes them: the floor makes the same one by itself.
#[path = "../../src/storage/ioctl.rs"]
#[allow(dead_code, unused_imports)]
mod ioctl;

use std::collections::BTreeSet;
use std::path::Path;

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptions, ListVolumesOptions,
    RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptionsBuilder,
};

use crate::Options;
use crate::process::{Programs, told};
use crate::table::Report;
use servers::Plain;
use site::Site;

const PROJECT: &str = "com.docker.compose.project";
const PREFIX: &str = "devenv-bench-";
/// Of the driver that devenv takes by itself (btrfs), and of the one that it takes where that cannot be had.
const POOL: &str = "bench-pool";
const XFS: &str = "bench-pool-xfs";
const KEEPER: &str = "devenv.local/keeper";
const SUBJECTS: [&str; 5] =
    [create::SUBJECT, running::SUBJECT, running::MEMORY, many::SUBJECT, turning::SUBJECT];

/// What all parts work with.
struct Bench<'a> {
    options: &'a Options,
    programs: &'a Programs,
    engine: &'a Docker,
    /// Projects and the records of their branches.
    directory: &'a Path,
}

/// The same data in three places: a project in a pool of each driver, and a server on a plain volume.
struct Sources<'a> {
    scale: u32,
    ours: Site<'a>,
    xfs: Site<'a>,
    plain: Option<Plain>,
    /// The same in a newer server, where it could be built.
    eighteen: Option<Plain>,
}

pub async fn run(
    options: &Options,
    programs: &Programs,
    engine: &Docker,
    report: &mut Report,
) -> Result<(), String> {
    if !SUBJECTS.iter().any(|subject| options.wants(subject)) {
        return Ok(());
    }
    if let Err(why) = is_possible(options, engine).await {
        report.note(format!("branches are left out: {why}"));
        return Ok(());
    }
    clean(engine).await;
    let keepers = keepers(engine).await;
    let directory = tempfile::tempdir().map_err(told)?;
    let bench = Bench { options, programs, engine, directory: directory.path() };
    let result = all(&bench, report).await;
    clean(engine).await;
    for image in self::keepers(engine).await.difference(&keepers) {
        let _ = engine.remove_image(image, None::<RemoveImageOptions>, None).await;
    }
    result
}

async fn all(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let options = bench.options;
    site::make_pools(bench)?;
    // A part that fails says so, and the others go on.
    if options.wants(turning::SUBJECT)
        && let Err(why) = turning::run(bench, report).await
    {
        report.note(format!("{}: {why}", turning::SUBJECT));
    }
    if ![create::SUBJECT, running::SUBJECT, running::MEMORY, many::SUBJECT]
        .iter()
        .any(|subject| options.wants(subject))
    {
        return Ok(());
    }
    let built = if options.wants(create::SUBJECT) { eighteen::build(bench) } else { Err(String::new()) };
    if let Err(why) = built.as_ref()
        && !why.is_empty()
    {
        report.note(format!("{}: no PostgreSQL 18 to compare with: {why}", create::SUBJECT));
    }
    let mut sources = Vec::new();
    for scale in scales(options) {
        sources.push(Sources::make(bench, scale, built.is_ok()).await?);
    }
    if options.wants(create::SUBJECT)
        && let Err(why) = create::run(bench, &sources, report).await
    {
        report.note(format!("{}: {why}", create::SUBJECT));
    }
    let Some(sources) = sources.get(1) else { return Ok(()) };
    if (options.wants(running::SUBJECT) || options.wants(running::MEMORY))
        && let Err(why) = running::run(bench, sources, report).await
    {
        report.note(format!("{}: {why}", running::SUBJECT));
    }
    if options.wants(many::SUBJECT)
        && let Err(why) = many::run(bench, sources, report).await
    {
        report.note(format!("{}: {why}", many::SUBJECT));
    }
    Ok(())
}

/// How large the data is, in pgbench's scale: one is 15 MB.
fn scales(options: &Options) -> Vec<u32> {
    match (options.quick, options.full) {
        (true, _) => vec![1, 10],
        (_, false) => vec![10, 100],
        (_, true) => vec![10, 100, 400],
    }
}

/// A scale as people say it.
fn size(scale: u32) -> String {
    format!("{:.2} GB", f64::from(scale) * 0.015)
}

impl<'a> Sources<'a> {
    async fn make(bench: &'a Bench<'a>, scale: u32, has_eighteen: bool) -> Result<Self, String> {
        let ours = Site::database(bench, &format!("s{scale}"), POOL, scale).await?;
        let xfs = Site::database(bench, &format!("t{scale}"), XFS, scale).await?;
        // What copies bytes is known to take longer the more there are: the largest size is not for it.
        let plain = if scale > 100 { None } else { Some(Plain::make(bench, &ours, scale).await?) };
        let eighteen =
            if scale <= 100 && has_eighteen { Some(eighteen::make(bench, scale).await?) } else { None };
        Ok(Self { scale, ours, xfs, plain, eighteen })
    }
}

/// The floor works on the engine's disk directly, and 1.5 GB a few times over want their place.
async fn is_possible(options: &Options, engine: &Docker) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("their floor needs root".to_owned());
    }
    engine
        .inspect_image(servers::IMAGE)
        .await
        .map_err(|_| format!("the image {} is not there (devenv build)", servers::IMAGE))?;
    let root = engine.info().await.map_err(told)?.docker_root_dir.unwrap_or_default();
    let disk = rustix::fs::statvfs(root.as_str()).map_err(|error| format!("{root}: {error}"))?;
    let pools: u64 = site::sizes(options).iter().map(|(_, _, size)| size << 20).sum();
    // No more than a pool leaves of a disk.
    let copies = if options.quick { 4 << 30 } else { 5 << 30 };
    let wanted = pools + copies;
    let free = disk.f_bavail * disk.f_frsize;
    if free < wanted {
        return Err(format!("{root} has {} GiB free, they take {}", free >> 30, wanted >> 30));
    }
    Ok(())
}

async fn keepers(engine: &Docker) -> BTreeSet<String> {
    let options = ListImagesOptionsBuilder::default().build();
    let images = engine.list_images(Some(options)).await.unwrap_or_default();
    images.into_iter().flat_map(|image| image.repo_tags).filter(|tag| tag.starts_with(KEEPER)).collect()
}

/// Takes away all that this run made, or one before that was interrupted: containers, networks, volumes, pools.
pub async fn clean(engine: &Docker) {
    let options = ListContainersOptionsBuilder::default().all(true).build();
    for found in engine.list_containers(Some(options)).await.unwrap_or_default() {
        let project = found.labels.as_ref().and_then(|labels| labels.get(PROJECT));
        let is_site = project.is_some_and(|project| project.starts_with(PREFIX));
        let names = found.names.unwrap_or_default();
        let is_pool = names.iter().any(|name| name.starts_with(&format!("/{POOL}-")));
        if is_site || is_pool {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let _ = engine.remove_container(&found.id.unwrap_or_default(), Some(options)).await;
        }
    }
    for found in engine.list_networks(None::<ListNetworksOptions>).await.unwrap_or_default() {
        if found.name.is_some_and(|name| name.starts_with(PREFIX)) {
            let _ = engine.remove_network(&found.id.unwrap_or_default()).await;
        }
    }
    let found = engine.list_volumes(None::<ListVolumesOptions>).await.ok().and_then(|found| found.volumes);
    let remove = async |name: &str| {
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        let _ = engine.remove_volume(name, Some(options)).await;
    };
    for volume in found.iter().flatten().filter(|volume| volume.name.starts_with(PREFIX)) {
        remove(&volume.name).await;
    }
    let root = engine.info().await.ok().and_then(|info| info.docker_root_dir).unwrap_or_default();
    for pool in [POOL, XFS] {
        remove(&format!("{pool}-mount")).await;
        let folder = Path::new(&root).join("devenv").join(pool);
        // The device would keep the file's blocks after it is gone.
        detach(&folder.join("pool.img"));
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Takes the loop device from a file.
fn detach(file: &Path) {
    let Ok(file) = rustix::fs::stat(file) else { return };
    for device in std::fs::read_dir("/dev").into_iter().flatten().flatten() {
        let name = device.file_name();
        if !name.to_string_lossy().starts_with("loop") || name == "loop-control" {
            continue;
        }
        let Ok(open) = std::fs::File::open(device.path()) else { continue };
        if ioctl::loop_info(&open).is_ok_and(|info| info.inode == file.st_ino && info.device == file.st_dev) {
            let _ = ioctl::clear_loop(&open);
        }
    }
}
