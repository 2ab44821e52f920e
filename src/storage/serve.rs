//! The keeper's end: reads questions, a line each, and does what they ask.
//!
//! Every question has a thread. What makes or takes away waits its turn; links and manifests are written meanwhile,
//! and what only reads waits for nobody. While a question is worked on or waits, a line of progress says so twice a
//! second, so that who asked can tell slow from dead.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::StorageError;
use super::driver::Meter;
use super::pool::{Capture, Pool};
use super::protocol::{Answer, Ask, Driver, Outcome, Refusal, Reply, Request};

/// How a keeper is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the pool is mounted.
    pub root: PathBuf,
    /// The pool's file; none where the pool is a plain folder.
    pub file: Option<PathBuf>,
    /// How it copies.
    pub driver: Driver,
    /// Goes on when its input ends, until it is told to end by a signal.
    pub stay: bool,
}

/// How often progress is told.
const BEAT: Duration = Duration::from_millis(500);

/// The longest line that is read; longer ones are no question.
const LINE: u64 = 1 << 20;

/// What is done after the answer.
type Later = Box<dyn FnOnce(&Pool) + Send>;

/// Why the keeper ends.
enum End {
    /// It was told to.
    Told,
    /// Nobody can ask any more.
    Silence,
}

/// Answers on standard output what is asked on standard input, until it is told to end (`SIGTERM`, `SIGINT`), or the
/// input ends and it is not to stay.
pub fn serve(options: &Options) -> Result<(), StorageError> {
    raise_file_limit();
    let pool = Pool::open(&options.root, options.driver, options.file.clone())?;
    pool.begin()?;
    let (tell, told) = channel();
    on_signal(tell.clone())?;
    let keeper = Arc::new(Keeper::new(pool, std::io::stdout()));
    keeper.pulse();
    let (reader, stay) = (Arc::clone(&keeper), options.stay);
    std::thread::spawn(move || {
        reader.listen(std::io::stdin());
        if !stay {
            let _ = tell.send(End::Silence);
        }
    });
    keeper.wait(&told);
    Ok(keeper.pool.sync()?)
}

/// Imports folders into a pool beside its keeper, in a process of its own that sees the folders; tells what the
/// keeper would tell.
pub fn import(
    options: &Options,
    request: Request,
    out: impl Write + Send + 'static,
) -> Result<(), StorageError> {
    raise_file_limit();
    let pool = Pool::open(&options.root, options.driver, options.file.clone())?;
    let _making = pool.beside_the_keeper()?;
    let keeper = Arc::new(Keeper::new(pool, out));
    keeper.pulse();
    let meter = keeper.take_up(&request);
    keeper.answer(request, &meter);
    Ok(())
}

struct Keeper {
    pool: Pool,
    out: Mutex<Box<dyn Write + Send>>,
    /// What is worked on, or waits, and how far it is; by the question's id.
    going: Mutex<BTreeMap<String, Arc<Meter>>>,
    ended: AtomicBool,
    /// Held by what makes, copies or takes away data.
    data: Mutex<()>,
    /// Held by what writes a small file or a link.
    small: Mutex<()>,
}

/// A lock that a thread died with protects nothing half-made: everything is built aside.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    fn new(pool: Pool, out: impl Write + Send + 'static) -> Self {
        Self {
            pool,
            out: Mutex::new(Box::new(out)),
            going: Mutex::default(),
            ended: AtomicBool::new(false),
            data: Mutex::default(),
            small: Mutex::default(),
        }
    }

    /// Tells of progress from now on, for as long as this lasts.
    fn pulse(self: &Arc<Self>) {
        let keeper = Arc::clone(self);
        std::thread::spawn(move || {
            while !keeper.ended.load(Ordering::Relaxed) {
                std::thread::sleep(BEAT);
                keeper.beat();
            }
        });
    }

    /// Reads questions until there are no more.
    fn listen(self: &Arc<Self>, input: impl Read) {
        let mut input = BufReader::new(input);
        let mut line = Vec::new();
        loop {
            line.clear();
            match input.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            match serde_json::from_slice::<Request>(&line) {
                Ok(request) => {
                    let keeper = Arc::clone(self);
                    let meter = self.take_up(&request);
                    std::thread::spawn(move || keeper.answer(request, &meter));
                }
                Err(error) => self.refuse(&line, &error),
            }
        }
    }

    /// Waits for the end; without an input, what is worked on is finished first.
    fn wait(&self, told: &Receiver<End>) {
        if let Ok(End::Silence) = told.recv() {
            while !hold(&self.going).is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Answers a line that is no question, if it says whose it is.
    fn refuse(&self, line: &[u8], error: &serde_json::Error) {
        #[derive(serde::Deserialize)]
        struct Named {
            id: String,
        }
        if let Ok(Named { id }) = serde_json::from_slice(line) {
            let (doing, why) = ("read the question".to_owned(), error.to_string());
            self.say(&id, Answer::Failed(Refusal::System { doing, why }));
        }
    }

    /// Puts a question among those that go on.
    fn take_up(&self, request: &Request) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        hold(&self.going).insert(request.id.clone(), Arc::clone(&meter));
        meter
    }

    fn answer(&self, request: Request, meter: &Meter) {
        let Request { id, ask } = request;
        let mut later = None;
        // A thread that ends without an answer would let who asked wait for ever.
        let work = AssertUnwindSafe(|| self.perform(&ask, meter, &mut later));
        let answer = std::panic::catch_unwind(work).unwrap_or_else(|_| {
            Err(Refusal::System {
                doing: "answer".to_owned(),
                why: "an error of the keeper's own".to_owned(),
            })
        });
        let answer = match answer {
            Ok(outcome) => Answer::Done(Box::new(outcome)),
            Err(refused) => Answer::Failed(refused),
        };
        // Told under the lock, so that no progress comes after the end.
        let mut going = hold(&self.going);
        meter.finish();
        if later.is_none() {
            going.remove(&id);
        }
        self.say(&id, answer);
        drop(going);
        if let Some(later) = later {
            later(&self.pool);
            hold(&self.going).remove(&id);
        }
    }

    /// Does what is asked; what takes long and needs no answer is left for `later`.
    fn perform(&self, ask: &Ask, meter: &Meter, later: &mut Option<Later>) -> Result<Outcome, Refusal> {
        let pool = &self.pool;
        match ask {
            Ask::Status => pool.status().map(Outcome::Status),
            Ask::List => pool.list().map(Outcome::Items),
            Ask::Look { id } => pool.look(id).map(|item| Outcome::Items(vec![item])),
            Ask::Settle { id, settings } => {
                let _turn = hold(&self.small);
                pool.settle(id, settings).map(nothing)
            }
            Ask::Live => pool.live().map(Outcome::Live),
            Ask::Sizes { ids } => pool.sizes(ids).map(Outcome::Sizes),
            Ask::Make { id, folders, manifest } => {
                let _turn = hold(&self.data);
                pool.make(id, folders, manifest).map(nothing)
            }
            Ask::Announce { manifests } => {
                let _turn = hold(&self.small);
                pool.announce(manifests).map(nothing)
            }
            Ask::Capture { from, id, frozen, force, manifest } => {
                let _turn = hold(&self.data);
                let wish = Capture { from, id, frozen: *frozen, force: *force, manifest };
                pool.capture(&wish, meter).map(nothing)
            }
            Ask::Import { id, folders, manifest } => {
                let _turn = hold(&self.data);
                pool.import(id, folders, manifest, meter).map(nothing)
            }
            Ask::Remove { id } => {
                let _turn = hold(&self.data);
                let rest = pool.remove(id)?;
                if pool.removes_at_once() {
                    rest(pool);
                } else {
                    *later = Some(Box::new(rest));
                }
                Ok(Outcome::Nothing)
            }
            Ask::Grow { bytes } => {
                let _turn = hold(&self.data);
                pool.grow(*bytes).map(nothing)
            }
            Ask::Check => {
                let _turn = hold(&self.data);
                pool.check().map(Outcome::Problems)
            }
            Ask::Extend { id, folders } => {
                let _turn = hold(&self.small);
                pool.extend(id, folders).map(nothing)
            }
            Ask::Describe { id, manifest } => {
                let _turn = hold(&self.small);
                pool.describe(id, manifest).map(nothing)
            }
            Ask::Point { environment, id } => {
                let _turn = hold(&self.small);
                pool.point(environment, id).map(nothing)
            }
            Ask::Unpoint { environment } => {
                let _turn = hold(&self.small);
                pool.unpoint(environment).map(nothing)
            }
            Ask::Sync => pool.sync().map(nothing),
        }
    }

    /// Says of everything that goes on how far it is.
    fn beat(&self) {
        let going = hold(&self.going);
        for (id, meter) in going.iter().filter(|(_, meter)| !meter.is_finished()) {
            let (done, total) = meter.read();
            self.say(id, Answer::Progress { done, total });
        }
    }

    /// Writes one line in one piece.
    fn say(&self, id: &str, answer: Answer) {
        let reply = Reply { id: id.to_owned(), answer };
        // A reader that went away is somebody else's trouble: the work is done for the next one who asks.
        if let Ok(mut line) = serde_json::to_vec(&reply) {
            line.push(b'\n');
            let mut out = hold(&self.out);
            let _ = out.write_all(&line).and_then(|()| out.flush());
        }
    }
}

fn nothing((): ()) -> Outcome {
    Outcome::Nothing
}

/// Deep trees need as many open folders as they have levels.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Tells of a polite kill. The first process of a container gets only the signals that it asks for.
fn on_signal(tell: Sender<End>) -> Result<(), StorageError> {
    use tokio::signal::unix::{SignalKind, signal};
    let cannot = |source| StorageError::System { doing: "listen for signals".to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(cannot)?;
    let signals = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate())
            .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)))
    };
    let (mut terminate, mut interrupt) = signals.map_err(cannot)?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        let _ = tell.send(End::Told);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::contract::{Bench, hold as hold_contract};
    use super::*;

    fn keeper(root: &Path, driver: Driver, out: impl Write + Send + 'static) -> Arc<Keeper> {
        let pool = Pool::open(root, driver, None).unwrap();
        pool.begin().unwrap();
        Arc::new(Keeper::new(pool, out))
    }

    fn hold_the_contract(driver: Driver) {
        let dir = tempfile::tempdir().unwrap();
        let Ok(pool) = Pool::open(dir.path(), driver, None) else {
            // The temporary folder's disk shares no blocks; `tests/storage` brings one that does.
            assert_eq!(driver, Driver::Reflink);
            return;
        };
        let keeper = Keeper::new(pool, std::io::sink());
        let ask = |ask: Ask| {
            let mut later = None;
            let answer = keeper.perform(&ask, &Meter::default(), &mut later);
            if let Some(later) = later {
                later(&keeper.pool);
            }
            answer
        };
        hold_contract(&Bench { root: dir.path(), driver, ask: &ask });
    }

    #[test]
    fn copies_byte_by_byte() {
        hold_the_contract(Driver::Copy);
    }

    #[test]
    fn copies_that_share_blocks() {
        hold_the_contract(Driver::Reflink);
    }

    /// What a keeper wrote.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);

    impl Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            hold(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bad_line_is_answered_if_it_says_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let heard = Heard::default();
        let keeper = keeper(dir.path(), Driver::Copy, heard.clone());
        let input =
            "no json\n\n{\"id\":\"a\",\"ask\":\"dance\"}\n{\"id\":\"b\",\"ask\":\"live\"}\n{\"id\":\"c\"";
        keeper.listen(input.as_bytes());
        while !hold(&keeper.going).is_empty() {
            std::thread::yield_now();
        }
        let heard = String::from_utf8(hold(&heard.0).clone()).unwrap();
        let replies: Vec<Reply> = heard.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(replies.len(), 2, "{heard}");
        assert!(matches!(&replies[0], Reply { id, answer: Answer::Failed(_) } if id == "a"));
        let live = Answer::Done(Box::new(Outcome::Live(BTreeMap::new())));
        assert_eq!(replies[1], Reply { id: "b".to_owned(), answer: live });
    }

    #[test]
    fn a_pool_stays_what_it_was_made_as() {
        let dir = tempfile::tempdir().unwrap();
        drop(keeper(dir.path(), Driver::Copy, std::io::sink()));
        let format = dir.path().join("format.json");
        let text = std::fs::read_to_string(&format).unwrap();
        std::fs::write(&format, text.replace("\"version\":1", "\"version\":2")).unwrap();
        let opened = Pool::open(dir.path(), Driver::Copy, None);
        assert!(matches!(opened, Err(StorageError::Foreign { .. })));
        std::fs::write(&format, text.replace("copy", "btrfs")).unwrap();
        assert!(matches!(Pool::open(dir.path(), Driver::Copy, None), Err(StorageError::Foreign { .. })));
        // Where the pool is not mounted, nothing is made.
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Pool::open(empty.path(), Driver::Btrfs, None), Err(StorageError::Foreign { .. })));
        assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
    }
}
