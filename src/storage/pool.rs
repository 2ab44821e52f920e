//! The pool as folders: what is where, and the order in which it is changed.
//!
//! To make: below `tmp`, synced, manifest, renamed into `data`, synced. A driver whose copy is one act of the file
//! system makes it in its place at once, after the manifest. To take away: renamed to `tmp`, manifest removed, then
//! what is in it. A manifest whose data never came, and everything in `tmp`, is a leftover.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::btrfs::Btrfs;
use super::driver::{Meter, Storage, refusal};
use super::image;
use super::protocol::{Driver, Item, Refusal, Size, Status, VERSION};
use super::tree::Tree;
use super::walk::{names, open_folder, open_root, part};
use super::{StorageError, name, postgres, tree};
use crate::base::size::bytes;

/// What a pool says of itself is in this file.
pub(super) const FORMAT: &str = "format.json";

/// The version of a pool's layout.
const LAYOUT: u32 = 1;

/// What a pool says of itself in `format.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    version: u32,
    driver: Driver,
    uuid: String,
}

/// A pool that is mounted.
pub(super) struct Pool {
    root: OwnedFd,
    data: OwnedFd,
    manifests: OwnedFd,
    live: OwnedFd,
    tmp: OwnedFd,
    storage: Box<dyn Storage>,
    file: Option<PathBuf>,
    /// What is being taken away, by its name in `tmp`.
    leaving: Mutex<BTreeSet<String>>,
}

/// What lies in `tmp`, by the beginning of its name.
const NEW: &str = "new-";
const TRASH: &str = "trash-";
const FILE: &str = "file-";

impl Pool {
    /// Opens the pool that is mounted at `root`, and makes its folders when it is new.
    pub(super) fn open(root: &Path, driver: Driver, file: Option<PathBuf>) -> Result<Self, StorageError> {
        let open = open_root(root).map_err(StorageError::system(format!("open {}", root.display())))?;
        fits(root, &open, driver)?;
        let storage: Box<dyn Storage> = match driver {
            Driver::Btrfs => Box::new(Btrfs),
            Driver::Reflink => Box::new(Tree { reflink: true }),
            Driver::Copy => Box::new(Tree { reflink: false }),
        };
        let folder = |name: &str| {
            match rustix::fs::mkdirat(&open, name, Mode::from(0o700)) {
                // In a pool that can only be read, what is there can be.
                Ok(()) | Err(Errno::EXIST | Errno::ROFS) => {}
                Err(errno) => return Err(errno),
            }
            open_folder(open.as_fd(), name)
        };
        let folders = [folder("data"), folder("manifests"), folder("live"), folder("tmp")];
        let doing = format!("make the pool's folders in {}", root.display());
        let [data, manifests, live, tmp] =
            folders.map(|folder| folder.map_err(StorageError::system(&*doing)));
        let pool = Self {
            data: data?,
            manifests: manifests?,
            live: live?,
            tmp: tmp?,
            root: open,
            storage,
            file,
            leaving: Mutex::default(),
        };
        pool.know(root)?;
        Ok(pool)
    }

    /// What only the keeper does, and only when it starts: takes all of the pool's file into use, and clears what
    /// a crash left.
    pub(super) fn begin(&self) -> Result<(), Refusal> {
        if self.space()?.read_only {
            return Ok(());
        }
        self.fill_device()?;
        self.storage.prepare(self.tmp.as_fd())?;
        for name in names(&self.tmp).map_err(refusal("list leftovers"))? {
            if let Some(name) = part(&name).to_str().filter(|name| name.starts_with(FILE)) {
                let _ = rustix::fs::unlinkat(&self.tmp, name, AtFlags::empty());
            }
        }
        self.sweep().map(drop)
    }

    /// Reads what the pool is, or writes it into a new one.
    fn know(&self, root: &Path) -> Result<(), StorageError> {
        let path = root.join(FORMAT);
        let foreign = |why: String| StorageError::Foreign { path: root.to_owned(), why };
        // An import may come first, or at the same time.
        let lock = open_folder(self.root.as_fd(), c".").map_err(StorageError::system("lock the pool"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(StorageError::system("lock the pool"))?;
        if let Some(text) =
            read(self.root.as_fd(), FORMAT).map_err(StorageError::system("read the format"))?
        {
            let format: Format = serde_json::from_slice(&text)
                .map_err(|error| foreign(format!("{} cannot be read: {error}", path.display())))?;
            if format.version != LAYOUT {
                return Err(foreign(format!("its layout has version {}, not {LAYOUT}", format.version)));
            }
            if format.driver != self.storage.driver() {
                return Err(foreign(format!("it was made for the driver {}", format.driver.word())));
            }
            return Ok(());
        }
        let uuid = image::random_uuid()?;
        let format = Format { version: LAYOUT, driver: self.storage.driver(), uuid };
        let text = serde_json::to_vec(&format).map_err(|error| foreign(error.to_string()))?;
        self.write(self.root.as_fd(), FORMAT, &text)?;
        Ok(self.sync()?)
    }

    /// Lets the file system have all of the pool's file, which is larger than the template that it began as.
    fn fill_device(&self) -> Result<(), Refusal> {
        let Some(file) = &self.file else { return Ok(()) };
        let bytes =
            std::fs::metadata(file).map_err(|error| image::system("look at the pool's file", &error))?.len();
        self.storage.enlarge(self.root.as_fd(), bytes)
    }

    /// What the pool is, and how full.
    pub(super) fn status(&self) -> Result<Status, Refusal> {
        let space = self.space()?;
        let (mut host_free, mut image, mut allocated) = (space.free, None, true);
        if let Some(file) = &self.file {
            let stat = rustix::fs::stat(file).map_err(refusal("look at the pool's file"))?;
            let host = rustix::fs::statvfs(file).map_err(refusal("look at the disk below the pool"))?;
            host_free = host.f_bavail.saturating_mul(host.f_frsize);
            let bytes = u64::try_from(stat.st_size).unwrap_or(0);
            image = Some(bytes);
            allocated = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) >= bytes;
        }
        Ok(Status {
            version: VERSION,
            driver: self.storage.driver(),
            total: space.total,
            free: space.free,
            floor: space.floor,
            host_free,
            image,
            allocated,
            read_only: space.read_only,
        })
    }

    fn space(&self) -> Result<Space, Refusal> {
        let vfs = rustix::fs::fstatvfs(&self.root).map_err(refusal("measure the pool"))?;
        let total = vfs.f_blocks.saturating_mul(vfs.f_frsize);
        Ok(Space {
            total,
            free: vfs.f_bavail.saturating_mul(vfs.f_frsize),
            floor: floor(total),
            read_only: vfs.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }

    /// Refuses where nothing can be written.
    fn writable(&self) -> Result<Space, Refusal> {
        let space = self.space()?;
        if space.read_only { Err(Refusal::ReadOnly) } else { Ok(space) }
    }

    /// Refuses where less than the floor would be left.
    fn room(&self, cost: u64, force: bool) -> Result<(), Refusal> {
        let space = self.writable()?;
        // Not even force lets a copy begin that cannot end.
        let needed = if force { cost } else { space.floor.saturating_add(cost) };
        if space.free < needed { Err(Refusal::Full { free: space.free, needed }) } else { Ok(()) }
    }

    /// Says what is free in a refusal that came from the middle of the work.
    fn measured(&self, refused: Refusal) -> Refusal {
        match (refused, self.space()) {
            (Refusal::Full { needed: 0, .. }, Ok(space)) => {
                Refusal::Full { free: space.free, needed: space.floor }
            }
            (refused, _) => refused,
        }
    }

    /// Everything in `data`.
    pub(super) fn list(&self) -> Result<Vec<Item>, Refusal> {
        let mut items = Vec::new();
        for file_name in names(&self.data).map_err(refusal("list the pool"))? {
            let id = part(&file_name).to_string_lossy().into_owned();
            let Ok(own) = open_folder(self.data.as_fd(), &*file_name) else { continue };
            items.push(self.item(&id, &own)?);
        }
        Ok(items)
    }

    /// One piece of data.
    pub(super) fn look(&self, id: &str) -> Result<Item, Refusal> {
        self.item(id, &self.open_data(id)?)
    }

    fn item(&self, id: &str, own: &OwnedFd) -> Result<Item, Refusal> {
        let folders = names(own).map_err(refusal("list data"))?;
        let folders = folders.iter().map(|name| part(name).to_string_lossy().into_owned()).collect();
        Ok(Item { id: id.to_owned(), folders, manifest: self.manifest(id)? })
    }

    /// Writes settings for the PostgreSQL servers whose data it is.
    pub(super) fn settle(&self, id: &str, settings: &BTreeMap<String, String>) -> Result<(), Refusal> {
        self.writable()?;
        postgres::settle(self.open_data(id)?.as_fd(), settings)
    }

    /// The manifest of data; what is no JSON any more comes as text.
    fn manifest(&self, id: &str) -> Result<Option<serde_json::Value>, Refusal> {
        if name::id(id).is_err() {
            return Ok(None);
        }
        let text = read(self.manifests.as_fd(), &format!("{id}.json")).map_err(refusal("read a manifest"))?;
        Ok(text.map(|text| {
            serde_json::from_slice(&text)
                .unwrap_or_else(|_| String::from_utf8_lossy(&text).into_owned().into())
        }))
    }

    /// Opens data.
    fn open_data(&self, id: &str) -> Result<OwnedFd, Refusal> {
        match open_folder(self.data.as_fd(), name::id(id)?) {
            Err(Errno::NOENT) => Err(Refusal::Missing(id.to_owned())),
            answer => answer.map_err(refusal(format!("open the data `{id}`"))),
        }
    }

    /// Refuses a name that is taken.
    fn absent(&self, id: &str) -> Result<(), Refusal> {
        match rustix::fs::statat(&self.data, name::id(id)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Refusal::Exists(id.to_owned())),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(refusal("look at the pool")(errno)),
        }
    }

    /// New data with empty folders.
    pub(super) fn make(
        &self,
        id: &str,
        folders: &[String],
        manifest: &serde_json::Value,
    ) -> Result<(), Refusal> {
        self.absent(id)?;
        self.room(0, false)?;
        self.build("make", id, manifest, |own| add(own, folders))
    }

    /// More folders for data.
    pub(super) fn extend(&self, id: &str, folders: &[String]) -> Result<(), Refusal> {
        self.writable()?;
        let own = self.open_data(id)?;
        add(own.as_fd(), folders)?;
        self.sync()
    }

    /// A copy of all folders of `from`.
    pub(super) fn capture(&self, wish: &Capture<'_>, meter: &Meter) -> Result<(), Refusal> {
        let own = self.open_data(wish.from)?;
        self.absent(wish.id)?;
        postgres::leads_nowhere_else(own.as_fd())?;
        self.room(self.storage.cost(own.as_fd())?, wish.force)?;
        let (id, frozen) = (wish.id, wish.frozen);
        if self.storage.is_atomic() {
            let made = step("pool:capture:before-manifest")
                .and_then(|()| self.announce_any(id, wish.manifest))
                .and_then(|()| step("pool:capture:after-manifest"))
                .and_then(|()| self.storage.copy(own.as_fd(), self.data.as_fd(), id, frozen, meter))
                .and_then(|()| step("pool:capture:after-rename"));
            return made.map_err(|refused| {
                let refused = self.measured(refused);
                // Whatever cannot be taken away now is a leftover, which the next start clears.
                let _ = rustix::fs::unlinkat(&self.manifests, format!("{id}.json"), AtFlags::empty());
                let _ = self.storage.remove(self.data.as_fd(), id);
                refused
            });
        }
        self.assemble("capture", id, wish.manifest, |name| {
            self.storage.copy(own.as_fd(), self.tmp.as_fd(), name, frozen, meter)?;
            if frozen {
                let copy = open_folder(self.tmp.as_fd(), name).map_err(refusal("open the copy"))?;
                self.storage.freeze(copy.as_fd())?;
            }
            Ok(())
        })
    }

    /// Data out of folders from elsewhere.
    pub(super) fn import(
        &self,
        id: &str,
        folders: &BTreeMap<String, String>,
        manifest: &serde_json::Value,
        meter: &Meter,
    ) -> Result<(), Refusal> {
        self.absent(id)?;
        let mut sources = Vec::new();
        let mut cost = 0;
        for (key, path) in folders {
            let source = open_root(Path::new(path)).map_err(refusal(format!("open {path}")))?;
            cost += tree::bytes(source.as_fd())?;
            sources.push((name::part(key)?, source));
        }
        self.room(cost, false)?;
        self.build("import", id, manifest, |own| {
            for (key, source) in &sources {
                rustix::fs::mkdirat(own, *key, Mode::from(0o755)).map_err(refusal("make a folder"))?;
                let to = open_folder(own, *key).map_err(refusal("open a folder"))?;
                tree::copy(source.as_fd(), to.as_fd(), false, meter)?;
            }
            postgres::leads_nowhere_else(own)
        })
    }

    /// Makes data under another name, fills it, and puts it into its place.
    fn build(
        &self,
        verb: &str,
        id: &str,
        manifest: &serde_json::Value,
        fill: impl FnOnce(BorrowedFd<'_>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        self.assemble(verb, id, manifest, |name| {
            self.storage.make(self.tmp.as_fd(), name)?;
            let own = open_folder(self.tmp.as_fd(), name).map_err(refusal("open what was made"))?;
            fill(own.as_fd())
        })
    }

    /// The order of every making: `make` builds below `tmp`; what fails leaves nothing.
    fn assemble(
        &self,
        verb: &str,
        id: &str,
        manifest: &serde_json::Value,
        make: impl FnOnce(&str) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let at = |place: &str| step(&format!("pool:{verb}:{place}"));
        let name = format!("{NEW}{id}");
        let made = at("before-tmp")
            .and_then(|()| make(&name))
            .and_then(|()| at("after-tmp"))
            .and_then(|()| self.sync())
            .and_then(|()| at("after-sync"))
            .and_then(|()| self.announce_any(id, manifest))
            .and_then(|()| at("after-manifest"))
            .and_then(|()| {
                rustix::fs::renameat(&self.tmp, &*name, &self.data, id)
                    .map_err(refusal("rename what was made"))
            })
            .and_then(|()| at("after-rename"))
            .and_then(|()| self.sync());
        made.map_err(|refused| {
            let refused = self.measured(refused);
            // Whatever cannot be taken away now is a leftover, which the next start clears.
            let _ = rustix::fs::renameat(&self.data, id, &self.tmp, &*name);
            let _ = rustix::fs::unlinkat(&self.manifests, format!("{id}.json"), AtFlags::empty());
            let _ = self.storage.remove(self.tmp.as_fd(), &name);
            refused
        })
    }

    /// Writes the manifests of data that is about to be made.
    pub(super) fn announce(&self, manifests: &BTreeMap<String, serde_json::Value>) -> Result<(), Refusal> {
        self.writable()?;
        for (id, manifest) in manifests {
            self.absent(id)?;
            self.announce_any(id, manifest)?;
        }
        // Before files share their blocks they are written out, which services would have to stand still for.
        if self.storage.is_atomic() { Ok(()) } else { self.sync() }
    }

    /// The same for one, unless it was announced already. A keeper that started meanwhile took it for a leftover.
    fn announce_any(&self, id: &str, manifest: &serde_json::Value) -> Result<(), Refusal> {
        if self.manifest(id)?.as_ref() == Some(manifest) { Ok(()) } else { self.describe_any(id, manifest) }
    }

    /// Writes the manifest of data anew.
    pub(super) fn describe(&self, id: &str, manifest: &serde_json::Value) -> Result<(), Refusal> {
        self.writable()?;
        self.open_data(id)?;
        self.describe_any(id, manifest)?;
        rustix::fs::fsync(&self.manifests).map_err(refusal("write a manifest out"))
    }

    fn describe_any(&self, id: &str, manifest: &serde_json::Value) -> Result<(), Refusal> {
        let text = serde_json::to_vec(manifest).map_err(|error| Refusal::System {
            doing: "write a manifest".to_owned(),
            why: error.to_string(),
        })?;
        self.write(self.manifests.as_fd(), &format!("{id}.json"), &text)
    }

    /// Lets an environment's link lead to data.
    pub(super) fn point(&self, environment: &str, id: &str) -> Result<(), Refusal> {
        let environment = name::part(environment)?;
        self.writable()?;
        self.open_data(id)?;
        let new = format!("{FILE}link");
        let _ = rustix::fs::unlinkat(&self.tmp, &*new, AtFlags::empty());
        step("pool:point:before-rename")?;
        rustix::fs::symlinkat(format!("../data/{id}"), &self.tmp, &*new).map_err(refusal("make a link"))?;
        rustix::fs::renameat(&self.tmp, &*new, &self.live, environment).map_err(refusal("turn a link"))?;
        step("pool:point:after-rename")?;
        rustix::fs::fsync(&self.live).map_err(refusal("write a link out"))
    }

    /// Takes an environment's link away, if there is one.
    pub(super) fn unpoint(&self, environment: &str) -> Result<(), Refusal> {
        self.writable()?;
        match rustix::fs::unlinkat(&self.live, name::part(environment)?, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(refusal("remove a link")(errno)),
        }
        rustix::fs::fsync(&self.live).map_err(refusal("write a link out"))
    }

    /// Where the environments' links lead; those that somebody else made are left out.
    pub(super) fn live(&self) -> Result<BTreeMap<String, String>, Refusal> {
        let mut live = BTreeMap::new();
        for name in names(&self.live).map_err(refusal("list the links"))? {
            let Ok(target) = rustix::fs::readlinkat(&self.live, &name, Vec::new()) else { continue };
            let id = target.to_str().ok().and_then(|target| target.strip_prefix("../data/"));
            if let (Some(environment), Some(id)) = (part(&name).to_str(), id) {
                live.insert(environment.to_owned(), id.to_owned());
            }
        }
        Ok(live)
    }

    /// Takes data out of sight; what it returns takes it off the disk, which may last.
    pub(super) fn remove(&self, id: &str) -> Result<impl FnOnce(&Self) + Send + 'static, Refusal> {
        self.writable()?;
        let own = self.open_data(id)?;
        if self.manifest(id)?.is_none() {
            return Err(Refusal::System {
                doing: format!("remove the data `{id}`"),
                why: "devenv did not make it".to_owned(),
            });
        }
        let trash = format!("{TRASH}{id}");
        step("pool:remove:before-rename")?;
        // Another folder cannot take a frozen subvolume: its link to the one above it cannot be written.
        self.storage.thaw(own.as_fd())?;
        // One of that name can only be left from before.
        let _ = self.storage.remove(self.tmp.as_fd(), &trash);
        rustix::fs::renameat(&self.data, id, &self.tmp, &*trash)
            .map_err(refusal("put data into the trash"))?;
        let undescribed = step("pool:remove:after-rename").and_then(|()| {
            rustix::fs::unlinkat(&self.manifests, format!("{id}.json"), AtFlags::empty())
                .map_err(refusal("remove a manifest"))
        });
        if let Err(refused) = undescribed {
            let _ = rustix::fs::renameat(&self.tmp, &*trash, &self.data, id);
            return Err(refused);
        }
        // It is gone by now, whatever comes.
        let _ = step("pool:remove:after-manifest");
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).insert(trash.clone());
        Ok(move |pool: &Self| {
            // What fails here is a leftover; `check` finds it.
            let _ = pool.storage.remove(pool.tmp.as_fd(), &trash);
            pool.leaving.lock().unwrap_or_else(PoisonError::into_inner).remove(&trash);
        })
    }

    /// Whether the driver takes data off the disk at once.
    pub(super) fn removes_at_once(&self) -> bool {
        self.storage.driver() == Driver::Btrfs
    }

    /// How large data is; what is not there is left out.
    pub(super) fn sizes(&self, ids: &[String]) -> Result<BTreeMap<String, Size>, Refusal> {
        let queue = Mutex::new(ids.iter());
        let sizes = Mutex::new(Ok(BTreeMap::new()));
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8).min(ids.len());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(id) = next else { return };
                        let size = self.open_data(id).and_then(|own| self.storage.size(own.as_fd()));
                        let mut sizes = sizes.lock().unwrap_or_else(PoisonError::into_inner);
                        match (&mut *sizes, size) {
                            (Ok(sizes), Ok(size)) => drop(sizes.insert(id.clone(), size)),
                            (_, Err(Refusal::Missing(_))) => {}
                            (Ok(_), Err(refused)) => *sizes = Err(refused),
                            (Err(_), _) => return,
                        }
                    }
                });
            }
        });
        sizes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enlarges the pool's file, its device and its file system.
    pub(super) fn grow(&self, bytes: u64) -> Result<(), Refusal> {
        self.writable()?;
        let Some(file) = &self.file else {
            return Err(Refusal::System {
                doing: "enlarge the pool".to_owned(),
                why: "it is a plain folder, as large as its disk".to_owned(),
            });
        };
        image::grow(file, bytes)?;
        self.storage.enlarge(self.root.as_fd(), bytes)?;
        self.sync()
    }

    /// Looks for damage, and takes leftovers away.
    pub(super) fn check(&self) -> Result<Vec<String>, Refusal> {
        let status = self.status()?;
        let mut problems = Vec::new();
        if status.read_only {
            problems.push("the pool can only be read".to_owned());
        } else {
            problems.extend(self.sweep()?);
        }
        if !status.allocated {
            problems
                .push("the pool's file is not allocated as a whole, so that a full disk ends it".to_owned());
        }
        if status.free < status.floor {
            problems.push(format!(
                "the pool has {} free, below its floor of {}",
                bytes(status.free),
                bytes(status.floor)
            ));
        }
        for item in self.list()? {
            match item.manifest {
                None => problems.push(format!("the data {:?} is not devenv's", item.id)),
                Some(serde_json::Value::String(_)) => {
                    problems.push(format!("the manifest of `{}` cannot be read", item.id));
                }
                Some(_) => {}
            }
        }
        for (environment, id) in self.live()? {
            if matches!(self.open_data(&id), Err(Refusal::Missing(_))) {
                problems.push(format!("the data `{id}` of the environment {environment:?} is gone"));
            }
        }
        Ok(problems)
    }

    /// Takes away what a crash left; says what is not ours.
    fn sweep(&self) -> Result<Vec<String>, Refusal> {
        let mut foreign = Vec::new();
        let lock = self.open_tmp()?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            // Another process is making something; leftovers go the next time.
            return Ok(foreign);
        }
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for name in names(&self.tmp).map_err(refusal("list leftovers"))? {
            match part(&name).to_str() {
                // Small files are written in no time; old ones go when the keeper starts.
                Some(name) if leaving.contains(name) || name.starts_with(FILE) => {}
                Some(name) if [NEW, TRASH].iter().any(|ours| name.starts_with(ours)) => {
                    self.storage.remove(self.tmp.as_fd(), name)?;
                }
                _ => foreign.push(format!("tmp/{} is not devenv's", name.to_string_lossy())),
            }
        }
        for name in names(&self.manifests).map_err(refusal("list manifests"))? {
            let id = part(&name).to_str().and_then(|name| name.strip_suffix(".json"));
            if let Some(id) = id.filter(|id| name::id(id).is_ok())
                && self.absent(id).is_ok()
            {
                rustix::fs::unlinkat(&self.manifests, &*name, AtFlags::empty())
                    .map_err(refusal("remove a leftover"))?;
            }
        }
        Ok(foreign)
    }

    /// Keeps the keeper, which is another process, from taking for a leftover what this one makes, for as long as the
    /// answer lives.
    pub(super) fn beside_the_keeper(&self) -> Result<OwnedFd, Refusal> {
        let lock = self.open_tmp()?;
        rustix::fs::flock(&lock, FlockOperation::LockShared).map_err(refusal("lock the pool"))?;
        Ok(lock)
    }

    /// Opens `tmp` anew: a lock belongs to one opening (`flock(2)`).
    fn open_tmp(&self) -> Result<OwnedFd, Refusal> {
        open_folder(self.root.as_fd(), c"tmp").map_err(refusal("open the pool's folder tmp"))
    }

    /// Writes everything out.
    pub(super) fn sync(&self) -> Result<(), Refusal> {
        rustix::fs::syncfs(&self.root).map_err(refusal("write the pool out"))
    }

    /// Replaces a small file in one step; on the disk before it has its name.
    fn write(&self, folder: BorrowedFd<'_>, name: &str, text: &[u8]) -> Result<(), Refusal> {
        let new = format!("{FILE}{name}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let write = || {
            let file = rustix::fs::openat(&self.tmp, &*new, flags, Mode::RUSR | Mode::WUSR)?;
            let mut left = text;
            while !left.is_empty() {
                let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, left))?;
                left = &left[written..];
            }
            rustix::fs::fsync(&file)?;
            rustix::fs::renameat(&self.tmp, &*new, folder, name)
        };
        write().map_err(|errno| {
            let _ = rustix::fs::unlinkat(&self.tmp, &*new, AtFlags::empty());
            self.measured(refusal(format!("write {name}"))(errno))
        })
    }
}

/// What is to be captured.
#[derive(Debug)]
pub(super) struct Capture<'a> {
    /// What is copied.
    pub(super) from: &'a str,
    /// The copy's id.
    pub(super) id: &'a str,
    /// Whether it can never be written.
    pub(super) frozen: bool,
    /// Goes on below the floor.
    pub(super) force: bool,
    /// Its manifest.
    pub(super) manifest: &'a serde_json::Value,
}

/// How full a pool is.
#[derive(Debug, Clone, Copy)]
struct Space {
    total: u64,
    free: u64,
    floor: u64,
    read_only: bool,
}

/// What has to stay free: a database that cannot write its log ends itself.
fn floor(total: u64) -> u64 {
    (total / 50).max(64 << 20)
}

/// Refuses a place that holds another file system than the driver needs, as when the pool is not mounted.
fn fits(root: &Path, open: &OwnedFd, driver: Driver) -> Result<(), StorageError> {
    // `linux/magic.h`.
    const BTRFS: u64 = 0x9123_683E;
    const XFS: u64 = 0x5846_5342;
    let doing = format!("look at {}", root.display());
    let found = rustix::fs::fstatfs(open).map_err(StorageError::system(doing))?.f_type;
    let found = u64::try_from(found).unwrap_or(0);
    let fits = match driver {
        Driver::Btrfs => found == BTRFS,
        // Btrfs shares blocks between files too.
        Driver::Reflink => found == XFS || found == BTRFS,
        Driver::Copy => !root.join(image::NAME).exists(),
    };
    if fits {
        return Ok(());
    }
    let why = match driver {
        Driver::Copy => "it holds a pool with a file system of its own".to_owned(),
        driver => format!("its file system is not the one of the driver {}", driver.word()),
    };
    Err(StorageError::Foreign { path: root.to_owned(), why })
}

/// A whole small file; none when there is none.
fn read(folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let (mut text, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut piece))? {
            0 => return Ok(Some(text)),
            length => text.extend_from_slice(&piece[..length]),
        }
    }
}

/// Makes the folders that are not there yet.
fn add(own: BorrowedFd<'_>, folders: &[String]) -> Result<(), Refusal> {
    for folder in folders {
        match rustix::fs::mkdirat(own, name::part(folder)?, Mode::from(0o755)) {
            // The keeper's own mask is nobody's wish.
            Ok(()) => rustix::fs::chmodat(own, folder.as_str(), Mode::from(0o755), AtFlags::empty())
                .map_err(refusal("make a folder"))?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(refusal("make a folder")(errno)),
        }
    }
    Ok(())
}

/// A place where tests let the work fail or end (feature `failpoints`).
#[cfg_attr(
    not(feature = "failpoints"),
    expect(clippy::unnecessary_wraps, reason = "then nothing fails here")
)]
fn step(at: &str) -> Result<(), Refusal> {
    fail::fail_point!(at, |why| match why.as_deref() {
        // As if it were killed: nothing is tidied up.
        Some("abort") => std::process::abort(),
        why => Err(Refusal::System { doing: at.to_owned(), why: why.unwrap_or("a failpoint").to_owned() }),
    });
    let _ = at;
    Ok(())
}
