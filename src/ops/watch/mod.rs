//! `watch`: what is saved is in the containers a moment later.
//!
//! One thread looks at the disk ([`crate::watch`]), one servant a service does what the rules say, and the engine's
//! events tell each of them when containers come and go. Nothing is queued but names: what a path is to be is looked up
//! when it is written, so that whatever order things came in, the last state wins.

mod link;
mod migrations;
mod servant;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Context, Subject, branch, failures, migrate, up};
use crate::base::{Event, Failure, Kind};
use crate::engine::Engine;
use crate::plan::up::Recreate;
use crate::reload::Rule;
use crate::reload::rules::{Reader, Rules};
use crate::watch::{self, How, Root, Told, Watching};
use servant::{Servant, Word};

/// How long the engine's events may come one by one before they are acted upon.
const LULL: Duration = Duration::from_millis(10);

/// How often an engine that went away is asked for.
const ASK: Duration = Duration::from_millis(500);

/// What is watched, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Services named; none means all that have rules.
    pub services: Vec<String>,
    /// Whether the services are started first.
    pub up: bool,
    /// Whether folders are looked at again and again, although the system tells.
    pub poll: bool,
    /// Whether images that a rebuild leaves without a name are removed.
    pub prune: bool,
    /// Leave migrations alone.
    pub no_migrate: bool,
}

impl Options {
    /// What follows `up --watch`: of the services named those that have rules; none named means all that have.
    pub fn after_up(context: &Context, named: &[String], no_migrate: bool) -> Result<Self, Failure> {
        let project = context.load_quietly(named)?.project;
        let has = |name: &&String| {
            let service = project.services.get(*name).and_then(|service| service.develop.as_ref());
            service.is_some_and(|develop| !develop.watch.is_empty())
        };
        let services: Vec<String> = named.iter().filter(has).cloned().collect();
        let services = if services.is_empty() { named.to_vec() } else { services };
        Ok(Self { services, up: false, poll: false, prune: true, no_migrate })
    }
}

/// Watches until the engine's connection or the caller ends it.
pub async fn watch(context: &Context, options: &Options) -> Result<(), Failure> {
    let subject = context.subject(&options.services)?;
    subject.knows(&options.services)?;
    let rules = read(&subject.project, &options.services)?;
    for told in &rules.told {
        context.events.tell(Event::warning(told.as_str()));
    }
    if !context.engine_is_here() {
        context.events.tell(Event::note(
            "the engine runs elsewhere: files go over the network, and what is mounted is the other machine's",
        ));
    }
    let migrations = if options.no_migrate { None } else { migrations_of(&subject, &options.services) };
    if rules.of.is_empty() && migrations.is_none() {
        return Err(Failure::new(Kind::Files, "no service says what is to be watched")
            .hint("give one of them `develop: {watch: [{path: ./src, target: /app/src, action: sync}]}`"));
    }
    if options.up {
        start(context, &rules, &options.services).await?;
    }
    let engine = context.engine().await?;
    link::sweep(&engine).await?;
    let (mut roots, mut of) = roots(&rules);
    if let Some(folder) = &migrations {
        roots.push(Root { path: folder.clone(), rules: vec![Rule::plain(folder.clone())] });
        of.push(Vec::new());
    }
    let (tell, told) = unbounded_channel();
    let how = if options.poll { How::Looking } else { How::Told };
    let shown: Vec<String> =
        roots.iter().map(|root| context.shown(&root.path).display().to_string()).collect();
    let began = Instant::now();
    let watching = tokio::task::spawn_blocking(move || {
        watch::start(roots, how, move |word| {
            // Nobody hears it who has stopped watching.
            let _ = tell.send(word);
        })
    });
    let failed = |error: std::io::Error| Failure::new(Kind::Failed, "nothing can be watched").source(error);
    let watching =
        watching.await.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(failed)?;
    let watching = Arc::new(watching);
    let entries: usize = (0..shown.len()).map(|root| watching.with(root, crate::reload::Tree::len)).sum();
    let outcome = format!("watching {} ({entries} files and folders)", shown_list(&shown));
    context.events.tell(Event::Done { subject: "watch".to_owned(), outcome, took: began.elapsed() });
    let (speak, heard) = unbounded_channel();
    let name = &subject.project.name;
    let database = async {
        match migrations {
            Some(folder) => migrations::run(context, folder, heard).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        served = serve(context, &engine, name, (&rules, of), options.prune, watching, (told, speak)) => served,
        () = database => Ok(()),
    }
}

/// The rules of a project on this machine.
fn read(project: &crate::compose::Project, services: &[String]) -> Result<Rules, Failure> {
    let text = |path: &Path| std::fs::read_to_string(path).ok();
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Rules::read(project, services, &Reader { text: &text, resolved: &resolved })
}

/// The folder of the migrations, if there is one, for a database that is watched.
fn migrations_of(subject: &Subject, named: &[String]) -> Option<PathBuf> {
    let databases = branch::url::databases(subject);
    let wanted = named.is_empty() || databases.iter().any(|it| named.contains(&it.service));
    let folder = migrate::folder(subject).canonicalize().ok()?;
    (wanted && !databases.is_empty()).then_some(folder)
}

/// Says what does not work: the sentence, and for what stands in a file a line that an editor finds it by.
fn complain(context: &Context, subject: &str, failure: &Failure) {
    for failure in std::iter::once(failure).chain(&failure.others) {
        let subject = subject.to_owned();
        context.events.tell(Event::Failed { subject: subject.clone(), reason: failure.to_string() });
        for line in &failure.evidence {
            context.events.tell(Event::Output { subject: subject.clone(), line: line.clone() });
        }
        let hint = failure.hints.first().cloned();
        if let Some(place) = failure.places.first() {
            let mut place = place.clone();
            place.path = context.shown(&place.path);
            let (message, place) = (failure.to_string(), Some(place.to_string()));
            context.events.tell(Event::Warning { message, place, hint });
        } else if let Some(hint) = hint {
            context.events.tell(Event::note(format!("hint: {hint}")));
        }
    }
}

/// `up --build` of the services, so that what changed while nobody watched is in their images.
async fn start(context: &Context, rules: &Rules, named: &[String]) -> Result<(), Failure> {
    let services = if named.is_empty() { rules.of.keys().cloned().collect() } else { named.to_vec() };
    let options = up::Options {
        services,
        recreate: Recreate::Diverged,
        wait: true,
        ..up::Options::for_run("", false, true, Duration::from_mins(5))
    };
    up::up(context, &options).await.map(|_| ())
}

fn shown_list(shown: &[String]) -> String {
    let names: Vec<&str> = shown.iter().map(|name| if name.is_empty() { "." } else { name }).collect();
    match names.split_at_checked(4) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => names.join(", "),
    }
}

/// Which rules look at which root: by root, the service and the number of its rule.
type Of<'a> = Vec<Vec<(&'a str, usize)>>;

/// How each service's servant is spoken to.
type Speak<'a> = BTreeMap<&'a str, UnboundedSender<Word>>;

/// Migrations that were saved, and when.
type Saved = (Instant, Vec<String>);

fn roots(rules: &Rules) -> (Vec<Root>, Of<'_>) {
    let mut roots: Vec<Root> = Vec::new();
    let mut of: Of<'_> = Vec::new();
    for (service, rules) in &rules.of {
        for (number, rule) in rules.iter().enumerate() {
            let at = roots.iter().position(|root| root.path == rule.path).unwrap_or_else(|| {
                roots.push(Root { path: rule.path.clone(), rules: Vec::new() });
                of.push(Vec::new());
                roots.len() - 1
            });
            roots[at].rules.push(rule.clone());
            of[at].push((service, number));
        }
    }
    (roots, of)
}

async fn serve(
    context: &Context,
    engine: &Engine,
    project: &str,
    (rules, of): (&Rules, Of<'_>),
    prune: bool,
    watching: Arc<Watching>,
    (told, database): (UnboundedReceiver<Told>, UnboundedSender<Saved>),
) -> Result<(), Failure> {
    let mut speak: Speak<'_> = BTreeMap::new();
    let mut servants = Vec::new();
    for (service, own) in &rules.of {
        let root = |number: usize| {
            of.iter().position(|it| it.contains(&(service.as_str(), number))).unwrap_or_default()
        };
        let own = own.iter().enumerate().map(|(number, rule)| (root(number), rule.clone())).collect();
        let (tell, heard) = unbounded_channel();
        speak.insert(service, tell);
        let servant = Servant::new((context, engine), (project, service), prune, own, Arc::clone(&watching));
        servants.push(servant.run(heard));
    }
    tokio::select! {
        _ = join_all(servants), if !speak.is_empty() => Ok(()),
        () = route(context, told, rules, &of, (&speak, &database)) => Ok(()),
        () = follow(context, engine, project, &speak) => Ok(()),
    }
}

/// Hands what the watcher tells to who is concerned.
async fn route(
    context: &Context,
    mut told: UnboundedReceiver<Told>,
    rules: &Rules,
    of: &Of<'_>,
    (speak, database): (&Speak<'_>, &UnboundedSender<Saved>),
) {
    while let Some(word) = told.recv().await {
        match word {
            Told::Changed { began, paths } => {
                let mut by_service: BTreeMap<&str, BTreeMap<usize, Vec<String>>> = BTreeMap::new();
                for (root, paths) in paths {
                    if of[root].is_empty() {
                        // No service's: the migrations.
                        let _ = database.send((began, paths));
                        continue;
                    }
                    for &(service, number) in &of[root] {
                        let rule = rules.of.get(service).and_then(|rules| rules.get(number));
                        let wanted: Vec<String> = paths
                            .iter()
                            .filter(|path| rule.is_some_and(|rule| rule.wants(path)))
                            .cloned()
                            .collect();
                        if !wanted.is_empty() {
                            by_service.entry(service).or_default().insert(number, wanted);
                        }
                    }
                }
                for (service, paths) in by_service {
                    if let Some(speak) = speak.get(service) {
                        let _ = speak.send(Word::Changed { began, paths });
                    }
                }
            }
            Told::Polling { why, hint } => {
                let message = format!("{why}: folders are looked at twice a second instead");
                context.events.tell(Event::Warning { message, place: None, hint });
            }
            Told::Gone(path) => {
                let path = context.shown(&path).display().to_string();
                let message = format!("{path} is gone: what is in the containers stays until it is back");
                context.events.tell(Event::warning(message));
            }
            Told::Back(path) => {
                let path = context.shown(&path).display().to_string();
                context.events.tell(Event::note(format!("{path} is back")));
            }
        }
    }
}

/// Tells the servants whenever containers of the project come and go; waits for an engine that went away.
async fn follow(context: &Context, engine: &Engine, project: &str, speak: &Speak<'_>) {
    loop {
        let watch = engine.watch(project);
        let mut listener = watch.listen();
        loop {
            for speak in speak.values() {
                let _ = speak.send(Word::Look);
            }
            if listener.any().await.is_err() {
                break;
            }
            while let Ok(Ok(())) = tokio::time::timeout(LULL, listener.any()).await {}
        }
        let mut away = false;
        while let Err(error) = engine.containers(project).await {
            if !away {
                let why = failures::engine(error);
                context.events.tell(Event::warning(format!("{why}: waiting until it is back")));
                away = true;
            }
            tokio::time::sleep(ASK).await;
        }
        if away {
            context.events.tell(Event::note("the engine is back"));
        }
    }
}
