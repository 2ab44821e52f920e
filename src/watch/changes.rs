//! A thread that looks at folders when the system says that something happened there, and tells what differs.
//!
//! Each folder is registered by itself, so that those that are left out cost nothing. Where the system has no room
//! for so many, or the files lie where it does not see changes, all is looked at again and again instead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind, MetadataKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::{Root, disk};
use crate::reload::{Batch, Tree};

/// How it is noticed that something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The system tells, where it can.
    Told,
    /// By looking again and again.
    Looking,
}

/// What the watcher tells.
#[derive(Debug)]
pub enum Told {
    /// What differs, by the number of the root, relative to it.
    Changed {
        /// When the first of it was noticed.
        began: Instant,
        /// Roots and what differs there.
        paths: BTreeMap<usize, Vec<String>>,
    },
    /// It is looked at again and again; why, and what can be done about it.
    Polling {
        /// Why.
        why: String,
        /// What can be done.
        hint: Option<String>,
    },
    /// A root is not there (any more).
    Gone(PathBuf),
    /// It is there again.
    Back(PathBuf),
}

/// What all roots hold, and the thread that keeps it so; it ends when this is dropped.
pub struct Watching {
    trees: Arc<Mutex<Vec<Tree>>>,
    wake: Sender<Heard>,
}

/// What the thread hears.
enum Heard {
    Event(notify::Result<notify::Event>),
    End,
}

impl Watching {
    /// What the root with this number holds.
    pub fn with<T>(&self, root: usize, look: impl FnOnce(&Tree) -> T) -> T {
        look(&self.trees.lock().unwrap_or_else(PoisonError::into_inner)[root])
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.wake.send(Heard::End);
    }
}

/// Looks at all roots once and then watches them. `tell` is called from a thread of its own.
pub fn start(
    roots: Vec<Root>,
    how: How,
    tell: impl FnMut(Told) + Send + 'static,
) -> std::io::Result<Watching> {
    let (wake, heard) = channel();
    let trees = Arc::new(Mutex::new(vec![Tree::default(); roots.len()]));
    let gone = vec![false; roots.len()];
    let mut thread = Thread {
        roots,
        trees: Arc::clone(&trees),
        gone,
        watcher: None,
        registered: BTreeSet::new(),
        heard,
        dirty: BTreeMap::new(),
        batch: Batch::default(),
        pause: LOOK,
        tell: Box::new(tell),
    };
    if how == How::Told {
        thread.listen(&wake);
    }
    // Once before this returns, so that who asks what there is gets an answer.
    for root in 0..thread.roots.len() {
        if let Some(found) = thread.find(root, "") {
            thread.trees.lock().unwrap_or_else(PoisonError::into_inner)[root] = found;
        }
    }
    std::thread::Builder::new().name("watch".to_owned()).spawn(move || thread.run())?;
    Ok(Watching { trees, wake })
}

/// How often is looked where the system does not tell, at the least; a tree that takes long is looked at less often.
const LOOK: Duration = Duration::from_millis(500);

/// How much longer than a look the pause after it is, so that looking takes a twentieth of a core at most.
const REST: u32 = 20;

struct Thread {
    roots: Vec<Root>,
    trees: Arc<Mutex<Vec<Tree>>>,
    /// Which roots were last seen to be gone.
    gone: Vec<bool>,
    /// None when it is looked again and again.
    watcher: Option<RecommendedWatcher>,
    registered: BTreeSet<PathBuf>,
    heard: Receiver<Heard>,
    /// Where to look, and whether also below.
    dirty: BTreeMap<PathBuf, bool>,
    batch: Batch,
    pause: Duration,
    tell: Box<dyn FnMut(Told) + Send>,
}

impl Thread {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            let wait = match self.batch.due() {
                Some(due) if due <= now => {
                    self.look_at_dirty();
                    continue;
                }
                Some(due) => due - now,
                None if self.watcher.is_none() => self.pause,
                None if self.gone.contains(&true) => LOOK,
                None => Duration::from_hours(24),
            };
            match self.heard.recv_timeout(wait) {
                Ok(Heard::Event(event)) => self.hear(event),
                Ok(Heard::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if self.batch.due().is_some() => {}
                Err(RecvTimeoutError::Timeout) => self.look_at_all(),
            }
        }
    }

    /// Lets the system tell, where it can.
    fn listen(&mut self, wake: &Sender<Heard>) {
        let silent = self.roots.iter().find_map(|root| Some((root.path.clone(), disk::silent(&root.path)?)));
        if let Some((path, system)) = silent {
            let why = format!("{} lies on {system}, which does not tell of changes", path.display());
            (self.tell)(Told::Polling { why, hint: None });
            return;
        }
        let wake = wake.clone();
        match notify::recommended_watcher(move |event| {
            let _ = wake.send(Heard::Event(event));
        }) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => self.give_up(&error),
        }
    }

    /// From now on it is looked again and again.
    fn give_up(&mut self, error: &notify::Error) {
        self.watcher = None;
        self.registered.clear();
        let full = matches!(error.kind, notify::ErrorKind::MaxFilesWatch);
        let many =
            matches!(&error.kind, notify::ErrorKind::Io(error) if error.raw_os_error() == Some(EMFILE));
        let (why, hint) = if full {
            let why = "the system watches no more folders than fs.inotify.max_user_watches says";
            (why.to_owned(), Some("sysctl -w fs.inotify.max_user_watches=524288"))
        } else if many {
            let why = "the system lets no more programs watch than fs.inotify.max_user_instances says";
            (why.to_owned(), Some("sysctl -w fs.inotify.max_user_instances=1024"))
        } else {
            (format!("the system does not tell of changes: {error}"), None)
        };
        let hint = hint.map(|command| format!("raise it, and start again: `sudo {command}`"));
        (self.tell)(Told::Polling { why, hint });
    }

    fn hear(&mut self, event: notify::Result<notify::Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(%error, "watching");
                return;
            }
        };
        if event.need_rescan() {
            self.dirty = self.roots.iter().map(|root| (root.path.clone(), true)).collect();
            self.batch.note(Instant::now());
            return;
        }
        let deep = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(MetadataKind::Any)) => false,
            EventKind::Access(_) => return,
            _ => true,
        };
        for path in event.paths {
            if self.concerns(&path) {
                *self.dirty.entry(path).or_default() |= deep;
                self.batch.note(Instant::now());
            }
        }
    }

    /// Whether a change there could matter to anybody.
    fn concerns(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| match below(root, path) {
            Some(below) => root.wants(below) || root.enters(below),
            // The folder of a root that is a file.
            None => root.path.starts_with(path),
        })
    }

    fn look_at_dirty(&mut self) {
        let began = self.batch.end().unwrap_or_else(Instant::now);
        let dirty = std::mem::take(&mut self.dirty);
        // First all registrations that may be another folder's by now, then the new ones: a folder that was renamed
        // keeps its registration in the system, under the old name.
        for (path, _) in dirty.iter().filter(|(_, deep)| **deep) {
            self.unregister(path);
        }
        let mut paths: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut covered: Option<PathBuf> = None;
        for (path, deep) in dirty {
            if covered.as_ref().is_some_and(|above| path.starts_with(above)) {
                continue;
            }
            for number in 0..self.roots.len() {
                let below = match below(&self.roots[number], &path) {
                    Some(below) => below.to_owned(),
                    None if deep && self.roots[number].path.starts_with(&path) => String::new(),
                    None => continue,
                };
                let found = if deep {
                    self.look(number, &below)
                } else {
                    self.glance(number, &below).into_iter().collect()
                };
                paths.entry(number).or_default().extend(found);
            }
            if deep {
                covered = Some(path);
            }
        }
        self.say(began, paths);
    }

    fn look_at_all(&mut self) {
        let began = Instant::now();
        let mut paths = BTreeMap::new();
        for root in 0..self.roots.len() {
            if self.watcher.is_none() || self.gone[root] {
                paths.insert(root, self.look(root, ""));
            }
        }
        self.pause = (began.elapsed() * REST).max(LOOK);
        self.say(began, paths);
    }

    fn say(&mut self, began: Instant, mut paths: BTreeMap<usize, Vec<String>>) {
        paths.retain(|_, paths| !paths.is_empty());
        if !paths.is_empty() {
            (self.tell)(Told::Changed { began, paths });
        }
    }

    /// Looks at one path alone; says whether it differs.
    fn glance(&mut self, number: usize, path: &str) -> Option<String> {
        let root = &self.roots[number];
        let place = if path.is_empty() { root.path.clone() } else { root.path.join(path) };
        match disk::entry(&place) {
            Ok(Some(entry)) if root.wants(path) => {
                let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
                trees[number].set(path, entry).then(|| path.to_owned())
            }
            // It is being replaced, and another event says so.
            _ => None,
        }
    }

    /// Looks at a path and all below it; says what differs.
    fn look(&mut self, number: usize, path: &str) -> Vec<String> {
        let Some(found) = self.find(number, path) else { return Vec::new() };
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees[number].replace(path, found)
    }

    /// Finds what stands at a path and below it, and has it told from now on; none when the root is gone.
    fn find(&mut self, number: usize, path: &str) -> Option<Tree> {
        let mut trouble = None;
        let root = &self.roots[number];
        let (watcher, registered) = (&mut self.watcher, &mut self.registered);
        let mut enter = |folder: &Path| {
            let Some(watcher) = watcher.as_mut().filter(|_| trouble.is_none()) else { return };
            if !registered.contains(folder) {
                match watcher.watch(folder, RecursiveMode::NonRecursive) {
                    Ok(()) => {
                        registered.insert(folder.to_owned());
                    }
                    Err(error) if is_of_the_system(&error) => trouble = Some(error),
                    // It is gone by now, or not ours to read.
                    Err(_) => {}
                }
            }
        };
        if path.is_empty() && !root.path.is_dir() {
            // A file is replaced by its editor: only its folder tells.
            root.path.parent().filter(|folder| folder.is_dir()).into_iter().for_each(&mut enter);
        }
        let found = disk::walk(root, path, &mut enter);
        let is_gone = path.is_empty() && !root.path.exists();
        let place = root.path.clone();
        if let Some(error) = trouble {
            self.give_up(&error);
        }
        if path.is_empty() && is_gone != self.gone[number] {
            self.gone[number] = is_gone;
            (self.tell)(if is_gone { Told::Gone(place) } else { Told::Back(place) });
        }
        if is_gone {
            // A folder that was moved away or unmounted is no reason to take everything away elsewhere. What is
            // missing when it is back is.
            return None;
        }
        Some(found)
    }

    /// Forgets registrations at and below a path.
    fn unregister(&mut self, path: &Path) {
        let below = self.registered.range(path.to_owned()..).take_while(|it| it.starts_with(path));
        for folder in below.cloned().collect::<Vec<_>>() {
            self.registered.remove(&folder);
            if let Some(watcher) = &mut self.watcher {
                // The system forgets what is gone by itself.
                let _ = watcher.unwatch(&folder);
            }
        }
    }
}

/// `EMFILE` of errno(3) on Linux.
const EMFILE: i32 = 24;

/// Whether the system itself has come to an end of what it watches.
fn is_of_the_system(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => true,
        notify::ErrorKind::Io(error) => error.raw_os_error() == Some(EMFILE),
        _ => false,
    }
}

/// A path relative to a root; none when it is not below, or is no text.
fn below<'a>(root: &Root, path: &'a Path) -> Option<&'a str> {
    path.strip_prefix(&root.path).ok()?.to_str()
}
