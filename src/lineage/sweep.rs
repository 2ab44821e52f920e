//! What is to be taken away without anybody asking: branches whose time is over, and the data of what was deleted
//! or replaced some days ago.
//!
//! Nothing goes in one step. A branch whose time is over is deleted first, and can be had back for as long as one
//! that a user deleted. A clock that jumped takes nothing away (faults 45): the run that sees the jump holds
//! everything back that depends on the time.

use std::collections::{BTreeMap, BTreeSet};

use super::due::{Decision, Due, Stay, Sweep, Tick, Verdict};
use super::error::Sort;
use super::{Act, Branch, Changes, Lineage, Reason, Seconds, Snapshot, State};

impl Lineage {
    /// What is due, and what is done about it.
    #[must_use]
    pub fn sweep(&self, tick: &Tick<'_>) -> Sweep {
        let mut run = Run { lineage: self, tick, left: tick.limit, sweep: Sweep::default() };
        run.branches();
        run.snapshots();
        run.changes();
        run.environments();
        run.sweep
    }
}

struct Run<'a> {
    lineage: &'a Lineage,
    tick: &'a Tick<'a>,
    left: usize,
    sweep: Sweep,
}

impl Run<'_> {
    fn over(&self, at: Seconds) -> bool {
        self.tick.by.now.saturating_sub(at) > self.tick.kept
    }

    fn branches(&mut self) {
        let mut branches: Vec<&Branch> = self.lineage.branches.values().collect();
        branches.sort_by_key(|branch| branch.sequence);
        for branch in branches {
            let (due, act) = match branch.state {
                State::Ready => match branch.expires {
                    Some(since) if since <= self.tick.by.now => (Due::Expired { since }, Act::Delete),
                    _ => continue,
                },
                State::Deleted { at } if self.over(at) => (Due::Deleted { at }, Act::Remove),
                State::Deleted { .. } => continue,
            };
            let standing = self.lineage.standing_on(&branch.id);
            let stay = if !standing.is_empty() {
                Some(Stay::Current(standing.into_iter().map(str::to_owned).collect()))
            } else if branch.protected {
                Some(Stay::Protected)
            } else if self.tick.busy.contains(&branch.id) {
                Some(Stay::Busy)
            } else {
                None
            };
            self.decide(Sort::Branch, &branch.id, &branch.name, due, act, stay);
        }
    }

    fn snapshots(&mut self) {
        // A branch that is deleted still needs its fork, since it can be had back.
        let gone = self.going(Sort::Branch, Act::Remove);
        let mut needed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for branch in self.lineage.branches.values().filter(|branch| !gone.contains(&branch.id)) {
            if let Some(fork) = &branch.fork {
                needed.entry(fork).or_default().push(branch.name.clone());
            }
        }
        let mut snapshots: Vec<&Snapshot> = self.lineage.snapshots.values().collect();
        snapshots.sort_by_key(|snapshot| snapshot.sequence);
        for snapshot in snapshots {
            let begun = needed.get(snapshot.id.as_str());
            let expired = snapshot.expires.filter(|since| *since <= self.tick.by.now);
            let (due, act) = match (snapshot.state, snapshot.reason, expired) {
                (State::Deleted { at }, _, _) if self.over(at) => (Due::Deleted { at }, Act::Remove),
                (State::Ready, Reason::Fork, _) if begun.is_none() => (Due::Orphaned, Act::Remove),
                (State::Ready, Reason::Replaced, _) if self.over(snapshot.created) => {
                    (Due::Replaced { at: snapshot.created }, Act::Remove)
                }
                (State::Ready, Reason::Asked, Some(since)) => (Due::Expired { since }, Act::Delete),
                _ => continue,
            };
            // What is only marked as deleted is still there for those who began there.
            let stay = begun.filter(|_| act == Act::Remove).map(|names| Stay::Needed(names.clone()));
            self.decide(Sort::Snapshot, &snapshot.id, &snapshot.name, due, act, stay);
        }
    }

    /// Environments that were deleted some days ago are forgotten; what they had is gone since.
    fn environments(&mut self) {
        if self.tick.jump().is_some() {
            return;
        }
        let over = |at: Seconds| self.over(at);
        let forgotten: Vec<(String, String)> = self
            .lineage
            .environments
            .values()
            .filter(|environment| environment.state.deleted().is_some_and(over))
            .map(|environment| (environment.project.clone(), environment.name.clone()))
            .collect();
        self.sweep.changes.remove_environments.extend(forgotten);
    }

    fn decide(&mut self, sort: Sort, id: &str, name: &str, due: Due, act: Act, stay: Option<Stay>) {
        let stay = stay.or_else(|| self.tick.jump().map(Stay::ClockJumped));
        let stay = stay.or_else(|| (self.left == 0).then_some(Stay::Enough));
        let verdict = match stay {
            Some(stay) => Verdict::Stay(stay),
            None => {
                self.left -= 1;
                Verdict::Go(act)
            }
        };
        let (id, name) = (id.to_owned(), name.to_owned());
        self.sweep.decisions.push(Decision { sort, id, name, due, verdict });
    }

    fn going(&self, sort: Sort, act: Act) -> BTreeSet<String> {
        let of = |decision: &&Decision| decision.sort == sort && decision.verdict == Verdict::Go(act);
        self.sweep.decisions.iter().filter(of).map(|decision| decision.id.clone()).collect()
    }

    fn changes(&mut self) {
        let by = self.tick.by;
        let mut removed_data = Vec::new();
        let mut deleted = BTreeMap::new();
        let mut changes = Changes::default();
        for decision in &self.sweep.decisions {
            let Verdict::Go(act) = decision.verdict else { continue };
            let why = decision.due.to_string();
            let branch = self.lineage.branches.get(&decision.id).filter(|_| decision.sort == Sort::Branch);
            let snapshot =
                self.lineage.snapshots.get(&decision.id).filter(|_| decision.sort == Sort::Snapshot);
            match (branch, snapshot) {
                (Some(branch), _) if act == Act::Remove => {
                    changes.audit.push(by.branch(branch, act, &why));
                    changes.remove_branches.push(branch.id.clone());
                    removed_data.push(branch.data.clone());
                }
                (Some(branch), _) => {
                    deleted.insert(branch.id.as_str(), why);
                }
                (None, Some(snapshot)) => {
                    changes.audit.push(by.snapshot(snapshot, act, &why));
                    if act == Act::Remove {
                        changes.remove_snapshots.push(snapshot.id.clone());
                        removed_data.push(snapshot.id.clone());
                    } else {
                        let state = State::Deleted { at: by.now };
                        changes.put_snapshots.push(Snapshot { state, ..snapshot.clone() });
                    }
                }
                (None, None) => {}
            }
        }
        changes.and(self.lineage.without(&deleted, by).changes);
        // Whoever names a branch that is gone for good as parent names the next one above it that is left.
        let after = self.lineage.after(&changes);
        for branch in after.branches.values() {
            if branch.parent.as_ref().is_some_and(|parent| !after.branches.contains_key(parent)) {
                let left = |it: &&Branch| after.branches.contains_key(&it.id);
                let parent = self.lineage.ancestors(&branch.id).into_iter().find(left);
                let moved = Branch { parent: parent.map(|it| it.id.clone()), ..branch.clone() };
                changes.put_branches.retain(|it| it.id != moved.id);
                changes.put_branches.push(moved);
            }
        }
        // Whatever the records say, data that one of them still names is not taken away.
        let named: BTreeSet<&str> = after
            .branches
            .values()
            .map(|branch| branch.data.as_str())
            .chain(after.snapshots.keys().map(String::as_str))
            .collect();
        removed_data.retain(|data| !named.contains(data.as_str()));
        removed_data.sort();
        removed_data.dedup();
        self.sweep.changes = changes;
        self.sweep.data = removed_data;
    }
}

#[cfg(test)]
mod tests {
    use super::super::delete::By;
    use super::super::due::{AT_ONCE, BACK};
    use super::super::sketch;
    use super::*;

    const DAY: Seconds = 24 * 60 * 60;
    /// Records of the first seconds are old by now.
    const NOW: Seconds = 30 * DAY;

    fn tick(last_seen: Option<Seconds>) -> Tick<'static> {
        Tick::new(By { now: NOW, command: "devenv gc" }, last_seen)
    }

    fn told(sweep: &Sweep) -> String {
        let lines = sweep.decisions.iter().map(|decision| {
            let verdict = match &decision.verdict {
                Verdict::Go(act) => format!("{act:?}").to_lowercase(),
                Verdict::Stay(why) => format!("left, {why}"),
            };
            format!("{} {}: {} -> {verdict}\n", decision.sort.word(), decision.name, decision.due)
        });
        lines.collect()
    }

    #[test]
    fn what_is_due_goes_in_two_steps() {
        let recent = NOW - DAY;
        let lineage = sketch::lineage(&format!(
            "main
               over expires=5
                 child from=f
               later expires={}
               gone deleted=7 from=g
                 grandchild
               just-gone deleted={recent} from=h
             f: over fork
             g: main fork
             h: main fork
             lost: main fork
             asked: main asked
             asked-over: main asked expires=9
             asked-gone: main asked deleted=3
             replaced: main replaced created=4
             just-replaced: main replaced created={recent}
             dev @ main",
            NOW + 1
        ));
        let sweep = lineage.sweep(&tick(Some(NOW - 5)));
        assert_eq!(
            told(&sweep),
            "branch over: its time is over -> delete\n\
             branch gone: it was deleted some days ago -> remove\n\
             snapshot g: no branch that began there is left -> remove\n\
             snapshot lost: no branch that began there is left -> remove\n\
             snapshot asked-over: its time is over -> delete\n\
             snapshot asked-gone: it was deleted some days ago -> remove\n\
             snapshot replaced: it was replaced some days ago -> remove\n"
        );
        assert_eq!(sweep.data, ["asked-gone-id", "g-id", "gone-id", "lost-id", "replaced-id"]);
        let after = lineage.after(&sweep.changes);
        assert_eq!(
            sketch::tree(&after),
            "main\n├─ (over)\n├─ child\n├─ later\n├─ grandchild\n└─ (just-gone)\n\
             asked:\nasked-over: deleted\nf:\nh:\njust-replaced:\n"
        );
        assert_eq!(sweep.changes.audit.len(), 7);
        // Nothing is left to do, and a second reaper does nothing (faults 47).
        assert_eq!(after.sweep(&tick(Some(NOW))), Sweep::default());
        // Seven days later the rest.
        let later = Tick { by: By { now: NOW + 8 * DAY, command: "" }, ..tick(Some(NOW + 8 * DAY)) };
        let sweep = after.sweep(&later);
        assert_eq!(sweep.data, ["asked-over-id", "h-id", "just-gone-id", "just-replaced-id", "over-id"]);
    }

    #[test]
    fn what_is_needed_stays() {
        let lineage = sketch::lineage(
            "main protected expires=5
               stood expires=5
               used expires=5
               from-replaced from=r
               from-deleted from=d
             r: main replaced
             d: main asked deleted=5
             dev @ stood",
        );
        let mut tick = tick(None);
        tick.busy.insert("used-id".to_owned());
        let sweep = lineage.sweep(&tick);
        assert_eq!(
            told(&sweep),
            "branch main: its time is over -> left, it is protected\n\
             branch stood: its time is over -> left, dev stands on it\n\
             branch used: its time is over -> left, somebody is connected to it\n\
             snapshot r: it was replaced some days ago -> left, from-replaced began there\n\
             snapshot d: it was deleted some days ago -> left, from-deleted began there\n"
        );
        assert!(sweep.changes.is_empty() && sweep.data.is_empty());
    }

    #[test]
    fn a_clock_that_jumped_takes_nothing_away() {
        let lineage = sketch::lineage("main\n  over expires=5\n  gone deleted=5\nlost: main fork");
        // When it was last seen, and whether things go.
        let table = [
            (None, true),
            (Some(NOW), true),
            (Some(NOW - DAY), true),
            (Some(NOW - DAY - 1), false),
            (Some(NOW - 3650 * DAY), false),
            (Some(NOW + BACK), true),
            (Some(NOW + BACK + 1), false),
            (Some(NOW + 3 * DAY), false),
            (Some(Seconds::MIN), false),
        ];
        for (seen, goes) in table {
            let sweep = lineage.sweep(&tick(seen));
            assert_eq!(sweep.changes.is_empty(), !goes, "{seen:?}");
            assert_eq!(sweep.decisions.len(), 3, "{seen:?}");
        }
        let sweep = lineage.sweep(&tick(Some(NOW - 2 * DAY)));
        let why = "left, the clock jumped by 172800 s since it was last looked at\n";
        assert!(told(&sweep).lines().all(|line| line.ends_with(why.trim_end())), "{}", told(&sweep));
    }

    #[test]
    fn one_run_takes_a_little_away() {
        let text: String = (0..30).map(|number| format!("b{number} expires=5\n")).collect();
        let mut lineage = sketch::lineage(&text);
        let mut runs = Vec::new();
        loop {
            let sweep = lineage.sweep(&tick(None));
            if sweep.changes.is_empty() {
                break;
            }
            runs.push(sweep.changes.put_branches.len());
            lineage = lineage.after(&sweep.changes);
        }
        assert_eq!(runs, [AT_ONCE, 10]);
    }

    #[test]
    fn data_that_a_record_names_is_not_taken_away() {
        // After a reset the branch's first data is a replaced snapshot of the same name in the pool.
        let mut lineage = sketch::lineage("main\nmain: main replaced");
        lineage.branches.get_mut("main-id").unwrap().data = "main-id".to_owned();
        let sweep = lineage.sweep(&tick(None));
        assert_eq!(sweep.changes.remove_snapshots, ["main-id"]);
        assert!(sweep.data.is_empty());
    }

    mod any {
        use proptest::prelude::*;

        use super::*;

        prop_compose! {
            fn family()(lines in prop::collection::vec(
                (0..5_usize, any::<bool>(), 0..4_i64, 0..4_i64, 0..6_usize), 1..12,
            )) -> Lineage {
                let mut text = String::new();
                let mut depth = 0;
                for (number, (up, protected, expires, deleted, fork)) in lines.iter().enumerate() {
                    depth = if number == 0 { 0 } else { (depth + 1_usize).saturating_sub(*up) };
                    let word = |set: bool, text: String| if set { text } else { String::new() };
                    text.push_str(&format!(
                        "{}b{number} {} {} {} from=s{fork}\n",
                        " ".repeat(depth),
                        word(*protected, "protected".to_owned()),
                        word(*expires > 1, format!("expires={expires}")),
                        word(*deleted > 2, format!("deleted={deleted}")),
                    ));
                }
                for number in 0..6 {
                    text.push_str(&format!("s{number}: b0 fork\n"));
                }
                text.push_str("dev @ b0\nqa @ b1");
                sketch::lineage(&text)
            }
        }

        proptest! {
            #[test]
            fn nothing_that_is_there_is_taken_away(lineage in family(), runs in 1..5_usize) {
                let mut after = lineage.clone();
                for _ in 0..runs {
                    let sweep = after.sweep(&tick(None));
                    let left = after.after(&sweep.changes);
                    for branch in after.ready() {
                        // At once nothing goes, and what is protected or stood on not at all.
                        let now = &left.branches[&branch.id];
                        if branch.protected || !after.standing_on(&branch.id).is_empty() {
                            prop_assert_eq!(now.state, State::Ready);
                        }
                        prop_assert!(!sweep.data.contains(&branch.data));
                    }
                    for branch in left.branches.values() {
                        if let Some(parent) = &branch.parent {
                            prop_assert!(left.branches.contains_key(parent));
                        }
                        if let Some(fork) = &branch.fork {
                            prop_assert!(left.snapshots.contains_key(fork));
                        }
                    }
                    prop_assert_eq!(left.rows(true).len(), left.branches.len());
                    after = left;
                }
            }
        }
    }
}
