//! What two sides made of one schema, put together.
//!
//! Both are compared with the base, property by property. What only one side changed is taken, what both changed alike
//! is taken once, and what they changed differently is a conflict. So is what one side dropped and the other changed,
//! or needs. Which side is called ours decides nothing but the names in a conflict.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::schema::{Id, Model, Object};

/// Whose version of a conflict is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Nobody's: it stays a conflict.
    #[default]
    None,
    /// That of the side that is merged into.
    Ours,
    /// That of the side that is merged.
    Theirs,
}

/// Something that both sides changed differently.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Conflict {
    /// The object.
    pub id: Id,
    /// What of it; none when it is about whether it is there.
    pub property: Option<String>,
    /// What it was; none when it was not there.
    pub base: Option<String>,
    /// What ours made of it; none when it is gone, or not there.
    pub ours: Option<String>,
    /// What theirs made of it.
    pub theirs: Option<String>,
}

/// What came of a merge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// The schema; where there are conflicts, with ours in their places.
    pub model: Model,
    /// What nobody but a person can decide.
    pub conflicts: Vec<Conflict>,
}

/// Puts together what `ours` and `theirs` made of `base`.
#[must_use]
pub fn merge(base: &Model, ours: &Model, theirs: &Model, prefer: Prefer) -> Merged {
    let mut merged = Merged { model: Model { objects: [].into(), ..ours.clone() }, conflicts: Vec::new() };
    let ids: BTreeSet<&Id> =
        base.objects.keys().chain(ours.objects.keys()).chain(theirs.objects.keys()).collect();
    for id in ids {
        let sides = Sides { base: base.get(id), ours: ours.get(id), theirs: theirs.get(id), prefer };
        merged
            .model
            .objects
            .extend(sides.merge(id, &mut merged.conflicts).map(|object| (id.clone(), object)));
    }
    missing(ours, theirs, prefer, &mut merged);
    merged.conflicts.sort();
    merged
}

struct Sides<'a> {
    base: Option<&'a Object>,
    ours: Option<&'a Object>,
    theirs: Option<&'a Object>,
    prefer: Prefer,
}

impl Sides<'_> {
    fn merge(&self, id: &Id, conflicts: &mut Vec<Conflict>) -> Option<Object> {
        let same =
            |a: Option<&Object>, b: Option<&Object>| a.map(|it| &it.properties) == b.map(|it| &it.properties);
        match (self.base, self.ours, self.theirs) {
            (_, ours, theirs) if same(self.base, theirs) => ours.cloned(),
            (_, ours, theirs) if same(self.base, ours) || same(ours, theirs) => theirs.or(ours).cloned(),
            (_, Some(ours), Some(theirs)) => Some(self.properties(ours, theirs, conflicts)),
            (_, ours, theirs) => {
                let words = |side: Option<&Object>| side.map(described);
                let conflict = Conflict {
                    id: id.clone(),
                    property: None,
                    base: words(self.base),
                    ours: words(ours),
                    theirs: words(theirs),
                };
                match self.prefer {
                    Prefer::None => conflicts.push(conflict),
                    Prefer::Ours => {}
                    Prefer::Theirs => return theirs.cloned(),
                }
                ours.cloned()
            }
        }
    }

    /// Both sides changed it.
    fn properties(&self, ours: &Object, theirs: &Object, conflicts: &mut Vec<Conflict>) -> Object {
        let mut merged = ours.clone();
        merged.properties.clear();
        let keys: BTreeSet<&String> = self
            .base
            .iter()
            .flat_map(|it| it.properties.keys())
            .chain(ours.properties.keys())
            .chain(theirs.properties.keys())
            .collect();
        for key in keys {
            let base = self.base.and_then(|base| base.properties.get(key));
            let (a, b) = (ours.properties.get(key), theirs.properties.get(key));
            let value = if a == b || base == b {
                a
            } else if base == a || self.prefer == Prefer::Theirs {
                b
            } else {
                if self.prefer == Prefer::None {
                    conflicts.push(Conflict {
                        id: merged.id.clone(),
                        property: Some(key.clone()),
                        base: base.cloned(),
                        ours: a.cloned(),
                        theirs: b.cloned(),
                    });
                }
                a
            };
            merged.properties.extend(value.map(|value| (key.clone(), value.clone())));
        }
        merged.needs.extend(theirs.needs.iter().cloned());
        merged
    }
}

/// What an object says about itself, for a person.
fn described(object: &Object) -> String {
    let own =
        object.properties.iter().filter(|(key, _)| *key != "owner" && !key.starts_with(super::model::GRANT));
    let lines: Vec<String> = own.map(|(key, value)| format!("{key}: {value}")).collect();
    if lines.is_empty() { "there".to_owned() } else { lines.join("\n") }
}

/// Finds what one side needs and the other dropped.
fn missing(ours: &Model, theirs: &Model, prefer: Prefer, merged: &mut Merged) {
    let mut conflicts = Vec::new();
    let mut back: BTreeSet<Id> = BTreeSet::new();
    for object in merged.model.objects.values() {
        for need in object.needs.iter().filter(|need| merged.model.get(need).is_none()) {
            let here = |model: &Model| model.get(&object.id).is_some_and(|it| it.needs.contains(need));
            // What a merged object no longer needs was only in the other side's list.
            let (in_ours, in_theirs) =
                (here(ours) && unchanged(ours, object), here(theirs) && unchanged(theirs, object));
            if !in_ours && !in_theirs {
                continue;
            }
            back.insert(need.clone());
            let words = |model: &Model| {
                let (needed, needing) = (model.get(need), model.get(&object.id));
                needed.map(|_| needing.map_or("there".to_owned(), |it| format!("needed by {}", it.id)))
            };
            let conflict = Conflict {
                id: need.clone(),
                property: None,
                base: Some("there".to_owned()),
                ours: words(ours),
                theirs: words(theirs),
            };
            if conflict.ours != conflict.theirs && !conflicts.contains(&conflict) {
                conflicts.push(conflict);
            }
        }
    }
    if prefer == Prefer::None {
        merged.conflicts.extend(conflicts);
        return;
    }
    // Who is preferred dropped it, so what needs it goes; or needs it, so that it stays.
    let preferred = if prefer == Prefer::Ours { ours } else { theirs };
    for id in back {
        if let Some(object) = preferred.get(&id) {
            merged.model.objects.insert(id, object.clone());
        }
    }
    loop {
        let objects = &merged.model.objects;
        let lame = |object: &&Object| {
            object.needs.iter().any(|need| !objects.contains_key(need))
                && preferred.get(&object.id).is_none_or(|it| it.properties != object.properties)
        };
        let lame: Vec<Id> = objects.values().filter(lame).map(|object| object.id.clone()).collect();
        if lame.is_empty() {
            return;
        }
        for id in lame {
            match preferred.get(&id) {
                Some(object) => {
                    merged.model.objects.insert(id, object.clone());
                }
                None => {
                    merged.model.objects.remove(&id);
                }
            }
        }
    }
}

/// Whether a side has an object as it was merged.
fn unchanged(side: &Model, object: &Object) -> bool {
    side.get(&object.id).is_some_and(|it| it.properties == object.properties)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Kind;

    fn model(lines: &[&str]) -> Model {
        let object = |line: &&str| {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            let id = Id::new(Kind::Table, "", name);
            let mut object = Object { id: id.clone(), order: 0, properties: [].into(), needs: [].into() };
            for word in rest.split(' ').filter(|word| !word.is_empty()) {
                match word.split_once('=') {
                    Some((key, value)) => {
                        object.properties.insert(key.to_owned(), value.to_owned());
                    }
                    None => {
                        object.needs.insert(Id::new(Kind::Table, "", word));
                    }
                }
            }
            (id, object)
        };
        Model { objects: lines.iter().map(object).collect(), ..Model::default() }
    }

    fn shown(base: &[&str], ours: &[&str], theirs: &[&str], prefer: Prefer) -> String {
        let merged = merge(&model(base), &model(ours), &model(theirs), prefer);
        let mut words: Vec<String> = Vec::new();
        for object in merged.model.objects.values() {
            let properties: Vec<String> =
                object.properties.iter().map(|(key, value)| format!(" {key}={value}")).collect();
            words.push(format!("{}{}", object.id.name, properties.concat()));
        }
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
        for it in &merged.conflicts {
            let property = it.property.clone().unwrap_or_default();
            words.push(format!(
                "! {} {property}: {} {} {}",
                it.id.name,
                side(&it.base),
                side(&it.ours),
                side(&it.theirs)
            ));
        }
        words.join(", ")
    }

    #[test]
    fn what_one_side_changed_is_taken() {
        let base = ["a x=1 y=1", "b x=1"];
        assert_eq!(
            shown(&base, &["a x=2 y=1", "b x=1"], &["a x=1 y=3", "b x=1", "c z=1"], Prefer::None),
            "a x=2 y=3, b x=1, c z=1"
        );
        assert_eq!(shown(&base, &["a x=1 y=1"], &base, Prefer::None), "a x=1 y=1");
        assert_eq!(shown(&base, &["a x=1 y=1"], &["a x=1 y=1"], Prefer::None), "a x=1 y=1");
        assert_eq!(shown(&[], &["n x=1"], &["n x=1"], Prefer::None), "n x=1");
    }

    #[test]
    fn what_both_changed_differently_is_a_conflict() {
        let (ours, theirs) = (["a x=2"], ["a x=3"]);
        assert_eq!(shown(&["a x=1"], &ours, &theirs, Prefer::None), "a x=2, ! a x: 1 2 3");
        assert_eq!(shown(&["a x=1"], &ours, &theirs, Prefer::Theirs), "a x=3");
        assert_eq!(shown(&["a x=1"], &ours, &theirs, Prefer::Ours), "a x=2");
        assert_eq!(shown(&["a x=1"], &[], &theirs, Prefer::None), "! a : x: 1 - x: 3");
        assert_eq!(shown(&["a x=1"], &[], &theirs, Prefer::Theirs), "a x=3");
        assert_eq!(shown(&[], &["n x=1"], &["n x=2"], Prefer::None), "n x=1, ! n x: - 1 2");
    }

    #[test]
    fn what_one_side_dropped_and_the_other_needs_is_a_conflict() {
        let (base, theirs) = (["a x=1"], ["a x=1", "v x=1 a"]);
        assert_eq!(shown(&base, &[], &theirs, Prefer::None), "v x=1, ! a : there - needed by table v");
        assert_eq!(shown(&base, &[], &theirs, Prefer::Ours), "");
        assert_eq!(shown(&base, &[], &theirs, Prefer::Theirs), "a x=1, v x=1");
    }

    #[test]
    fn sides_are_but_names() {
        let (base, a, b) =
            (["a x=1", "b x=1", "c x=1"], ["a x=2", "b x=2"], ["a x=3", "b x=1", "c x=2", "d x=1"]);
        let (one, two) = (
            merge(&model(&base), &model(&a), &model(&b), Prefer::None),
            merge(&model(&base), &model(&b), &model(&a), Prefer::None),
        );
        let turned = |conflict: &Conflict| Conflict {
            ours: conflict.theirs.clone(),
            theirs: conflict.ours.clone(),
            ..conflict.clone()
        };
        let mut conflicts: Vec<Conflict> = two.conflicts.iter().map(turned).collect();
        conflicts.sort();
        assert_eq!(one.conflicts, conflicts);
        let disputed: BTreeSet<&Id> = one.conflicts.iter().map(|conflict| &conflict.id).collect();
        let settled = |model: &Model| {
            model.objects.values().filter(|it| !disputed.contains(&it.id)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(settled(&one.model), settled(&two.model));
    }
}
