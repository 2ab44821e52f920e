//! Many branches: what they take of the disk when they are made, and how long a list of them takes.

use std::path::{Path, PathBuf};

use super::servers::{self, shell};
use super::{Bench, POOL, Sources, size, told};
use crate::process;
use crate::table::{Report, Row, Target, Unit};

pub(super) const SUBJECT: &str = "branch many";
const SPACE: u32 = 50;

pub(super) async fn run(bench: &Bench<'_>, sources: &Sources<'_>, report: &mut Report) -> Result<(), String> {
    let site = &sources.ours;
    let printed = shell(bench.engine, &site.container(), "du -sb \"$PGDATA\"").await?;
    let bytes: f64 = printed.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).ok_or(printed)?;
    let pool = Space::of(bench).await?;
    let before = pool.used()?;
    let mut each = Row::new("branch create --no-switch", &["devenv"], Vec::new());
    let mut add = |from: u32, to: u32| {
        for number in from..to {
            let name = format!("many{number}");
            each.add("devenv", site.devenv(&["db", "branch", "create", &name, "--no-switch"])?.0);
        }
        Ok::<_, String>(())
    };
    add(0, SPACE)?;
    let subject = format!("{SUBJECT}: {SPACE} of {}", size(sources.scale));
    let mut space = Row::new(subject, &["devenv"], vec![Target::Most(3.0)]).in_unit(Unit::Percent);
    space.add_figure("devenv", (pool.used()? - before) * 100.0 / (bytes * f64::from(SPACE)));
    report.add(space);
    // All of them real: what a list takes depends on the records and on nothing else.
    let count = if bench.options.quick { 100 } else { 500 };
    add(SPACE, count)?;
    report.add(each);
    let targets = vec![Target::Time(std::time::Duration::from_millis(100))];
    let mut list = Row::new(format!("{SUBJECT}: list of {count}"), &["devenv", "true"], targets);
    for round in 0..=10 {
        let ours = site.devenv(&["db", "branch", "list"])?.0;
        let nothing = process::time(Path::new("/bin/true"), &[], Path::new("/"), &[])?;
        // The first round warms the caches.
        if round > 0 {
            list.add("devenv", ours);
            list.add("true", nothing);
        }
    }
    report.add(list);
    Ok(())
}

/// What a pool's file system counts as used, in the kernel's own words (`/sys/fs/btrfs/…/allocation`): what is
/// free, as `df` tells it, moves in steps of the pieces that it hands out.
struct Space {
    root: PathBuf,
    allocation: PathBuf,
}

impl Space {
    async fn of(bench: &Bench<'_>) -> Result<Self, String> {
        let volume = bench.engine.inspect_volume(&format!("{POOL}-mount")).await.map_err(told)?;
        let device = volume.options.get("device").cloned().unwrap_or_default();
        let device = device.trim_start_matches("/dev/");
        let found = std::fs::read_dir("/sys/fs/btrfs").map_err(told)?.flatten();
        let mut found = found.map(|entry| entry.path());
        let system = found.find(|path| path.join("devices").join(device).exists());
        let allocation = system.ok_or_else(|| format!("no btrfs on {device}"))?.join("allocation");
        let root = servers::place(bench.engine, &format!("{POOL}-mount")).await?;
        Ok(Self { root, allocation })
    }

    /// Bytes on the disk, of data and of what describes it, as often as it is kept.
    fn used(&self) -> Result<f64, String> {
        let root = std::fs::File::open(&self.root).map_err(told)?;
        rustix::fs::syncfs(root).map_err(told)?;
        let mut sum = 0.0;
        for kind in ["data", "metadata", "system"] {
            let text = std::fs::read_to_string(self.allocation.join(kind).join("disk_used")).map_err(told)?;
            sum += text.trim().parse::<f64>().map_err(told)?;
        }
        Ok(sum)
    }
}
