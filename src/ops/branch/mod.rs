//! Branches of a stack's data: the verbs of `devenv db branch` and `devenv db snapshot`, one file each.
//!
//! Every change goes the same way: an intent in the catalogue, the work in the pool (which builds under a temporary
//! name, syncs and renames), one transaction that makes it visible and takes the intent back, then the engine's
//! objects. A command that was killed leaves its intent, and the next one on the project finishes what is visible
//! and takes back what is not ([`recover`]).

pub mod adopt;
pub mod backup;
pub mod beside;
pub mod bind;
pub mod capture;
pub mod compare;
pub mod copy;
pub mod create;
pub mod delete;
pub mod dump;
pub mod identity;
pub mod list;
pub mod merge;
pub mod recover;
pub mod reset;
pub mod restore;
pub mod snapshot;
pub mod state;
pub mod sweep;
pub mod switch;
pub mod url;

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::lock::Lock;
pub use super::now;
use super::pool::{Pool, Wanted};
use super::{Context, Subject, failures, gateway};
use crate::base::{Event, Failure, Kind};
use crate::catalogue::{Catalogue, IntentId, Opened};
use crate::engine::Engine;
use crate::lineage::delete::By;
use crate::lineage::{
    Branch, Changes, Environment, Intent, Lineage, Manifest, Project, Record, Snapshot, rebuild,
};
use crate::plan::data::{Data, data};
use crate::storage::protocol::Ask;

/// Stops here when a test says so (`FAILPOINTS`), so that every step can be the last one of a command.
macro_rules! failpoint {
    ($name:expr) => {
        #[cfg(feature = "failpoints")]
        $crate::ops::branch::fail_at($name)?;
    };
}
pub(in crate::ops) use failpoint;

/// What a test makes of a step: `return` lets it fail, `return(KILL)` ends this process there as `kill -9` does, and
/// `return(INT)` and the like let it have that signal and go on, as far as it does.
#[cfg(feature = "failpoints")]
pub(in crate::ops) fn fail_at(name: &str) -> Result<(), Failure> {
    use rustix::process::{Signal, getpid, kill_process};
    fail::fail_point!(name, |what| {
        let signal = match what.as_deref() {
            Some("KILL") => Signal::KILL,
            Some("INT") => Signal::INT,
            Some("TERM") => Signal::TERM,
            Some("HUP") => Signal::HUP,
            _ => return Err(Failure::new(Kind::Failed, format!("failpoint {name}"))),
        };
        let _ = kill_process(getpid(), signal);
        // By then whoever listens for signals has heard it.
        std::thread::sleep(std::time::Duration::from_millis(50));
        Ok(())
    });
    Ok(())
}

/// All that a command about branches works with.
pub struct Branches<'a> {
    /// What the command was given.
    pub context: &'a Context,
    /// The compose file's project.
    pub subject: Subject,
    /// Where it runs.
    pub engine: Engine,
    /// What of it a branch holds.
    pub data: Data,
    /// The records.
    pub catalogue: Catalogue,
    /// The project's own record; it may not be written yet.
    pub project: Project,
    /// The project's records as they were read last.
    pub lineage: Lineage,
    /// The environment that the command is about: the compose project's name.
    pub environment: String,
    /// Whether the catalogue has the project's record as it is now.
    is_written: bool,
    pool: OnceCell<Pool>,
    lock: Option<Lock>,
}

/// A name that was never given before: 16 hexadecimal digits.
pub fn new_id() -> Result<String, Failure> {
    let mut bytes = [0_u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|error| {
        Failure::new(Kind::Failed, "no random numbers").source(std::io::Error::from(error))
    })?;
    Ok(hex::encode(bytes))
}

impl Context {
    /// Where the catalogue is (XDG Base Directory Specification, `XDG_STATE_HOME`).
    pub fn state_directory(&self) -> Result<PathBuf, Failure> {
        let set =
            |name: &str| self.environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
        base.map(|base| base.join("devenv")).ok_or_else(|| {
            Failure::new(
                Kind::Failed,
                "neither HOME nor XDG_STATE_HOME says where devenv may keep its records",
            )
        })
    }

    /// Who gives the command.
    #[must_use]
    pub fn user(&self) -> String {
        let set = |name: &str| self.environment.get(name).filter(|value| !value.is_empty()).cloned();
        let number = || rustix::process::getuid().as_raw().to_string();
        set("USER").or_else(|| set("LOGNAME")).unwrap_or_else(number)
    }

    /// Whether anything was ever recorded.
    #[must_use]
    pub fn has_catalogue(&self) -> bool {
        self.state_directory().is_ok_and(|state| state.join("catalogue.db").exists())
    }

    /// Opens the records; damage is told.
    pub(super) async fn opened_catalogue(&self) -> Result<Opened, Failure> {
        let opened = Catalogue::open(&self.state_directory()?).await.map_err(failures::catalogue)?;
        if let Some(damage) = &opened.repaired {
            let kept: Vec<String> = damage.kept.iter().map(|path| path.display().to_string()).collect();
            self.events.tell(Event::warning(format!(
                "the records of branches were damaged ({}); what was there is kept in {}",
                damage.sign,
                kept.join(", ")
            )));
        }
        Ok(opened)
    }

    /// The records. Where they were lost, and there is a pool, they are made again from it first.
    pub async fn catalogue(&self, engine: &Engine) -> Result<Catalogue, Failure> {
        let Opened { catalogue, fresh, .. } = self.opened_catalogue().await?;
        if fresh {
            match state::make_again(self, engine, &catalogue, false).await? {
                Some(found) if !found.differences.is_empty() => {
                    for line in &found.notes {
                        self.events.tell(Event::warning(line.as_str()));
                    }
                    let text = "the records of branches were lost: they are made again from the pool";
                    self.events.tell(Event::note(text));
                }
                _ => catalogue.settle().await.map_err(failures::catalogue)?,
            }
        }
        Ok(catalogue)
    }
}

/// The name of the branch that an environment's services work on, for who only wants to show it: what is wrong with the
/// records is told by commands that are about them.
pub async fn current_name(context: &Context, engine: &Engine, subject: Subject) -> Option<String> {
    if !context.has_catalogue() || !subject.is_written() {
        return None;
    }
    match Branches::of(context, subject, engine.clone()).await {
        Ok(branches) => Some(branches.lineage.current(&branches.environment)?.name.clone()),
        Err(failure) => {
            tracing::debug!(%failure, "the branch is not known");
            None
        }
    }
}

impl<'a> Branches<'a> {
    /// For a command that only looks. What it sees may not be so where an earlier command was cut off, which it says.
    pub async fn look(context: &'a Context) -> Result<Self, Failure> {
        let subject = context.subject(&[])?;
        let engine = context.engine().await?;
        let branches = Self::of(context, subject, engine).await?;
        recover::remark(&branches).await?;
        Ok(branches)
    }

    /// For a command that changes something: it holds the project's lock, and what an earlier command left open is
    /// finished or taken back.
    pub async fn change(context: &'a Context) -> Result<Self, Failure> {
        let subject = context.subject(&[])?;
        let engine = context.engine().await?;
        Self::change_of(context, subject, engine).await
    }

    /// The same for a project that is loaded already.
    pub async fn change_of(context: &'a Context, subject: Subject, engine: Engine) -> Result<Self, Failure> {
        let lock = context.lock(&subject.project.name).await?;
        let mut branches = Self::of(context, subject, engine).await?;
        branches.lock = Some(lock);
        recover::recover(&mut branches).await?;
        Ok(branches)
    }

    /// Without a lock of its own.
    pub async fn of(context: &'a Context, subject: Subject, engine: Engine) -> Result<Self, Failure> {
        let catalogue = context.catalogue(&engine).await?;
        let known = catalogue.projects().await.map_err(failures::catalogue)?;
        let project = identity::identify(context, &subject, &known)?;
        let lineage = catalogue.lineage(&project.id).await.map_err(failures::catalogue)?;
        let data = data(&subject.project);
        let environment = subject.project.name.clone();
        Ok(Self {
            context,
            subject,
            engine,
            data,
            catalogue,
            is_written: known.contains(&project),
            project,
            lineage,
            environment,
            pool: OnceCell::new(),
            lock: None,
        })
    }

    /// The pool; making it is the first use of it.
    pub async fn pool(&self) -> Result<&Pool, Failure> {
        let create = || async { self.context.pool_or_create(&self.engine, &Wanted::default()).await };
        self.pool.get_or_try_init(create).await
    }

    /// The pool if there is one.
    pub async fn existing_pool(&self) -> Result<Option<&Pool>, Failure> {
        if self.pool.get().is_none() {
            match self.context.pool(&self.engine).await? {
                Some(pool) => drop(self.pool.set(pool)),
                None => return Ok(None),
            }
        }
        Ok(self.pool.get())
    }

    /// The branch that the environment's services work on.
    pub fn current(&self) -> Result<&Branch, Failure> {
        self.lineage.current(&self.environment).ok_or_else(|| {
            Failure::new(Kind::Failed, format!("environment `{}` has no branches yet", self.environment))
                .hint("`devenv db branch create NAME` makes the first one")
        })
    }

    /// A branch by name, or the current one.
    pub fn named(&self, name: Option<&str>) -> Result<&Branch, Failure> {
        match name {
            Some(name) => self.lineage.branch(name).map_err(failures::lineage),
            None => self.current(),
        }
    }

    /// Who does something now.
    #[must_use]
    pub fn by(&self) -> By<'a> {
        By { now: now(), command: &self.context.command_line }
    }

    /// What a manifest of a record says.
    #[must_use]
    pub fn manifest(&self, record: Record) -> Value {
        let manifest = Manifest { version: rebuild::VERSION, project: self.project.clone(), record };
        // A record of plain words and numbers always has a form in JSON.
        serde_json::to_value(manifest).unwrap_or_default()
    }

    /// Writes down what is about to be done.
    pub async fn begin(&self, verb: &str, detail: Value) -> Result<IntentId, Failure> {
        self.save_project().await?;
        let intent = Intent {
            project: self.project.id.clone(),
            environment: Some(self.environment.clone()),
            verb: verb.to_owned(),
            step: "begun".to_owned(),
            detail,
            command: self.context.command_line.clone(),
            started: now(),
            pid: std::process::id(),
        };
        self.catalogue.begin(&intent).await.map_err(failures::catalogue)
    }

    /// Writes down how far it is.
    pub async fn advance(&self, intent: IntentId, step: &str, detail: &Value) -> Result<(), Failure> {
        self.catalogue.advance(intent, step, Some(detail)).await.map_err(failures::catalogue)
    }

    /// Makes it visible and takes the intent back, in one.
    pub async fn finish(&mut self, intent: IntentId, changes: &Changes) -> Result<(), Failure> {
        self.catalogue.finish(intent, changes).await.map_err(failures::catalogue)?;
        self.lineage = self.lineage.after(changes);
        Ok(())
    }

    /// Makes something visible that needs no intent.
    pub async fn apply(&mut self, changes: &Changes) -> Result<(), Failure> {
        self.catalogue.apply(changes).await.map_err(failures::catalogue)?;
        self.lineage = self.lineage.after(changes);
        Ok(())
    }

    /// Makes something visible that needs no work in the pool but to be described there.
    pub async fn apply_described(&mut self, changes: &Changes) -> Result<(), Failure> {
        let intent = self.begin_describing(&changes.put_branches, &changes.put_snapshots).await?;
        self.apply(changes).await?;
        failpoint!("describe:applied");
        self.describe(&changes.put_branches, &changes.put_snapshots).await?;
        self.abandon(intent).await
    }

    /// Writes down that records have to be described in the pool once they are visible.
    pub async fn begin_describing(
        &self,
        branches: &[Branch],
        snapshots: &[Snapshot],
    ) -> Result<IntentId, Failure> {
        let branches: Vec<&String> = branches.iter().map(|branch| &branch.id).collect();
        let snapshots: Vec<&String> = snapshots.iter().map(|snapshot| &snapshot.id).collect();
        self.begin("describe", json!({ "branches": branches, "snapshots": snapshots })).await
    }

    /// Gives the data of a branch the volumes that the compose file has gained since.
    pub async fn complete(&self, branch: &mut Branch) -> Result<(), Failure> {
        let has = |key: &&String| branch.volumes.contains(*key);
        let new: Vec<String> = self.data.volumes.keys().filter(|key| !has(key)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.pool().await?.ask(Ask::Extend { id: branch.data.clone(), folders: new.clone() }).await?;
        branch.volumes.extend(new);
        self.describe(std::slice::from_ref(branch), &[]).await
    }

    /// Takes back an intent of which nothing is left.
    pub async fn abandon(&self, intent: IntentId) -> Result<(), Failure> {
        self.catalogue.abandon(intent).await.map_err(failures::catalogue)
    }

    /// Makes sure that the project's own record is there before others name it.
    async fn save_project(&self) -> Result<(), Failure> {
        identity::write(self.context, &self.subject, &self.project)?;
        if self.is_written {
            return Ok(());
        }
        self.catalogue.save_project(&self.project).await.map_err(failures::catalogue)
    }

    /// Describes records in the pool as they are now, for the day on which the catalogue is lost.
    pub async fn describe(&self, branches: &[Branch], snapshots: &[Snapshot]) -> Result<(), Failure> {
        if branches.is_empty() && snapshots.is_empty() {
            return Ok(());
        }
        let pool = self.pool().await?;
        for branch in branches {
            let manifest = self.manifest(Record::Branch(branch.clone()));
            pool.ask(Ask::Describe { id: branch.data.clone(), manifest }).await?;
        }
        for snapshot in snapshots {
            let manifest = self.manifest(Record::Snapshot(snapshot.clone()));
            pool.ask(Ask::Describe { id: snapshot.id.clone(), manifest }).await?;
        }
        Ok(())
    }

    /// An environment's record with another branch.
    #[must_use]
    pub fn standing(&self, environment: &str, branch: &str) -> Environment {
        let before = self.lineage.environment(environment);
        let previous = before.and_then(|before| before.branch.clone()).filter(|before| before != branch);
        Environment {
            branch: Some(branch.to_owned()),
            previous,
            ..before.cloned().unwrap_or_else(|| self.new_environment(environment))
        }
    }

    /// The record of an environment that was not there before.
    #[must_use]
    pub fn new_environment(&self, name: &str) -> Environment {
        Environment {
            name: name.to_owned(),
            project: self.project.id.clone(),
            owner: self.context.user(),
            created: now(),
            used: now(),
            ..Environment::default()
        }
    }

    /// Tells the gateway on which branch the environment works now.
    pub(super) async fn tell_gateway(&self) {
        if let Some(gateway) = gateway::running(self.context, &self.engine).await {
            let branch = self.lineage.current(&self.environment).map(|branch| branch.name.as_str());
            gateway::announce(self.context, &gateway, branch).await;
        }
    }

    /// A plain message.
    pub fn note(&self, text: impl Into<String>) {
        self.context.events.tell(Event::note(text));
    }
}
