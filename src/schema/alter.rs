//! How one object becomes another of the same name, where PostgreSQL can alter it.

use std::collections::BTreeSet;

use crate::schema::make::{
    Attribute, all_numbers, attributes, collation, column_settings, columns, enabled, identifies, identity,
    labels, policy_terms, publishes, view,
};
use crate::schema::quote::{name, text};
use crate::schema::{Kind, Object};

/// What an object has to go through.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// These statements alter it.
    Alter(Vec<String>),
    /// It is dropped and made again.
    Rebuild,
    /// It is a type: made again under its name, and the columns that have it turn to the new one.
    Remake,
}

/// The properties in which they differ, without owner, comment and grants.
pub(super) fn differing<'a>(a: &'a Object, b: &'a Object) -> BTreeSet<&'a str> {
    let keys = a.properties.keys().chain(b.properties.keys()).map(String::as_str);
    let own =
        keys.filter(|key| *key != "owner" && *key != "comment" && !key.starts_with(super::model::GRANT));
    own.filter(|key| a.properties.get(*key) != b.properties.get(*key)).collect()
}

/// How `a` becomes `b`.
pub(super) fn change(a: &Object, b: &Object) -> Change {
    let differing = differing(a, b);
    if differing.is_empty() {
        return Change::Alter(Vec::new());
    }
    let only = |allowed: &[&str]| differing.iter().all(|key| allowed.contains(key));
    let whole = b.id.qualified();
    let steps = match b.id.kind {
        Kind::Table => table(a, b, &differing),
        Kind::Column => column(a, b, &differing),
        Kind::Extension => {
            Some(vec![format!("ALTER EXTENSION {whole} SET SCHEMA {}", name(b.get("schema")))])
        }
        Kind::Default | Kind::SequenceOwner => Some(super::make::create(b, &[])),
        Kind::Enum => return added_labels(a, b).map_or(Change::Remake, Change::Alter),
        Kind::Composite => return composite(a, b).map_or(Change::Remake, Change::Alter),
        Kind::Range => return Change::Remake,
        Kind::Domain if !only(&["default", "not_null"]) => return Change::Remake,
        Kind::Domain => Some(domain(b, &differing)),
        Kind::Sequence => {
            let mut steps = Vec::new();
            if differing.contains("unlogged") {
                let logged = if b.is("unlogged") { "UNLOGGED" } else { "LOGGED" };
                steps.push(format!("ALTER SEQUENCE {whole} SET {logged}"));
            }
            if !only(&["unlogged"]) {
                // It stands where it may not, once it counts the other way.
                let turned = a.get("increment").starts_with('-') != b.get("increment").starts_with('-');
                let restart = if turned { " RESTART" } else { "" };
                steps.push(format!("ALTER SEQUENCE {whole} {}{restart}", all_numbers(b)));
            }
            Some(steps)
        }
        Kind::Constraint => constraint(a, b, &differing),
        Kind::Index if only(&["identifies"]) => Some(identified(b)),
        Kind::View => {
            let (before, after) = (columns(a), columns(b));
            let appended = after.len() >= before.len() && after[..before.len()] == before[..];
            if only(&["options"]) {
                Some(options(b, a.get("options"), &format!("ALTER VIEW {whole}")))
            } else {
                // Options that are not said again are gone.
                appended.then(|| vec![view(b, "CREATE OR REPLACE")])
            }
        }
        Kind::MaterializedView if only(&["options"]) => {
            Some(options(b, a.get("options"), &format!("ALTER MATERIALIZED VIEW {whole}")))
        }
        // Defaults cannot be taken from an argument, nor its name or the result be changed.
        Kind::Function if only(&["definition"]) => Some(vec![b.get("definition").trim_end().to_owned()]),
        Kind::Rule | Kind::Trigger | Kind::EventTrigger if only(&["enabled"]) => Some(vec![enabled(b)]),
        Kind::Policy => {
            let gone = |key: &str| a.properties.contains_key(key) && !b.properties.contains_key(key);
            let terms = only(&["roles", "using", "check"]) && !gone("using") && !gone("check");
            terms.then(|| vec![format!("ALTER {}{}", super::make::called(b), policy_terms(b))])
        }
        Kind::Publication if only(&["operations", "via_root"]) => {
            Some(vec![format!("ALTER PUBLICATION {whole} SET ({})", publishes(b))])
        }
        _ => None,
    };
    steps.map_or(Change::Rebuild, Change::Alter)
}

/// Sets what stands in `options` now, and resets what stood there before.
fn options(b: &Object, before: &str, alter: &str) -> Vec<String> {
    let named = |options: &str| -> Vec<String> {
        options.split(", ").filter_map(|option| Some(option.split_once('=')?.0.to_owned())).collect()
    };
    let now = named(b.get("options"));
    let gone: Vec<String> = named(before).into_iter().filter(|name| !now.contains(name)).collect();
    let mut steps = Vec::new();
    if !gone.is_empty() {
        steps.push(format!("{alter} RESET ({})", gone.join(", ")));
    }
    if !now.is_empty() {
        steps.push(format!("{alter} SET ({})", b.get("options")));
    }
    steps
}

fn table(a: &Object, b: &Object, differing: &BTreeSet<&str>) -> Option<Vec<String>> {
    let whole = b.id.qualified();
    let alter = format!("ALTER TABLE {whole}");
    let mut steps = Vec::new();
    if differing.contains("partition_by") || differing.contains("of_type") {
        return None;
    }
    let parent = |object: &Object| object.get("partition_of").to_owned();
    if differing.contains("partition_of") || differing.contains("bound") {
        if !parent(a).is_empty() {
            steps.push(format!("ALTER TABLE {} DETACH PARTITION {whole}", parent(a)));
        }
        if !parent(b).is_empty() {
            steps.push(format!("ALTER TABLE {} ATTACH PARTITION {whole} {}", parent(b), b.get("bound")));
        }
    }
    if differing.contains("inherits") {
        let parents = |object: &Object| -> Vec<String> {
            object.get("inherits").split(", ").filter(|it| !it.is_empty()).map(str::to_owned).collect()
        };
        let (before, after) = (parents(a), parents(b));
        let gone = before.iter().filter(|parent| !after.contains(parent));
        steps.extend(gone.map(|parent| format!("{alter} NO INHERIT {parent}")));
        let new = after.iter().filter(|parent| !before.contains(parent));
        steps.extend(new.map(|parent| format!("{alter} INHERIT {parent}")));
    }
    if differing.contains("unlogged") {
        steps.push(format!("{alter} SET {}", if b.is("unlogged") { "UNLOGGED" } else { "LOGGED" }));
    }
    if differing.contains("row_security") {
        let how = if b.is("row_security") { "ENABLE" } else { "DISABLE" };
        steps.push(format!("{alter} {how} ROW LEVEL SECURITY"));
    }
    if differing.contains("force_row_security") {
        let how = if b.is("force_row_security") { "FORCE" } else { "NO FORCE" };
        steps.push(format!("{alter} {how} ROW LEVEL SECURITY"));
    }
    if differing.contains("replica_identity") {
        let how = if b.get("replica_identity").is_empty() { "DEFAULT" } else { b.get("replica_identity") };
        steps.push(format!("{alter} REPLICA IDENTITY {how}"));
    }
    if differing.contains("options") {
        steps.extend(options(b, a.get("options"), &alter));
    }
    Some(steps)
}

fn column(a: &Object, b: &Object, differing: &BTreeSet<&str>) -> Option<Vec<String>> {
    let alter = format!("ALTER TABLE {} ALTER COLUMN {}", b.id.qualified(), name(&b.id.part));
    let mut steps = Vec::new();
    let generated = |object: &Object| object.properties.contains_key("generated");
    if differing.contains("generated") || differing.contains("virtual") {
        if !generated(a) || generated(b) || a.is("virtual") {
            return None;
        }
        steps.push(format!("{alter} DROP EXPRESSION"));
    }
    if generated(b) && (differing.contains("type") || differing.contains("collation")) {
        return None;
    }
    let (before, after) = (a.get("identity"), b.get("identity"));
    let renumbered = differing.contains("sequence_name") && !before.is_empty() && !after.is_empty();
    if !before.is_empty() && (after.is_empty() || renumbered) {
        steps.push(format!("{alter} DROP IDENTITY"));
    }
    if differing.contains("type") || differing.contains("collation") {
        steps.push(retype(a, b));
    }
    if differing.contains("not_null") {
        steps.push(format!("{alter} {} NOT NULL", if b.is("not_null") { "SET" } else { "DROP" }));
    }
    if !after.is_empty() && (before.is_empty() || renumbered) {
        steps.push(format!("{alter} ADD GENERATED {}", identity(b)));
    } else if !after.is_empty() {
        if before != after {
            let how = if after == "a" { "ALWAYS" } else { "BY DEFAULT" };
            steps.push(format!("{alter} SET GENERATED {how}"));
        }
        // The type that it counts in goes with the column's; the numbers do not.
        if differing.contains("sequence") {
            let numbers =
                ["START WITH ", "INCREMENT BY ", "MINVALUE ", "MAXVALUE ", "CACHE ", "NO CYCLE", "CYCLE"];
            let mut sets = b.get("sequence").to_owned();
            for words in numbers {
                // "NO CYCLE" holds "CYCLE".
                if words != "CYCLE" || !sets.contains("NO CYCLE") {
                    sets = sets.replace(words, &format!("SET {words}"));
                }
            }
            steps.push(format!("{alter} {sets}"));
        }
    }
    for (property, reset) in [
        ("storage", "SET STORAGE DEFAULT"),
        ("compression", "SET COMPRESSION DEFAULT"),
        ("statistics", "SET STATISTICS -1"),
    ] {
        if differing.contains(property) && b.get(property).is_empty() {
            steps.push(format!("{alter} {reset}"));
        }
    }
    if differing.contains("options") {
        let mut bare = b.clone();
        bare.properties.remove("options");
        steps.extend(options(&bare, a.get("options"), &alter));
    }
    if ["storage", "compression", "statistics", "options"].iter().any(|property| differing.contains(property))
    {
        steps.extend(column_settings(b));
    }
    Some(steps)
}

/// Gives a column the type, and the collation, that it shall have. Where PostgreSQL assigns the one to the other by
/// itself, which refuses what does not fit, it does; else values go by way of their text.
fn retype(a: &Object, b: &Object) -> String {
    let (table, column, kind) = (b.id.qualified(), name(&b.id.part), b.get("type"));
    let assigned = family(kind) == "text" || family(a.get("type")) == family(kind);
    let using = if assigned { String::new() } else { format!(" USING {column}::text::{kind}") };
    format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}{}{using}", collation(b))
}

/// Types that PostgreSQL assigns to one another have one name here.
fn family(kind: &str) -> &str {
    let base = kind.split_once('(').map_or(kind, |(base, _)| base).trim_end();
    match base {
        _ if kind.ends_with("[]") => kind,
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => "number",
        "text" | "character varying" | "character" | "name" => "text",
        "date" | "timestamp without time zone" | "timestamp with time zone" | "timestamp" => "time",
        "json" | "jsonb" => "json",
        "bit" | "bit varying" => "bit",
        "inet" | "cidr" => "address",
        _ => base,
    }
}

fn constraint(a: &Object, b: &Object, differing: &BTreeSet<&str>) -> Option<Vec<String>> {
    let mut steps = Vec::new();
    if differing.contains("definition") {
        if a.get("definition") != format!("{} NOT VALID", b.get("definition")) {
            return None;
        }
        steps.push(format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", b.id.qualified(), name(&b.id.part)));
    }
    if differing.contains("identifies") {
        steps.extend(identified(b));
    }
    Some(steps)
}

/// Where another index identifies rows now, that one says so.
fn identified(b: &Object) -> Vec<String> {
    let table = if b.id.kind == Kind::Index { b.get("table").to_owned() } else { b.id.qualified() };
    vec![identifies(b).unwrap_or_else(|| format!("ALTER TABLE {table} REPLICA IDENTITY DEFAULT"))]
}

fn domain(b: &Object, differing: &BTreeSet<&str>) -> Vec<String> {
    let alter = format!("ALTER DOMAIN {}", b.id.qualified());
    let mut steps = Vec::new();
    if differing.contains("default") {
        steps.push(match b.get("default") {
            "" => format!("{alter} DROP DEFAULT"),
            default => format!("{alter} SET DEFAULT {default}"),
        });
    }
    if differing.contains("not_null") {
        steps.push(format!("{alter} {} NOT NULL", if b.is("not_null") { "SET" } else { "DROP" }));
    }
    steps
}

/// The labels of `b` that `a` lacks, where all of `a`'s stay in their order.
fn added_labels(a: &Object, b: &Object) -> Option<Vec<String>> {
    let (before, after) = (labels(a), labels(b));
    let kept: Vec<&String> = after.iter().filter(|label| before.contains(label)).collect();
    if kept.len() != before.len() || kept.iter().zip(&before).any(|(kept, before)| *kept != before) {
        return None;
    }
    let alter = format!("ALTER TYPE {} ADD VALUE", b.id.qualified());
    let mut steps = Vec::new();
    for (at, label) in after.iter().enumerate().filter(|(_, label)| !before.contains(label)) {
        let place = match at.checked_sub(1) {
            Some(last) => format!(" AFTER {}", text(&after[last])),
            None => before.first().map(|first| format!(" BEFORE {}", text(first))).unwrap_or_default(),
        };
        steps.push(format!("{alter} {}{place}", text(label)));
    }
    Some(steps)
}

/// The labels that a change adds to an enumeration.
pub(super) fn new_labels(a: &Object, b: &Object) -> Vec<String> {
    let before = labels(a);
    labels(b).into_iter().filter(|label| !before.contains(label)).collect()
}

fn composite(a: &Object, b: &Object) -> Option<Vec<String>> {
    let (before, after) = (attributes(a), attributes(b));
    let in_both = |attribute: &&Attribute| after.iter().any(|other| other.name == attribute.name);
    let kept: Vec<&Attribute> = before.iter().filter(in_both).collect();
    // New members go behind those that stay.
    if kept.len() > after.len() || kept.iter().zip(&after).any(|(kept, after)| kept.name != after.name) {
        return None;
    }
    let alter = format!("ALTER TYPE {}", b.id.qualified());
    let mut steps = Vec::new();
    for gone in before.iter().filter(|attribute| !in_both(attribute)) {
        steps.push(format!("{alter} DROP ATTRIBUTE {}", name(&gone.name)));
    }
    for (kept, now) in kept.iter().zip(&after) {
        if kept.type_name != now.type_name || kept.collation != now.collation {
            let collation = now.collation.as_ref().map(|it| format!(" COLLATE {it}")).unwrap_or_default();
            let attribute = name(&now.name);
            steps.push(format!("{alter} ALTER ATTRIBUTE {attribute} TYPE {}{collation}", now.type_name));
        }
    }
    for new in &after[kept.len()..] {
        steps.push(format!("{alter} ADD ATTRIBUTE {new}"));
    }
    Some(steps)
}
