//! A policy checked against the tables it is about, and compiled. All that can be known before data is read is said
//! here, all of it at once.

use std::collections::BTreeMap;
use std::fmt;

use super::json::Path;
use super::key::Key;
use super::make::{DISTINCT, Limits, Maker, SHORTEST_EMAIL};
use super::policy::{Decision, Decisions, Make, Policy, Rule};
use super::row::{self, Masker};
use super::table::{Column, Kind, Table};

/// What becomes of each table, in the order of the tables.
#[derive(Debug)]
pub struct Plan {
    /// One for each table.
    pub tables: Vec<Masked>,
}

/// What becomes of a table.
#[derive(Debug, Clone)]
pub struct Masked {
    /// Whether its rows are copied.
    pub rows: bool,
    /// The columns that are copied, by their place in the table.
    pub columns: Vec<usize>,
    /// How each of these is masked; none for one that is kept.
    rules: Vec<Option<Compiled>>,
    /// The columns, by their place in the table, whose values are searched for what was masked elsewhere.
    pub searched: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Compiled {
    maker: Maker,
    per: Option<usize>,
    when: Option<(usize, super::policy::When)>,
    array: bool,
}

/// Something about the policy that does not fit the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The table, as `schema.table`.
    pub table: String,
    /// The column, if it is about one.
    pub column: Option<String>,
    /// What it is.
    pub what: What,
}

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nobody decided on it.
    Undecided,
    /// There is no such table or column.
    Unknown,
    /// The decision cannot be carried out, and why.
    Impossible(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table)?;
        if let Some(column) = &self.column {
            write!(f, ".{column}")?;
        }
        match &self.what {
            What::Undecided => f.write_str(" is not decided on"),
            What::Unknown => f.write_str(" is not there"),
            What::Impossible(why) => write!(f, ": {why}"),
        }
    }
}

impl Masked {
    /// Whether rows can be copied as they are.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.rules.iter().all(Option::is_none)
    }

    /// How a column that is copied is masked, by its place in [`Masked::columns`]; the word of the rule.
    #[must_use]
    pub fn rule(&self, place: usize) -> Option<&'static str> {
        self.rules.get(place)?.as_ref().map(|rule| rule.maker.make.word())
    }

    /// What masks its rows.
    #[must_use]
    pub fn masker(&self) -> Masker {
        let column = |rule: &Option<Compiled>| {
            let Compiled { maker, per, when, array } = rule.clone()?;
            Some(row::Column::new(maker, per, when, array))
        };
        Masker::new(self.rules.iter().map(column).collect())
    }

    /// What a rule makes of a few values of its sort, to be tried against what limits the column; nothing for one whose
    /// results depend on the form of the value.
    #[must_use]
    pub fn trials(&self, place: usize) -> Vec<String> {
        let Some(Some(rule)) = self.rules.get(place) else { return Vec::new() };
        let tried = matches!(
            rule.maker.make,
            Make::Constant(_)
                | Make::Hash
                | Make::Email
                | Make::GivenName
                | Make::FamilyName
                | Make::Name
                | Make::Username
                | Make::Street
                | Make::City
                | Make::Url
        );
        let values = ["a", "someone", "another one", "x@example.com", "17", "Z", "q9", "w w"];
        let made = |value: &&str| {
            let mut out = Vec::new();
            rule.maker.write(value.as_bytes(), None, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        if tried { values.iter().map(made).collect() } else { Vec::new() }
    }
}

/// Checks a policy against the tables and compiles it. Nothing is compiled where anything does not fit.
pub fn plan(tables: &[Table], policy: &Policy, key: &Key) -> Result<Plan, Vec<Problem>> {
    let mut work = Work { tables, policy, decided: BTreeMap::new(), problems: Vec::new() };
    work.unknown();
    work.decide();
    work.follow();
    for (index, table) in tables.iter().enumerate() {
        work.check(index, table);
    }
    if !work.problems.is_empty() {
        work.problems.sort_by(|a, b| (&a.table, &a.column).cmp(&(&b.table, &b.column)));
        work.problems.dedup();
        return Err(work.problems);
    }
    let tables = tables.iter().enumerate().map(|(index, table)| work.compile(index, table, key)).collect();
    Ok(Plan { tables })
}

/// A decision, and the limits of the column that it was made for: where another refers to it, both are masked alike.
#[derive(Clone)]
struct Decided {
    decision: Decision,
    limits: Limits,
}

struct Work<'a> {
    tables: &'a [Table],
    policy: &'a Policy,
    /// By the places of table and column.
    decided: BTreeMap<(usize, usize), Decided>,
    problems: Vec<Problem>,
}

/// What limits a column's values.
fn limits(column: &Column) -> Limits {
    let largest = match column.type_name.trim_end_matches("[]") {
        "smallint" => Some(u128::from(i16::MAX.unsigned_abs())),
        "integer" => Some(u128::from(i32::MAX.unsigned_abs())),
        "bigint" => Some(u128::from(i64::MAX.unsigned_abs())),
        _ => None,
    };
    Limits { kind: column.kind, length: column.length, largest }
}

impl Work<'_> {
    fn say(&mut self, table: &Table, column: usize, why: impl Into<String>) {
        let column = table.columns.get(column).map(|column| column.name.clone());
        self.problems.push(Problem { table: table.path(), column, what: What::Impossible(why.into()) });
    }

    /// What the policy names and nobody has: a column that was renamed would be copied raw under its new name, if it
    /// were passed over.
    fn unknown(&mut self) {
        for (path, decisions) in &self.policy.tables {
            let Some(table) = self.tables.iter().find(|table| table.path() == *path) else {
                self.problems.push(Problem { table: path.clone(), column: None, what: What::Unknown });
                continue;
            };
            let Decisions::Columns(columns) = decisions else { continue };
            for column in columns.keys().filter(|column| table.column(column).is_none()) {
                let column = Some(column.clone());
                self.problems.push(Problem { table: path.clone(), column, what: What::Unknown });
            }
        }
    }

    fn decide(&mut self) {
        for (index, table) in self.tables.iter().enumerate() {
            let path = table.path();
            for (place, column) in table.columns.iter().enumerate().filter(|(_, column)| !column.generated) {
                if let Some(decision) = self.policy.decision(&path, &column.name) {
                    self.decided.insert((index, place), Decided { decision, limits: limits(column) });
                }
            }
        }
    }

    fn has_rows(&self, table: usize) -> bool {
        !matches!(self.policy.tables.get(&self.tables[table].path()), Some(Decisions::Drop))
    }

    /// A column that refers to a masked one is masked as that is.
    fn follow(&mut self) {
        // As often as references lead on to others.
        for _ in 0..16 {
            let mut changed = false;
            for (index, table) in self.tables.iter().enumerate() {
                for (place, parent) in pairs(self.tables, table) {
                    let Some(above) = self.decided.get(&parent).cloned() else { continue };
                    let Decision::Mask(rule) = &above.decision else { continue };
                    let follows = match self.decided.get(&(index, place)).map(|own| &own.decision) {
                        None | Some(Decision::Keep | Decision::Public) => true,
                        Some(_) => false,
                    };
                    if follows && rule.make != Make::Null {
                        self.decided.insert((index, place), above);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let mut wrong = Vec::new();
        for (index, table) in self.tables.iter().enumerate().filter(|(index, _)| self.has_rows(*index)) {
            for (place, parent) in pairs(self.tables, table) {
                let (Some(own), Some(above)) = (self.decided.get(&(index, place)), self.decided.get(&parent))
                else {
                    continue;
                };
                let to = &self.tables[parent.0];
                let name = format!("{}.{}", to.path(), to.columns[parent.1].name);
                let gone = matches!(own.decision, Decision::Drop)
                    || matches!(&own.decision, Decision::Mask(rule) if rule.make == Make::Null);
                let why = match (&own.decision, &above.decision) {
                    _ if gone => continue,
                    _ if !self.has_rows(parent.0) => Some(format!(
                        "it refers to {name}, whose rows are not copied: drop it, or the table's rows too"
                    )),
                    (Decision::Mask(_), Decision::Keep | Decision::Public) => Some(format!(
                        "it refers to {name}, which is kept: decide on that one, and this one follows"
                    )),
                    (Decision::Mask(own), Decision::Mask(above))
                        if own.make != above.make || own.identity() != above.identity() =>
                    {
                        Some(format!(
                            "it refers to {name}, which is masked otherwise: leave it out, it follows"
                        ))
                    }
                    (_, Decision::Drop) => Some(format!("it refers to {name}, which is dropped")),
                    (_, Decision::Mask(above)) if above.make == Make::Null => {
                        Some(format!("it refers to {name}, of which nothing is left"))
                    }
                    (_, Decision::Mask(above)) if above.per.is_some() || above.when.is_some() => {
                        Some(format!(
                            "it refers to {name}, whose masked value depends on its own row: take `per` and `when` away there"
                        ))
                    }
                    _ => None,
                };
                wrong.extend(why.map(|why| (index, place, why)));
            }
        }
        for (index, place, why) in wrong {
            self.say(&self.tables[index], place, why);
        }
    }

    fn check(&mut self, index: usize, table: &Table) {
        if !self.has_rows(index) {
            return;
        }
        for (place, column) in table.columns.iter().enumerate().filter(|(_, column)| !column.generated) {
            let Some(decided) = self.decided.get(&(index, place)).cloned() else {
                let column = Some(column.name.clone());
                self.problems.push(Problem { table: table.path(), column, what: What::Undecided });
                continue;
            };
            let why = match &decided.decision {
                Decision::Drop if column.not_null && !column.has_default => {
                    Some("it takes no NULL and has no default, so it cannot be dropped".to_owned())
                }
                Decision::Keep | Decision::Public | Decision::Drop => None,
                Decision::Mask(rule) => impossible(table, place, column, rule),
            };
            if let Some(why) = why.or_else(|| self.lacks(index, table, &decided.decision)) {
                self.say(table, place, why);
            }
        }
    }

    /// Why what a rule depends on is not there.
    fn lacks(&self, index: usize, table: &Table, decision: &Decision) -> Option<String> {
        let Decision::Mask(rule) = decision else { return None };
        let others = [rule.per.as_ref(), rule.when.as_ref().map(|when| &when.column)];
        let dropped = |name: &&String| {
            let decided = table.column(name).and_then(|place| self.decided.get(&(index, place)));
            decided.is_some_and(|decided| decided.decision == Decision::Drop)
        };
        let name = others.into_iter().flatten().find(dropped)?;
        Some(format!("it depends on `{name}`, which is dropped: let that be `null` instead, or keep it"))
    }

    fn compile(&self, index: usize, table: &Table, key: &Key) -> Masked {
        let rows = self.has_rows(index);
        let copied = |place: &usize| {
            let decided = self.decided.get(&(index, *place));
            decided.is_some_and(|decided| decided.decision != Decision::Drop)
        };
        // What another depends on is read even where it is dropped itself: that is refused before.
        let columns: Vec<usize> =
            if rows { (0..table.columns.len()).filter(copied).collect() } else { Vec::new() };
        let at = |name: &str| columns.iter().position(|place| table.columns[*place].name == name);
        let rules = columns.iter().map(|place| {
            let decided = self.decided.get(&(index, *place))?;
            let Decision::Mask(rule) = &decided.decision else { return None };
            let maker = Maker {
                make: rule.make.clone(),
                prf: key.class(rule.identity()),
                person: rule.per.as_ref().map(|_| key.class("person")),
                limits: decided.limits,
            };
            let when = rule.when.as_ref().and_then(|when| Some((at(&when.column)?, when.clone())));
            let per = rule.per.as_ref().and_then(|per| at(per));
            Some(Compiled { maker, per, when, array: table.columns[*place].array })
        });
        let rules = rules.collect();
        let searched = columns.iter().copied().filter(|place| {
            let column = &table.columns[*place];
            let decided = self.decided.get(&(index, *place)).map(|decided| &decided.decision);
            let kept = match decided {
                Some(Decision::Keep) => true,
                Some(Decision::Mask(rule)) => matches!(rule.make, Make::Redact | Make::Json { .. }),
                _ => false,
            };
            kept && matches!(column.kind, Kind::Text | Kind::Json | Kind::Other)
        });
        Masked { rows, searched: searched.collect(), columns: columns.clone(), rules }
    }
}

/// Why a rule cannot be carried out on a column.
fn impossible(table: &Table, place: usize, column: &Column, rule: &Rule) -> Option<String> {
    let word = rule.make.word();
    if !fits(&rule.make, column) {
        return Some(format!("`{word}` is nothing for the type {}", column.type_name));
    }
    if rule.make == Make::Null && column.not_null {
        return Some("it takes no NULL".to_owned());
    }
    if let Make::Constant(value) = &rule.make {
        if column.kind == Kind::Choice && !column.labels.contains(value) {
            return Some(format!("it has no value `{value}`; there are {}", column.labels.join(", ")));
        }
        if column.length.is_some_and(|length| value.chars().count() > length) {
            return Some(format!("`{value}` is longer than the column"));
        }
    }
    let distinct_hash = rule.make == Make::Hash && table.is_unique(place);
    let needs = if distinct_hash { 16 } else { needs(&rule.make) };
    if column.kind == Kind::Text
        && let Some(length) = column.length.filter(|length| *length < needs)
    {
        return Some(format!("`{word}` needs {needs} characters, and it has room for {length}"));
    }
    let alone = |columns: &Vec<usize>| {
        let rest: Vec<usize> = columns.iter().copied().filter(|other| *other != place).collect();
        let kept = table.uniques.iter().any(|other| other.iter().all(|column| rest.contains(column)));
        columns.contains(&place) && !kept
    };
    if !is_distinct(&rule.make, rule) && rule.make != Make::Null && table.uniques.iter().any(alone) {
        let better = match column.kind {
            Kind::Uuid => "`uuid`",
            Kind::Integer | Kind::Number => "`digits`",
            _ => "`form`, `email`, `username` or `hash`",
        };
        return Some(format!(
            "its values have to be unique, and those of `{word}` are not; {better} would be"
        ));
    }
    for (option, other) in [("per", rule.per.as_ref()), ("when", rule.when.as_ref().map(|when| &when.column))]
    {
        let Some(other) = other else { continue };
        match table.column(other) {
            None => {
                return Some(format!("`{option}` names the column `{other}`, which the table does not have"));
            }
            Some(at) if table.columns[at].generated => {
                return Some(format!("`{option}` names `{other}`, which is computed and not copied"));
            }
            Some(_) => {}
        }
    }
    if let Make::Json { paths, .. } = &rule.make {
        let wrong = paths.iter().find_map(|(path, _)| Path::read(path).err());
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

/// The columns of a table that refer to another's, each with the places of that table and column.
fn pairs(tables: &[Table], table: &Table) -> Vec<(usize, (usize, usize))> {
    let mut pairs = Vec::new();
    for reference in &table.references {
        let Some(index) = tables.iter().position(|other| other.path() == reference.table) else { continue };
        for (own, to) in reference.columns.iter().zip(&reference.to) {
            if let Some(to) = tables[index].column(to) {
                pairs.push((*own, (index, to)));
            }
        }
    }
    pairs
}

/// Whether what is made is a value of the type.
fn fits(make: &Make, column: &Column) -> bool {
    use Make as M;
    if matches!(make, M::Null | M::Constant(_)) {
        return true;
    }
    match column.kind {
        Kind::Text => !matches!(make, M::Noise(_)),
        Kind::Integer => matches!(make, M::Digits | M::Form | M::Phone | M::Noise(_)),
        Kind::Number => matches!(make, M::Digits | M::Form | M::Noise(_)),
        Kind::Date | Kind::Time => matches!(make, M::Date(_)),
        Kind::Uuid => matches!(make, M::Uuid),
        Kind::Json => matches!(make, M::Json { .. } | M::Text | M::Redact),
        Kind::Bytes => matches!(make, M::Hash),
        Kind::Address => matches!(make, M::Network),
        Kind::Boolean | Kind::Choice | Kind::Place | Kind::Other => false,
    }
}

/// The rules that never make one value of two.
pub const DISTINCT_RULES: [&str; 8] = ["email", "username", "phone", "form", "digits", "uuid", "hash", "url"];

/// How many characters a rule needs.
fn needs(make: &Make) -> usize {
    match make {
        Make::Email => SHORTEST_EMAIL,
        Make::Username => DISTINCT,
        Make::Url => 33,
        Make::Network => 15,
        _ => 0,
    }
}

/// Whether a column has room for what a rule makes.
#[must_use]
pub fn is_room(make: &Make, column: &Column) -> bool {
    column.length.is_none_or(|length| length >= needs(make))
}

/// Whether two values never become one.
fn is_distinct(make: &Make, rule: &Rule) -> bool {
    rule.when.is_none() && DISTINCT_RULES.contains(&make.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: Kind, type_name: &str) -> Column {
        Column { name: name.to_owned(), kind, type_name: type_name.to_owned(), ..Column::default() }
    }

    fn shop() -> Vec<Table> {
        let users = Table {
            schema: "public".to_owned(),
            name: "users".to_owned(),
            columns: vec![
                Column { not_null: true, ..column("id", Kind::Integer, "integer") },
                Column { length: Some(20), ..column("email", Kind::Text, "character varying(20)") },
                column("born", Kind::Date, "date"),
                Column { generated: true, ..column("upper", Kind::Text, "text") },
            ],
            uniques: vec![vec![0], vec![1]],
            ..Table::default()
        };
        let orders = Table {
            schema: "public".to_owned(),
            name: "orders".to_owned(),
            columns: vec![
                column("id", Kind::Integer, "integer"),
                column("user_id", Kind::Integer, "integer"),
            ],
            uniques: vec![vec![0]],
            references: vec![super::super::table::Reference {
                columns: vec![1],
                table: "public.users".to_owned(),
                to: vec!["id".to_owned()],
            }],
            ..Table::default()
        };
        vec![users, orders]
    }

    fn problems(text: &str) -> Vec<String> {
        let policy =
            Policy::read(std::path::Path::new("p"), &format!("version: 1\ntables:\n{text}")).unwrap();
        match plan(&shop(), &policy, &Key::new([1; 32])) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_column_is_decided_on() {
        assert_eq!(
            problems(
                "  public.users: {id: keep, email: form}\n  public.gone: keep\n  public.orders: {x: keep}\n"
            ),
            [
                "public.gone is not there",
                "public.orders.id is not decided on",
                "public.orders.user_id is not decided on",
                "public.orders.x is not there",
                "public.users.born is not decided on",
            ]
        );
    }

    #[test]
    fn what_cannot_be_is_refused_before() {
        let of =
            |users: &str| problems(&format!("  public.users: {users}\n  public.orders: keep\n")).join("\n");
        assert_eq!(of("{id: keep, email: form, born: date}"), "");
        assert!(of("{id: keep, email: email, born: date}").contains("needs 24 characters"));
        assert!(of("{id: keep, email: name, born: date}").contains("have to be unique"));
        assert!(of("{id: null, email: form, born: date}").contains("it takes no NULL"));
        assert!(of("{id: drop, email: form, born: date}").contains("no default"));
        assert!(of("{id: keep, email: form, born: email}").contains("nothing for the type date"));
        assert!(of("{id: keep, email: form, born: {mask: date, per: nope}}").contains("`nope`"));
        assert!(
            problems("  public.users: drop\n  public.orders: keep\n")
                .join("")
                .contains("rows are not copied")
        );
    }

    #[test]
    fn references_follow() {
        let text = "  public.users: {id: digits, email: form, born: keep}\n  public.orders: {id: keep}\n";
        let policy =
            Policy::read(std::path::Path::new("p"), &format!("version: 1\ntables:\n{text}")).unwrap();
        let plan = plan(&shop(), &policy, &Key::new([1; 32])).unwrap();
        let masked = |table: usize, line: &str| {
            let mut out = Vec::new();
            plan.tables[table].masker().row(line.as_bytes(), &mut out, None).unwrap();
            String::from_utf8(out).unwrap()
        };
        let user = masked(0, "4711\tx\t2000-01-01");
        let order = masked(1, "1\t4711");
        assert_eq!(user.split('\t').next(), order.trim().split('\t').nth(1));
        assert!(!user.starts_with("4711\t"));
        assert!(!plan.tables[1].is_plain() && plan.tables[0].columns == [0, 1, 2]);
    }
}
