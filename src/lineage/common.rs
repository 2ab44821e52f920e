//! Where two branches parted.

use super::{Branch, Lineage, Snapshot};

impl Lineage {
    /// The snapshot of the last instant at which two branches were one; none where the pool keeps no fork points, or
    /// where they have no ancestor in common.
    #[must_use]
    pub fn parted(&self, a: &Branch, b: &Branch) -> Option<&Snapshot> {
        let (from_a, from_b) = (self.way(a), self.way(b));
        let (common, at_a, at_b) = from_a.iter().find_map(|(id, fork)| {
            let (_, other) = from_b.iter().find(|(other, _)| other == id)?;
            Some((*id, *fork, *other))
        })?;
        let snapshot = |fork: Option<&str>| self.snapshots.get(fork?);
        // On the common ancestor, the one that left first decides; one that is the ancestor itself left never.
        match (common == a.id, common == b.id) {
            (true, _) => snapshot(at_b),
            (_, true) => snapshot(at_a),
            _ => {
                let (a, b) = (snapshot(at_a)?, snapshot(at_b)?);
                Some(if a.sequence <= b.sequence { a } else { b })
            }
        }
    }

    /// The branch and its ancestors, each with the fork point at which the way down leaves it.
    fn way<'a>(&'a self, branch: &'a Branch) -> Vec<(&'a str, Option<&'a str>)> {
        let mut way = vec![(branch.id.as_str(), None)];
        let mut at = branch;
        // A record that names itself as its ancestor ends nothing.
        while let Some(parent) = at.parent.as_deref().filter(|id| !way.iter().any(|(seen, _)| seen == id)) {
            way.push((parent, at.fork.as_deref()));
            match self.branches.get(parent) {
                Some(branch) => at = branch,
                None => break,
            }
        }
        way
    }
}

#[cfg(test)]
mod tests {
    use crate::lineage::{Branch, Lineage, Reason, Snapshot, State};

    fn branch(id: &str, parent: Option<&str>) -> Branch {
        Branch {
            id: id.to_owned(),
            project: String::new(),
            name: id.to_owned(),
            data: id.to_owned(),
            volumes: Vec::new(),
            parent: parent.map(str::to_owned),
            fork: parent.map(|_| format!("fork-{id}")),
            sequence: 0,
            created: 0,
            used: 0,
            expires: None,
            protected: false,
            fast: false,
            state: State::Ready,
        }
    }

    #[test]
    fn the_last_instant_at_which_two_were_one() {
        let mut lineage = Lineage::default();
        let all =
            [("main", None), ("a", Some("main")), ("b", Some("main")), ("aa", Some("a")), ("other", None)];
        for (number, (id, parent)) in all.into_iter().enumerate() {
            lineage.branches.insert(id.to_owned(), branch(id, parent));
            let snapshot = Snapshot {
                id: format!("fork-{id}"),
                project: String::new(),
                branch: String::new(),
                name: String::new(),
                message: String::new(),
                reason: Reason::Fork,
                volumes: Vec::new(),
                sequence: i64::try_from(number).unwrap(),
                created: 0,
                expires: None,
                state: State::Ready,
            };
            lineage.snapshots.insert(snapshot.id.clone(), snapshot);
        }
        let parted = |a: &str, b: &str| {
            lineage
                .parted(&lineage.branches[a], &lineage.branches[b])
                .map(|it| it.id.as_str())
                .unwrap_or_default()
        };
        assert_eq!([parted("a", "main"), parted("main", "a")], ["fork-a", "fork-a"]);
        assert_eq!([parted("a", "b"), parted("b", "a"), parted("aa", "b")], ["fork-a"; 3]);
        assert_eq!(
            [parted("aa", "main"), parted("aa", "a"), parted("a", "other")],
            ["fork-a", "fork-aa", ""]
        );
    }
}
