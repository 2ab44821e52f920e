//! Several at once, and those that end in the middle (faults 15, 39 to 42).

use std::fs;
use std::time::Duration;

use super::*;
use crate::catalogue::open as opening;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_write_at_once_and_nothing_is_lost() {
    let folder = folder();
    let first = open(&folder).await;
    first.save_project(&shop()).await.unwrap();
    let path = folder.path().to_owned();
    let tasks: Vec<_> = (0..8_i64)
        .map(|number| {
            let path = path.clone();
            // A connection each, as separate commands have.
            tokio::spawn(async move {
                let catalogue = Catalogue::open(&path).await.unwrap().catalogue;
                let mut numbers = Vec::new();
                for round in 0..5_i64 {
                    let id = catalogue.begin(&intent("branch create")).await.unwrap();
                    numbers.extend(id.sequences());
                    numbers.push(catalogue.next_sequence().await.unwrap());
                    let made = branch(&format!("b{number}-{round}"), id.number());
                    let changes = Changes { put_branches: vec![made], ..Changes::default() };
                    catalogue.finish(id, &changes).await.unwrap();
                }
                numbers
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.extend(task.await.unwrap());
    }
    let many = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), many, "a number was given twice");
    assert_eq!(first.lineage("p1").await.unwrap().branches.len(), 40);
    assert_eq!(first.open_intents(None).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_commands_of_all_may_come_together() {
    let folder = folder();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let path = folder.path().to_owned();
            tokio::spawn(async move {
                let opened = Catalogue::open(&path).await.unwrap();
                assert_eq!(opened.repaired, None);
                assert!(opened.fresh);
                opened.catalogue.next_sequence().await.unwrap()
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_and_closing_at_once_is_no_damage() {
    let folder = folder();
    open(&folder).await.settle().await.unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let path = folder.path().to_owned();
            tokio::spawn(async move {
                for _ in 0..50 {
                    let opened = Catalogue::open(&path).await.unwrap();
                    assert!(opened.repaired.is_none() && !opened.fresh, "{:?}", opened.repaired);
                    opened.catalogue.next_sequence().await.unwrap();
                    opened.catalogue.close().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(open(&folder).await.next_sequence().await.unwrap(), 201);
}

/// What a power cut would leave: the files as they are at this moment.
fn crash(from: &TempDir) -> TempDir {
    let to = folder();
    for entry in fs::read_dir(from.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let folder = folder();
    let catalogue = open(&folder).await;
    catalogue.apply(&all()).await.unwrap();
    let id = catalogue.begin(&intent("branch create")).await.unwrap();
    let before = catalogue.lineage("p1").await.unwrap();

    // In the middle of a write.
    {
        let mut connection = catalogue.connection.lock().await;
        let mut transaction = catalogue.begin_write(&mut connection).await.unwrap();
        let half = Changes { put_branches: vec![branch("half", 9)], ..Changes::default() };
        crate::catalogue::write::changes(&mut transaction, &half).await.unwrap();
        let crashed = crash(&folder);
        let after = open(&crashed).await;
        assert_eq!(after.lineage("p1").await.unwrap(), before);
        assert_eq!(after.open_intents(None).await.unwrap()[0].id, id);
        assert_eq!(after.next_sequence().await.unwrap(), id.sequences().end);
        // The write is dropped here, as when a command is interrupted.
    }
    assert_eq!(catalogue.lineage("p1").await.unwrap(), before);
    catalogue.finish(id, &Changes::default()).await.unwrap();
    assert_eq!(open(&crash(&folder)).await.open_intents(None).await.unwrap(), []);
}

#[tokio::test]
async fn a_half_made_file_is_made_again() {
    let folder = folder();
    // A command ended while it made the first file.
    fs::write(folder.path().join("catalogue.db.new"), "half").unwrap();
    fs::write(folder.path().join("catalogue.db.new-wal"), "half").unwrap();
    let catalogue = open(&folder).await;
    assert_eq!(catalogue.next_sequence().await.unwrap(), 1);
    catalogue.close().await;
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["catalogue.db", "catalogue.lock"]);
}

#[tokio::test]
async fn a_lock_that_is_held_is_waited_for() {
    let folder = folder();
    let path = folder.path().join("catalogue.lock");
    let lock = fs::File::create(&path).unwrap();
    lock.lock().unwrap();
    let moment = Duration::from_millis(30);
    let error = opening::lock(&path, folder.path(), moment).await.unwrap_err();
    assert!(matches!(error, Error::Busy { source: None, .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Conflict);
    // The kernel frees it when its holder ends, while another one waits.
    let opening = tokio::spawn({
        let path = folder.path().to_owned();
        async move { Catalogue::open(&path).await.map(|opened| opened.fresh) }
    });
    tokio::task::yield_now().await;
    drop(lock);
    assert!(opening.await.unwrap().unwrap());
}
