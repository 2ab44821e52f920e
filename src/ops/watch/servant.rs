//! Does for one service what its rules say: writes into its containers, runs commands in them, starts them again,
//! builds them anew. One thing after another, so that what is saved meanwhile becomes one batch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::link::{Came, Link, Piece};
use crate::base::digest::sha256;
use crate::base::{Event, Failure, Kind};
use crate::compose::project::Hook;
use crate::engine::Engine;
use crate::engine::stream::{self, Command};
use crate::ops::{Context, failures, turn, up};
use crate::plan::observed::Container;
use crate::plan::turn::Turn;
use crate::reload::protocol::{Be, Make, Should};
use crate::reload::{Action, Entry, Kind as Stands, Rule};
use crate::watch::{self, Watching};

/// How many paths are compared at once.
const COMPARED: usize = 1000;

/// How long after something did not work it is tried again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// How often no line can be opened to a container that runs before that is told.
const TRIES: u32 = 3;

/// What a servant hears.
#[derive(Debug)]
pub(super) enum Word {
    /// These differ, by the number of the rule.
    Changed { began: Instant, paths: BTreeMap<usize, Vec<String>> },
    /// Something happened to containers of the project.
    Look,
}

/// What was saved and not served yet.
#[derive(Debug, Default)]
struct Work {
    began: Option<Instant>,
    paths: BTreeMap<usize, BTreeSet<String>>,
    look: bool,
}

impl Work {
    fn add(&mut self, word: Word) {
        match word {
            Word::Changed { began, paths } => {
                self.began = Some(self.began.map_or(began, |before| before.min(began)));
                for (rule, paths) in paths {
                    self.paths.entry(rule).or_default().extend(paths);
                }
            }
            Word::Look => self.look = true,
        }
    }
}

/// One service's.
pub(super) struct Servant<'a> {
    pub(super) context: &'a Context,
    pub(super) engine: Engine,
    pub(super) project: String,
    pub(super) service: String,
    pub(super) prune: bool,
    /// With the number of the root that each one's path is.
    pub(super) rules: Vec<(usize, Rule)>,
    pub(super) watching: Arc<Watching>,
    links: BTreeMap<String, Link>,
    /// All that was ever saved, by rule: a container that was made anew has none of it.
    touched: BTreeMap<usize, BTreeSet<String>>,
    /// What could not be written, by rule.
    owed: BTreeMap<usize, BTreeSet<String>>,
    /// What was told last of what does not work.
    trouble: Option<String>,
    pause: Duration,
    /// How often in a row no line could be opened.
    tries: u32,
}

impl<'a> Servant<'a> {
    pub(super) fn new(
        (context, engine): (&'a Context, &Engine),
        (project, service): (&str, &str),
        prune: bool,
        rules: Vec<(usize, Rule)>,
        watching: Arc<Watching>,
    ) -> Self {
        Self {
            context,
            engine: engine.clone(),
            project: project.to_owned(),
            service: service.to_owned(),
            prune,
            rules,
            watching,
            links: BTreeMap::new(),
            touched: BTreeMap::new(),
            owed: BTreeMap::new(),
            trouble: None,
            pause: AGAIN.0,
            tries: 0,
        }
    }

    /// Serves until nobody speaks to it any more.
    pub(super) async fn run(mut self, mut heard: UnboundedReceiver<Word>) {
        loop {
            let mut work = Work::default();
            let is_well = self.trouble.is_none() && self.owed.is_empty() && self.tries == 0;
            let word = tokio::select! {
                word = heard.recv() => word,
                () = tokio::time::sleep(self.pause), if !is_well => Some(Word::Look),
            };
            let Some(word) = word else { return };
            work.add(word);
            while let Ok(word) = heard.try_recv() {
                work.add(word);
            }
            for (rule, paths) in &work.paths {
                self.touched.entry(*rule).or_default().extend(paths.iter().cloned());
            }
            match self.serve(work).await {
                Ok(()) if self.owed.is_empty() => {
                    self.trouble = None;
                    self.pause = AGAIN.0;
                }
                Ok(()) => self.pause = (self.pause * 2).min(AGAIN.1),
                Err(failure) => {
                    self.pause = (self.pause * 2).min(AGAIN.1);
                    self.complain(&failure);
                }
            }
        }
    }

    /// Says what does not work, once.
    fn complain(&mut self, failure: &Failure) {
        let told = failure.to_string();
        if self.trouble.as_ref() != Some(&told) {
            super::complain(self.context, &self.service, failure);
            self.trouble = Some(told);
        }
    }

    async fn serve(&mut self, mut work: Work) -> Result<(), Failure> {
        let began = work.began.unwrap_or_else(Instant::now);
        let does = |rules: &[(usize, Rule)], wanted: &dyn Fn(&Action) -> bool, work: &Work| {
            work.paths.keys().any(|number| wanted(&rules[*number].1.action))
        };
        if does(&self.rules, &|action| *action == Action::Rebuild, &work) {
            let why = self.shown(&work.paths, &|action| *action == Action::Rebuild);
            self.rebuild(began, &why).await?;
            // What was saved meanwhile is compared with the new containers.
            return self.look().await;
        }
        if work.look || self.links.is_empty() {
            self.look().await?;
        }
        for (rule, paths) in std::mem::take(&mut self.owed) {
            work.paths.entry(rule).or_default().extend(paths);
        }
        let changed = self.sync(began, &work.paths).await?;
        let restarts = does(&self.rules, &|action| *action == Action::Restart, &work);
        self.follow_up(&changed, restarts.then_some(began)).await
    }

    /// What comes after files were written by these rules: commands, and a start. `restart` says that there is to be
    /// one anyway, and since when.
    async fn follow_up(
        &mut self,
        changed: &BTreeSet<usize>,
        restart: Option<Instant>,
    ) -> Result<(), Failure> {
        let began = restart.unwrap_or_else(Instant::now);
        let hooks: Vec<Hook> = changed
            .iter()
            .filter_map(|number| match &self.rules[*number].1.action {
                Action::SyncExec(hook) => Some((**hook).clone()),
                _ => None,
            })
            .collect();
        for hook in hooks {
            self.exec(&hook).await?;
        }
        let synced = changed.iter().any(|number| self.rules[*number].1.action == Action::SyncRestart);
        if restart.is_some() || synced {
            self.restart(began).await?;
        }
        Ok(())
    }

    // ── containers ──────────────────────────────────────────────────────────────────────────────────────────

    /// Opens a line to each container that has none, and makes its files equal.
    async fn look(&mut self) -> Result<(), Failure> {
        if !self.rules.iter().any(|(_, rule)| rule.action.syncs()) {
            return Ok(());
        }
        let mut written = BTreeSet::new();
        let containers = self.containers().await?;
        if containers.is_empty() {
            self.tries = 0;
        }
        self.links.retain(|id, _| containers.iter().any(|container| container.id == *id));
        for container in containers {
            let within = self.engine.within(&container.id).await;
            let within = match within {
                Err(error) if error.is_not_found() => continue,
                within => within.map_err(failures::engine)?,
            };
            if within.run.is_none() {
                self.tries = 0;
                self.links.remove(&container.id);
                continue;
            }
            if self.links.get(&container.id).is_some_and(|link| link.within.run == within.run) {
                continue;
            }
            self.links.remove(&container.id);
            let link = Link::open(self.context, &self.engine, &container, within).await;
            let link = match link {
                Ok(link) => link,
                Err(failure) => {
                    self.is_on_its_way(&container, failure).await?;
                    continue;
                }
            };
            self.links.insert(container.id.clone(), link);
            let began = Instant::now();
            match self.catch_up(&container.id, began).await {
                Ok(rules) => {
                    self.tries = 0;
                    written.extend(rules);
                }
                Err(failure) => {
                    self.links.remove(&container.id);
                    self.is_on_its_way(&container, failure).await?;
                }
            }
        }
        if written.is_empty() { Ok(()) } else { Box::pin(self.follow_up(&written, None)).await }
    }

    async fn containers(&self) -> Result<Vec<Container>, Failure> {
        let mut found = self.engine.containers(&self.project).await.map_err(failures::engine)?;
        found.retain(|container| container.service() == self.service && !container.is_one_off());
        Ok(found)
    }

    /// After a line broke: nothing is wrong when the container has ended, or is about to be started again, of which the
    /// engine knows a moment later; then it is tried again soon.
    async fn is_on_its_way(&mut self, container: &Container, failure: Failure) -> Result<(), Failure> {
        let runs = match self.engine.within(&container.id).await {
            Ok(within) => within.run.is_some(),
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(failures::engine(error)),
        };
        self.tries = if runs { self.tries + 1 } else { 0 };
        if self.tries > TRIES { Err(failure) } else { Ok(()) }
    }

    /// Makes a container equal to the folders; says which rules wrote something.
    async fn catch_up(&mut self, id: &str, began: Instant) -> Result<BTreeSet<usize>, Failure> {
        let (mut all, mut changed, mut rules) = (0, 0, BTreeSet::new());
        for number in 0..self.rules.len() {
            let (root, rule) = &self.rules[number];
            if !rule.action.syncs() {
                continue;
            }
            let touched = self.touched.get(&number).cloned().unwrap_or_default();
            let there: Vec<(String, Entry)> = self.watching.with(*root, |tree| {
                let wanted = tree.iter().filter(|(path, _)| rule.wants(path));
                wanted.map(|(path, entry)| (path.to_owned(), *entry)).collect()
            });
            let known: BTreeSet<&str> = there.iter().map(|(path, _)| path.as_str()).collect();
            let mut wrong: BTreeSet<String> = touched
                .iter()
                .filter(|path| !path.is_empty() && !known.contains(path.as_str()))
                .cloned()
                .collect();
            let Some(link) = self.links.get_mut(id) else { return Ok(rules) };
            all += there.iter().filter(|(_, entry)| entry.kind != Stands::Folder).count();
            for some in there.chunks(COMPARED) {
                let (rule, some) = (rule.clone(), some.to_vec());
                let (touched, made) = (touched.clone(), link.within.image_made.saturating_mul(1_000_000_000));
                let should = tokio::task::spawn_blocking(move || {
                    let make = |path: &str, entry: &Entry| {
                        rule.initial_sync || entry.changed >= made || touched.contains(path)
                    };
                    let should = some.into_iter().filter_map(|(path, entry)| {
                        let make = make(&path, &entry);
                        Some((should(&rule, &path, &entry, make)?, path))
                    });
                    should.unzip::<_, _, Vec<_>, Vec<_>>()
                });
                let (should, paths) = should.await.unwrap_or_default();
                for number in link.compare(should).await? {
                    wrong.extend(paths.get(number).cloned());
                }
            }
            let pieces = pieces(rule, &wrong);
            let came = link.make(pieces).await?;
            changed += came.changed;
            if came.changed > 0 {
                rules.insert(number);
            }
            self.owe(number, &wrong, came);
        }
        let name = self.links.get(id).map_or(id, |link| link.name.as_str());
        let outcome = match (self.owed.is_empty(), changed) {
            (false, _) => return Ok(rules),
            (_, 0) => format!("in step with {name}: {}", files(all)),
            (_, changed) => format!("in step with {name}: {changed} of {} were not", files(all)),
        };
        self.done(outcome, began);
        Ok(rules)
    }

    // ── writing ─────────────────────────────────────────────────────────────────────────────────────────────

    /// Writes what was saved into each container; says which rules wrote something.
    async fn sync(
        &mut self,
        began: Instant,
        paths: &BTreeMap<usize, BTreeSet<String>>,
    ) -> Result<BTreeSet<usize>, Failure> {
        let mut written = BTreeSet::new();
        for (&number, paths) in paths {
            let rule = self.rules[number].1.clone();
            if !rule.action.syncs() || self.links.is_empty() {
                continue;
            }
            let mut most = 0;
            for id in self.links.keys().cloned().collect::<Vec<_>>() {
                let Some(link) = self.links.get_mut(&id) else { continue };
                match link.make(pieces(&rule, paths)).await {
                    Ok(came) => {
                        most = most.max(came.changed);
                        self.owe(number, paths, came);
                    }
                    Err(failure) => {
                        // When it is back, all is compared.
                        self.links.remove(&id);
                        tracing::debug!(%failure, "a line was cut");
                        self.look().await?;
                    }
                }
            }
            if most > 0 {
                written.insert(number);
                self.done(shown(self.context, &rule, paths, most), began);
            }
        }
        Ok(written)
    }

    /// Keeps in mind what could not be written.
    fn owe(&mut self, number: usize, paths: &BTreeSet<String>, came: Came) {
        let Some((path, why)) = came.failed.first().cloned() else { return };
        let rule = &self.rules[number].1;
        let failed: BTreeSet<String> = came.failed.into_iter().map(|(path, _)| path).collect();
        let still = paths.iter().filter(|path| failed.contains(&rule.inside(path))).cloned();
        self.owed.entry(number).or_default().extend(still);
        let more = if failed.len() > 1 { format!(" (and {} more)", failed.len() - 1) } else { String::new() };
        // The same trouble with other files is the same trouble.
        let trouble = format!("not written: {why}");
        if self.trouble.as_ref() != Some(&trouble) {
            let reason = format!("{path}{more} is not written: {why}; it is tried again");
            self.context.events.tell(Event::Failed { subject: self.service.clone(), reason });
            self.trouble = Some(trouble);
        }
    }

    fn done(&self, outcome: String, began: Instant) {
        let subject = self.service.clone();
        self.context.events.tell(Event::Done { subject, outcome, took: began.elapsed() });
    }

    fn shown(&self, paths: &BTreeMap<usize, BTreeSet<String>>, wanted: &dyn Fn(&Action) -> bool) -> String {
        let mut places = paths.iter().flat_map(|(number, paths)| {
            let rule = &self.rules[*number].1;
            paths.iter().filter(|_| wanted(&rule.action)).map(|path| place(rule, path))
        });
        let first = places.next().map(|place| self.context.shown(&place).display().to_string());
        let more = places.count();
        let first = first.unwrap_or_default();
        if more > 0 { format!("{first} and {more} more") } else { first }
    }

    // ── what else a rule says ───────────────────────────────────────────────────────────────────────────────

    /// Runs a command in each container.
    async fn exec(&self, hook: &Hook) -> Result<(), Failure> {
        let began = Instant::now();
        let command = Command::from(hook);
        let shown = command.argv.join(" ");
        for id in self.links.keys() {
            let mut said = Vec::new();
            let hear = |piece: stream::Piece| said.extend_from_slice(&piece.bytes);
            let code = self.engine.run(id, &command, hear).await.map_err(failures::engine)?;
            for line in String::from_utf8_lossy(&said).lines() {
                let (subject, line) = (self.service.clone(), line.to_owned());
                self.context.events.tell(Event::Output { subject, line });
            }
            if code != 0 {
                return Err(Failure::new(Kind::Failed, format!("`{shown}` exited with {code}")));
            }
        }
        self.done(format!("ran `{shown}`"), began);
        Ok(())
    }

    async fn restart(&mut self, began: Instant) -> Result<(), Failure> {
        let options = turn::Options {
            services: vec![self.service.clone()],
            grace: None,
            wait: false,
            wait_timeout: Duration::MAX,
            dry_run: false,
        };
        let quiet = quiet(self.context);
        turn::turn(&quiet, &Turn::Restart, &options).await?;
        self.done("restarted".to_owned(), began);
        self.look().await
    }

    async fn rebuild(&mut self, began: Instant, why: &str) -> Result<(), Failure> {
        let doing = format!("building, as {why} changed");
        self.context.events.tell(Event::Started { subject: self.service.clone(), doing });
        let before: BTreeSet<String> =
            self.containers().await?.into_iter().map(|container| container.image_id).collect();
        let options = up::Options {
            no_migrate: true,
            no_seed: true,
            ..up::Options::for_run(&self.service, true, true, Duration::from_mins(5))
        };
        up::up(self.context, &options).await?;
        let after = self.containers().await?;
        if self.prune {
            for image in before.iter().filter(|image| after.iter().all(|it| it.image_id != **image)) {
                if let Err(error) = self.engine.forget_nameless(image).await {
                    tracing::debug!(%error, "an image stays");
                }
            }
        }
        self.done(format!("rebuilt, as {why} changed"), began);
        Ok(())
    }
}

/// The same without what is told of each container.
fn quiet(context: &Context) -> Context {
    let loud = context.events.clone();
    let events = crate::base::Events::to(move |event| {
        if matches!(event, Event::Warning { .. } | Event::Failed { .. }) {
            loud.tell(event);
        }
    });
    Context { events, ..context.clone() }
}

/// Where a rule's path lies on this machine.
fn place(rule: &Rule, path: &str) -> PathBuf {
    if path.is_empty() { rule.path.clone() } else { rule.path.join(path) }
}

/// What a path should be; none when it is gone by now, and for the folder of the rule itself, which is the
/// container's own.
fn should(rule: &Rule, path: &str, entry: &Entry, make: bool) -> Option<Should> {
    let place = place(rule, path);
    let (be, mode) = match entry.kind {
        Stands::Folder if path.is_empty() => return None,
        Stands::Folder => (Be::Folder, entry.mode),
        Stands::Link => (Be::Link(watch::read_link(&place).ok()?), 0),
        Stands::File => {
            let (file, mode, ..) = watch::content(&place).ok()?;
            let size = file.metadata().ok()?.len();
            (Be::File(size, sha256(file).ok()?), mode)
        }
    };
    Some(Should { path: rule.inside(path), be, mode, make })
}

/// What is to be made of paths, by what stands there now: first what is gone, the deepest first, then the rest.
fn pieces(rule: &Rule, paths: &BTreeSet<String>) -> Vec<Piece> {
    let (mut gone, mut there) = (Vec::new(), Vec::new());
    for path in paths {
        let inside = rule.inside(path);
        let place = place(rule, path);
        match watch::found(&place) {
            Ok(Some(found)) if found.is_dir() && path.is_empty() => {}
            Ok(Some(found)) if found.is_dir() => {
                there.push(Piece::plain(Make::Folder { path: inside, mode: mode(&found) }));
            }
            Ok(Some(found)) if found.is_symlink() => {
                there.extend(
                    watch::read_link(&place).ok().map(|to| Piece::plain(Make::Link { path: inside, to })),
                );
            }
            Ok(Some(found)) if found.is_file() => there.extend(Piece::file(&place, inside).ok()),
            Ok(None) if !path.is_empty() => {
                gone.push(Piece::plain(Make::Nothing { path: inside }));
            }
            // A pipe or a socket is nobody else's; what cannot be seen is not known to be gone.
            _ => {}
        }
    }
    gone.reverse();
    gone.extend(there);
    gone
}

fn mode(found: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(found) & 0o7777
}

/// What was written where, for one line.
fn shown(context: &Context, rule: &Rule, paths: &BTreeSet<String>, changed: usize) -> String {
    let mut each = paths.iter();
    match (each.next(), each.next()) {
        (Some(path), None) => {
            let place = place(rule, path);
            let (from, to) = (from_here(context, &place), rule.inside(path));
            if std::fs::symlink_metadata(&place).is_ok() {
                format!("{from} → {to}")
            } else {
                format!("{from} is gone, and {to} with it")
            }
        }
        _ => format!("{changed} changes in {} → {}", from_here(context, &rule.path), rule.target),
    }
}

/// A path as a person in the project's folder writes it; that folder itself is `.`.
fn from_here(context: &Context, place: &Path) -> String {
    let shown = context.shown(place);
    if shown.as_os_str().is_empty() { ".".to_owned() } else { shown.display().to_string() }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}
