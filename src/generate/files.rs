//! Seed files that are not SQL, as SQL: line for line, so that an error's line is the line in the file.

use std::path::Path;

use super::wish::Wishes;
use crate::base::{Failure, Kind, Place};
use crate::schema::quote;

/// What a seed file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// SQL, `COPY … FROM stdin` with its data included.
    Sql,
    /// Comma-separated values under a line of column names.
    Csv,
    /// A JSON object on each line.
    Json,
    /// Wishes for generated rows.
    Generator,
}

impl Form {
    /// What a file is, by its name; nothing for one that is no seed.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "sql" => Some(Self::Sql),
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Generator),
            _ => None,
        }
    }
}

/// The table that a file is for, ready for SQL: `10_users.csv` and `users.csv` are for `users`,
/// `20_auth.users.ndjson` is for `auth.users`.
#[must_use]
pub fn table(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let behind = stem.trim_start_matches(|c: char| c.is_ascii_digit());
    let name = if behind.len() < stem.len() { behind.trim_start_matches(['_', '-']) } else { &stem };
    let name = if name.is_empty() { &stem } else { name };
    name.split('.').map(quote::name).collect::<Vec<_>>().join(".")
}

/// The SQL that loads a file of values.
pub fn sql(path: &Path, form: Form, text: &str) -> Result<String, Failure> {
    match form {
        Form::Csv => csv(path, text),
        Form::Json => json(path, text),
        Form::Sql | Form::Generator => Ok(text.to_owned()),
    }
}

fn csv(path: &Path, text: &str) -> Result<String, Failure> {
    let (header, rows) = text.split_once('\n').unwrap_or((text, ""));
    let columns: Vec<String> =
        cells(header.trim_end_matches('\r')).iter().map(|it| quote::name(it)).collect();
    if header.trim().is_empty() || columns.iter().any(|it| it == "\"\"") {
        return Err(Failure::new(Kind::Files, "the first line does not name the columns")
            .at(Place::in_text(path, text, &(0..header.len().min(text.len()))))
            .hint("write their names into it, as in `id,name,email`"));
    }
    Ok(format!("COPY {} ({}) FROM stdin WITH (FORMAT csv);\n{rows}", table(path), columns.join(", ")))
}

/// The values of a line (RFC 4180).
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                if let Some(cell) = cells.last_mut() {
                    cell.push('"');
                }
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => {
                if let Some(cell) = cells.last_mut() {
                    cell.push(c);
                }
            }
        }
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

fn json(path: &Path, text: &str) -> Result<String, Failure> {
    let table = table(path);
    let mut sql = String::with_capacity(text.len() * 2);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if !trimmed.is_empty() {
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(trimmed).map_err(|error| {
                    let column = at + error.column().saturating_sub(1).min(trimmed.len());
                    Failure::new(Kind::Files, "a line is not a JSON object")
                        .at(Place::in_text(path, text, &(column..column + 1)))
                        .source(error)
                        .hint("every line is one row: `{\"id\": 1, \"name\": \"Ada\"}`")
                })?;
            let names: Vec<String> = object.keys().map(|key| quote::name(key)).collect();
            let names = names.join(", ");
            sql.push_str(&if object.is_empty() {
                format!("INSERT INTO {table} DEFAULT VALUES;")
            } else {
                format!(
                    "INSERT INTO {table} ({names}) SELECT {names} FROM json_populate_record(NULL::{table}, {}::json);",
                    quote::text(trimmed)
                )
            });
        }
        sql.push('\n');
        at += line.len();
    }
    Ok(sql)
}

/// The wishes in a generator file.
pub fn wishes(path: &Path, text: &str) -> Result<Wishes, Failure> {
    serde_yaml::from_str(text).map_err(|error| {
        let place = match error.location() {
            Some(at) => Place::in_text(path, text, &(at.index()..at.index() + 1)),
            None => Place::file(path),
        };
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or(&said).to_owned();
        Failure::new(Kind::Files, format!("what is to be generated is not understood: {said}"))
            .at(place)
            .hint("its form is `{seed: 42, tables: {users: 10k, orders: {rows: 50k}}}`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_sql_line_for_line() {
        let path = Path::new("seeds/10_auth.Users.csv");
        assert_eq!(
            csv(path, "id,\"full,name\"\n1,Ada\n2,\n").unwrap(),
            "COPY auth.\"Users\" (id, \"full,name\") FROM stdin WITH (FORMAT csv);\n1,Ada\n2,\n"
        );
        assert!(csv(path, "\n1\n").is_err());
        let rows = json(Path::new("t.ndjson"), "{\"a\": \"it's\"}\n\n{\"b\": 1}\n").unwrap();
        assert_eq!(rows.lines().count(), 3);
        assert!(rows.contains("INSERT INTO t (b) SELECT b") && rows.contains("it''s"));
        let failure = json(Path::new("t.ndjson"), "{\"a\": 1}\n{\"b\": }\n").unwrap_err();
        assert_eq!((failure.places[0].line, failure.places[0].column), (2, 7));
        assert_eq!(Form::of(Path::new("a.txt")), None);
        assert_eq!(wishes(Path::new("g.yaml"), "tables: {a: 2k}").unwrap().tables["a"].rows, Some(2000));
        assert_eq!(wishes(Path::new("g.yaml"), "tables:\n  a: {row: 2}\n").unwrap_err().places.len(), 1);
    }
}
