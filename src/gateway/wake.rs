//! What is started when an environment is woken, and after what; pure.

use std::collections::BTreeSet;

use super::memory::Memory;
use super::table::{Condition, Container, Place, State, Table};

/// One container's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The container.
    pub container: String,
    /// Its service.
    pub service: String,
    /// Whether it is started; else it runs already and others only wait for it.
    pub start: bool,
    /// Containers that have to have reached something first.
    pub after: Vec<(String, Condition)>,
}

/// The turns that wake an environment, each after all that it needs. A circle among the needs, which no loader lets
/// through, is cut where it is met.
#[must_use]
pub fn turns(table: &Table, place: &Place, memory: &Memory) -> Vec<Turn> {
    let all = table.at(place);
    let wanted = wanted(all, memory.asleep.get(place).map(|asleep| &asleep.containers), memory);
    let takes_part =
        |container: &Container| wanted.contains(container.id.as_str()) || container.state == State::Running;
    let mut turns: Vec<Turn> = Vec::new();
    let mut open: Vec<&Container> = all.iter().filter(|it| takes_part(it)).collect();
    while !open.is_empty() {
        let blocked = |container: &Container| {
            container
                .needs
                .iter()
                .any(|(need, _)| open.iter().any(|other| other.service == *need && other.id != container.id))
        };
        let next = open.iter().position(|it| !blocked(it)).unwrap_or(0);
        let container = open.remove(next);
        let mut after = Vec::new();
        for (need, condition) in &container.needs {
            let met = turns.iter().filter(|turn| turn.service == *need);
            after.extend(met.map(|turn| (turn.container.clone(), *condition)));
        }
        turns.push(Turn {
            container: container.id.clone(),
            service: container.service.clone(),
            start: wanted.contains(container.id.as_str()),
            after,
        });
    }
    turns
}

/// The containers to start: those that ran when it was put to sleep; where nothing is known of that, all that nobody
/// stopped and that are not jobs which are done.
fn wanted<'a>(all: &'a [Container], ran: Option<&BTreeSet<String>>, memory: &Memory) -> BTreeSet<&'a str> {
    let jobs: BTreeSet<&str> = all
        .iter()
        .flat_map(|it| &it.needs)
        .filter(|(_, condition)| *condition == Condition::Completed)
        .map(|(service, _)| service.as_str())
        .collect();
    let starts = |container: &&Container| {
        let is_down = !matches!(container.state, State::Running);
        let is_done = container.state == State::Ended(0) && jobs.contains(container.service.as_str());
        is_down
            && match ran {
                Some(ran) => ran.contains(&container.id),
                None => !memory.stopped.contains(&container.id) && !is_done,
            }
    };
    all.iter().filter(starts).map(|it| it.id.as_str()).collect()
}

/// The running containers of an environment, each before all that it needs: the order in which they are stopped.
#[must_use]
pub fn stops(table: &Table, place: &Place) -> Vec<String> {
    let mut order: Vec<String> = turns(table, place, &Memory::default())
        .into_iter()
        .filter(|turn| !turn.start)
        .map(|turn| turn.container)
        .collect();
    order.reverse();
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::memory::Asleep;
    use super::super::table::tests::container;
    use super::*;

    fn down(service: &str, needs: &[(&str, Condition)]) -> Container {
        let mut made = container("shop", "main", service);
        (made.state, made.address) = (State::Ended(0), None);
        made.needs = needs.iter().map(|(name, condition)| ((*name).to_owned(), *condition)).collect();
        made
    }

    fn order(turns: &[Turn]) -> Vec<(&str, bool)> {
        turns.iter().map(|turn| (turn.service.as_str(), turn.start)).collect()
    }

    #[test]
    fn what_is_needed_comes_first() {
        let table = Table::new(vec![
            down("api", &[("db", Condition::Healthy), ("job", Condition::Completed)]),
            down("db", &[]),
            down("job", &[("db", Condition::Healthy)]),
            down("web", &[("api", Condition::Started)]),
        ]);
        let place = Place::new("shop", "main");
        let turns = turns(&table, &place, &Memory::default());
        assert_eq!(order(&turns), [("db", true), ("api", true), ("web", true)], "the job is done");
        assert_eq!(turns[1].after, [("shop-main-db".to_owned(), Condition::Healthy)]);
    }

    #[test]
    fn only_what_ran_when_it_was_put_to_sleep() {
        let table = Table::new(vec![down("db", &[]), down("mail", &[])]);
        let place = Place::new("shop", "main");
        let mut memory = Memory::default();
        let ran = Asleep { containers: ["shop-main-db".to_owned()].into() };
        memory.asleep.insert(place.clone(), ran);
        assert_eq!(order(&turns(&table, &place, &memory)), [("db", true)]);
        memory = Memory::default();
        memory.stopped.insert("shop-main-mail".to_owned());
        assert_eq!(order(&turns(&table, &place, &memory)), [("db", true)], "somebody stopped mail");
    }

    #[test]
    fn dependents_are_stopped_first() {
        let mut api = down("api", &[("db", Condition::Healthy)]);
        let mut db = down("db", &[]);
        (api.state, db.state) = (State::Running, State::Running);
        let table = Table::new(vec![api, db, down("job", &[])]);
        assert_eq!(stops(&table, &Place::new("shop", "main")), ["shop-main-api", "shop-main-db"]);
    }

    proptest! {
        #[test]
        fn everybody_has_one_turn_after_what_it_needs(
            edges in proptest::collection::vec((0..8_usize, 0..8_usize), 0..20), runs in any::<[bool; 8]>(),
        ) {
            let name = |index: usize| format!("s{index}");
            let containers: Vec<_> = (0..8).map(|index| {
                let mut made = down(&name(index), &[]);
                if runs[index] {
                    made.state = State::Running;
                }
                // Only upwards, so that there is no circle.
                let needs = edges.iter().filter(|(from, to)| *from == index && to < from);
                made.needs = needs.map(|(_, to)| (name(*to), Condition::Healthy)).collect();
                made
            }).collect();
            let table = Table::new(containers.clone());
            let turns = turns(&table, &Place::new("shop", "main"), &Memory::default());
            prop_assert_eq!(turns.len(), 8);
            for (at, turn) in turns.iter().enumerate() {
                let made = containers.iter().find(|it| it.id == turn.container).unwrap();
                prop_assert_eq!(turn.start, made.state != State::Running);
                for (need, _) in &made.needs {
                    prop_assert!(turns[..at].iter().any(|before| before.service == *need));
                }
            }
        }

        #[test]
        fn circles_end(edges in proptest::collection::vec((0..4_usize, 0..4_usize), 0..16)) {
            let containers = (0..4).map(|index| {
                let needs = edges.iter().filter(|(from, _)| *from == index);
                let mut made = down(&format!("s{index}"), &[]);
                made.needs = needs.map(|(_, to)| (format!("s{to}"), Condition::Started)).collect();
                made
            });
            let turns = turns(&Table::new(containers.collect()), &Place::new("shop", "main"), &Memory::default());
            prop_assert_eq!(turns.len(), 4);
        }
    }
}
