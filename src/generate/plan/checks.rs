//! What checks ask of columns: bounds and lists of values, and which column comes behind which.

use std::collections::BTreeSet;

use super::{Planner, Work, values_hint};
use crate::base::Failure;
use crate::generate::check::{self, Ask};
use crate::generate::columns;
use crate::generate::make::{Make, Order, Ordinal};
use crate::schema::table::ConstraintKind;

impl Planner<'_> {
    /// Columns of which one is less than another.
    pub(super) fn compare(&mut self) {
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
pub(super) fn narrow(work: &mut Work<'_>) -> Vec<Failure> {
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
