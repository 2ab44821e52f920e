//! The catalogue against real files: what is written comes back, whatever happens to the file.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::json;
use sqlx::ConnectOptions;
use tempfile::TempDir;

use super::*;
use crate::base::Kind;
use crate::lineage::{Act, Branch, Environment, Reason, Snapshot, Sort, State};

mod damage;
mod together;
mod versions;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn open(folder: &TempDir) -> Catalogue {
    let opened = Catalogue::open(folder.path()).await.unwrap();
    assert_eq!(opened.repaired, None);
    opened.catalogue
}

fn shop() -> Project {
    Project {
        id: "p1".to_owned(),
        name: "shop".to_owned(),
        directory: "/home/a/shop \"2\"".to_owned(),
        engine: "E".to_owned(),
    }
}

fn branch(name: &str, sequence: i64) -> Branch {
    Branch {
        id: format!("{name}-id"),
        project: "p1".to_owned(),
        name: name.to_owned(),
        data: format!("{name}-id"),
        volumes: vec!["db".to_owned(), "a \"quoted\" one".to_owned()],
        parent: None,
        fork: None,
        sequence,
        created: 10,
        used: 11,
        expires: None,
        protected: false,
        fast: false,
        state: State::Ready,
    }
}

fn snapshot(name: &str, sequence: i64) -> Snapshot {
    Snapshot {
        id: format!("{name}-id"),
        project: "p1".to_owned(),
        branch: "main-id".to_owned(),
        name: name.to_owned(),
        message: "it's; DROP TABLE".to_owned(),
        reason: Reason::Asked,
        volumes: Vec::new(),
        sequence,
        created: 12,
        expires: Some(99),
        attestation: None,
        state: State::Ready,
    }
}

/// A project with a bit of everything.
fn all() -> Changes {
    let child = Branch {
        parent: Some("main-id".to_owned()),
        fork: Some("f-id".to_owned()),
        expires: Some(7),
        protected: true,
        fast: true,
        ..branch("$(id)🦀", 3)
    };
    let gone = Branch { state: State::Deleted { at: 5 }, ..branch("gone", 4) };
    Changes {
        put_projects: vec![shop()],
        put_branches: vec![branch("main", 1), child, gone],
        put_snapshots: vec![
            Snapshot { reason: Reason::Fork, ..snapshot("f", 2) },
            Snapshot { reason: Reason::Replaced, state: State::Deleted { at: 6 }, ..snapshot("r", 5) },
        ],
        put_environments: vec![Environment {
            name: "shop".to_owned(),
            project: "p1".to_owned(),
            branch: Some("main-id".to_owned()),
            previous: Some("gone-id".to_owned()),
            // What a file of the first version is taken to say: the branch's times.
            created: 10,
            used: 11,
            ..Environment::default()
        }],
        audit: vec![Audit {
            at: 5,
            project: "p1".to_owned(),
            sort: Sort::Branch,
            id: "gone-id".to_owned(),
            name: "gone".to_owned(),
            act: Act::Delete,
            why: "asked for".to_owned(),
            command: "devenv db branch delete gone".to_owned(),
        }],
        ..Changes::default()
    }
}

fn intent(verb: &str) -> Intent {
    Intent {
        project: "p1".to_owned(),
        environment: Some("shop".to_owned()),
        verb: verb.to_owned(),
        step: "written".to_owned(),
        detail: json!({"branch": "x-id"}),
        command: format!("devenv db {verb}"),
        started: 20,
        pid: 4_000_000,
    }
}

#[tokio::test]
async fn what_is_written_comes_back() {
    let folder = folder();
    let opened = Catalogue::open(folder.path()).await.unwrap();
    assert!(opened.fresh && opened.repaired.is_none());
    opened.catalogue.apply(&all()).await.unwrap();
    opened.catalogue.settle().await.unwrap();
    opened.catalogue.close().await;

    let opened = Catalogue::open(folder.path()).await.unwrap();
    assert!(!opened.fresh);
    let catalogue = opened.catalogue;
    assert_eq!(catalogue.lineage("p1").await.unwrap(), Lineage::default().after(&all()));
    assert_eq!(catalogue.lineage("p2").await.unwrap(), Lineage::default());
    assert_eq!(catalogue.projects().await.unwrap(), [shop()]);
    assert_eq!(catalogue.audit("p1", 5).await.unwrap(), all().audit);
    assert_eq!(catalogue.audit("p2", 5).await.unwrap(), []);

    let moved = Project { directory: "/elsewhere".to_owned(), ..shop() };
    catalogue.save_project(&moved).await.unwrap();
    assert_eq!(catalogue.project("p1").await.unwrap(), Some(moved));
    assert_eq!(catalogue.project("p2").await.unwrap(), None);
    // The project's records are still there.
    assert_eq!(catalogue.lineage("p1").await.unwrap().branches.len(), 3);

    catalogue.used("main-id", 77).await.unwrap();
    let changes = Changes {
        put_branches: vec![Branch { fork: None, parent: None, ..all().put_branches[1].clone() }],
        remove_branches: vec!["gone-id".to_owned()],
        remove_snapshots: vec!["f-id".to_owned(), "r-id".to_owned()],
        remove_environments: vec![("p1".to_owned(), "shop".to_owned())],
        ..Changes::default()
    };
    catalogue.apply(&changes).await.unwrap();
    let lineage = catalogue.lineage("p1").await.unwrap();
    assert_eq!(lineage.branches.keys().collect::<Vec<_>>(), ["$(id)🦀-id", "main-id"]);
    assert_eq!(lineage.branches["main-id"].used, 77);
    assert!(lineage.snapshots.is_empty() && lineage.environments.is_empty());
}

#[tokio::test]
async fn changes_are_written_whole_or_not_at_all() {
    let folder = folder();
    let catalogue = open(&folder).await;
    catalogue.apply(&all()).await.unwrap();
    let before = catalogue.lineage("p1").await.unwrap();
    let id = catalogue.begin(&intent("branch create")).await.unwrap();
    // Each has something that cannot be, behind something that can.
    let fine = branch("fine", 8);
    let nowhere = Branch { parent: Some("nowhere".to_owned()), ..branch("other", 9) };
    let twin = Branch { id: "twin".to_owned(), ..branch("main", 9) };
    let stranger = Branch { project: "p9".to_owned(), ..branch("other", 9) };
    let of = |branch: Branch| Changes { put_branches: vec![fine.clone(), branch], ..Changes::default() };
    let needed = Changes { remove_branches: vec!["main-id".to_owned()], ..of(fine.clone()) };
    for changes in [of(nowhere), of(twin), of(stranger), needed] {
        let error = catalogue.finish(id, &changes).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(catalogue.apply(&changes).await.is_err());
        assert_eq!(catalogue.lineage("p1").await.unwrap(), before);
        assert_eq!(catalogue.open_intents(None).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_deleted_branch_gives_its_name_free_in_the_same_write() {
    let folder = folder();
    let catalogue = open(&folder).await;
    catalogue.apply(&all()).await.unwrap();
    let next = Branch { id: "next".to_owned(), ..branch("main", 9) };
    let gone = Branch { state: State::Deleted { at: 9 }, ..branch("main", 1) };
    let changes = Changes { put_branches: vec![next, gone], ..Changes::default() };
    catalogue.apply(&changes).await.unwrap();
    assert_eq!(catalogue.lineage("p1").await.unwrap().branch("main").unwrap().id, "next");
}

#[tokio::test]
async fn what_was_begun_is_known_until_it_is_over() {
    let folder = folder();
    let catalogue = open(&folder).await;
    let create = catalogue.begin(&intent("branch create")).await.unwrap();
    let other = catalogue.begin(&Intent { project: "p2".to_owned(), ..intent("gc") }).await.unwrap();
    assert!(other.number() > create.number());
    catalogue.advance(create, "captured", None).await.unwrap();
    catalogue.advance(create, "renamed", Some(&json!([1]))).await.unwrap();
    catalogue.close().await;

    let catalogue = open(&folder).await;
    let open = catalogue.open_intents(Some("p1")).await.unwrap();
    let expected = Intent { step: "renamed".to_owned(), detail: json!([1]), ..intent("branch create") };
    assert_eq!(open, [OpenIntent { id: create, intent: expected }]);
    assert_eq!(catalogue.open_intents(None).await.unwrap().len(), 2);

    catalogue.finish(create, &all()).await.unwrap();
    assert_eq!(catalogue.lineage("p1").await.unwrap().branches.len(), 3);
    // Somebody else has ended it meanwhile: nothing is written.
    let late =
        Changes { remove_environments: vec![("p1".to_owned(), "shop".to_owned())], ..Changes::default() };
    assert!(matches!(catalogue.finish(create, &late).await, Err(Error::Ended { .. })));
    assert!(matches!(catalogue.advance(create, "x", None).await, Err(Error::Ended { .. })));
    assert_eq!(catalogue.lineage("p1").await.unwrap().environments.len(), 1);
    catalogue.abandon(other).await.unwrap();
    catalogue.abandon(other).await.unwrap();
    assert_eq!(catalogue.open_intents(None).await.unwrap(), []);
}

#[tokio::test]
async fn the_clock_is_remembered() {
    let folder = folder();
    let catalogue = open(&folder).await;
    for (now, previous) in
        [(1000, None), (1059, Some(1000)), (1060, Some(1000)), (500, Some(1060)), (510, Some(500))]
    {
        assert_eq!(catalogue.see_clock(Clock::Branches, now).await.unwrap(), previous, "{now}");
    }
    assert_eq!(catalogue.see_clock(Clock::Environments, 520).await.unwrap(), None);
}

#[tokio::test]
async fn the_records_of_a_project_can_be_replaced() {
    let folder = folder();
    let catalogue = open(&folder).await;
    catalogue.apply(&all()).await.unwrap();
    catalogue.begin(&intent("branch create")).await.unwrap();
    let lineage = Lineage::default().after(&Changes {
        put_branches: vec![Branch { project: "p2".to_owned(), ..branch("main", 40) }],
        ..Changes::default()
    });
    let project = Project { id: "p2".to_owned(), ..shop() };
    let lineages = BTreeMap::from([("p2".to_owned(), lineage.clone())]);
    catalogue.replace(&[project], &lineages, 40).await.unwrap();
    // Those of other projects stay.
    assert_ne!(catalogue.lineage("p1").await.unwrap(), Lineage::default());
    assert_eq!(catalogue.lineage("p2").await.unwrap(), lineage);
    catalogue.replace(&[shop()], &BTreeMap::new(), 40).await.unwrap();
    assert_eq!(catalogue.lineage("p1").await.unwrap(), Lineage::default());
    assert_eq!(catalogue.next_sequence().await.unwrap(), 41);
    assert_eq!(catalogue.open_intents(None).await.unwrap().len(), 1);
    // A smaller one does not bring numbers back.
    catalogue.replace(&[], &BTreeMap::new(), 3).await.unwrap();
    assert_eq!(catalogue.next_sequence().await.unwrap(), 42);
}

#[tokio::test]
async fn nobody_else_can_read_it() {
    let folder = folder();
    let state = folder.path().join("a/state");
    let catalogue = Catalogue::open(&state).await.unwrap().catalogue;
    catalogue.apply(&all()).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for entry in std::fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(catalogue);
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    let catalogue = Catalogue::open(&state).await.unwrap().catalogue;
    assert_eq!(mode(&state), 0o700);
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(catalogue.path());
    other = other.read_only(true);
    let mut other = other.connect().await.unwrap();
    for (pragma, expected) in [("journal_mode", "wal"), ("integrity_check", "ok")] {
        let text = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
        let found: String = sqlx::query_scalar(text).fetch_one(&mut other).await.unwrap();
        assert_eq!(found, expected);
    }
    let mut ours = catalogue.connection.lock().await;
    for (pragma, expected) in [("synchronous", 2_i64), ("foreign_keys", 1), ("busy_timeout", 10_000)] {
        let text = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
        let found: i64 = sqlx::query_scalar(text).fetch_one(&mut *ours).await.unwrap();
        assert_eq!(found, expected, "{pragma}");
    }
}

#[tokio::test]
async fn another_users_folder_is_left_alone() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // As with `sudo devenv` in a user's home (faults 44).
    let nobody = 65534;
    let folder = folder();
    drop(open(&folder).await);
    let theirs = |path: &Path| std::os::unix::fs::chown(path, Some(nobody), None).unwrap();
    theirs(&folder.path().join("catalogue.db"));
    let told = Catalogue::open(folder.path()).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Unreachable);
    assert!(
        told.to_string().ends_with("catalogue.db belongs to user `nobody`, not to user `root`"),
        "{told}"
    );
    theirs(folder.path());
    let told = Catalogue::open(folder.path()).await.unwrap_err().to_string();
    assert!(told.starts_with(&folder.path().display().to_string()), "{told}");
    assert!(told.ends_with(" belongs to user `nobody`, not to user `root`"), "{told}");
}

/// Runs `work` as a user who is nobody; `false` when we may not become one.
fn as_nobody(work: impl AsyncFnOnce() + Send + 'static) -> bool {
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    // The kernel keeps users by thread, and threads started here have this one's.
    let thread = std::thread::spawn(move || {
        rustix::thread::set_thread_groups(&[]).unwrap();
        let nobody = rustix::process::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
    });
    thread.join().unwrap();
    true
}

#[tokio::test]
async fn what_cannot_be_written_is_told_with_its_owner() {
    let folder = folder();
    let nobody = Some(65534);
    let here = folder.path().to_owned();
    std::os::unix::fs::chown(&here, nobody, nobody).unwrap_or_default();
    as_nobody(async move || {
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let told = async |expected: &str| {
            let error = Catalogue::open(&here).await.unwrap_err();
            assert!(matches!(error, Error::Denied { .. }), "{error:?}");
            assert_eq!(error.kind(), Kind::Unreachable);
            let message = error.to_string().replace(&here.display().to_string(), "HERE");
            assert_eq!(message, expected);
        };
        let file = here.join("catalogue.db");
        drop(Catalogue::open(&here).await.unwrap());
        mode(&here, 0o500);
        told("HERE cannot be written; it belongs to user `nobody`").await;
        mode(&here, 0o000);
        told("HERE cannot be written; it belongs to user `nobody`").await;
        mode(&here, 0o700);
        for refusing in [0o400, 0o000] {
            mode(&file, refusing);
            told("HERE/catalogue.db cannot be written; it belongs to user `nobody`").await;
        }
        mode(&file, 0o600);
        // A folder that cannot be made.
        let error = Catalogue::open(Path::new("/proc/1/devenv")).await.unwrap_err();
        assert!(matches!(error, Error::Denied { .. } | Error::Io { .. }), "{error:?}");
        assert!(Catalogue::open(&here).await.unwrap().repaired.is_none());
    });
}
