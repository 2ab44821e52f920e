//! Follows the engine: what happens there is a reason to look, and what ended is remembered as stopped.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use super::super::fleet::Change;
use super::super::table::State;
use super::{Gateway, hold, listen};

/// What happens together is looked at together.
const TOGETHER: Duration = Duration::from_millis(3);
/// Looked at even if nothing is told, in case something was not.
const ANYWAY: Duration = Duration::from_secs(5);
/// Without an engine for so long, the gateway ends: its way to the socket may be that of an engine that is gone.
const WITHOUT_ENGINE: Duration = Duration::from_secs(30);
/// An end is remembered only after so long: an engine that shuts down stops the gateway too, before that, and what it
/// stopped so may be woken afterwards.
const SETTLED: Duration = Duration::from_secs(15);

/// Looks at what the engine holds; says whether it could be asked.
pub(super) async fn look(gateway: &Arc<Gateway>) -> bool {
    let _turn = gateway.looking.lock().await;
    match gateway.fleet.look().await {
        Ok(containers) => {
            let table = super::Table::new(containers);
            let before = gateway.snapshot();
            let ran: BTreeSet<&str> = running(&before.table).collect();
            // Known as stopped in the same moment as not running: who asked in between would wake it.
            let ended: Vec<String> = table
                .containers()
                .filter(|it| matches!(it.state, State::Ended(_)) && ran.contains(it.id.as_str()))
                .filter(|it| !before.is_ours(&it.place) && !before.memory.asleep.contains_key(&it.place))
                .map(|it| it.id.clone())
                .collect();
            let now = Instant::now();
            hold(&gateway.ended).extend(ended.iter().map(|id| (id.clone(), now)));
            gateway.turn(|snapshot| {
                snapshot.memory.stopped.extend(ended);
                for id in running(&table) {
                    snapshot.memory.stopped.remove(id);
                }
                snapshot.table = table;
            });
            true
        }
        Err(trouble) => {
            gateway.note(format!("the engine: {trouble}"));
            false
        }
    }
}

fn running(table: &super::Table) -> impl Iterator<Item = &str> {
    table.containers().filter(|it| it.state == State::Running).map(|it| it.id.as_str())
}

/// Follows until the engine has been away for too long.
pub(super) async fn follow(gateway: &Arc<Gateway>) -> io::Result<()> {
    let mut seen = Instant::now();
    loop {
        let mut changes = gateway.fleet.changes();
        // What happened before the subscription stood.
        if look(gateway).await {
            seen = Instant::now();
            listen::reconcile(gateway).await;
        }
        let mut settle = tokio::time::interval(Duration::from_secs(1));
        let mut anyway = tokio::time::interval(ANYWAY);
        loop {
            tokio::select! {
                change = changes.next() => {
                    let Some(change) = change else { break };
                    let mut all = vec![change];
                    tokio::time::sleep(TOGETHER).await;
                    while let Ok(Some(more)) = tokio::time::timeout(Duration::ZERO, changes.next()).await {
                        all.push(more);
                    }
                    learn(gateway, &all).await;
                    seen = Instant::now();
                }
                _ = settle.tick() => settled(gateway).await,
                _ = anyway.tick() => {
                    if look(gateway).await {
                        seen = Instant::now();
                    }
                }
            }
        }
        if seen.elapsed() > WITHOUT_ENGINE {
            return Err(io::Error::other("the engine has been away for too long"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn learn(gateway: &Arc<Gateway>, changes: &[Change]) {
    let before = gateway.snapshot();
    look(gateway).await;
    let after = gateway.snapshot();
    let place_of = |id: &String| {
        let known = after.table.containers().chain(before.table.containers());
        known.into_iter().find(|container| container.id == *id).map(|container| container.place.clone())
    };
    let known: BTreeSet<String> = after.table.containers().map(|it| it.id.clone()).collect();
    let running: BTreeSet<String> = running(&after.table).map(str::to_owned).collect();
    let (mut started, mut ended, mut up) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for change in changes {
        let (Change::Started(id) | Change::Ended(id) | Change::Other(id)) = change;
        let Some(place) = place_of(id) else { continue };
        let is_ours = after.is_ours(&place);
        let sleeps = after.memory.asleep.contains_key(&place);
        gateway.touch(&place);
        match change {
            Change::Started(_) => {
                ended.remove(id);
                started.insert(id.clone());
                // What is told late may be over.
                if !is_ours && running.contains(id) {
                    up.insert(place);
                }
            }
            // What ends because the gateway stops it was not stopped by anybody.
            Change::Ended(_) if !is_ours && !sleeps => {
                started.remove(id);
                ended.insert(id.clone());
            }
            _ => {}
        }
    }
    for id in &started {
        hold(&gateway.ended).remove(id);
    }
    if !ended.is_empty() {
        let now = Instant::now();
        hold(&gateway.ended).extend(ended.iter().map(|id| (id.clone(), now)));
        gateway.turn(|snapshot| snapshot.memory.stopped.extend(ended.iter().cloned()));
    }
    let remembered = gateway.remember(|memory| {
        // Somebody else started it: it is as awake as if it had never slept.
        memory.asleep.retain(|place, _| !up.contains(place));
        memory.stopped.retain(|id| known.contains(id) && !started.contains(id) && !running.contains(id));
    });
    if let Err(error) = remembered.await {
        gateway.note(format!("cannot remember: {error}"));
    }
    listen::reconcile(gateway).await;
}

/// Writes down ends that have been for a while.
async fn settled(gateway: &Arc<Gateway>) {
    let old: Vec<String> = hold(&gateway.ended)
        .iter()
        .filter(|(_, since)| since.elapsed() >= SETTLED)
        .map(|(id, _)| id.clone())
        .collect();
    if old.is_empty() {
        return;
    }
    for id in &old {
        hold(&gateway.ended).remove(id);
    }
    // They are known already; what changes is that they are written.
    if let Err(error) = gateway.remember(|_| ()).await {
        gateway.note(format!("cannot remember: {error}"));
    }
}
