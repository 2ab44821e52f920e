//! How two accounts of the same project differ, in sentences: for `state rebuild` and `doctor` (faults 64 and 65).

use std::collections::BTreeMap;

use super::{Branch, Environment, Lineage, Snapshot, State};

/// What one account says otherwise than the other, as sentences; each comes with what it is called, as in
/// `the catalogue`.
#[must_use]
pub fn difference((first, here): (&str, &Lineage), (second, there): (&str, &Lineage)) -> Vec<String> {
    let mut told = Vec::new();
    let called_so = (first, second);
    let names = |lineage: &Lineage| -> BTreeMap<String, String> {
        lineage.branches.values().map(|branch| (branch.id.clone(), branch.name.clone())).collect()
    };
    let mut known = names(there);
    known.extend(names(here));
    compare(
        &here.branches,
        &there.branches,
        &mut told,
        called_so,
        "branch",
        |it| &it.name,
        |it| facts(it, &known),
    );
    compare(
        &here.snapshots,
        &there.snapshots,
        &mut told,
        called_so,
        "snapshot",
        |it| &it.name,
        |it| held(it, &known),
    );
    compare(
        &standing(here),
        &standing(there),
        &mut told,
        called_so,
        "environment",
        |it| &it.name,
        |it| vec![("branch", called(&known, it.branch.as_deref()))],
    );
    told
}

/// The environments that stand on data: of others a pool knows nothing.
fn standing(lineage: &Lineage) -> BTreeMap<String, Environment> {
    let all = lineage.ready_environments().filter(|environment| environment.branch.is_some());
    all.map(|environment| (environment.name.clone(), environment.clone())).collect()
}

fn compare<T>(
    here: &BTreeMap<String, T>,
    there: &BTreeMap<String, T>,
    told: &mut Vec<String>,
    (first, second): (&str, &str),
    sort: &str,
    name: impl Fn(&T) -> &str,
    facts: impl Fn(&T) -> Vec<(&'static str, String)>,
) {
    for (id, it) in here {
        let Some(other) = there.get(id) else {
            told.push(format!("{sort} `{}` is only in {first}", name(it)));
            continue;
        };
        for ((what, a), (_, b)) in facts(it).into_iter().zip(facts(other)) {
            if a != b {
                told.push(format!("{sort} `{}`: its {what} is {a} in {first} and {b} in {second}", name(it)));
            }
        }
    }
    for (id, it) in there {
        if !here.contains_key(id) {
            told.push(format!("{sort} `{}` is only in {second}", name(it)));
        }
    }
}

fn called(names: &BTreeMap<String, String>, id: Option<&str>) -> String {
    match id {
        None => "none".to_owned(),
        Some(id) => format!("`{}`", names.get(id).map_or(id, String::as_str)),
    }
}

fn facts(branch: &Branch, names: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    vec![
        ("name", format!("`{}`", branch.name)),
        ("data", format!("`{}`", branch.data)),
        ("volumes", list(&branch.volumes)),
        ("parent", called(names, branch.parent.as_deref())),
        ("fork point", branch.fork.as_ref().map_or_else(|| "none".to_owned(), |fork| format!("`{fork}`"))),
        ("end", end(branch.expires)),
        ("protection", if branch.protected { "on" } else { "off" }.to_owned()),
        ("durability", if branch.fast { "fast" } else { "full" }.to_owned()),
        ("state", state(branch.state)),
    ]
}

fn held(snapshot: &Snapshot, names: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    vec![
        ("name", format!("`{}`", snapshot.name)),
        ("branch", called(names, Some(&snapshot.branch))),
        ("message", format!("\"{}\"", snapshot.message)),
        ("reason", format!("{:?}", snapshot.reason).to_lowercase()),
        ("volumes", list(&snapshot.volumes)),
        ("end", end(snapshot.expires)),
        ("state", state(snapshot.state)),
    ]
}

fn list(volumes: &[String]) -> String {
    if volumes.is_empty() { "none".to_owned() } else { volumes.join(", ") }
}

fn end(expires: Option<i64>) -> String {
    expires.map_or_else(|| "never".to_owned(), |at| format!("at {at}"))
}

fn state(state: State) -> String {
    match state {
        State::Ready => "there".to_owned(),
        State::Deleted { .. } => "deleted".to_owned(),
    }
}
