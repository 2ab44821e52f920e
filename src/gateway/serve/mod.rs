//! The gateway at work: what it knows is a snapshot that everything reads; what it learns or is told makes the next.

mod attempt;
mod control;
mod http;
mod listen;
mod page;
mod postgres;
mod relay;
mod sleep;
mod tcp;
mod thrift;
mod tls;
mod waker;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::memory::Memory;
use super::table::{Place, Table};

/// How the gateway is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where it remembers.
    pub folder: PathBuf,
    /// The port of HTTP; none for the one of the last time, or 80, or 8080, or the next that is free.
    pub port: Option<u16>,
}

/// Serves until it is told to end (`SIGTERM`, `SIGINT`), or the engine has been away for too long: the engine starts
/// it again, with a way to itself that is not stale.
pub async fn serve(fleet: Arc<dyn Fleet>, options: Options) -> io::Result<()> {
    raise_file_limit();
    let memory = Memory::load(&options.folder)?;
    let gateway = Arc::new(Gateway::new(fleet, options, memory));
    tls::load(&gateway);
    // First of all, so that no command waits for an answer that nobody reads.
    control::start(&gateway);
    listen::open_fronts(&gateway).await;
    watch::look(&gateway).await;
    listen::reconcile(&gateway).await;
    tokio::spawn(listen::keep_open(Arc::clone(&gateway)));
    tokio::spawn(sleep::keep(Arc::clone(&gateway)));
    tokio::select! {
        ended = watch::follow(&gateway) => ended,
        told = told_to_end() => told,
    }
}

async fn told_to_end() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Each connection takes two open files.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// What is known at one moment.
#[derive(Debug, Clone, Default)]
struct Snapshot {
    table: Table,
    memory: Memory,
    /// When something last happened to a place: a request may wait for what is under way, and for nothing else.
    changed: HashMap<Place, Duration>,
    /// Being woken.
    waking: BTreeSet<Place>,
    /// Being put to sleep.
    falling: BTreeSet<Place>,
}

impl Snapshot {
    /// Whether it is the gateway itself that starts and stops there.
    fn is_ours(&self, place: &Place) -> bool {
        self.falling.contains(place) || self.waking.contains(place)
    }

    /// Whether something happened to a place a moment ago, so that more may follow.
    fn is_changing(&self, place: &Place, now: Duration) -> bool {
        self.changed.get(place).is_some_and(|changed| now.saturating_sub(*changed) < HOLD)
    }
}

/// For how long requests are held while an environment starts or switches.
const HOLD: Duration = Duration::from_secs(10);

/// All that the parts of the gateway share.
struct Gateway {
    fleet: Arc<dyn Fleet>,
    options: Options,
    began: Instant,
    snapshot: RwLock<Arc<Snapshot>>,
    /// Counts snapshots.
    turned: tokio::sync::watch::Sender<u64>,
    /// Held by who looks: a look that began earlier must not be the last word.
    looking: tokio::sync::Mutex<()>,
    /// What was written last; held by who writes.
    written: tokio::sync::Mutex<Memory>,
    traffic: Mutex<HashMap<Place, Arc<Traffic>>>,
    wakes: Mutex<HashMap<Place, tokio::sync::watch::Receiver<waker::Progress>>>,
    /// Containers that ended a moment ago, whose end is not yet remembered.
    ended: Mutex<HashMap<String, Instant>>,
    listeners: listen::Listeners,
    pool: http::Pool,
    cancels: postgres::Cancels,
    tls: tls::Tls,
    notes: Mutex<VecDeque<String>>,
    served: AtomicU64,
    turn: AtomicUsize,
}

/// A lock that a task died with protects nothing half-made.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    fn new(fleet: Arc<dyn Fleet>, options: Options, memory: Memory) -> Self {
        Self {
            fleet,
            options,
            began: Instant::now(),
            looking: tokio::sync::Mutex::default(),
            written: tokio::sync::Mutex::new(memory.clone()),
            snapshot: RwLock::new(Arc::new(Snapshot { memory, ..Snapshot::default() })),
            turned: tokio::sync::watch::Sender::new(0),
            traffic: Mutex::default(),
            wakes: Mutex::default(),
            ended: Mutex::default(),
            listeners: listen::Listeners::default(),
            pool: http::Pool::default(),
            cancels: postgres::Cancels::default(),
            tls: tls::Tls::default(),
            notes: Mutex::default(),
            served: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    /// Time since the gateway was started; it stands still while the machine sleeps.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the next snapshot.
    fn turn(&self, change: impl FnOnce(&mut Snapshot)) {
        {
            let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
            change(Arc::make_mut(&mut snapshot));
        }
        self.turned.send_modify(|count| *count += 1);
    }

    /// Changes what is remembered: written first, then known. What ended a moment ago is known, and not yet written.
    async fn remember(self: &Arc<Self>, change: impl FnOnce(&mut Memory)) -> io::Result<()> {
        let mut last = self.written.lock().await;
        let before = self.snapshot().memory.clone();
        let mut memory = before.clone();
        change(&mut memory);
        let mut written = memory.clone();
        for fresh in hold(&self.ended).keys() {
            written.stopped.remove(fresh);
        }
        if written != *last {
            let (folder, copy) = (self.options.folder.clone(), written.clone());
            let saved = tokio::task::spawn_blocking(move || copy.save(&folder)).await;
            saved.map_err(io::Error::other)??;
            *last = written;
        }
        if memory != before {
            self.turn(|snapshot| {
                // Ends of containers may have become known meanwhile.
                memory.stopped.extend(snapshot.memory.stopped.difference(&before.stopped).cloned());
                snapshot.memory = memory;
            });
        }
        Ok(())
    }

    /// Something happened to a place.
    fn touch(&self, place: &Place) {
        let now = self.now();
        self.turn(|snapshot| {
            snapshot.changed.insert(place.clone(), now);
        });
    }

    fn note(&self, text: impl Into<String>) {
        const KEPT: usize = 20;
        let text = text.into();
        let mut notes = hold(&self.notes);
        if notes.back() != Some(&text) {
            notes.push_back(text);
        }
        while notes.len() > KEPT {
            notes.pop_front();
        }
    }

    fn traffic(&self, place: &Place) -> Arc<Traffic> {
        let mut all = hold(&self.traffic);
        if let Some(found) = all.get(place) {
            return Arc::clone(found);
        }
        let new = Arc::new(Traffic { open: AtomicUsize::new(0), last: AtomicU64::new(self.millis()) });
        all.insert(place.clone(), Arc::clone(&new));
        new
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX)
    }

    /// Somebody is at a place from now on.
    fn visit(self: &Arc<Self>, place: &Place) -> Visit {
        let traffic = self.traffic(place);
        traffic.open.fetch_add(1, Ordering::Relaxed);
        traffic.last.store(self.millis(), Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
        Visit { gateway: Arc::clone(self), traffic }
    }

    /// How many connections are open, by place.
    fn open(&self) -> BTreeMap<Place, usize> {
        let all = hold(&self.traffic);
        all.iter().map(|(place, traffic)| (place.clone(), traffic.open.load(Ordering::Relaxed))).collect()
    }
}

/// What goes on at a place.
struct Traffic {
    open: AtomicUsize,
    /// When the last visit began or ended, in milliseconds of the gateway's clock.
    last: AtomicU64,
}

/// A request or connection, for as long as it is open.
struct Visit {
    gateway: Arc<Gateway>,
    traffic: Arc<Traffic>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.traffic.last.store(self.gateway.millis(), Ordering::Relaxed);
        self.traffic.open.fetch_sub(1, Ordering::Relaxed);
    }
}
