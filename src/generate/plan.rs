//! What is filled, in which order, with what: everything is decided here, or refused, before the first row.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::check::{self, Ask};
use super::columns::{self, Draft};
use super::make::{self, Make, Order, Ordinal};
use super::prf::Prf;
use super::refer::{self, Reference, Share, Spread, Target};
use super::wish::{Fanout, Wishes};
use crate::base::{Failure, Kind};
use crate::schema::quote;
use crate::schema::table::{ConstraintKind, Table, Tables};

/// How many rows a table gets of which nothing else is said.
pub const ROWS: u64 = 1000;

/// Schema and name of a table.
pub type Name = (String, String);

/// What is to be filled.
#[derive(Debug, Default)]
pub struct Request {
    /// The schemas whose tables are filled without being named.
    pub own: BTreeSet<String>,
    /// What is wished for.
    pub wishes: Wishes,
    /// Only these tables; all with none.
    pub only: Vec<String>,
    /// Not these tables.
    pub skip: Vec<String>,
    /// Whether tables that hold rows get more.
    pub append: bool,
    /// The number of the row that comes next in tables that hold rows.
    pub present: BTreeMap<Name, u64>,
}

/// Rows that were there before, which are pointed at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// The table.
    pub table: Name,
    /// The columns that are pointed at.
    pub columns: Vec<String>,
    /// Their values as `COPY` writes them, row by row.
    pub rows: Vec<Vec<Vec<u8>>>,
}

/// A column that is written.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How its values are made.
    pub make: Make,
    /// How many in a hundred are NULL.
    pub nulls: u8,
    prf: Prf,
}

/// A foreign key that is checked only when all rows are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// Its name.
    pub name: String,
    /// Whether it may be without being changed.
    pub deferrable: bool,
}

/// A table that is filled.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Its schema and name.
    pub name: Name,
    /// The columns that are written.
    pub columns: Vec<Column>,
    /// Its foreign keys.
    pub references: Vec<Reference>,
    /// The number of the first row.
    pub first: u64,
    /// How many rows.
    pub rows: u64,
    /// The foreign keys that cannot be checked at once.
    pub deferred: Vec<Deferred>,
    /// The columns that a sequence numbers, and the sequence where the default names it.
    pub sequences: Vec<(String, Option<String>)>,
    /// The triggers that will fire.
    pub triggers: Vec<String>,
}

impl Sheet {
    /// Schema and name, ready for SQL.
    #[must_use]
    pub fn qualified(&self) -> String {
        format!("{}.{}", quote::name(&self.name.0), quote::name(&self.name.1))
    }

    /// The columns in parentheses, ready for SQL.
    #[must_use]
    pub fn column_list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| quote::name(&column.name)).collect();
        format!("({})", names.join(", "))
    }
}

/// What is filled.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What all values are made of.
    pub seed: u64,
    /// The tables in the order in which they are filled.
    pub sheets: Vec<Sheet>,
    /// What was there before.
    pub pools: Vec<Pool>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

/// The table that a name means.
pub fn find(tables: &Tables, named: &str) -> Result<Name, Failure> {
    let found: Vec<&Name> =
        tables.keys().filter(|(schema, name)| name == named || format!("{schema}.{name}") == named).collect();
    let public = found.iter().find(|(schema, _)| schema == "public");
    match (&found[..], public) {
        ([one], _) => Ok((*one).clone()),
        (_, Some(public)) => Ok((**public).clone()),
        ([], _) => {
            let names = tables.keys().map(|(_, name)| name.as_str());
            let mut failure = Failure::new(Kind::Usage, format!("there is no table `{named}`"));
            if let Some(near) = crate::base::guess::closest(named, names, |_| 2) {
                failure = failure.hint(crate::base::guess::did_you_mean(near));
            }
            Err(failure)
        }
        _ => Err(Failure::new(Kind::Usage, format!("`{named}` is a table of several schemas"))
            .hint("name it with its schema, as in `public.users`")),
    }
}

/// The tables that are filled and how many rows each gets; whether that number was asked for.
fn selected(tables: &Tables, request: &Request) -> Result<BTreeMap<Name, (u64, bool)>, Failure> {
    let names = |all: &[String]| all.iter().map(|it| find(tables, it)).collect::<Result<BTreeSet<_>, _>>();
    let (only, skip) = (names(&request.only)?, names(&request.skip)?);
    let scale = request.wishes.scale.unwrap_or(1.0);
    if !scale.is_finite() || scale <= 0.0 {
        return Err(Failure::new(Kind::Usage, format!("{scale} is no scale")).hint("give a number above 0"));
    }
    let mut asked = BTreeMap::new();
    for (name, wish) in &request.wishes.tables {
        asked.insert(find(tables, name)?, wish.rows);
    }
    let mut found = BTreeMap::new();
    for (name, table) in tables {
        let rows = asked.get(name).copied().flatten();
        let wanted = rows.is_some()
            || asked.contains_key(name)
            || only.contains(name)
            || request.own.contains(&name.0);
        let left_out = skip.contains(name) || (!only.is_empty() && !only.contains(name));
        if !wanted || left_out || table.partition_of.is_some() || rows == Some(0) {
            continue;
        }
        found.insert(name.clone(), (scaled(rows.unwrap_or(ROWS), scale), rows.is_some()));
    }
    Ok(found)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a number of rows, far below where either happens"
)]
fn scaled(rows: u64, scale: f64) -> u64 {
    ((rows as f64 * scale).round() as u64).max(1)
}

/// The tables that are filled.
pub fn chosen(tables: &Tables, request: &Request) -> Result<Vec<Name>, Failure> {
    Ok(selected(tables, request)?.into_keys().collect())
}

/// What has to be read before a plan can be made: the columns of rows that are there and will be pointed at.
pub fn outside(tables: &Tables, request: &Request) -> Result<Vec<Pool>, Failure> {
    let chosen = selected(tables, request)?;
    let mut pools: Vec<Pool> = Vec::new();
    for name in chosen.keys() {
        for key in tables[name].constraints.iter().filter_map(|it| it.references.as_ref()) {
            let target = (key.schema.clone(), key.table.clone());
            let known = pools.iter().any(|pool| pool.table == target && pool.columns == key.columns);
            if !chosen.contains_key(&target) && !known {
                pools.push(Pool { table: target, columns: key.columns.clone(), rows: Vec::new() });
            }
        }
    }
    Ok(pools)
}

/// A table while it is planned.
struct Work<'a> {
    table: &'a Table,
    /// The drafts of the columns that are written, as they stand.
    columns: Vec<(String, Draft)>,
    references: Vec<Reference>,
    rows: u64,
    explicit: bool,
    first: u64,
    /// Columns and a list of those that are less than others, and of those that differ, with the check that asks it.
    pairs: Vec<(Ask, String)>,
}

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
    fn at(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|(name, _)| name == column)
    }

    fn refuse(&self, what: &str, why: &str) -> Failure {
        let table = self.table.qualified();
        Failure::new(Kind::Data, format!("{table} cannot be filled: {what}: {why}"))
    }

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

    /// Whether a check has something to say of the column.
    fn is_bound(&self, column: &str) -> bool {
        let checks = self.table.constraints.iter().filter(|it| it.kind == ConstraintKind::Check);
        let domains = self.table.column(column).map_or(0, |column| column.shape.checks.len());
        domains > 0 || checks.flat_map(|it| &it.columns).any(|it| it == column)
    }

    /// How many rows its unique columns leave room for.
    fn room(&self) -> Option<(u64, String)> {
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

/// Decides on everything, or says everything that stands in the way.
pub fn plan(tables: &Tables, request: &Request, pools: Vec<Pool>) -> Result<Plan, Failure> {
    let seed = request.wishes.seed.unwrap_or(0);
    let chosen = selected(tables, request)?;
    if chosen.is_empty() {
        return Err(Failure::new(Kind::Usage, "there is no table to fill"));
    }
    let names: Vec<Name> = chosen.keys().cloned().collect();
    let mut planner = Planner {
        tables,
        request,
        seed,
        pools,
        names,
        works: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    planner.draft(&chosen);
    planner.stop()?;
    planner.refer();
    planner.stop()?;
    planner.fit();
    planner.stop()?;
    planner.unique();
    planner.compare();
    planner.referred_are_there();
    planner.stop()?;
    planner.finish()
}

struct Planner<'a> {
    tables: &'a Tables,
    request: &'a Request,
    seed: u64,
    pools: Vec<Pool>,
    names: Vec<Name>,
    works: Vec<Work<'a>>,
    problems: Vec<Failure>,
    notes: Vec<String>,
}

impl<'a> Planner<'a> {
    fn stop(&mut self) -> Result<(), Failure> {
        if self.problems.is_empty() { Ok(()) } else { Err(Failure::all(std::mem::take(&mut self.problems))) }
    }

    /// What is wished for of a table.
    fn wish(&self, name: &Name) -> Option<&'a super::wish::Wish> {
        let wishes = &self.request.wishes.tables;
        wishes
            .iter()
            .find(|(named, _)| find(self.tables, named).is_ok_and(|found| found == *name))
            .map(|(_, wish)| wish)
    }

    fn draft(&mut self, chosen: &BTreeMap<Name, (u64, bool)>) {
        let mut holding = Vec::new();
        for (name, (rows, explicit)) in chosen {
            let table = &self.tables[name];
            let first = self.request.present.get(name).copied().unwrap_or(0);
            if first > 0 && !self.request.append {
                holding.push(table.qualified());
            }
            let mut work = Work {
                table,
                columns: Vec::new(),
                references: Vec::new(),
                rows: *rows,
                explicit: *explicit,
                first,
                pairs: Vec::new(),
            };
            if table.partitioned {
                self.problems.push(
                    work.refuse("it is partitioned", "which rows its partitions take is not known")
                        .hint(format!("leave it out with `--skip {}`", table.name)),
                );
                continue;
            }
            for column in &table.columns {
                match columns::draft(table, column) {
                    Ok(Some(draft)) => work.columns.push((column.name.clone(), draft)),
                    Ok(None) => {}
                    Err(why) => {
                        // A wish may say what nothing else knows.
                        let draft = Draft { make: Make::Null, nulls: 0, wished: false };
                        let wished =
                            self.wish(name).is_some_and(|wish| wish.columns.contains_key(&column.name));
                        if wished {
                            work.columns.push((column.name.clone(), draft));
                        } else {
                            self.problems.push(
                                work.refuse(&format!("column `{}`", column.name), &why)
                                    .hint(values_hint(&table.name, &column.name)),
                            );
                        }
                    }
                }
            }
            if let Some(wish) = self.wish(name) {
                for (column, values) in &wish.columns {
                    let Some(at) = work.at(column) else {
                        let what = format!("column `{column}`");
                        self.problems.push(work.refuse(&what, "there is none that can be written"));
                        continue;
                    };
                    let array = table.column(column).is_some_and(|column| column.shape.array);
                    if let Err(why) = columns::wish(&mut work.columns[at].1, values, array) {
                        let what = format!("column `{column}`");
                        self.problems.push(work.refuse(&what, &why));
                    }
                }
            }
            let mut problems = checks(&mut work);
            self.problems.append(&mut problems);
            self.works.push(work);
        }
        if !holding.is_empty() {
            self.problems.push(
                Failure::new(Kind::Data, format!("there are rows already in {}", holding.join(", ")))
                    .hint("`--append` adds to them; `--only` and `--skip` choose tables"),
            );
        }
    }

    /// Turns foreign keys into references.
    fn refer(&mut self) {
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

    /// Sets the numbers of rows, and lowers those that nobody asked for to what there is room for.
    fn fit(&mut self) {
        for _ in 0..=self.works.len() {
            self.count();
            let mut lowered = false;
            for work in &mut self.works {
                let Some((room, unique)) = work.room() else { continue };
                if room >= work.first + work.rows {
                    continue;
                }
                if work.explicit || room <= work.first {
                    let why = format!("there is room for {room} rows, not for {}", work.first + work.rows);
                    let what = format!("unique `{unique}`");
                    self.problems.push(
                        work.refuse(&what, &why)
                            .hint("ask for fewer rows of it, or more of those that it points at"),
                    );
                    return;
                }
                work.rows = room - work.first;
                lowered = true;
                let note =
                    format!("{}: {room} rows, as many as `{unique}` has room for", work.table.qualified());
                self.notes.retain(|it| !it.starts_with(&format!("{}: ", work.table.qualified())));
                self.notes.push(note);
            }
            if !lowered {
                break;
            }
        }
    }

    fn count(&mut self) {
        let totals: Vec<u64> = self.works.iter().map(|work| work.first + work.rows).collect();
        for (work, total) in self.works.iter_mut().zip(&totals) {
            for reference in &mut work.references {
                reference.children = *total;
                if let Target::Sheet(sheet) = reference.target {
                    reference.parents = totals[sheet];
                }
            }
        }
    }

    fn unique(&mut self) {
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

    /// Columns of which one is less than another.
    fn compare(&mut self) {
        for work in &mut self.works {
            let mut pairs: Vec<(String, String, bool, String)> = work
                .pairs
                .iter()
                .filter_map(|(ask, check)| match ask {
                    Ask::Less(a, b, equal) => Some((a.clone(), b.clone(), *equal, check.clone())),
                    _ => None,
                })
                .collect();
            let mut behind: BTreeSet<String> = BTreeSet::new();
            while !pairs.is_empty() {
                let next =
                    pairs.iter().position(|(a, ..)| !pairs.iter().any(|(_, b, ..)| a == b)).unwrap_or(0);
                let (a, b, equal, check) = pairs.remove(next);
                let what = format!("check `{check}`");
                let circular = pairs.iter().any(|(_, other, ..)| *other == a) || !behind.insert(b.clone());
                let done = !circular && follow(work, &a, &b, equal).is_some();
                if !done {
                    self.problems.push(
                        work.refuse(&what, &format!("`{a}` and `{b}` cannot be made so that it holds"))
                            .hint(values_hint(&work.table.name, &b)),
                    );
                }
            }
        }
    }

    /// What is pointed at is not NULL.
    fn referred_are_there(&mut self) {
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
    fn order(&self) -> (Vec<usize>, Vec<BTreeSet<String>>) {
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

    fn finish(mut self) -> Result<Plan, Failure> {
        self.no_circles();
        self.stop()?;
        let (order, deferred) = self.order();
        let place: BTreeMap<usize, usize> = order.iter().enumerate().map(|(to, from)| (*from, to)).collect();
        let mut sheets = Vec::new();
        for from in order {
            let work = &self.works[from];
            let table = work.table;
            let name = (table.schema.clone(), table.name.clone());
            let full = format!("{}.{}", name.0, name.1);
            let columns = work.columns.iter().map(|(column, draft)| Column {
                name: column.clone(),
                make: draft.make.clone(),
                nulls: draft.nulls,
                prf: Prf::new(self.seed, &full, column),
            });
            let mut references = work.references.clone();
            for reference in &mut references {
                if let Target::Sheet(sheet) = reference.target {
                    reference.target = Target::Sheet(place[&sheet]);
                }
            }
            let deferred = table.constraints.iter().filter(|it| deferred[from].contains(&it.name));
            let sequence = |column: &crate::schema::table::Column| {
                let default = column.default.as_deref().unwrap_or_default();
                let named = default.strip_prefix("nextval('").and_then(|it| it.split('\'').next());
                (column.identity.is_some() || named.is_some())
                    .then(|| (column.name.clone(), named.map(str::to_owned)))
            };
            sheets.push(Sheet {
                name,
                columns: columns.collect(),
                references,
                first: work.first,
                rows: work.rows,
                deferred: deferred
                    .map(|it| Deferred { name: it.name.clone(), deferrable: it.deferrable })
                    .collect(),
                sequences: table.columns.iter().filter_map(sequence).collect(),
                triggers: table.triggers.clone(),
            });
        }
        Ok(Plan { seed: self.seed, sheets, pools: self.pools, notes: self.notes })
    }

    /// Refuses columns whose values would have to be known before themselves.
    fn no_circles(&mut self) {
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

fn values_hint(table: &str, column: &str) -> String {
    format!(
        "say what it holds, under `x-devenv` in the compose file: `generate: {{tables: {{{table}: {{columns: {{{column}: [\u{2026}]}}}}}}}}`; or leave the table out with `--skip {table}`"
    )
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

/// Lets `b` come behind `a`.
fn follow(work: &mut Work<'_>, a: &str, b: &str, equal: bool) -> Option<()> {
    let (a_at, b_at) = (work.at(a)?, work.at(b)?);
    if [a_at, b_at].iter().any(|at| work.columns[*at].1.make == Make::Null) {
        return Some(());
    }
    let (Make::Ordinal(mut first), Make::Ordinal(second)) =
        (work.columns[a_at].1.make.clone(), work.columns[b_at].1.make.clone())
    else {
        return None;
    };
    if first.form != second.form
        || second.order != Order::Random
        || !matches!(first.order, Order::Random | Order::After(..))
    {
        return None;
    }
    let gap = i64::from(!equal);
    let shape = &work.table.column(b)?.shape;
    let (_, most, _) = columns::limits(shape)?;
    // What is above was a guess, unless a check or a wish has said so.
    let most = if work.columns[b_at].1.wished || work.is_bound_alone(b) { second.high() } else { most };
    let span = (first.size / 8).max(1);
    if first.low < second.low {
        let by = second.low.checked_sub(first.low)?.unsigned_abs();
        if first.order == Order::Random && by < first.size && work.is_bound_alone(b) {
            first.low = second.low;
            first.size -= by;
        }
    }
    let reach = i64::try_from(span).ok()?.checked_add(gap)?;
    let top = most.checked_sub(reach)?;
    if first.high() > top {
        if first.order != Order::Random || top < first.low {
            return None;
        }
        first.size = top.checked_sub(first.low)?.unsigned_abs() + 1;
    }
    let low = first.low + gap;
    let size = first.high().checked_add(reach)?.checked_sub(low)?.unsigned_abs();
    work.columns[a_at].1.make = Make::Ordinal(first);
    let order = Order::After(a_at, gap, span);
    work.columns[b_at].1.make = Make::Ordinal(Ordinal { low, size, order, form: second.form });
    work.columns[b_at].1.nulls = work.columns[b_at].1.nulls.max(work.columns[a_at].1.nulls);
    if work.table.column(b).is_some_and(|column| column.not_null) {
        work.columns[b_at].1.nulls = 0;
    }
    Some(())
}

impl Work<'_> {
    /// Whether a check is about this column and no other.
    fn is_bound_alone(&self, column: &str) -> bool {
        let checks = self.table.constraints.iter().filter(|it| it.kind == ConstraintKind::Check);
        checks.into_iter().any(|it| it.columns == [column])
            || self.table.column(column).is_some_and(|column| !column.shape.checks.is_empty())
    }
}

/// Narrows the columns of a table down to what its checks ask.
fn checks(work: &mut Work<'_>) -> Vec<Failure> {
    let mut problems = Vec::new();
    let table = work.table;
    let domains = table.columns.iter().flat_map(|column| {
        column
            .shape
            .checks
            .iter()
            .map(|it| (format!("of the domain of `{}`", column.name), it, vec![column.name.clone()]))
    });
    let own = table
        .constraints
        .iter()
        .filter(|it| it.kind == ConstraintKind::Check)
        .map(|it| (it.name.clone(), &it.definition, it.columns.clone()));
    let all: Vec<_> = own.chain(domains).collect();
    let mut bounds = Vec::new();
    for (name, definition, columns) in all {
        let wished = columns.iter().any(|it| work.at(it).is_some_and(|at| work.columns[at].1.wished));
        let unwritten = columns.iter().all(|it| work.at(it).is_none());
        if unwritten {
            continue;
        }
        let refuse = |work: &Work<'_>, why: &str| {
            let column = columns.first().map_or("", String::as_str);
            work.refuse(&format!("check `{name}`"), why)
                .evidence(definition.clone())
                .hint(values_hint(&table.name, column))
        };
        let Some(asks) = check::read(definition) else {
            if !wished {
                problems.push(refuse(work, "it is not understood"));
            }
            continue;
        };
        for ask in asks {
            let column = match &ask {
                Ask::Less(..) | Ask::Differ(..) => {
                    if !wished {
                        work.pairs.push((ask.clone(), name.clone()));
                    }
                    continue;
                }
                Ask::Low(column, ..)
                | Ask::High(column, ..)
                | Ask::Longer(column, _)
                | Ask::Shorter(column, _)
                | Ask::Of(column, _)
                | Ask::Not(column, _)
                | Ask::Matches(column, _)
                | Ask::Present(column)
                | Ask::Absent(column)
                | Ask::Lower(column)
                | Ask::Json(column, _) => column,
            };
            let column = if column == "value" && columns.len() == 1 { &columns[0] } else { column };
            let (Some(at), Some(found)) = (work.at(column), table.column(column)) else {
                if !wished {
                    problems.push(refuse(work, &format!("nothing is known of `{column}`")));
                }
                continue;
            };
            if matches!(ask, Ask::Low(..) | Ask::High(..)) {
                bounds.push((at, ask.clone(), name.clone()));
            }
            if matches!(ask, Ask::Absent(_)) && found.not_null {
                problems.push(refuse(work, &format!("`{column}` cannot be NULL")));
            } else if !columns::narrow(&mut work.columns[at].1, &found.shape, &ask) && !wished {
                problems.push(refuse(work, &format!("no values are known for `{column}` that it allows")));
            }
        }
    }
    // A bound may have moved what another had bound before it; the second time, both hold or cannot.
    for last in [false, true] {
        for (at, ask, check) in &bounds {
            let (name, draft) = &mut work.columns[*at];
            let Some(column) = table.column(name) else { continue };
            let before = draft.make.clone();
            let held = columns::narrow(draft, &column.shape, ask) && (!last || draft.make == before);
            if !held && !draft.wished {
                let column = work.columns[*at].0.clone();
                problems.push(
                    work.refuse(&format!("check `{check}`"), &format!("no number is left for `{column}`"))
                        .hint(values_hint(&table.name, &column)),
                );
                return problems;
            }
        }
    }
    problems
}

impl Plan {
    /// Writes rows of a table, numbered from its first, as `COPY` takes them.
    pub fn write(&self, sheet: usize, rows: Range<u64>, out: &mut Vec<u8>) {
        let it = &self.sheets[sheet];
        for row in rows {
            let row = it.first + row;
            for at in 0..it.columns.len() {
                if at > 0 {
                    out.push(b'\t');
                }
                if !self.value(sheet, at, row, out) {
                    out.extend_from_slice(b"\\N");
                }
            }
            out.push(b'\n');
        }
    }

    /// Writes one value; false for NULL, and then nothing is written.
    fn value(&self, sheet: usize, at: usize, row: u64, out: &mut Vec<u8>) -> bool {
        let it = &self.sheets[sheet];
        let column = &it.columns[at];
        let prf = column.prf;
        if prf.chance(row, 1 << 40, column.nulls) {
            return false;
        }
        match &column.make {
            Make::Null => return false,
            Make::Ordinal(ordinal) => ordinal.form.write(number(it, at, ordinal, row), out),
            Make::Of(values, order) => {
                let many = values.len() as u64;
                let index = match order {
                    Order::Serial => row % many,
                    Order::Unique => prf.permuted(row % many, many),
                    Order::Random | Order::After(..) => prf.below(row, 0, many),
                    Order::Shared(share) => {
                        let (group, _, digit) = refer::group(&it.references, share, row);
                        (prf.below(group, 0, many) + digit) % many
                    }
                };
                out.extend_from_slice(&values[usize::try_from(index).unwrap_or(0)]);
            }
            Make::Array(element) => {
                out.push(b'{');
                let many = prf.below(row, 1 << 41, 4);
                for index in 0..many {
                    if index > 0 {
                        out.push(b',');
                    }
                    let row = prf.at(row, (1 << 42) + index) >> 1;
                    match &**element {
                        Make::Of(values, _) => {
                            let which = prf.below(row, 0, values.len() as u64);
                            out.extend_from_slice(&values[usize::try_from(which).unwrap_or(0)]);
                        }
                        Make::Ordinal(ordinal) => {
                            let value = ordinal.low.saturating_add_unsigned(prf.below(row, 0, ordinal.size));
                            ordinal.form.write(value, out);
                        }
                        other => make::write(other, prf, row, out),
                    }
                }
                out.push(b'}');
            }
            Make::Range(ordinal) => {
                let from = ordinal.low.saturating_add_unsigned(prf.below(row, 0, ordinal.size));
                let to = from.saturating_add_unsigned(1 + prf.below(row, 1, (ordinal.size / 100).max(10)));
                out.extend_from_slice(b"[\"");
                ordinal.form.write(from, out);
                out.extend_from_slice(b"\",\"");
                ordinal.form.write(to, out);
                out.extend_from_slice(b"\")");
            }
            Make::Refer(which, target) => {
                let Some(chosen) = refer::pick(&it.references, *which, row) else { return false };
                match it.references[*which].target {
                    Target::Sheet(parent) => return self.value(parent, *target, chosen, out),
                    Target::Pool(pool) => {
                        let row = usize::try_from(chosen).unwrap_or(0);
                        out.extend_from_slice(&self.pools[pool].rows[row][*target]);
                    }
                }
            }
            other => make::write(other, prf, row, out),
        }
        true
    }
}

/// The number of a row in a column of numbers.
fn number(sheet: &Sheet, at: usize, ordinal: &Ordinal, row: u64) -> i64 {
    let prf = sheet.columns[at].prf;
    let offset = match ordinal.order {
        Order::Serial => row,
        Order::Unique => prf.permuted(row, ordinal.size),
        Order::Random => prf.below(row, 0, ordinal.size),
        Order::Shared(share) => {
            let (group, _, digit) = refer::group(&sheet.references, &share, row);
            if share.lead.is_none() {
                digit
            } else {
                (prf.below(group, 0, ordinal.size) + digit) % ordinal.size
            }
        }
        Order::After(other, gap, span) => {
            let before = match &sheet.columns[other].make {
                Make::Ordinal(before) => number(sheet, other, before, row),
                _ => ordinal.low,
            };
            return before + gap + i64::try_from(prf.below(row, 0, span)).unwrap_or(0);
        }
    };
    ordinal.low.saturating_add_unsigned(offset)
}
