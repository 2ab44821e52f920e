//! Which row of another table a row points at.
//!
//! Of `children` rows that point at `parents`, row `i` points at one near `i × parents ÷ children`: what it points at
//! stays the same when both grow at the same rate, nothing points at what is not there yet, and the database finds what
//! it checks in its caches.

use super::prf::Prf;
use super::wish::Fanout;

/// The part of a unique group's number that is left to one of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The reference that leads: as many rows as there are for each of its parents share out the rest.
    pub lead: Option<usize>,
    /// What the number is divided by first.
    pub divisor: u64,
    /// How many values there are.
    pub capacity: u64,
}

/// How a reference chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// As was wished.
    Free(Fanout),
    /// As a unique group asks.
    Shared(Share),
}

/// Where the rows are that a reference points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// In a table that is filled too.
    Sheet(usize),
    /// Among rows that were there before.
    Pool(usize),
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Where it points.
    pub target: Target,
    /// Whether that is its own table.
    pub own: bool,
    /// How many rows have it.
    pub children: u64,
    /// How many rows it points at.
    pub parents: u64,
    /// How it chooses.
    pub spread: Spread,
    /// How many in a hundred point nowhere.
    pub nulls: u8,
    /// The reference that it must not agree with.
    pub unlike: Option<usize>,
    /// The randomness.
    pub prf: Prf,
}

/// How far back a reference looks at most.
const WINDOW: u64 = 32;

fn part(row: u64, of: u64, per: u64) -> u64 {
    u64::try_from(u128::from(row) * u128::from(of) / u128::from(per.max(1))).unwrap_or(u64::MAX)
}

/// For a row, which group it is in and its number within: the groups of the leading reference, or one for all.
pub(super) fn group(references: &[Reference], share: &Share, row: u64) -> (u64, u64, u64) {
    let Some(lead) = share.lead.and_then(|lead| references.get(lead)) else {
        return (0, 0, row / share.divisor % share.capacity);
    };
    let group = part(row, lead.parents, lead.children);
    let first = u128::from(group) * u128::from(lead.children);
    let first = u64::try_from(first.div_ceil(u128::from(lead.parents.max(1)))).unwrap_or(0);
    (group, first, (row - first) / share.divisor % share.capacity)
}

/// The row that `references[which]` of `row` points at; none for NULL.
pub(super) fn pick(references: &[Reference], which: usize, row: u64) -> Option<u64> {
    let it = &references[which];
    if it.parents == 0 || it.prf.chance(row, 1, it.nulls) {
        return None;
    }
    // One place is left for what it must not agree with.
    let parents = if it.unlike.is_some() { it.parents.saturating_sub(1).max(1) } else { it.parents };
    let near = |row: u64| part(row, parents, it.children).min(parents - 1);
    let free_own = it.own && matches!(it.spread, Spread::Free(_));
    let chosen = match it.spread {
        Spread::Free(fanout) if free_own => {
            if row == 0 {
                return (it.nulls == 0).then_some(0);
            }
            match fanout {
                Fanout::Fixed => row - 1,
                Fanout::Zipf => zipf(it.prf, row, row),
                Fanout::Uniform => it.prf.below(row, 2, row),
            }
        }
        Spread::Free(Fanout::Fixed) => near(row),
        Spread::Free(Fanout::Zipf) => zipf(it.prf, row, near(row) + 1),
        Spread::Free(Fanout::Uniform) => {
            let near = near(row);
            near - it.prf.below(row, 2, (near + 1).min(WINDOW))
        }
        Spread::Shared(share) => {
            let (_, first, digit) = group(references, &share, row);
            let near = near(first);
            if near + 1 >= share.capacity { near - digit } else { digit }
        }
    };
    let other = it.unlike.and_then(|other| pick(references, other, row));
    Some(if other.is_some_and(|other| chosen >= other) && it.parents > 1 { chosen + 1 } else { chosen })
}

/// A number below `size` by Zipf's law, each of which is about as often as its rank says: a power of two first, then
/// one below it.
fn zipf(prf: Prf, row: u64, size: u64) -> u64 {
    let levels = u64::from(64 - size.leading_zeros());
    let level = prf.below(row, 2, levels);
    let (from, to) = ((1_u64 << level) - 1, ((1_u64 << level) * 2 - 1).min(size));
    from + prf.below(row, 3, (to - from).max(1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn reference(children: u64, parents: u64, spread: Spread) -> Reference {
        let prf = Prf::new(1, "t", "r");
        let target = Target::Sheet(0);
        Reference {
            name: "r".into(),
            target,
            own: false,
            children,
            parents,
            spread,
            nulls: 0,
            unlike: None,
            prf,
        }
    }

    #[test]
    fn rows_point_at_the_same_at_any_scale() {
        for fanout in [Fanout::Uniform, Fanout::Zipf, Fanout::Fixed] {
            let [small, large] =
                [1, 100].map(|scale| vec![reference(300 * scale, 100 * scale, Spread::Free(fanout))]);
            for row in 0..300 {
                let chosen = pick(&small, 0, row).unwrap();
                assert!(chosen < 100);
                assert_eq!(pick(&large, 0, row), Some(chosen), "{fanout:?}");
            }
        }
        let counted = |fanout| {
            let it = vec![reference(10_000, 1000, Spread::Free(fanout))];
            let mut counts = vec![0_u32; 1000];
            for row in 0..10_000 {
                counts[usize::try_from(pick(&it, 0, row).unwrap()).unwrap()] += 1;
            }
            *counts.iter().max().unwrap()
        };
        assert_eq!(counted(Fanout::Fixed), 10);
        assert!(counted(Fanout::Uniform) < 60 && counted(Fanout::Zipf) > 500);
    }

    #[test]
    fn pairs_are_met_once_and_differ_where_they_must() {
        for (children, parents, unlike) in
            [(2000, 1000, false), (999, 33, true), (1000, 1000, true), (90, 10, true)]
        {
            let lead = reference(children, parents, Spread::Free(Fanout::Fixed));
            let capacity = children.div_ceil(parents);
            let share = Share { lead: Some(0), divisor: 1, capacity };
            let mut other = reference(children, parents, Spread::Shared(share));
            other.unlike = unlike.then_some(0);
            let both = vec![lead, other];
            let pairs: BTreeSet<_> =
                (0..children).map(|row| (pick(&both, 0, row), pick(&both, 1, row))).collect();
            assert_eq!(pairs.len() as u64, children);
            assert!(pairs.iter().all(|(a, b)| a.unwrap() < parents && b.unwrap() < parents));
            assert!(!unlike || pairs.iter().all(|(a, b)| a != b));
        }
    }
}
