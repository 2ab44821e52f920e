//! What roles were granted, and what has to be said so that they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::make::{called, signature};
use crate::schema::quote::name;
use crate::schema::{Id, Kind, Model, Object};

/// Privileges by role; those that may be passed on end with `*`.
pub(super) type Grants = BTreeMap<String, BTreeSet<String>>;

/// What an object says that roles were granted.
fn said(object: &Object) -> Grants {
    let privileges =
        |words: &str| words.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    object.grants().map(|(role, words)| (role.to_owned(), privileges(words))).collect()
}

/// How objects of a kind are called where privileges on those to come are granted.
pub(super) fn plural(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Table | Kind::View | Kind::MaterializedView => Some("TABLES"),
        Kind::Sequence => Some("SEQUENCES"),
        Kind::Function | Kind::Aggregate => Some("FUNCTIONS"),
        Kind::Enum | Kind::Range | Kind::Composite | Kind::Domain => Some("TYPES"),
        Kind::Schema => Some("SCHEMAS"),
        _ => None,
    }
}

/// What PostgreSQL grants on a new object by itself (documentation, 5.8).
pub(super) fn usual(plural: &str, role: &str, version: i32) -> Grants {
    let table = ["DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE"];
    let maintain = (version >= 170_000).then_some("MAINTAIN");
    let (own, all): (Vec<&str>, &[&str]) = match plural {
        "TABLES" => (table.into_iter().chain(maintain).collect(), &[]),
        "SEQUENCES" => (vec!["SELECT", "UPDATE", "USAGE"], &[]),
        "FUNCTIONS" => (vec!["EXECUTE"], &["EXECUTE"]),
        "TYPES" => (vec!["USAGE"], &["USAGE"]),
        _ => (vec!["CREATE", "USAGE"], &[]),
    };
    let set = |privileges: &[&str]| privileges.iter().map(|word| (*word).to_owned()).collect();
    let mut grants = Grants::from([(role.to_owned(), set(&own))]);
    if !all.is_empty() {
        grants.insert("PUBLIC".to_owned(), set(all));
    }
    grants
}

/// What is granted on an object right after it was made in `from`.
fn at_birth(from: &Model, object: &Object) -> Grants {
    let Some(plural) = plural(object.id.kind) else { return Grants::new() };
    let defaults =
        |schema: &str| from.get(&Id::part(Kind::DefaultPrivileges, schema, &from.role, plural)).map(said);
    let mut grants = defaults("").unwrap_or_else(|| usual(plural, &from.role, from.version));
    if !object.id.schema.is_empty()
        && let Some(more) = defaults(&object.id.schema)
    {
        for (role, privileges) in more {
            grants.entry(role).or_default().extend(privileges);
        }
    }
    grants
}

/// The same once it has another owner, who takes over what the one before had.
fn handed_over(mut grants: Grants, from: &str, to: &str) -> Grants {
    if from != to
        && let Some(privileges) = grants.remove(from)
    {
        grants.entry(to.to_owned()).or_default().extend(privileges);
    }
    grants
}

/// What makes the owner, the comment and the grants of a new object what they shall be.
pub(super) fn dress(from: &Model, object: &Object) -> Vec<String> {
    let mut steps = Vec::new();
    let owner = object.get("owner");
    let mut have = at_birth(from, object);
    if !owner.is_empty() && owner != from.role {
        steps.push(format!("ALTER {} OWNER TO {}", called(object), name(owner)));
        have = handed_over(have, &from.role, owner);
    }
    if !object.get("comment").is_empty() {
        steps.push(comment(object));
    }
    if object.id.kind == Kind::DefaultPrivileges {
        have = unsaid(object, from.version);
    }
    steps.extend(grants(object, &have, &said(object)));
    steps
}

/// What turns the owner, the comment and the grants of `a` into those of `b`.
pub(super) fn redress(a: &Object, b: &Object) -> Vec<String> {
    let mut steps = Vec::new();
    let mut have = said(a);
    let (before, owner) = (a.get("owner"), b.get("owner"));
    if before != owner {
        steps.push(format!("ALTER {} OWNER TO {}", called(b), name(owner)));
        have = handed_over(have, before, owner);
    }
    if a.get("comment") != b.get("comment") {
        steps.push(comment(b));
    }
    steps.extend(grants(b, &have, &said(b)));
    steps
}

/// What takes back what was said about an object that is not dropped itself.
pub(super) fn undress(object: &Object, version: i32) -> Vec<String> {
    let mut bare = object.clone();
    bare.properties.clear();
    let want =
        if object.id.kind == Kind::DefaultPrivileges { unsaid(object, version) } else { Grants::new() };
    let mut steps = grants(object, &said(object), &want);
    if !object.get("comment").is_empty() {
        steps.push(comment(&bare));
    }
    steps
}

/// What default privileges are where nothing is said.
fn unsaid(object: &Object, version: i32) -> Grants {
    let global = object.id.schema.is_empty();
    if global { usual(&object.id.part, &object.id.name, version) } else { Grants::new() }
}

fn comment(object: &Object) -> String {
    let comment = match object.get("comment") {
        "" => "NULL".to_owned(),
        comment => crate::schema::quote::text(comment),
    };
    format!("COMMENT ON {} IS {comment}", called(object))
}

/// What `GRANT … ON` calls an object.
fn granted(object: &Object) -> String {
    let whole = object.id.qualified();
    match object.id.kind {
        Kind::Table | Kind::View | Kind::MaterializedView | Kind::Column | Kind::ViewColumn => {
            format!("TABLE {whole}")
        }
        Kind::Aggregate => format!("FUNCTION {}", signature(&object.id).replace("(*)", "()")),
        Kind::DefaultPrivileges => object.id.part.clone(),
        _ => called(object),
    }
}

fn grants(object: &Object, have: &Grants, want: &Grants) -> Vec<String> {
    let head = match object.id.kind {
        Kind::DefaultPrivileges => {
            let schema = match object.id.schema.as_str() {
                "" => String::new(),
                schema => format!(" IN SCHEMA {}", name(schema)),
            };
            format!("ALTER DEFAULT PRIVILEGES FOR ROLE {}{schema} ", name(&object.id.name))
        }
        _ => String::new(),
    };
    let column = match object.id.kind {
        Kind::Column | Kind::ViewColumn => format!(" ({})", name(&object.id.part)),
        _ => String::new(),
    };
    let on = granted(object);
    let words = |privileges: &BTreeSet<&str>| {
        privileges.iter().map(|word| format!("{word}{column}")).collect::<Vec<_>>().join(", ")
    };
    let none = BTreeSet::new();
    let mut steps = Vec::new();
    for role in have.keys().chain(want.keys()).collect::<BTreeSet<_>>() {
        let (have, want) = (have.get(role).unwrap_or(&none), want.get(role).unwrap_or(&none));
        let (mut revoke, mut only, mut grant, mut pass_on) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for word in have.union(want) {
            let bare = word.trim_end_matches('*');
            let holds = |set: &BTreeSet<String>| {
                if set.contains(&format!("{bare}*")) { 2 } else { i32::from(set.contains(bare)) }
            };
            let which = match (holds(have), holds(want)) {
                (1 | 2, 0) => &mut revoke,
                (2, 1) => &mut only,
                (0, 1) => &mut grant,
                (0 | 1, 2) => &mut pass_on,
                _ => continue,
            };
            which.insert(bare);
        }
        let role = if role == "PUBLIC" { "PUBLIC".to_owned() } else { name(role) };
        if !revoke.is_empty() {
            steps.push(format!("{head}REVOKE {} ON {on} FROM {role}", words(&revoke)));
        }
        if !only.is_empty() {
            steps.push(format!("{head}REVOKE GRANT OPTION FOR {} ON {on} FROM {role}", words(&only)));
        }
        if !grant.is_empty() {
            steps.push(format!("{head}GRANT {} ON {on} TO {role}", words(&grant)));
        }
        if !pass_on.is_empty() {
            steps.push(format!("{head}GRANT {} ON {on} TO {role} WITH GRANT OPTION", words(&pass_on)));
        }
    }
    steps
}
