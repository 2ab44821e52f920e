//! Many branches: what they take of the disk when they are made, and how long a list of them takes.

use std::fs::File;
use std::path::Path;

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

/// How much of the pool is taken: blocks, of data and of what describes it.
struct Space(File);

impl Space {
    async fn of(bench: &Bench<'_>) -> Result<Self, String> {
        let root = servers::place(bench.engine, &format!("{POOL}-mount")).await?;
        File::open(root).map(Self).map_err(told)
    }

    /// Bytes on the disk.
    fn used(&self) -> Result<f64, String> {
        rustix::fs::syncfs(&self.0).map_err(told)?;
        let vfs = rustix::fs::fstatvfs(&self.0).map_err(told)?;
        let used = vfs.f_blocks.saturating_sub(vfs.f_bfree) * (vfs.f_frsize >> 10);
        Ok(f64::from(u32::try_from(used).unwrap_or(u32::MAX)) * 1024.0)
    }
}
