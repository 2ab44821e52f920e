//! How unique columns come to differ: one of them alone, or the row's number shared out among several.

use super::{Planner, Work};
use crate::base::Failure;
use crate::generate::check;
use crate::generate::columns;
use crate::generate::make::{Make, Order, Ordinal};
use crate::generate::refer::{Share, Spread};
use crate::generate::wish::Fanout;
use crate::schema::table::ConstraintKind;

/// Unique columns: what of the table they are, by name.
struct Unique {
    name: String,
    columns: Vec<String>,
}

/// One of what a unique group is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Component {
    Column(usize),
    Reference(usize),
}

impl Work<'_> {
    fn uniques(&self) -> (Vec<Unique>, Vec<Failure>) {
        let mut found = Vec::new();
        let mut problems = Vec::new();
        for constraint in &self.table.constraints {
            if matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique) {
                found.push(Unique { name: constraint.name.clone(), columns: constraint.columns.clone() });
            }
        }
        for index in self.table.indexes.iter().filter(|index| index.unique && !index.of_constraint) {
            let mut expressions = index.expressions.iter();
            let mut columns = Vec::new();
            let mut understood = true;
            for column in &index.columns {
                match column.clone().or_else(|| check::folded(expressions.next()?)) {
                    Some(column) => columns.push(column),
                    None => understood = false,
                }
            }
            // What differs in some of its columns differs.
            let enough = columns.iter().any(|column| self.at(column).is_some_and(|at| self.is_unique(at)));
            if understood || enough {
                found.push(Unique { name: index.name.clone(), columns });
            } else {
                problems.push(
                    self.refuse(
                        &format!("unique index `{}`", index.name),
                        "its expression is not understood",
                    )
                    .hint(format!("leave the table out with `--skip {}`", self.table.name)),
                );
            }
        }
        found.sort_by_key(|unique| unique.columns.len());
        (found, problems)
    }

    fn is_unique(&self, at: usize) -> bool {
        match &self.columns[at].1.make {
            Make::Ordinal(it) => matches!(it.order, Order::Serial | Order::Unique),
            Make::Of(_, order) => *order == Order::Unique,
            Make::Text(text) => text.unique,
            Make::Uuid | Make::Bytes(_) => true,
            Make::Refer(reference, _) => {
                let it = &self.references[*reference];
                it.spread == Spread::Free(Fanout::Fixed) && it.children <= it.parents
            }
            _ => false,
        }
    }

    /// What a unique group is made of, without what a default makes.
    fn components(&self, unique: &Unique) -> Option<Vec<Component>> {
        let mut found = Vec::new();
        for column in &unique.columns {
            // What PostgreSQL makes itself, as by `gen_random_uuid()`, is left to it.
            let at = self.at(column)?;
            let component = match self.columns[at].1.make {
                Make::Refer(reference, _) => Component::Reference(reference),
                _ => Component::Column(at),
            };
            if !found.contains(&component) {
                found.push(component);
            }
        }
        Some(found)
    }

    /// How many different values a component has; what it can have when it is made unique.
    fn capacity(&self, component: Component) -> u64 {
        match component {
            Component::Reference(it) => {
                let it = &self.references[it];
                it.parents.saturating_sub(u64::from(it.unlike.is_some()))
            }
            Component::Column(at) => {
                let (name, draft) = &self.columns[at];
                let Some(column) = self.table.column(name) else { return 0 };
                let widen = !draft.wished && !self.is_bound(name);
                columns::make_unique(&mut draft.make.clone(), &column.shape, widen).unwrap_or(0)
            }
        }
    }

    /// How many rows its unique columns leave room for.
    pub(super) fn room(&self) -> Option<(u64, String)> {
        let (uniques, _) = self.uniques();
        let room = |unique: &Unique| {
            let components = self.components(unique)?;
            let null = |component: &Component| matches!(component, Component::Column(at) if self.columns[*at].1.make == Make::Null);
            if components.iter().any(null) {
                return None;
            }
            let all = components.iter().fold(1_u64, |product, it| product.saturating_mul(self.capacity(*it)));
            Some((all, unique.name.clone()))
        };
        uniques.iter().filter_map(room).min()
    }

    /// Whether nothing has been decided on a component yet.
    fn is_free(&self, component: Component) -> bool {
        match component {
            Component::Reference(it) => matches!(self.references[it].spread, Spread::Free(_)),
            Component::Column(at) => matches!(
                self.columns[at].1.make,
                Make::Of(_, Order::Random) | Make::Ordinal(Ordinal { order: Order::Random, .. })
            ),
        }
    }

    /// Sees to a unique group.
    fn satisfy(&mut self, unique: &Unique, total: u64) -> Result<(), Failure> {
        let Some(components) = self.components(unique) else { return Ok(()) };
        let satisfied = |component: &Component| match component {
            Component::Column(at) => self.is_unique(*at) || self.columns[*at].1.make == Make::Null,
            Component::Reference(it) => {
                let it = &self.references[*it];
                it.spread == Spread::Free(Fanout::Fixed) && it.children <= it.parents && !it.own
            }
        };
        if components.iter().any(satisfied) {
            return Ok(());
        }
        let what = format!("unique `{}`", unique.name);
        // One column that alone can be unique.
        let able = components.iter().copied().filter(|it| matches!(it, Component::Column(_)));
        if let Some((Component::Column(at), _)) = able
            .map(|it| (it, self.capacity(it)))
            .filter(|(_, capacity)| *capacity >= total)
            .max_by_key(|it| it.1)
        {
            let name = self.columns[at].0.clone();
            let widen = !self.columns[at].1.wished && !self.is_bound(&name);
            if let Some(column) = self.table.column(&name) {
                columns::make_unique(&mut self.columns[at].1.make, &column.shape, widen);
            }
            return Ok(());
        }
        if let [Component::Reference(only)] = components[..] {
            let it = &mut self.references[only];
            if it.own && it.nulls == 0 {
                return Err(
                    self.refuse(&what, "each row would have to point at another, and the first at none")
                );
            }
            if it.parents < total && !it.own {
                let why = format!("{} rows cannot each point at another of {}", total, it.parents);
                return Err(self
                    .refuse(&what, &why)
                    .hint("give the table that it points at more rows, or this one fewer"));
            }
            it.spread = Spread::Free(Fanout::Fixed);
            it.unlike = None;
            return Ok(());
        }
        self.share(&components, total).map_err(|why| {
            self.refuse(&what, &why).hint("ask for fewer rows of it, or more of those that it points at")
        })
    }

    /// Shares the row's number out among what is unique together.
    fn share(&mut self, components: &[Component], total: u64) -> Result<(), String> {
        let leads = |it: &&Component| {
            matches!(it, Component::Reference(which)
            if !self.references[*which].own && matches!(self.references[*which].spread, Spread::Free(_))
                && self.references[*which].unlike.is_none())
        };
        let lead = components.iter().filter(leads).max_by_key(|it| self.capacity(**it)).copied();
        let (lead, mut left) = match lead {
            Some(Component::Reference(lead)) => {
                let it = &mut self.references[lead];
                it.spread = Spread::Free(Fanout::Fixed);
                it.nulls = 0;
                (Some(lead), total.div_ceil(it.parents.max(1)))
            }
            _ => (None, total),
        };
        let mut others: Vec<(u64, Component)> = components
            .iter()
            .filter(|it| lead.is_none_or(|lead| **it != Component::Reference(lead)))
            .filter(|it| self.is_free(**it))
            .map(|it| (self.capacity(*it), *it))
            .collect();
        others.sort_by_key(|(capacity, _)| std::cmp::Reverse(*capacity));
        let mut divisor = 1_u64;
        for (capacity, component) in others {
            let capacity = if lead.is_some() { capacity.min(left) } else { capacity }.max(1);
            let share = Share { lead, divisor, capacity };
            match component {
                Component::Reference(it) => {
                    self.references[it].spread = Spread::Shared(share);
                    self.references[it].nulls = 0;
                }
                Component::Column(at) => {
                    self.columns[at].1.nulls = 0;
                    match &mut self.columns[at].1.make {
                        Make::Of(_, order) => *order = Order::Shared(share),
                        Make::Ordinal(it) => it.order = Order::Shared(share),
                        _ => {}
                    }
                }
            }
            divisor = divisor.saturating_mul(capacity);
            left = left.div_ceil(capacity);
        }
        if left > 1 { Err(format!("there are not enough different ones for {total} rows")) } else { Ok(()) }
    }
}

impl Planner<'_> {
    pub(super) fn unique(&mut self) {
        for work in &mut self.works {
            let total = work.first + work.rows;
            let (uniques, _) = work.uniques();
            // A key that is one reference decides over it before one that shares it.
            for unique in &uniques {
                if let Err(failure) = work.satisfy(unique, total) {
                    self.problems.push(failure);
                }
            }
            let (_, mut problems) = work.uniques();
            self.problems.append(&mut problems);
            for constraint in &work.table.constraints {
                if constraint.kind == ConstraintKind::Exclusion {
                    self.problems.push(
                        work.refuse(
                            &format!("exclusion constraint `{}`", constraint.name),
                            "which rows exclude one another is not known",
                        )
                        .hint(format!("leave the table out with `--skip {}`", work.table.name)),
                    );
                }
            }
        }
    }
}
