//! Rows in columns, as wide as their widest cell; a too wide table shortens its last column.

use dialoguer::console::{Style, measure_text_width, truncate_str};

use super::{harmless, style_of};

/// A table with a header.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(|cell| harmless(&cell.into())).collect());
    }

    /// The table as text, at most `width` columns wide if given.
    pub(super) fn render(&self, width: Option<usize>, color: bool) -> String {
        let columns = self.header.len();
        let cell_width = |index: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            cells.chain([&self.header[index]]).map(|cell| measure_text_width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(cell_width).collect();
        let mut text = String::new();
        let mut line = |cells: &[String], header: bool| {
            let mut used = 0;
            for (index, cell) in cells.iter().enumerate() {
                let last = index + 1 == columns;
                let shown = match width {
                    Some(width) if last && width > used + 8 => truncate_str(cell, width - used, "…"),
                    _ => cell.as_str().into(),
                };
                let style = if header { Style::new().bold() } else { style_of(cell) };
                text.push_str(&style.force_styling(color).apply_to(&shown).to_string());
                if !last {
                    let gap = widths[index] - measure_text_width(cell) + 2;
                    text.extend(std::iter::repeat_n(' ', gap));
                    used += widths[index] + 2;
                }
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        };
        line(&self.header, true);
        for row in &self.rows {
            line(row, false);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_gives_way() {
        let mut table = Table::new(&["NAME", "ADDRESS"]);
        table.row(["db", "127.0.0.1:54322"]);
        table.row(["gateway", "http://127.0.0.1:54321"]);
        insta::assert_snapshot!(table.render(None, false), @"
        NAME     ADDRESS
        db       127.0.0.1:54322
        gateway  http://127.0.0.1:54321
        ");
        insta::assert_snapshot!(table.render(Some(21), false), @"
        NAME     ADDRESS
        db       127.0.0.1:5…
        gateway  http://127.…
        ");
    }
}
