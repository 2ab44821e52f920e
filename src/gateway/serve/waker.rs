//! Wakes an environment: one at a time however many wait, each container as soon as what it needs is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::watch;

use super::super::table::{Condition, Place, State};
use super::super::wake::{self, Turn};
use super::{Gateway, hold, listen, watch as follow};

/// How far a wake is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Services that can be used.
    ready: BTreeSet<String>,
    /// Its end.
    ended: Option<Result<(), String>>,
}

/// Wakes a place, or waits with the others for who does, until the service can be used or never will be.
pub(super) async fn wake(gateway: &Arc<Gateway>, place: &Place, service: &str) -> Result<(), String> {
    let mut progress = {
        let mut wakes = hold(&gateway.wakes);
        match wakes.get(place) {
            Some(progress) => progress.clone(),
            None => {
                let (tell, told) = watch::channel(Progress::default());
                wakes.insert(place.clone(), told.clone());
                let (gateway, place) = (Arc::clone(gateway), place.clone());
                tokio::spawn(async move {
                    let result = perform(&gateway, &place, &tell).await;
                    if let Err(trouble) = &result {
                        gateway.note(format!("{place} was not woken: {trouble}"));
                    }
                    hold(&gateway.wakes).remove(&place);
                    tell.send_modify(|progress| progress.ended = Some(result));
                });
                told
            }
        }
    };
    let over = |progress: &Progress| progress.ready.contains(service) || progress.ended.is_some();
    let found = progress.wait_for(over).await;
    match found.map(|found| (found.ready.contains(service), found.ended.clone())) {
        Ok((false, Some(Err(trouble)))) => Err(trouble),
        Ok(_) => Ok(()),
        Err(_) => Err("waking it was cut off".to_owned()),
    }
}

async fn perform(
    gateway: &Arc<Gateway>,
    place: &Place,
    tell: &watch::Sender<Progress>,
) -> Result<(), String> {
    gateway.turn(|snapshot| {
        snapshot.waking.insert(place.clone());
    });
    gateway.touch(place);
    // Its ports are let go before a container asks for them.
    listen::reconcile(gateway).await;
    let snapshot = gateway.snapshot();
    let result = start_all(gateway, &wake::turns(&snapshot.table, place, &snapshot.memory), tell).await;
    follow::look(gateway).await;
    let runs = gateway.snapshot().table.at(place).iter().any(|it| it.state == State::Running);
    if runs {
        let awake = gateway.remember(|memory| drop(memory.asleep.remove(place)));
        awake.await.map_err(|error| format!("cannot remember it: {error}"))?;
    }
    gateway.touch(place);
    gateway.turn(|snapshot| {
        snapshot.waking.remove(place);
    });
    listen::reconcile(gateway).await;
    result
}

/// What a container has reached.
#[derive(Debug, Clone, Default)]
struct Reached {
    met: BTreeSet<Condition>,
    ready: bool,
    failed: Option<String>,
}

async fn start_all(
    gateway: &Arc<Gateway>,
    turns: &[Turn],
    tell: &watch::Sender<Progress>,
) -> Result<(), String> {
    let board: watch::Sender<BTreeMap<String, Reached>> = watch::Sender::new(BTreeMap::new());
    let awaited: BTreeSet<&str> = turns
        .iter()
        .flat_map(|turn| &turn.after)
        .filter(|(_, condition)| *condition == Condition::Completed)
        .map(|(container, _)| container.as_str())
        .collect();
    let results = join_all(turns.iter().map(|turn| async {
        let result = start(gateway, turn, awaited.contains(turn.container.as_str()), &board).await;
        match &result {
            Ok(()) => {
                set(&board, &turn.container, |reached| reached.ready = true);
                // Of several containers of one service, one will do.
                tell.send_modify(|progress| {
                    progress.ready.insert(turn.service.clone());
                });
            }
            Err(trouble) => {
                let trouble = trouble.clone();
                set(&board, &turn.container, |reached| reached.failed = Some(trouble));
            }
        }
        result
    }));
    results.await.into_iter().collect()
}

fn set(board: &watch::Sender<BTreeMap<String, Reached>>, container: &str, change: impl FnOnce(&mut Reached)) {
    board.send_modify(|board| change(board.entry(container.to_owned()).or_default()));
}

async fn start(
    gateway: &Arc<Gateway>,
    turn: &Turn,
    to_its_end: bool,
    board: &watch::Sender<BTreeMap<String, Reached>>,
) -> Result<(), String> {
    for (container, condition) in &turn.after {
        let mut told = board.subscribe();
        let met = |board: &BTreeMap<String, Reached>| {
            board.get(container).is_some_and(|it| it.met.contains(condition) || it.failed.is_some())
        };
        let found = told.wait_for(met).await.map_err(|_| "it was cut off".to_owned())?;
        if let Some(trouble) = found.get(container).and_then(|reached| reached.failed.clone()) {
            return Err(trouble);
        }
    }
    let fleet = &gateway.fleet;
    let wrong = |trouble: String| format!("`{}`: {trouble}", turn.service);
    if turn.start {
        fleet.start(&turn.container).await.map_err(wrong)?;
    }
    set(board, &turn.container, |reached| {
        reached.met.insert(Condition::Started);
    });
    if to_its_end {
        fleet.reach(&turn.container, Condition::Completed).await.map_err(wrong)?;
        set(board, &turn.container, |reached| {
            reached.met.insert(Condition::Completed);
        });
        return Ok(());
    }
    fleet.reach(&turn.container, Condition::Started).await.map_err(wrong)?;
    set(board, &turn.container, |reached| {
        reached.met.insert(Condition::Healthy);
    });
    // Its address becomes known before anybody is let through.
    follow::look(gateway).await;
    Ok(())
}
