//! Rows of a plan, as `COPY` takes them.

use std::ops::Range;

use super::make::{self, Make, Order, Ordinal};
use super::plan::{Plan, Sheet};
use super::refer::{self, Target};

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
