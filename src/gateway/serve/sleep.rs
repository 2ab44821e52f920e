//! Puts environments to sleep that nobody uses.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::idle::{self, Facts, Moved};
use super::super::memory::Asleep;
use super::super::table::{Container, Place, State};
use super::super::wake;
use super::{Gateway, Snapshot, listen, watch};

/// How often it is thought about.
const TICK: Duration = Duration::from_secs(1);
/// How often traffic that the gateway does not see is measured.
const MEASURE: Duration = Duration::from_mins(1);

/// Decides from time to time, for ever.
pub(super) async fn keep(gateway: Arc<Gateway>) {
    let mut measured: HashMap<Place, (Duration, Moved)> = HashMap::new();
    let mut tick = tokio::time::interval(TICK);
    // After a suspended machine one tick is enough.
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let snapshot = gateway.snapshot();
        let facts = facts(&gateway, &snapshot);
        measure(&gateway, &snapshot, &facts, &mut measured).await;
        for place in idle::decide(gateway.now(), &facts) {
            if let Err(trouble) = put_to_sleep(&gateway, &place).await {
                gateway.note(format!("{place} was not put to sleep: {trouble}"));
            }
        }
    }
}

/// What is known of every environment.
pub(super) fn facts(gateway: &Arc<Gateway>, snapshot: &Snapshot) -> Vec<Facts> {
    let of = |(place, containers): (&Place, &[Container])| {
        let traffic = gateway.traffic(place);
        let changed = snapshot.changed.get(place).copied().unwrap_or_default();
        Facts {
            place: place.clone(),
            ours: containers.iter().all(|it| it.ours),
            running: containers.iter().any(|it| it.state == State::Running),
            published: containers.iter().any(|it| !it.published.is_empty()),
            said: snapshot.memory.idle.said(place),
            usual: snapshot.memory.idle.usual(),
            open: traffic.open.load(Ordering::Relaxed),
            last: Duration::from_millis(traffic.last.load(Ordering::Relaxed)).max(changed),
            busy: snapshot.waking.contains(place) || snapshot.falling.contains(place),
        }
    };
    snapshot.table.places().map(of).collect()
}

/// Counts traffic on published ports: it goes by the gateway, and the containers' counters see it.
async fn measure(
    gateway: &Arc<Gateway>,
    snapshot: &Snapshot,
    facts: &[Facts],
    measured: &mut HashMap<Place, (Duration, Moved)>,
) {
    let mut connections: Option<Vec<String>> = None;
    for it in facts.iter().filter(|it| it.published && it.running && idle::span(it).is_some()) {
        // Two looks at least fit into the span.
        let every = idle::span(it).map_or(MEASURE, |span| (span / 3).clamp(TICK, MEASURE));
        let due = measured.get(&it.place).is_none_or(|(at, _)| gateway.now().saturating_sub(*at) >= every);
        if !due {
            continue;
        }
        let mut all = Moved::default();
        for container in snapshot.table.at(&it.place).iter().filter(|it| it.state == State::Running) {
            let Ok(moved) = gateway.fleet.moved(&container.id).await else { continue };
            all.received += moved.received;
            all.sent += moved.sent;
        }
        let before = measured.insert(it.place.clone(), (gateway.now(), all));
        let containers = snapshot.table.at(&it.place).iter();
        let ports = containers.flat_map(|it| &it.published).filter_map(|published| published.port).collect();
        let tables = connections.get_or_insert_with(self::connections);
        let is_connected = tables.iter().any(|table| idle::is_connected(table, &ports));
        if is_connected || before.is_some_and(|(_, before)| idle::had_visitors(before, all)) {
            gateway.traffic(&it.place).last.store(gateway.millis(), Ordering::Relaxed);
        }
    }
}

/// The kernel's tables of connections of the network that the gateway is on, which is the machine's; empty where there
/// are none.
fn connections() -> Vec<String> {
    let files = ["/proc/net/tcp", "/proc/net/tcp6"];
    files.into_iter().map(|file| std::fs::read_to_string(file).unwrap_or_default()).collect()
}

/// Stops what runs of an environment, having written down what that was.
pub(super) async fn put_to_sleep(gateway: &Arc<Gateway>, place: &Place) -> Result<(), String> {
    watch::look(gateway).await;
    let snapshot = gateway.snapshot();
    let stops = wake::stops(&snapshot.table, place);
    if stops.is_empty() || snapshot.waking.contains(place) || snapshot.falling.contains(place) {
        return Ok(());
    }
    gateway.turn(|snapshot| {
        snapshot.falling.insert(place.clone());
    });
    let written = gateway.remember(|memory| {
        // Of a sleep that was cut off, some may not run any more.
        let asleep = memory.asleep.entry(place.clone()).or_insert_with(Asleep::default);
        asleep.containers.extend(stops.iter().cloned());
    });
    let mut result = written.await.map_err(|error| format!("cannot remember it: {error}"));
    if result.is_ok() {
        for container in &stops {
            if let Err(trouble) = gateway.fleet.stop(container).await {
                result = Err(trouble);
            }
        }
    }
    watch::look(gateway).await;
    gateway.turn(|snapshot| {
        snapshot.falling.remove(place);
        snapshot.changed.remove(place);
    });
    listen::reconcile(gateway).await;
    result
}
