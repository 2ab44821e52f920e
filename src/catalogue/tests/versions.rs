//! Files of other releases (faults 14).

use std::fs;

use super::*;
use crate::catalogue::{open as opening, schema};

/// What the release with version 1 left. A released fixture never changes; each new version gets one of its own.
const FIXTURE_1: &str = include_str!("../fixtures/1.sql");

/// The same of version 2.
const FIXTURE_2: &str = include_str!("../fixtures/2.sql");

/// A release that knows one version more.
const NEXT: [&str; 4] = [
    schema::STEPS[0],
    schema::STEPS[1],
    schema::STEPS[2],
    "ALTER TABLE branches ADD COLUMN colour TEXT NOT NULL DEFAULT 'green'; \
     INSERT INTO meta VALUES ('next', 1)",
];

async fn raw(path: &Path, sql: &str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn fixture() -> TempDir {
    let folder = folder();
    raw(&folder.path().join("catalogue.db"), FIXTURE_1).await;
    folder
}

#[tokio::test]
async fn the_first_versions_file_is_read() {
    let folder = fixture().await;
    let opened = Catalogue::open(folder.path()).await.unwrap();
    assert!(opened.repaired.is_none() && !opened.fresh);
    let catalogue = opened.catalogue;
    assert_eq!(catalogue.lineage("p1").await.unwrap(), Lineage::default().after(&all()));
    assert_eq!(catalogue.audit("p1", 9).await.unwrap(), all().audit);
    assert_eq!(catalogue.open_intents(None).await.unwrap()[0].intent, intent("branch create"));
    assert_eq!(catalogue.see_clock(Clock::Branches, 5).await.unwrap(), Some(1000));
    assert_eq!(catalogue.next_sequence().await.unwrap(), 14);
}

#[tokio::test]
async fn the_second_versions_file_is_read() {
    let folder = folder();
    raw(&folder.path().join("catalogue.db"), FIXTURE_2).await;
    let catalogue = open(&folder).await;
    let mut expected = Lineage::default().after(&all());
    let gone = Environment {
        name: "shop-feat-a-0123ab".to_owned(),
        project: "p1".to_owned(),
        git: Some("feat/a".to_owned()),
        worktree: Some("/home/a/shop".to_owned()),
        owner: "a".to_owned(),
        created: 10,
        used: 12,
        expires: Some(99),
        orphaned: Some(50),
        ports: [("web 127.0.0.1:80:80/tcp".to_owned(), 20_001)].into(),
        state: State::Deleted { at: 60 },
        ..Environment::default()
    };
    expected.environments.insert(gone.name.clone(), gone.clone());
    assert_eq!(catalogue.lineage("p1").await.unwrap(), expected);
    assert_eq!(catalogue.environments().await.unwrap().last(), Some(&gone));
    assert_eq!(catalogue.audit("p1", 9).await.unwrap()[0].sort, Sort::Environment);
    // It comes back as it is written.
    let changes = Changes { put_environments: vec![gone.clone()], ..Changes::default() };
    catalogue.apply(&changes).await.unwrap();
    assert_eq!(catalogue.environments().await.unwrap().last(), Some(&gone));
}

#[tokio::test]
async fn an_older_file_is_copied_and_brought_forward() {
    let folder = fixture().await;
    let opened = opening::open(folder.path(), &NEXT).await.unwrap();
    assert!(opened.repaired.is_none() && !opened.fresh);
    assert_eq!(opened.catalogue.lineage("p1").await.unwrap(), Lineage::default().after(&all()));
    opened.catalogue.close().await;

    let copy = folder.path().join("catalogue.db.v1.bak");
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    // The copy is a whole catalogue of the first version.
    let back = super::folder();
    fs::copy(&copy, back.path().join("catalogue.db")).unwrap();
    let lineage = open(&back).await.lineage("p1").await.unwrap();
    assert_eq!(lineage, Lineage::default().after(&all()));

    // This release knows nothing of the next one's file, and leaves it as it is.
    let file = folder.path().join("catalogue.db");
    let before = fs::read(&file).unwrap();
    let error = Catalogue::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, Error::Newer { found: 4, known: 3, .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Files);
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(!folder.path().join("catalogue.db-wal").exists());
    assert!(opening::open(folder.path(), &NEXT).await.unwrap().repaired.is_none());
}

#[tokio::test]
async fn a_step_that_fails_changes_nothing() {
    let folder = fixture().await;
    let broken = [
        schema::STEPS[0],
        schema::STEPS[1],
        schema::STEPS[2],
        "ALTER TABLE branches ADD COLUMN colour TEXT; SELECT nonsense",
    ];
    for _ in 0..2 {
        let error = opening::open(folder.path(), &broken).await.unwrap_err();
        assert!(matches!(error, Error::Other { .. }), "{error:?}");
    }
    assert_eq!(open(&folder).await.lineage("p1").await.unwrap(), Lineage::default().after(&all()));
    // The next attempt may well succeed.
    assert!(opening::open(folder.path(), &NEXT).await.is_ok());
}

#[tokio::test]
async fn a_newer_version_that_is_only_in_the_log_is_seen() {
    let folder = fixture().await;
    let opened = opening::open(folder.path(), &NEXT).await.unwrap();
    // Nothing is written back as long as somebody reads.
    let crashed = super::folder();
    for end in ["", "-wal", "-shm"] {
        let name = format!("catalogue.db{end}");
        fs::copy(folder.path().join(&name), crashed.path().join(&name)).unwrap();
    }
    let error = Catalogue::open(crashed.path()).await.unwrap_err();
    assert!(matches!(error, Error::Newer { found: 4, .. }), "{error:?}");
    drop(opened);
}

#[tokio::test]
async fn the_schema_is_the_fixtures() {
    let (made, old, second) = (folder(), fixture().await, folder());
    raw(&second.path().join("catalogue.db"), FIXTURE_2).await;
    let text = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let mut schemas = Vec::new();
    for folder in [&made, &old, &second] {
        let catalogue = open(folder).await;
        let mut connection = catalogue.connection.lock().await;
        let found: Vec<String> = sqlx::query_scalar(text).fetch_all(&mut *connection).await.unwrap();
        schemas.push(found.join("\n"));
    }
    assert_eq!(schemas[0], schemas[1]);
    assert_eq!(schemas[0], schemas[2]);
}
