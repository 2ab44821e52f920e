//! What the history table and the migration files say of one another.
//!
//! The history holds the statements of each migration (`schema_migrations.statements`, Supabase CLI 3.1.0), so a file
//! that was edited after it was applied is told from its statements: white space and comments behind them do not count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::civil::{self, DAY};

/// A row of the history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The version.
    pub version: String,
    /// The migration's name; not all tools write it.
    pub name: Option<String>,
    /// Its statements; not all tools write them.
    pub statements: Option<Vec<String>>,
}

/// A migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The version.
    pub version: String,
    /// What follows the version in its name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its statements; none where it could not be cut.
    pub statements: Option<Vec<String>>,
}

/// How a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It was applied as the file is.
    Applied,
    /// It was applied; with which statements is not known.
    AppliedUnseen,
    /// It was applied, and its file was edited since.
    Edited,
    /// It was applied, and has no file here.
    WithoutFile,
    /// It comes next.
    Pending,
    /// It was not applied, and a newer one was.
    OutOfOrder,
}

impl Standing {
    /// Whether the database has it.
    #[must_use]
    pub fn is_applied(self) -> bool {
        !matches!(self, Self::Pending | Self::OutOfOrder)
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::AppliedUnseen => "applied (by whom is not known)",
            Self::Edited => "applied, and edited since",
            Self::WithoutFile => "applied, without a file here",
            Self::Pending => "pending",
            Self::OutOfOrder => "pending, out of order",
        }
    }
}

/// A migration, by what is known of it on either side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    /// The version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// Its file, if there is one.
    pub path: Option<PathBuf>,
    /// How it stands.
    pub standing: Standing,
}

/// All migrations of both sides in their order.
#[must_use]
pub fn compare(files: &[File], history: &[Row]) -> Vec<Known> {
    let newest = history.iter().map(|row| row.version.as_str()).max();
    let rows: BTreeMap<&str, &Row> = history.iter().map(|row| (row.version.as_str(), row)).collect();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for file in files {
        let standing = match rows.get(file.version.as_str()) {
            None if newest.is_some_and(|newest| file.version.as_str() < newest) => Standing::OutOfOrder,
            None => Standing::Pending,
            Some(row) => match (&row.statements, &file.statements) {
                (Some(before), Some(now)) if before == now => Standing::Applied,
                (Some(_), _) => Standing::Edited,
                (None, _) => Standing::AppliedUnseen,
            },
        };
        let (version, name) = (file.version.clone(), file.name.clone());
        let path = Some(file.path.clone());
        known.insert(version.clone(), Known { version, name, path, standing });
    }
    for row in history.iter().filter(|row| !files.iter().any(|file| file.version == row.version)) {
        let (version, name) = (row.version.clone(), row.name.clone().unwrap_or_default());
        known.insert(version.clone(), Known { version, name, path: None, standing: Standing::WithoutFile });
    }
    known.into_values().collect()
}

/// What a name of a person's becomes in a file name: `Add users!` is `add_users`.
#[must_use]
pub fn file_name(version: &str, name: &str) -> String {
    let word = |c: char| if c.is_alphanumeric() { c.to_lowercase().to_string() } else { " ".to_owned() };
    let words: String = name.chars().map(word).collect();
    format!("{version}_{}.sql", words.split_whitespace().collect::<Vec<_>>().join("_"))
}

/// The file with which a migration is taken back: of the same name, in the folder `rollbacks` beside that of the
/// migrations. Beside the migration itself, the Supabase CLI would take it for one.
#[must_use]
pub fn rollback_of(migration: &Path) -> Option<PathBuf> {
    let folder = migration.parent()?.parent()?.join("rollbacks");
    Some(folder.join(migration.file_name()?))
}

/// A time as a version: `20260131235959` (UTC). `seconds` since 1970.
#[must_use]
pub fn version(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, date) = civil::date(days);
    format!("{year:04}{month:02}{date:02}{:02}{:02}{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Names of the tables in which tools keep which changes of the schema were applied. What they hold is of the schema, not
/// of its rows: without it, the next run would apply everything once more.
const RECORDS: [&str; 12] = [
    "schema_migrations", // Supabase's services, Rails, golang-migrate, dbmate
    "ar_internal_metadata",
    "_prisma_migrations",
    "__drizzle_migrations",
    "__EFMigrationsHistory",
    "alembic_version",
    "django_migrations",
    "flyway_schema_history",
    "databasechangelog",
    "knex_migrations",
    "goose_db_version",
    "_sqlx_migrations",
];

/// Whether a table says what was applied to the schema.
#[must_use]
pub fn is_record(schema: &str, table: &str) -> bool {
    schema == "supabase_migrations"
        || RECORDS.contains(&table)
        || matches!((schema, table), ("storage" | "realtime", "migrations"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: &str, statements: &[&str]) -> File {
        let statements = Some(statements.iter().map(|it| (*it).to_owned()).collect());
        let path = PathBuf::from(format!("m/{version}_n.sql"));
        File { version: version.to_owned(), name: "n".to_owned(), path, statements }
    }

    fn row(version: &str, statements: Option<&[&str]>) -> Row {
        let statements = statements.map(|all| all.iter().map(|it| (*it).to_owned()).collect());
        Row { version: version.to_owned(), name: None, statements }
    }

    #[test]
    fn records_of_migrations_are_told_from_other_tables() {
        for (schema, table) in [
            ("supabase_migrations", "seed_files"),
            ("public", "django_migrations"),
            ("storage", "migrations"),
        ] {
            assert!(is_record(schema, table), "{schema}.{table}");
        }
        assert!(!is_record("public", "migrations") && !is_record("public", "users"));
    }

    #[test]
    fn each_way_of_standing() {
        let files =
            [file("1", &["a"]), file("2", &["b"]), file("3", &["c"]), file("4", &["d"]), file("7", &["e"])];
        let rows = [row("1", Some(&["a"])), row("2", Some(&["x"])), row("4", None), row("5", Some(&[]))];
        let found: Vec<String> =
            compare(&files, &rows).iter().map(|it| format!("{} {:?}", it.version, it.standing)).collect();
        assert_eq!(
            found,
            ["1 Applied", "2 Edited", "3 OutOfOrder", "4 AppliedUnseen", "5 WithoutFile", "7 Pending"]
        );
    }

    #[test]
    fn versions_and_names() {
        assert_eq!(version(0), "19700101000000");
        assert_eq!(version(1_709_210_096), "20240229123456");
        assert_eq!(version(1_735_689_599), "20241231235959");
        assert_eq!(file_name("1", " Add users' Age! "), "1_add_users_age.sql");
        let rollback = rollback_of(Path::new("supabase/migrations/1_a.sql"));
        assert_eq!(rollback, Some(PathBuf::from("supabase/rollbacks/1_a.sql")));
    }
}
