//! Foreign keys: which rows they point at, in which order that lets the tables be filled, and what has to wait.

use std::collections::BTreeSet;

use super::{Planner, ROWS, values_hint};
use crate::generate::check::Ask;
use crate::generate::make::Make;
use crate::generate::prf::Prf;
use crate::generate::refer::{Reference, Spread, Target};

impl Planner<'_> {
    /// Turns foreign keys into references.
    pub(super) fn refer(&mut self) {
        for at in 0..self.works.len() {
            let table = self.works[at].table;
            let keys: Vec<_> =
                table.constraints.iter().filter_map(|it| Some((it, it.references.as_ref()?))).collect();
            let mut taken: BTreeSet<&str> = BTreeSet::new();
            // The widest first: what it says of tenant and user is more than what another says of the tenant.
            let mut order: Vec<usize> = (0..keys.len()).collect();
            order.sort_by_key(|key| std::cmp::Reverse(keys[*key].0.columns.len()));
            let wish = self.wish(&(table.schema.clone(), table.name.clone()));
            for key in order {
                let (constraint, references) = keys[key];
                let work = &mut self.works[at];
                let places: Option<Vec<usize>> = constraint.columns.iter().map(|it| work.at(it)).collect();
                let Some(places) = places else { continue };
                let given = |place: &usize| {
                    let draft = &work.columns[*place].1;
                    draft.wished || draft.make == Make::Null
                };
                if places.iter().any(given) {
                    continue;
                }
                let not_null = |column: &str| table.column(column).is_none_or(|column| column.not_null);
                let shared: Vec<&str> =
                    constraint.columns.iter().map(String::as_str).filter(|it| taken.contains(it)).collect();
                if shared.len() == constraint.columns.len() && shared.len() == 1 {
                    // Implied: the wider key's table has this key itself, or the row would not be there.
                    continue;
                }
                if !shared.is_empty() {
                    let mut freed = false;
                    for column in constraint.columns.iter().filter(|it| !taken.contains(it.as_str())) {
                        if !not_null(column)
                            && let Some(place) = work.at(column)
                        {
                            work.columns[place].1.make = Make::Null;
                            freed = true;
                        }
                    }
                    if !freed {
                        let what = format!("foreign key `{}`", constraint.name);
                        let why = format!(
                            "it shares `{}` with another that has chosen already",
                            shared.join("`, `")
                        );
                        self.problems.push(
                            work.refuse(&what, &why)
                                .hint(format!("leave the table out with `--skip {}`", table.name)),
                        );
                    }
                    continue;
                }
                let target_name = (references.schema.clone(), references.table.clone());
                let target = self.names.iter().position(|name| *name == target_name);
                let (target, parents) = match target {
                    Some(sheet) => (Target::Sheet(sheet), 0),
                    None => {
                        let pool = self
                            .pools
                            .iter()
                            .position(|pool| pool.table == target_name && pool.columns == references.columns);
                        (
                            Target::Pool(pool.unwrap_or(0)),
                            pool.map_or(0, |pool| self.pools[pool].rows.len() as u64),
                        )
                    }
                };
                let nullable = constraint.columns.iter().all(|column| !not_null(column));
                if matches!(target, Target::Pool(_)) && parents == 0 {
                    if nullable {
                        for place in places {
                            work.columns[place].1.make = Make::Null;
                        }
                        continue;
                    }
                    let what = format!("foreign key `{}`", constraint.name);
                    let named = format!("{}.{}", references.schema, references.table);
                    let why = format!("there are no rows in {named} to point at");
                    self.problems.push(
                        work.refuse(&what, &why)
                            .hint(format!("fill it too: `--rows {named}={ROWS}`; or load a seed first")),
                    );
                    continue;
                }
                let present = places.iter().any(|place| work.columns[*place].1.nulls == 0);
                let fanout = wish.and_then(|wish| {
                    constraint.columns.iter().find_map(|column| wish.fanout.get(column).copied())
                });
                let number = work.references.len();
                // Which column of another sheet that is, is found when all are settled.
                for (index, place) in places.iter().enumerate() {
                    work.columns[*place].1.make = Make::Refer(number, index);
                    work.columns[*place].1.nulls = 0;
                }
                let own = target == Target::Sheet(at);
                work.references.push(Reference {
                    name: constraint.name.clone(),
                    target,
                    own,
                    children: 0,
                    parents,
                    spread: Spread::Free(fanout.unwrap_or_default()),
                    nulls: if nullable && !present { 10 } else { 0 },
                    unlike: None,
                    prf: Prf::new(
                        self.seed,
                        &format!("{}.{}", table.schema, table.name),
                        &constraint.columns.join(","),
                    ),
                });
                taken.extend(constraint.columns.iter().map(String::as_str));
            }
            self.differ(at);
        }
        self.locate();
    }

    /// References that must not agree.
    fn differ(&mut self, at: usize) {
        let work = &mut self.works[at];
        for (ask, check) in work.pairs.clone() {
            let Ask::Differ(a, b) = &ask else { continue };
            let reference = |column: &str| {
                work.at(column).and_then(|at| match work.columns[at].1.make {
                    Make::Refer(it, index) => Some((it, index)),
                    _ => None,
                })
            };
            let null = |column: &str| work.at(column).is_some_and(|at| work.columns[at].1.make == Make::Null);
            let done = match (reference(a), reference(b)) {
                (Some((a, x)), Some((b, y)))
                    if a != b && x == y && work.references[a].target == work.references[b].target =>
                {
                    let (first, second) = (a.min(b), a.max(b));
                    work.references[second].unlike = Some(first);
                    true
                }
                // A row of one's own table before oneself.
                (Some((it, _)), None) | (None, Some((it, _))) => {
                    work.references[it].own && work.references[it].nulls > 0
                }
                _ => null(a) || null(b),
            };
            if !done {
                let failure = work
                    .refuse(
                        &format!("check `{check}`"),
                        "it asks two columns to differ, which nothing sees to",
                    )
                    .hint(values_hint(&work.table.name, b));
                self.problems.push(failure);
            }
        }
    }

    /// Points references at the columns of what is filled.
    fn locate(&mut self) {
        for at in 0..self.works.len() {
            let table = self.works[at].table;
            for place in 0..self.works[at].columns.len() {
                let Make::Refer(which, index) = self.works[at].columns[place].1.make else { continue };
                let reference = &self.works[at].references[which];
                let Target::Sheet(sheet) = reference.target else { continue };
                let key = table.constraints.iter().find(|it| it.name == reference.name);
                let column = key.and_then(|it| it.references.as_ref()).and_then(|it| it.columns.get(index));
                let found = column.and_then(|column| self.works[sheet].at(column));
                match found {
                    Some(found) => self.works[at].columns[place].1.make = Make::Refer(which, found),
                    None => {
                        let what = format!("foreign key `{}`", reference.name);
                        let failure = self.works[at]
                            .refuse(&what, "it points at a column that PostgreSQL fills by itself")
                            .hint(format!("leave the table out with `--skip {}`", table.name));
                        self.problems.push(failure);
                    }
                }
            }
        }
    }

    /// What is pointed at is not NULL.
    pub(super) fn referred_are_there(&mut self) {
        let mut referred: Vec<(usize, usize)> = Vec::new();
        for work in &self.works {
            for (_, draft) in &work.columns {
                if let Make::Refer(which, column) = draft.make
                    && let Target::Sheet(sheet) = work.references[which].target
                {
                    referred.push((sheet, column));
                }
            }
        }
        for (sheet, column) in referred {
            let work = &mut self.works[sheet];
            work.columns[column].1.nulls = 0;
            if let Make::Refer(which, _) = work.columns[column].1.make {
                // In one's own table, the first points nowhere.
                if !work.references[which].own {
                    work.references[which].nulls = 0;
                }
            }
        }
    }

    /// The order of the tables, by number, and what of each cannot be checked at once.
    pub(super) fn order(&self) -> (Vec<usize>, Vec<BTreeSet<String>>) {
        let needs: Vec<BTreeSet<usize>> = self
            .works
            .iter()
            .enumerate()
            .map(|(at, work)| {
                let sheets = work.references.iter().filter_map(|reference| match reference.target {
                    Target::Sheet(sheet) if sheet != at => Some(sheet),
                    _ => None,
                });
                sheets.collect()
            })
            .collect();
        let mut left: BTreeSet<usize> = (0..self.works.len()).collect();
        let mut order = Vec::new();
        let mut deferred = vec![BTreeSet::new(); self.works.len()];
        while !left.is_empty() {
            let open = |at: usize| needs[at].iter().filter(|need| left.contains(need)).count();
            let next = left.iter().copied().find(|at| open(*at) == 0).or_else(|| {
                // A cycle that waits for no other one, and of it the table that waits for the fewest.
                let within = |at: &usize| {
                    reach(&needs, &left, *at).iter().all(|other| reach(&needs, &left, *other).contains(at))
                };
                left.iter().copied().filter(within).min_by_key(|at| open(*at))
            });
            let Some(next) = next else { break };
            for reference in &self.works[next].references {
                if let Target::Sheet(sheet) = reference.target
                    && sheet != next
                    && left.contains(&sheet)
                {
                    deferred[next].insert(reference.name.clone());
                }
            }
            left.remove(&next);
            order.push(next);
        }
        (order, deferred)
    }

    /// Refuses columns whose values would have to be known before themselves.
    pub(super) fn no_circles(&mut self) {
        for at in 0..self.works.len() {
            for place in 0..self.works[at].columns.len() {
                let (mut sheet, mut column) = (at, place);
                let mut steps = 0;
                while let Make::Refer(which, next) = self.works[sheet].columns[column].1.make
                    && let Target::Sheet(target) = self.works[sheet].references[which].target
                    && steps < 64
                {
                    (sheet, column) = (target, next);
                    steps += 1;
                }
                if steps == 64 {
                    let work = &self.works[at];
                    let what = format!("column `{}`", work.columns[place].0);
                    self.problems.push(
                        work.refuse(&what, "what it points at points back at it")
                            .hint(format!("leave the table out with `--skip {}`", work.table.name)),
                    );
                }
            }
        }
    }
}

/// What can be reached from a table, among those that are left; not itself unless there is a way back.
fn reach(needs: &[BTreeSet<usize>], left: &BTreeSet<usize>, from: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(at) = todo.pop() {
        for next in needs[at].iter().filter(|next| left.contains(next)) {
            if found.insert(*next) {
                todo.push(*next);
            }
        }
    }
    found
}
