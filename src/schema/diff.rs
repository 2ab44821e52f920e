//! What turns one schema into another, in an order that PostgreSQL takes.
//!
//! First what has to happen is decided for each object alone. Then for those that stand in the way of it: a view on a
//! column whose type changes is dropped and made again. Then all acts are brought into an order: nothing is dropped
//! that is still needed, nothing made before what it needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::alter::{self, Change, change};
use crate::schema::quote::{name, text};
use crate::schema::{Id, Kind, Model, Object, grants, make};

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// It goes.
    Drop,
    /// It stays and changes.
    Alter,
    /// It comes.
    Create,
}

/// One statement of the way from one schema to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub act: Act,
    /// To what.
    pub id: Id,
    /// The statement, without `;`.
    pub sql: String,
    /// Whether rows or values are lost by it.
    pub loses: bool,
}

/// The steps that turn `from` into `to`.
#[must_use]
pub fn diff(from: &Model, to: &Model) -> Vec<Step> {
    let mut difference = Difference::of(from, to);
    difference.free_the_way();
    let acts = difference.acts();
    let mut steps = Vec::new();
    for (act, id) in difference.in_order(&acts) {
        let loses = match act {
            Act::Drop => matches!(id.kind, Kind::Table | Kind::Column),
            Act::Alter => difference.remade.contains(id),
            Act::Create => false,
        };
        let sql = difference.sql(act, id);
        steps.extend(sql.into_iter().map(|sql| Step { act, id: id.clone(), sql, loses }));
    }
    steps
}

/// The steps as a file.
#[must_use]
pub fn script(steps: &[Step]) -> String {
    let mut script = String::new();
    // Bodies may name what is made further down.
    if steps.iter().any(|step| step.sql.starts_with("CREATE OR REPLACE ") && step.id.kind == Kind::Function) {
        script.push_str("SET check_function_bodies = off;\n\n");
    }
    let mut last: Option<&Id> = None;
    for step in steps {
        if last.is_some_and(|last| *last != step.id) {
            script.push('\n');
        }
        last = Some(&step.id);
        script.push_str(&step.sql);
        script.push_str(";\n");
    }
    script
}

type Node<'a> = (Act, &'a Id);

struct Difference<'a> {
    from: &'a Model,
    to: &'a Model,
    dropped: BTreeSet<&'a Id>,
    created: BTreeSet<&'a Id>,
    altered: BTreeMap<&'a Id, Vec<String>>,
    /// Dropped and created.
    rebuilt: BTreeSet<&'a Id>,
    /// Types that get a successor of their name.
    remade: BTreeSet<&'a Id>,
    /// Columns that get another type.
    retyped: BTreeSet<&'a Id>,
    /// The relation that each object of `from` is part of, or itself.
    wholes: BTreeMap<&'a Id, &'a Id>,
    /// What each of these needs, with all of its parts.
    uses: BTreeMap<&'a Id, BTreeSet<&'a Id>>,
}

/// The relation that each object is part of, or itself.
fn wholes(model: &Model) -> BTreeMap<&Id, &Id> {
    let whole = |object: &'_ Object| -> Option<&Id> {
        if !object.id.kind.goes_with_table() {
            return None;
        }
        let relation = |need: &&Id| {
            matches!(need.kind, Kind::Table | Kind::View | Kind::MaterializedView)
                && match object.id.kind {
                    Kind::Index | Kind::Statistics => need.qualified() == object.get("table"),
                    _ => need.schema == object.id.schema && need.name == object.id.name,
                }
        };
        let id = object.needs.iter().find(relation)?;
        model.objects.get_key_value(id).map(|(id, _)| id)
    };
    let table = |id: &Id| model.objects.get_key_value(&id.owner(Kind::Table)).map(|(id, _)| id);
    let mut wholes = BTreeMap::new();
    for (id, object) in &model.objects {
        let found = whole(object).or_else(|| if id.kind == Kind::Default { table(id) } else { None });
        wholes.insert(id, found.unwrap_or(id));
    }
    wholes
}

impl<'a> Difference<'a> {
    fn of(from: &'a Model, to: &'a Model) -> Self {
        let mut it = Self {
            from,
            to,
            dropped: BTreeSet::new(),
            created: to.objects.keys().filter(|id| from.get(id).is_none()).collect(),
            altered: BTreeMap::new(),
            rebuilt: BTreeSet::new(),
            remade: BTreeSet::new(),
            retyped: BTreeSet::new(),
            wholes: wholes(from),
            uses: BTreeMap::new(),
        };
        for (id, object) in &from.objects {
            let Some(whole) = it.wholes.get(id).copied() else { continue };
            let needs = object.needs.iter().filter_map(|need| it.wholes.get(need).copied());
            it.uses.entry(whole).or_default().extend(needs.filter(|need| *need != whole));
        }
        for (id, a) in &from.objects {
            let Some(b) = to.get(id) else {
                it.dropped.insert(id);
                continue;
            };
            match change(a, b) {
                Change::Alter(mut steps) => {
                    steps.extend(grants::redress(a, b));
                    if !steps.is_empty() {
                        it.altered.insert(id, steps);
                    }
                    if id.kind == Kind::Column
                        && ["type", "collation"].iter().any(|key| a.get(key) != b.get(key))
                    {
                        it.retyped.insert(id);
                    }
                }
                Change::Rebuild => {
                    it.rebuilt.insert(id);
                }
                Change::Remake => {
                    it.remade.insert(id);
                }
            }
        }
        it.leave_partitions();
        it.remake_for_new_labels();
        it
    }

    /// A table that becomes a partition, or is one no more, keeps its columns: only whose they are changes.
    fn leave_partitions(&mut self) {
        let turned = |id: &Id| {
            let table = id.owner(Kind::Table);
            let partition = |model: &Model| model.get(&table).map(|it| it.get("partition_of").is_empty());
            matches!(id.kind, Kind::Column | Kind::Default)
                && matches!((partition(self.from), partition(self.to)), (Some(a), Some(b)) if a != b)
        };
        let (dropped, created) = (&mut self.dropped, &mut self.created);
        dropped.retain(|id| !turned(id));
        created.retain(|id| !turned(id));
    }

    /// A new label cannot be used in the transaction that adds it; a new type can.
    fn remake_for_new_labels(&mut self) {
        let enums: Vec<&'a Id> = self.altered.keys().copied().filter(|id| id.kind == Kind::Enum).collect();
        for id in enums {
            let (Some(a), Some(b)) = (self.from.get(id), self.to.get(id)) else { continue };
            let labels: Vec<String> = alter::new_labels(a, b).iter().map(|label| text(label)).collect();
            let says = |object: &Object| {
                object.id != *id
                    && self.from.get(&object.id).is_none_or(|before| before.properties != object.properties)
                    && object
                        .properties
                        .values()
                        .any(|value| labels.iter().any(|label| value.contains(label)))
            };
            if !labels.is_empty() && self.to.objects.values().any(says) {
                self.altered.remove(id);
                self.remade.insert(id);
            }
        }
    }

    /// Finds what stands in the way of what is done, and lets it be dropped and made again.
    fn free_the_way(&mut self) {
        let needed_by = self.from.needed_by();
        let mut next: Vec<&'a Id> = self.dropped.iter().chain(&self.rebuilt).copied().collect();
        next.extend(self.remade.iter().chain(&self.retyped).copied());
        while let Some(x) = next.pop() {
            for d in needed_by.get(x).into_iter().flatten().copied() {
                if self.to.get(d).is_none() || self.rebuilt.contains(d) {
                    continue;
                }
                let (remade, rebuilt) = (self.remade.contains(x), self.rebuilt.contains(x));
                let strong = remade || rebuilt || self.retyped.contains(x);
                let generated =
                    |id: &Id| self.from.get(id).is_some_and(|it| it.properties.contains_key("generated"));
                let new = match d.kind {
                    Kind::Column if remade => self.retyped.insert(d),
                    Kind::Column if strong && (x.kind == Kind::Table || generated(d)) => {
                        self.rebuilt.insert(d)
                    }
                    Kind::Table if rebuilt && x.kind == Kind::Table => self.rebuilt.insert(d),
                    Kind::SequenceOwner => rebuilt && self.rebuilt.insert(d),
                    Kind::Enum | Kind::Range | Kind::Composite | Kind::Domain => {
                        remade && self.remade.insert(d)
                    }
                    Kind::Column
                    | Kind::Table
                    | Kind::Sequence
                    | Kind::Schema
                    | Kind::Extension
                    | Kind::Publication
                    | Kind::DefaultPrivileges => false,
                    _ => (strong || !self.altered.contains_key(d)) && self.rebuilt.insert(d),
                };
                if new {
                    next.push(d);
                }
            }
        }
        let gone: Vec<&Id> = self.rebuilt.iter().chain(&self.remade).copied().collect();
        for id in gone {
            self.altered.remove(id);
        }
    }

    fn drops(&self, id: &Id) -> bool {
        self.dropped.contains(id) || self.rebuilt.contains(id)
    }

    fn creates(&self, id: &Id) -> bool {
        self.created.contains(id) || self.rebuilt.contains(id)
    }

    fn alters(&self, id: &Id) -> bool {
        self.altered.contains_key(id) || self.remade.contains(id)
    }

    /// All acts, and those that are part of another: a column goes, and comes, with its table.
    fn acts(&self) -> Acts<'a> {
        let mut acts = Acts::default();
        for id in self.dropped.iter().chain(&self.rebuilt).copied() {
            let whole = self.goes_with(id);
            acts.add((Act::Drop, id), whole);
        }
        for id in self.altered.keys().chain(&self.remade).copied() {
            acts.add((Act::Alter, id), None);
        }
        for id in self.created.iter().chain(&self.rebuilt).copied() {
            acts.add((Act::Create, id), self.comes_with(id).map(|table| (Act::Create, table)));
        }
        acts
    }

    /// What an object that is dropped goes with by itself.
    fn goes_with(&self, id: &'a Id) -> Option<Node<'a>> {
        let object = self.from.get(id)?;
        let need =
            |wanted: &dyn Fn(&Id) -> bool| object.needs.iter().find(|need| wanted(need) && self.drops(need));
        let dropped = |need: &'a Id| Some((Act::Drop, need));
        match id.kind {
            Kind::Sequence => {
                let owner = self.from.get(&id.owner(Kind::SequenceOwner))?;
                owner
                    .needs
                    .iter()
                    .find(|need| need.kind == Kind::Table && self.drops(need))
                    .or_else(|| owner.needs.iter().find(|need| need.kind == Kind::Column && self.drops(need)))
                    .and_then(dropped)
            }
            Kind::SequenceOwner => need(&|need| need.kind == Kind::Sequence).and_then(dropped),
            Kind::DomainCheck => {
                let domain = object.needs.iter().find(|need| need.kind == Kind::Domain)?;
                if self.remade.contains(domain) {
                    return Some((Act::Alter, domain));
                }
                self.drops(domain).then_some((Act::Drop, domain))
            }
            Kind::PublicationTable | Kind::PublicationSchema | Kind::DefaultPrivileges => {
                need(&|need| matches!(need.kind, Kind::Publication | Kind::Table | Kind::Schema))
                    .and_then(dropped)
            }
            kind if kind.goes_with_table() || kind == Kind::ViewColumn => {
                let stands_on = |need: &Id| {
                    let relation = matches!(need.kind, Kind::Table | Kind::View | Kind::MaterializedView);
                    relation
                        && match id.kind {
                            Kind::Index | Kind::Statistics => need.qualified() == object.get("table"),
                            _ => need.schema == id.schema && need.name == id.name,
                        }
                };
                let column =
                    |need: &Id| id.kind == Kind::Default && need.kind == Kind::Column && need.part == id.part;
                let whole = need(&stands_on).or_else(|| need(&column))?;
                if id.kind != Kind::Column && self.in_a_ring(object, self.wholes.get(whole)?) {
                    return None;
                }
                dropped(whole)
            }
            _ => None,
        }
    }

    /// Whether what a part of a relation needs is dropped too, and needs that relation: then the part goes by itself.
    fn in_a_ring(&self, part: &'a Object, whole: &'a Id) -> bool {
        let mut next: Vec<&Id> =
            part.needs.iter().filter_map(|need| self.wholes.get(need).copied()).collect();
        next.retain(|need| *need != whole);
        let mut seen: BTreeSet<&Id> = BTreeSet::new();
        while let Some(id) = next.pop() {
            if id == whole {
                return true;
            }
            if self.drops(id) && seen.insert(id) {
                next.extend(self.uses.get(id).into_iter().flatten());
            }
        }
        false
    }

    /// The new table in whose statement a new part of it can stand.
    fn comes_with(&self, id: &'a Id) -> Option<&'a Id> {
        let object = self.to.get(id)?;
        if !matches!(id.kind, Kind::Column | Kind::Default | Kind::Constraint) || object.is("foreign") {
            return None;
        }
        // Where there are no rows yet, PostgreSQL takes any check for valid.
        if object.get("definition").ends_with(" NOT VALID") {
            return None;
        }
        let table = self.to.objects.get(&id.owner(Kind::Table)).filter(|table| self.creates(&table.id))?;
        if !table.get("partition_of").is_empty()
            || (!table.get("of_type").is_empty() && id.kind != Kind::Column)
        {
            return None;
        }
        let own = |need: &Id| {
            matches!(need.kind, Kind::Table | Kind::Column)
                && need.schema == id.schema
                && need.name == id.name
        };
        // A default may call a function that takes the table's row.
        let mut seen = BTreeSet::new();
        let mut next: Vec<&Id> = object.needs.iter().filter(|need| !own(need)).collect();
        while let Some(need) = next.pop() {
            if own(need) && id.kind != Kind::Column {
                return None;
            }
            if self.creates(need) && seen.insert(need) {
                next.extend(self.to.get(need).into_iter().flat_map(|object| &object.needs));
            }
        }
        Some(&table.id)
    }

    /// The acts in an order in which each finds what it needs.
    fn in_order(&self, acts: &Acts<'a>) -> Vec<Node<'a>> {
        let mut edges: BTreeSet<(Node<'a>, Node<'a>)> = BTreeSet::new();
        let mut before = |first: Node<'a>, second: Node<'a>| {
            if let (Some(first), Some(second)) = (acts.whole(first), acts.whole(second))
                && first != second
            {
                edges.insert((first, second));
            }
        };
        for (d, object) in &self.from.objects {
            for x in &object.needs {
                before((Act::Drop, d), (Act::Drop, x));
                // A comment on a schema, or a grant, waits for nothing.
                let apart =
                    matches!(x.kind, Kind::Schema | Kind::Extension | Kind::Publication | Kind::Sequence);
                if self.alters(x) && !apart {
                    before((Act::Drop, d), (Act::Alter, x));
                }
                if !self.rebuilt.contains(x) {
                    before((Act::Alter, d), (Act::Drop, x));
                }
                if self.remade.contains(x) && self.to.get(d).is_some_and(|now| !now.needs.contains(x)) {
                    before((Act::Alter, d), (Act::Alter, x));
                }
            }
        }
        for (d, object) in &self.to.objects {
            for x in &object.needs {
                for now in [Act::Alter, Act::Create] {
                    before((Act::Create, x), (now, d));
                    before((Act::Alter, x), (now, d));
                }
            }
            before((Act::Drop, d), (Act::Create, d));
        }
        self.names(&mut before);
        acts.sort(&edges, |(act, id)| {
            let phase = if id.kind == Kind::DefaultPrivileges { 3 } else { act as i32 };
            let model = if act == Act::Drop { self.from } else { self.to };
            (phase, id.kind, model.get(id).map_or(0, |object| object.order))
        })
    }

    /// A name is free once what has it is gone.
    fn names(&self, before: &mut dyn FnMut(Node<'a>, Node<'a>)) {
        let named = |model: &'a Model| {
            let mut names: BTreeMap<(&'a str, &'a str), Vec<&'a Id>> = BTreeMap::new();
            for (id, object) in &model.objects {
                if id.kind.shares_names() {
                    names.entry((&id.schema, &id.name)).or_default().push(id);
                } else if id.kind == Kind::Constraint && object.is("index") {
                    names.entry((&id.schema, &id.part)).or_default().push(id);
                }
            }
            names
        };
        let (had, have) = (named(self.from), named(self.to));
        for (name, old) in &had {
            for (old, new) in
                old.iter().flat_map(|old| have.get(name).into_iter().flatten().map(move |new| (old, new)))
            {
                before((Act::Drop, old), (Act::Create, new));
            }
        }
        let key = |object: &Object| object.get("definition").starts_with("PRIMARY KEY");
        let keys = |model: &'a Model| {
            model.objects.values().filter(move |it| it.id.kind == Kind::Constraint && key(it))
        };
        for old in keys(self.from) {
            let same = |new: &&Object| new.id.schema == old.id.schema && new.id.name == old.id.name;
            for new in keys(self.to).filter(same) {
                before((Act::Drop, &old.id), (Act::Create, &new.id));
            }
        }
        // The sequence of an identity column has the name that a serial's would have.
        for id in self.altered.keys().filter(|id| id.kind == Kind::Column) {
            let sequence = Id::new(Kind::Sequence, &id.schema, &format!("{}_{}_seq", id.name, id.part));
            if let Some((old, _)) = self.from.objects.get_key_value(&sequence) {
                before((Act::Drop, old), (Act::Alter, id));
            }
            if let Some((new, _)) = self.to.objects.get_key_value(&sequence) {
                before((Act::Alter, id), (Act::Create, new));
            }
        }
    }

    /// The statements of an act.
    fn sql(&self, act: Act, id: &Id) -> Vec<String> {
        match act {
            Act::Drop => {
                let Some(object) = self.from.get(id) else { return Vec::new() };
                match id.kind {
                    Kind::DefaultPrivileges | Kind::ViewColumn => grants::undress(object, self.from.version),
                    _ => vec![make::drop(object)],
                }
            }
            Act::Alter if self.remade.contains(id) => self.remake(id),
            Act::Alter => self.altered.get(id).cloned().unwrap_or_default(),
            Act::Create => {
                let Some(object) = self.to.get(id) else { return Vec::new() };
                let parts = if id.kind == Kind::Table { self.parts(id) } else { Vec::new() };
                let inside: Vec<String> = parts.iter().filter_map(|part| self.line(part)).collect();
                let mut sql = make::create(object, &inside);
                sql.extend(grants::dress(self.from, object));
                for part in parts {
                    match part.id.kind {
                        Kind::Column => sql.extend(make::column_settings(part)),
                        Kind::Constraint => sql.extend(make::identifies(part)),
                        _ => continue,
                    }
                    sql.extend(grants::dress(self.from, part));
                }
                sql
            }
        }
    }

    /// What stands in the statement of a new table: columns as they are ordered, then constraints.
    fn parts(&self, table: &Id) -> Vec<&'a Object> {
        let inside = |object: &&Object| {
            object.id.schema == table.schema
                && object.id.name == table.name
                && self.creates(&object.id)
                && self.comes_with(&object.id) == Some(table)
        };
        let mut parts: Vec<&Object> = self.to.objects.values().filter(inside).collect();
        parts.sort_by_key(|object| (object.id.kind, object.order));
        parts
    }

    fn line(&self, part: &Object) -> Option<String> {
        match part.id.kind {
            Kind::Column => {
                let default = Id { kind: Kind::Default, ..part.id.clone() };
                let default = self.to.objects.get_key_value(&default);
                let default = default.filter(|(id, _)| self.creates(id) && self.comes_with(id).is_some());
                let expression =
                    default.map(|(_, default)| format!(" DEFAULT {}", default.get("expression")));
                Some(make::column(part) + &expression.unwrap_or_default())
            }
            Kind::Constraint => {
                Some(format!("CONSTRAINT {} {}", name(&part.id.part), part.get("definition")))
            }
            _ => None,
        }
    }

    /// A type under its name again, and the columns that have it turned to it.
    fn remake(&self, id: &Id) -> Vec<String> {
        let Some(object) = self.to.get(id) else { return Vec::new() };
        let what = if id.kind == Kind::Domain { "DOMAIN" } else { "TYPE" };
        let old = Id { name: format!("{}_before", id.name), ..id.clone() };
        let mut sql = vec![format!("ALTER {what} {} RENAME TO {}", id.qualified(), name(&old.name))];
        sql.extend(make::create(object, &[]));
        sql.extend(grants::dress(self.from, object));
        for column in
            self.to.objects.values().filter(|it| it.id.kind == Kind::Column && it.needs.contains(id))
        {
            let before = self.from.get(&column.id).filter(|_| !self.rebuilt.contains(&column.id));
            if before.is_some_and(|before| before.needs.contains(id)) {
                let (table, part, kind) = (column.id.qualified(), name(&column.id.part), column.get("type"));
                sql.push(format!(
                    "ALTER TABLE {table} ALTER COLUMN {part} TYPE {kind} USING {part}::text::{kind}"
                ));
            }
        }
        sql.push(format!("DROP {what} {}", old.qualified()));
        sql
    }
}

/// All acts, by what they are part of.
#[derive(Default)]
struct Acts<'a> {
    part_of: BTreeMap<Node<'a>, Node<'a>>,
    alone: BTreeSet<Node<'a>>,
}

impl<'a> Acts<'a> {
    fn add(&mut self, node: Node<'a>, whole: Option<Node<'a>>) {
        match whole {
            Some(whole) => {
                self.part_of.insert(node, whole);
            }
            None => {
                self.alone.insert(node);
            }
        }
    }

    /// The act that `node` is done with.
    fn whole(&self, mut node: Node<'a>) -> Option<Node<'a>> {
        while let Some(whole) = self.part_of.get(&node) {
            node = *whole;
        }
        self.alone.get(&node).copied()
    }

    /// In an order that keeps to `edges`, and to `rank` where these leave it open.
    fn sort<R: Ord>(
        &self,
        edges: &BTreeSet<(Node<'a>, Node<'a>)>,
        rank: impl Fn(Node<'a>) -> R,
    ) -> Vec<Node<'a>> {
        let mut waits: BTreeMap<Node<'a>, usize> = self.alone.iter().map(|node| (*node, 0)).collect();
        let mut after: BTreeMap<Node<'a>, Vec<Node<'a>>> = BTreeMap::new();
        for (first, second) in edges {
            *waits.entry(*second).or_default() += 1;
            after.entry(*first).or_default().push(*second);
        }
        let mut ready: BTreeSet<(R, Node<'a>)> = BTreeSet::new();
        ready.extend(waits.iter().filter(|(_, count)| **count == 0).map(|(node, _)| (rank(*node), *node)));
        let mut sorted = Vec::new();
        loop {
            let next = match ready.pop_first() {
                Some((_, node)) => node,
                // A ring: the best guess goes first; what comes of it is proved before it is used.
                None => match waits.keys().min_by_key(|node| rank(**node)) {
                    Some(node) => *node,
                    None => return sorted,
                },
            };
            waits.remove(&next);
            sorted.push(next);
            for node in after.remove(&next).unwrap_or_default() {
                if let Some(count) = waits.get_mut(&node) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert((rank(node), node));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One object a line: `kind name[.part] | key=value | … < need, need`; all stand in `public`.
    fn model(text: &str) -> Model {
        let mut model = Model { role: "postgres".to_owned(), version: 170_000, ..Model::default() };
        let id = |words: &str| {
            let (kind, name) = words.trim().split_once(' ').unwrap();
            let kind: Kind = serde_json::from_value(kind.into()).unwrap();
            let (name, part) = name.split_once('.').unwrap_or((name, ""));
            Id::part(kind, "public", name, part)
        };
        for (order, line) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
            let (line, needs) = line.split_once(" < ").unwrap_or((line, ""));
            let mut parts = line.split(" | ");
            let id_ = id(parts.next().unwrap());
            let pairs = parts.map(|pair| pair.split_once('=').unwrap());
            let mut properties: BTreeMap<String, String> =
                pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            // What nobody says is as PostgreSQL makes it.
            if let Some(plural) = grants::plural(id_.kind).filter(|_| !properties.contains_key("owner")) {
                for (role, words) in grants::usual(plural, &model.role, model.version) {
                    properties
                        .insert(format!("grant {role}"), words.into_iter().collect::<Vec<_>>().join(" "));
                }
            }
            let mut needs: BTreeSet<Id> = needs.split(", ").filter(|it| !it.is_empty()).map(id).collect();
            if id_.kind.goes_with_table() && !matches!(id_.kind, Kind::Index | Kind::Statistics) {
                needs.insert(id_.owner(Kind::Table));
            }
            let order = i32::try_from(order).unwrap();
            model.objects.insert(id_.clone(), Object { id: id_, order, properties, needs });
        }
        model
    }

    fn way(from: &str, to: &str) -> String {
        diff(&model(from), &model(to)).into_iter().map(|step| step.sql + ";\n").collect()
    }

    const USERS: &str = "table users
        column users.id | type=integer | not_null=true
        column users.name | type=text
        constraint users.users_pkey | definition=PRIMARY KEY (id) | index=true < column users.id";

    #[test]
    fn a_table_comes_in_one_statement_and_goes_in_one() {
        let all = format!(
            "{USERS}
            default users.name | expression='x'::text < column users.name
            index users_name | definition=CREATE INDEX users_name ON public.users USING btree (name) | table=public.users < table users, column users.name"
        );
        assert_eq!(
            way("", &all),
            "CREATE TABLE public.users (\n  id integer NOT NULL,\n  name text DEFAULT 'x'::text,\n  \
             CONSTRAINT users_pkey PRIMARY KEY (id)\n);\n\
             CREATE INDEX users_name ON public.users USING btree (name);\n"
        );
        assert_eq!(way(&all, ""), "DROP TABLE public.users;\n");
        assert_eq!(way(&all, &all), "");
    }

    #[test]
    fn what_stands_on_a_column_that_changes_is_made_again() {
        let rest = "view people | definition= SELECT name FROM public.users; < column users.name
            view all_people | definition= SELECT name FROM public.people; < view people";
        let before = format!("{USERS}\n{rest}");
        let after = before.replace("users.name | type=text", "users.name | type=integer");
        assert_eq!(
            way(&before, &after),
            "DROP VIEW public.all_people;\nDROP VIEW public.people;\n\
             ALTER TABLE public.users ALTER COLUMN name TYPE integer USING name::text::integer;\n\
             CREATE VIEW public.people AS\n SELECT name FROM public.users;\n\
             CREATE VIEW public.all_people AS\n SELECT name FROM public.people;\n"
        );
    }

    #[test]
    fn a_label_that_is_used_at_once_needs_a_new_type() {
        let of = |labels: &str, default: &str| {
            format!(
                "enum mood | labels={labels}\ntable t\ncolumn t.m | type=public.mood < enum mood\n\
                 default t.m | expression='{default}'::public.mood < column t.m, enum mood"
            )
        };
        let (before, after) = (of(r#"["a"]"#, "a"), of(r#"["a","b"]"#, "a"));
        assert_eq!(way(&before, &after), "ALTER TYPE public.mood ADD VALUE 'b' AFTER 'a';\n");
        assert_eq!(
            way(&before, &of(r#"["a","b"]"#, "b")),
            "ALTER TABLE public.t ALTER COLUMN m DROP DEFAULT;\n\
             ALTER TYPE public.mood RENAME TO mood_before;\n\
             CREATE TYPE public.mood AS ENUM ('a', 'b');\n\
             ALTER TABLE public.t ALTER COLUMN m TYPE public.mood USING m::text::public.mood;\n\
             DROP TYPE public.mood_before;\n\
             ALTER TABLE public.t ALTER COLUMN m SET DEFAULT 'b'::public.mood;\n"
        );
    }

    #[test]
    fn tables_that_point_at_one_another() {
        let ring = "table a\ncolumn a.b | type=integer\ntable b\ncolumn b.a | type=integer
            constraint a.fk | definition=FOREIGN KEY (b) REFERENCES public.b(a) | foreign=true < column a.b, column b.a
            constraint b.fk | definition=FOREIGN KEY (a) REFERENCES public.a(b) | foreign=true < column b.a, column a.b";
        let gone = way(ring, "");
        assert!(gone.starts_with("ALTER TABLE public.a DROP CONSTRAINT fk;\n"), "{gone}");
        assert!(gone.ends_with("DROP TABLE public.a;\nDROP TABLE public.b;\n"), "{gone}");
        let made = way("", ring);
        assert!(made.find("ADD CONSTRAINT").unwrap() > made.rfind("CREATE TABLE").unwrap(), "{made}");
    }

    #[test]
    fn a_name_is_free_before_it_is_taken() {
        let sql = way("view x | definition= SELECT 1;", "table x\ncolumn x.id | type=integer");
        assert_eq!(sql, "DROP VIEW public.x;\nCREATE TABLE public.x (\n  id integer\n);\n");
        let keys = |name: &str| USERS.replace("users_pkey", name);
        assert_eq!(
            way(&keys("old"), &keys("new")),
            "ALTER TABLE public.users DROP CONSTRAINT old;\n\
             ALTER TABLE public.users ADD CONSTRAINT new PRIMARY KEY (id);\n"
        );
    }

    #[test]
    fn grants_are_what_is_missing_of_those_that_come_by_themselves() {
        let all = "DELETE INSERT MAINTAIN REFERENCES SELECT TRIGGER TRUNCATE UPDATE";
        let table = |grants: &str| format!("table t | owner=postgres | grant postgres={all}{grants}");
        assert_eq!(way("", &table("")), "CREATE TABLE public.t ();\n");
        assert_eq!(
            way("", &table(" | grant anon=SELECT UPDATE*")),
            "CREATE TABLE public.t ();\nGRANT SELECT ON TABLE public.t TO anon;\n\
             GRANT UPDATE ON TABLE public.t TO anon WITH GRANT OPTION;\n"
        );
        assert_eq!(
            way(&table(" | grant anon=SELECT* UPDATE"), &table(" | grant anon=SELECT")),
            "REVOKE UPDATE ON TABLE public.t FROM anon;\nREVOKE GRANT OPTION FOR SELECT ON TABLE public.t FROM anon;\n"
        );
    }
}
