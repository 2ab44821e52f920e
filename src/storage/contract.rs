//! What every driver has to hold, as one suite. `cargo test --lib` runs it where no privilege is needed, and
//! `tests/storage` on real file systems, through a keeper of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use serde_json::json;

use super::protocol::{Ask, Driver, Item, Outcome, Refusal, Size};

/// A pool that is to hold all of it.
pub(crate) struct Bench<'a> {
    pub(crate) root: &'a Path,
    pub(crate) driver: Driver,
    pub(crate) ask: &'a dyn Fn(Ask) -> Result<Outcome, Refusal>,
}

/// Runs all of it.
pub(crate) fn hold(bench: &Bench<'_>) {
    names_and_manifests(bench);
    a_copy_has_everything(bench);
    copies_are_independent(bench);
    frozen_data_stays_as_it_is(bench);
    links_turn(bench);
    data_that_leads_out_is_refused(bench);
    sizes_tell_what_is_shared(bench);
    scattered_writes_take_their_own_size(bench);
    many_small_files(bench);
    leftovers_go_and_foreign_things_stay(bench);
    folders_from_elsewhere(bench);
    let left = bench.items();
    assert!(left.is_empty(), "{left:?}");
}

impl Bench<'_> {
    fn does(&self, ask: Ask) {
        let told = format!("{ask:?}");
        let outcome = (self.ask)(ask);
        assert_eq!(outcome, Ok(Outcome::Nothing), "{told}");
    }

    fn refuses(&self, ask: Ask) -> Refusal {
        (self.ask)(ask).unwrap_err()
    }

    pub(crate) fn items(&self) -> Vec<Item> {
        match (self.ask)(Ask::List) {
            Ok(Outcome::Items(items)) => items,
            other => panic!("{other:?}"),
        }
    }

    fn size(&self, id: &str) -> Size {
        match (self.ask)(Ask::Sizes { ids: vec![id.to_owned(), "not-there".to_owned()] }) {
            Ok(Outcome::Sizes(sizes)) if sizes.len() == 1 => sizes[id],
            other => panic!("{other:?}"),
        }
    }

    fn problems(&self) -> Vec<String> {
        match (self.ask)(Ask::Check) {
            Ok(Outcome::Problems(problems)) => problems,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn make(&self, id: &str) -> PathBuf {
        self.does(Ask::Make { id: id.into(), folders: vec!["db".into()], manifest: json!({ "id": id }) });
        self.root.join("data").join(id).join("db")
    }

    pub(crate) fn capture(&self, from: &str, id: &str) -> PathBuf {
        self.does(capture(from, id));
        self.root.join("data").join(id).join("db")
    }

    /// Removes data and waits until it is off the disk.
    pub(crate) fn remove(&self, id: &str) {
        self.does(Ask::Remove { id: id.into() });
        assert!(!self.root.join("data").join(id).exists());
        assert!(!self.root.join("manifests").join(format!("{id}.json")).exists());
        let trash = self.root.join("tmp").join(format!("trash-{id}"));
        let gone = (0..12_000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            !trash.exists()
        });
        assert!(gone, "still there");
    }
}

pub(crate) fn capture(from: &str, id: &str) -> Ask {
    Ask::Capture {
        from: from.into(),
        id: id.into(),
        frozen: false,
        force: false,
        manifest: json!({ "id": id }),
    }
}

fn names_and_manifests(bench: &Bench<'_>) {
    let db = bench.make("one");
    assert_eq!(fs::metadata(&db).unwrap().mode() & 0o7777, 0o755);
    let again = Ask::Make { id: "one".into(), folders: vec![], manifest: json!(null) };
    assert_eq!(bench.refuses(again), Refusal::Exists("one".into()));
    assert_eq!(bench.refuses(capture("none", "two")), Refusal::Missing("none".into()));
    assert_eq!(bench.refuses(capture("one", "one")), Refusal::Exists("one".into()));
    for bad in ["", "..", "a/b", "UPPER", "ä", &"x".repeat(65)] {
        assert!(matches!(bench.refuses(capture("one", bad)), Refusal::System { .. }), "{bad}");
        assert!(matches!(bench.refuses(capture(bad, "two")), Refusal::System { .. }), "{bad}");
    }
    for bad in ["", "..", ".", "../up", "/etc"] {
        let extend = Ask::Extend { id: "one".into(), folders: vec![bad.into()] };
        assert!(matches!(bench.refuses(extend), Refusal::System { .. }), "{bad}");
        let make = Ask::Make { id: "two".into(), folders: vec![bad.into()], manifest: json!(null) };
        assert!(matches!(bench.refuses(make), Refusal::System { .. }), "{bad}");
        let point = Ask::Point { environment: bad.into(), id: "one".into() };
        assert!(matches!(bench.refuses(point), Refusal::System { .. }), "{bad}");
    }
    assert_eq!(fs::read_dir(bench.root.join("tmp")).unwrap().count(), 0, "what failed leaves nothing");
    bench.does(Ask::Extend { id: "one".into(), folders: vec!["db".into(), "a volume.2".into()] });
    bench.does(Ask::Describe { id: "one".into(), manifest: json!({ "now": "new" }) });
    let item = Item {
        id: "one".into(),
        folders: vec!["a volume.2".into(), "db".into()],
        manifest: Some(json!({ "now": "new" })),
    };
    assert_eq!(bench.items(), [item]);
    let manifest = bench.root.join("manifests/one.json");
    assert_eq!(fs::metadata(&manifest).unwrap().mode() & 0o7777, 0o600);
    fs::write(&manifest, "{ cut").unwrap();
    assert_eq!(bench.items()[0].manifest, Some(json!("{ cut")), "ours, though nobody knows what");
    bench.remove("one");
    assert_eq!(bench.refuses(Ask::Remove { id: "one".into() }), Refusal::Missing("one".into()));
}

/// Everything that a copy has to have, by path; hard links by the first path of the file.
fn picture(root: &Path) -> BTreeMap<PathBuf, String> {
    fn go(
        root: &Path,
        at: &Path,
        seen: &mut BTreeMap<(u64, u64), PathBuf>,
        all: &mut BTreeMap<PathBuf, String>,
    ) {
        let meta = fs::symlink_metadata(at).unwrap();
        let path = at.strip_prefix(root).unwrap().to_owned();
        let kind = meta.file_type();
        if kind.is_socket() {
            return;
        }
        let content = if kind.is_file() {
            format!("{:?}", fs::read(at).unwrap())
        } else if kind.is_symlink() {
            fs::read_link(at).unwrap().display().to_string()
        } else {
            String::new()
        };
        let mut names = vec![0_u8; 1000];
        let length = rustix::fs::llistxattr(at, names.as_mut_slice()).unwrap_or(0);
        let mut names: Vec<_> =
            names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        let attributes: Vec<_> = names
            .into_iter()
            .map(|name| {
                let mut value = vec![0_u8; 1000];
                let length = rustix::fs::lgetxattr(at, name, value.as_mut_slice()).unwrap();
                (String::from_utf8_lossy(name).into_owned(), value[..length].to_vec())
            })
            .collect();
        let first = seen.entry((meta.dev(), meta.ino())).or_insert_with(|| path.clone()).clone();
        all.insert(
            path,
            format!(
                "{:o} {}:{} {}.{:09} {} {} {attributes:?} {content}",
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.mtime(),
                meta.mtime_nsec(),
                if kind.is_dir() { 0 } else { meta.rdev() + meta.len() },
                first.display(),
            ),
        );
        if kind.is_dir() {
            let mut below: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
            below.sort();
            for below in &below {
                go(root, below, seen, all);
            }
        }
    }
    let mut all = BTreeMap::new();
    go(root, root, &mut BTreeMap::new(), &mut all);
    all
}

fn set_time(path: &Path, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A folder with everything in it that a container can make.
fn furnish(db: &Path) {
    let root = rustix::process::geteuid().is_root();
    let file = |name: &str, content: &str| {
        fs::write(db.join(name), content).unwrap();
        db.join(name)
    };
    let plain = file("plain", "text");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).unwrap();
    let attribute = rustix::fs::setxattr(&plain, c"user.note", b"a\0b", XattrFlags::empty());
    let suid = file("suid", "program");
    if root {
        attribute.unwrap();
        std::os::unix::fs::chown(&plain, Some(999), Some(998)).unwrap();
        std::os::unix::fs::chown(&suid, Some(70), Some(70)).unwrap();
        // `cap_net_raw=ep`, which a change of the owner would clear.
        let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        rustix::fs::setxattr(&suid, c"security.capability", &capability, XattrFlags::empty()).unwrap();
        let null = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(CWD, db.join("device"), FileType::CharacterDevice, Mode::from(0o666), null)
            .unwrap();
    }
    fs::set_permissions(&suid, fs::Permissions::from_mode(0o6755)).unwrap();
    set_time(&plain, 1_000_000_000);
    set_time(&file("before the epoch", ""), -5);
    fs::create_dir_all(db.join("a/b/empty")).unwrap();
    fs::hard_link(&plain, db.join("a/b/the same")).unwrap();
    fs::hard_link(&plain, db.join("z")).unwrap();
    symlink("/etc/passwd", db.join("to a file outside")).unwrap();
    symlink("/etc", db.join("to a folder outside")).unwrap();
    symlink("nowhere", db.join("dangling")).unwrap();
    symlink(".", db.join("loop")).unwrap();
    if root {
        std::os::unix::fs::lchown(db.join("dangling"), Some(5), Some(6)).unwrap();
    }
    set_time(&db.join("dangling"), 7);
    rustix::fs::mknodat(CWD, db.join("fifo"), FileType::Fifo, Mode::from(0o620), 0).unwrap();
    drop(UnixListener::bind(db.join("socket")).unwrap());
    for name in ["new\nline", "-rf", "$(id)", "\u{202e}", "é", "e\u{301}", &"n".repeat(255)] {
        file(name, name);
    }
    fs::write(db.join(OsString::from_vec(vec![0xff, 0xfe, b'x'])), "not unicode").unwrap();
    let mut sparse = fs::File::create(db.join("sparse")).unwrap();
    sparse.write_all(b"begin").unwrap();
    sparse.seek(SeekFrom::Start(8 << 20)).unwrap();
    sparse.write_all(b"middle").unwrap();
    sparse.set_len(64 << 20).unwrap();
    fs::File::create(db.join("only a hole")).unwrap().set_len(1 << 20).unwrap();
    fs::write(db.join("large"), vec![7; 3 << 20]).unwrap();
    fs::write(db.join("odd"), vec![8; 70_001]).unwrap();
    // Deeper than one path can be.
    let mut deep = rustix::fs::open(db, rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..300 {
        rustix::fs::mkdirat(&deep, "0123456789abcdef", Mode::RWXU).unwrap();
        deep = rustix::fs::openat(&deep, "0123456789abcdef", rustix::fs::OFlags::DIRECTORY, Mode::empty())
            .unwrap();
    }
    rustix::fs::mkdirat(&deep, "bottom", Mode::RWXU).unwrap();
    fs::set_permissions(db.join("a"), fs::Permissions::from_mode(0o1777)).unwrap();
    set_time(&db.join("a/b"), 11);
    set_time(&db.join("a"), 12);
    fs::set_permissions(db, fs::Permissions::from_mode(0o700)).unwrap();
    set_time(db, 13);
}

/// The deep part, which has no path, is taken away before pictures are made; says how deep it was.
fn dig(db: &Path) -> usize {
    let flags = rustix::fs::OFlags::DIRECTORY;
    let mut at = rustix::fs::open(db, flags, Mode::empty()).unwrap();
    let mut depth = 0;
    while let Ok(below) = rustix::fs::openat(&at, "0123456789abcdef", flags, Mode::empty()) {
        at = below;
        depth += 1;
    }
    assert!(rustix::fs::statat(&at, "bottom", AtFlags::empty()).is_ok());
    fs::rename(db.join("0123456789abcdef"), db.with_file_name("deep")).unwrap();
    set_time(db, 13);
    depth
}

fn a_copy_has_everything(bench: &Bench<'_>) {
    let db = bench.make("full");
    furnish(&db);
    let copy = bench.capture("full", "full-copy");
    let again = bench.capture("full-copy", "full-copy-copy");
    let blocks = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
    for copy in [&copy, &again] {
        assert!(blocks(&copy.join("sparse")) < 1 << 20, "a hole stays a hole");
        assert_eq!(blocks(&copy.join("only a hole")), 0);
        assert_eq!(dig(copy), 300);
    }
    dig(&db);
    let (before, after) = (picture(&db), picture(&copy));
    for (path, what) in &before {
        assert_eq!(Some(what), after.get(path), "{}", path.display());
    }
    assert_eq!(before.len(), after.len());
    assert_eq!(before, picture(&again));
    for id in ["full", "full-copy", "full-copy-copy"] {
        bench.remove(id);
    }
}

fn copies_are_independent(bench: &Bench<'_>) {
    let parent = bench.make("parent");
    let content = vec![b'p'; 300_000];
    fs::write(parent.join("file"), &content).unwrap();
    let child = bench.capture("parent", "child");
    let write = |folder: &Path, byte: u8| {
        let mut file = fs::File::options().write(true).open(folder.join("file")).unwrap();
        file.seek(SeekFrom::Start(100_000)).unwrap();
        file.write_all(&[byte; 10]).unwrap();
    };
    let read = |folder: &Path| fs::read(folder.join("file")).unwrap()[100_005];
    write(&child, b'c');
    assert_eq!((read(&parent), read(&child)), (b'p', b'c'));
    write(&parent, b'q');
    assert_eq!((read(&parent), read(&child)), (b'q', b'c'));
    let grandchild = bench.capture("child", "grandchild");
    fs::remove_file(child.join("file")).unwrap();
    fs::write(child.join("other"), "").unwrap();
    assert!(!grandchild.join("other").exists());
    bench.remove("parent");
    bench.remove("child");
    assert_eq!(read(&grandchild), b'c', "a child outlives those that it came from");
    assert_eq!(fs::read(grandchild.join("file")).unwrap().len(), content.len());
    bench.remove("grandchild");
}

fn frozen_data_stays_as_it_is(bench: &Bench<'_>) {
    let db = bench.make("warm");
    fs::write(db.join("file"), "then").unwrap();
    let freeze = |from: &str, id: &str| {
        let manifest = json!({ "frozen": true });
        bench.does(Ask::Capture { from: from.into(), id: id.into(), frozen: true, force: false, manifest });
        bench.root.join("data").join(id).join("db")
    };
    let frozen = freeze("warm", "cold");
    let colder = freeze("cold", "colder");
    if bench.driver == Driver::Btrfs {
        for folder in [&frozen, &colder] {
            let write = fs::write(folder.join("file"), "now");
            assert_eq!(write.unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        }
    }
    fs::write(db.join("file"), "now").unwrap();
    assert_eq!(fs::read_to_string(frozen.join("file")).unwrap(), "then");
    let thawed = bench.capture("colder", "thawed");
    fs::write(thawed.join("file"), "again").unwrap();
    assert_eq!(fs::read_to_string(colder.join("file")).unwrap(), "then");
    for id in ["cold", "warm", "thawed", "colder"] {
        bench.remove(id);
    }
}

fn links_turn(bench: &Bench<'_>) {
    bench.make("left");
    bench.make("right");
    let live = || match (bench.ask)(Ask::Live) {
        Ok(Outcome::Live(live)) => live.into_iter().collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let point = |id: &str| Ask::Point { environment: "My env".into(), id: id.into() };
    bench.does(point("left"));
    let link = bench.root.join("live/My env");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("../data/left"));
    bench.does(point("right"));
    assert_eq!(live(), [("My env".to_owned(), "right".to_owned())]);
    assert_eq!(bench.refuses(point("gone")), Refusal::Missing("gone".into()));
    assert!(link.join("db").is_dir());
    bench.remove("right");
    assert_eq!(live(), [("My env".to_owned(), "right".to_owned())], "it dangles, and says where it led");
    assert!(!link.exists());
    assert!(bench.problems().iter().any(|problem| problem.contains("right")));
    bench.does(Ask::Unpoint { environment: "My env".into() });
    bench.does(Ask::Unpoint { environment: "My env".into() });
    assert_eq!(live(), []);
    bench.remove("left");
}

fn data_that_leads_out_is_refused(bench: &Bench<'_>) {
    let db = bench.make("cluster");
    fs::create_dir_all(db.join("data/pg_tblspc")).unwrap();
    fs::write(db.join("data/PG_VERSION"), "17\n").unwrap();
    symlink("/mnt/elsewhere", db.join("data/pg_tblspc/16400")).unwrap();
    let refusal = bench.refuses(capture("cluster", "torn"));
    assert_eq!(refusal, Refusal::LeadsOut { path: "db/data/pg_tblspc/16400".into() });
    assert_eq!(bench.items().len(), 1);
    bench.remove("cluster");
}

fn sizes_tell_what_is_shared(bench: &Bench<'_>) {
    const MIB: u64 = 1 << 20;
    let db = bench.make("heavy");
    fs::write(db.join("file"), vec![1; 4 << 20]).unwrap();
    fs::hard_link(db.join("file"), db.join("same")).unwrap();
    bench.does(Ask::Sync);
    assert_eq!(bench.size("heavy"), Size { own: 4 * MIB, shared: 0 });
    let copy = bench.capture("heavy", "light");
    if bench.driver == Driver::Copy {
        // A file system below that shares blocks may do so for plain copies too.
        let size = bench.size("light");
        assert_eq!(size.own + size.shared, 4 * MIB);
    } else {
        assert_eq!(bench.size("light"), Size { own: 0, shared: 4 * MIB });
        let mut file = fs::File::options().write(true).open(copy.join("file")).unwrap();
        file.write_all(&vec![2; 1 << 20]).unwrap();
        bench.does(Ask::Sync);
        assert_eq!(bench.size("light"), Size { own: MIB, shared: 3 * MIB });
        assert_eq!(bench.size("heavy").own + bench.size("heavy").shared, 4 * MIB);
    }
    bench.remove("light");
    bench.does(Ask::Sync);
    bench.remove("heavy");
}

/// A server writes a page here and a page there.
fn scattered_writes_take_their_own_size(bench: &Bench<'_>) {
    const MIB: u64 = 1 << 20;
    if bench.driver != Driver::Reflink {
        return;
    }
    let db = bench.make("broad");
    fs::write(db.join("file"), vec![1; 32 << 20]).unwrap();
    let copy = bench.capture("broad", "narrow");
    let free = || match (bench.ask)(Ask::Sync).and_then(|_| (bench.ask)(Ask::Status)) {
        Ok(Outcome::Status(status)) => status.free,
        other => panic!("{other:?}"),
    };
    let before = free();
    let mut file = fs::File::options().write(true).open(copy.join("file")).unwrap();
    for place in 0..128 {
        file.seek(SeekFrom::Start(place * (256 << 10))).unwrap();
        file.write_all(&[2; 8192]).unwrap();
    }
    file.sync_all().unwrap();
    let taken = before.saturating_sub(free());
    assert!(taken < 4 * MIB, "{taken} bytes for one MiB");
    bench.remove("broad");
    bench.remove("narrow");
}

fn many_small_files(bench: &Bench<'_>) {
    let db = bench.make("many");
    for folder in 0..100 {
        let folder = db.join(folder.to_string());
        fs::create_dir(&folder).unwrap();
        for file in 0..100 {
            fs::write(folder.join(file.to_string()), file.to_string()).unwrap();
        }
    }
    let copy = bench.capture("many", "many-too");
    for folder in 0..100 {
        let folder = copy.join(folder.to_string());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 100);
        assert_eq!(fs::read_to_string(folder.join("42")).unwrap(), "42");
    }
    bench.remove("many");
    bench.remove("many-too");
}

fn leftovers_go_and_foreign_things_stay(bench: &Bench<'_>) {
    let (tmp, data) = (bench.root.join("tmp"), bench.root.join("data"));
    fs::create_dir_all(tmp.join("new-half/db")).unwrap();
    fs::write(tmp.join("new-half/db/file"), "half").unwrap();
    fs::create_dir_all(tmp.join("trash-old")).unwrap();
    fs::write(tmp.join("mine"), "not devenv's").unwrap();
    fs::write(bench.root.join("manifests/never-came.json"), "{}").unwrap();
    fs::create_dir_all(data.join("By Hand/db")).unwrap();
    let problems = bench.problems();
    assert!(problems.iter().any(|problem| problem.contains("By Hand")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("mine")), "{problems:?}");
    let left: Vec<_> = fs::read_dir(&tmp).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"]);
    assert!(!bench.root.join("manifests/never-came.json").exists());
    fs::create_dir(data.join("by-hand")).unwrap();
    assert!(matches!(bench.refuses(Ask::Remove { id: "by-hand".into() }), Refusal::System { .. }));
    let foreign: Vec<_> = bench.items().into_iter().map(|item| (item.id, item.manifest)).collect();
    assert_eq!(foreign, [("By Hand".to_owned(), None), ("by-hand".to_owned(), None)]);
    fs::remove_file(tmp.join("mine")).unwrap();
    fs::remove_dir_all(data.join("By Hand")).unwrap();
    fs::remove_dir_all(data.join("by-hand")).unwrap();
    assert_eq!(bench.problems(), Vec::<String>::new());
}

fn folders_from_elsewhere(bench: &Bench<'_>) {
    let elsewhere = tempfile::tempdir().unwrap();
    let volume = elsewhere.path().join("volume");
    fs::create_dir(&volume).unwrap();
    furnish(&volume);
    dig(&volume);
    let folders = |path: &Path| {
        BTreeMap::from([("db".to_owned(), String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned())])
    };
    let import = |path: &Path| Ask::Import { id: "old".into(), folders: folders(path), manifest: json!({}) };
    bench.does(import(&volume));
    assert_eq!(picture(&volume), picture(&bench.root.join("data/old/db")));
    bench.remove("old");
    fs::write(volume.join("PG_VERSION"), "17\n").unwrap();
    symlink("/mnt/wal", volume.join("pg_wal")).unwrap();
    assert_eq!(bench.refuses(import(&volume)), Refusal::LeadsOut { path: "db/pg_wal".into() });
    assert!(matches!(bench.refuses(import(Path::new("/no/such"))), Refusal::System { .. }));
    assert_eq!(fs::read_dir(bench.root.join("tmp")).unwrap().count(), 0);
}
