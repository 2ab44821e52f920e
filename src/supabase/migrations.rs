//! Which files of `supabase/migrations` are migrations, and in which order they run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::{Failure, Kind, Place};

/// The first migration of very old projects, written by the CLI itself and never applied.
const OLD_INIT: u64 = 20_211_209_000_000;

/// One migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The digits in front, which the history table holds; usually a time of 14 digits.
    pub version: String,
    /// What stands between the first `_` and `.sql`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// What a directory of migrations holds.
#[derive(Debug, Default)]
pub struct Found {
    /// The migrations in the order in which they run.
    pub migrations: Vec<Migration>,
    /// A warning for every file that is none.
    pub warnings: Vec<Failure>,
}

/// Splits `20240131120000_add_users.sql` into version and name, by the CLI's rule `^([0-9]+)_(.*)\.sql$`.
#[must_use]
pub fn parse(file: &str) -> Option<(&str, &str)> {
    let digits = file.bytes().take_while(u8::is_ascii_digit).count();
    let name = file[digits..].strip_prefix('_')?.strip_suffix(".sql")?;
    (digits > 0 && !name.contains('\n')).then_some((&file[..digits], name))
}

/// The migrations among the file names `files` of the directory `dir`. Two files of one version are refused:
/// the history could hold only one of them.
pub fn find<'a>(dir: &Path, files: impl IntoIterator<Item = &'a str>) -> Result<Found, Failure> {
    let mut names: Vec<&str> = files.into_iter().collect();
    names.sort_unstable();
    let mut found = Found::default();
    let mut versions: BTreeMap<&str, Vec<Migration>> = BTreeMap::new();
    for (position, file) in names.into_iter().enumerate() {
        if file.starts_with('.') {
            continue;
        }
        let Some((version, name)) = parse(file) else {
            found.warnings.push(skipped(dir, file, "name it `<timestamp>_name.sql` to have it applied"));
            continue;
        };
        if position == 0 && is_old_init(version, name) {
            found.warnings.push(skipped(dir, file, "replace `init` by another name to have it applied"));
            continue;
        }
        versions.entry(version).or_default().push(Migration {
            version: version.to_owned(),
            name: name.to_owned(),
            path: dir.join(file),
        });
    }
    let mut clashes = Vec::new();
    for (version, files) in versions {
        if files.len() > 1 {
            let message = format!("{} migrations have the same version {version}", files.len());
            let clash = Failure::new(Kind::Files, message)
                .hint("give one of them another time: the history table holds one row per version");
            clashes.push(files.into_iter().fold(clash, |clash, file| clash.at(Place::file(file.path))));
        } else {
            found.migrations.extend(files);
        }
    }
    if clashes.is_empty() { Ok(found) } else { Err(Failure::all(clashes)) }
}

fn is_old_init(version: &str, name: &str) -> bool {
    version.len() == 14 && name == "init" && version.parse().is_ok_and(|version: u64| version < OLD_INIT)
}

fn skipped(dir: &Path, file: &str, hint: &str) -> Failure {
    Failure::new(Kind::Files, format!("`{file}` is not a migration and is skipped"))
        .at(Place::file(dir.join(file)))
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> Found {
        find(Path::new("supabase/migrations"), files.iter().copied()).unwrap()
    }

    #[test]
    fn migrations_run_in_the_order_of_their_versions() {
        let found =
            found(&["20240201000000_b.sql", "20240101000000_a_b.sql", "1_x.sql", "20240301000000_.sql"]);
        let order: Vec<(&str, &str)> =
            found.migrations.iter().map(|each| (each.version.as_str(), each.name.as_str())).collect();
        assert_eq!(
            order,
            [("1", "x"), ("20240101000000", "a_b"), ("20240201000000", "b"), ("20240301000000", "")]
        );
        assert_eq!(found.migrations[1].path, Path::new("supabase/migrations/20240101000000_a_b.sql"));
        assert!(found.warnings.is_empty());
    }

    #[test]
    fn other_files_are_skipped_with_a_warning() {
        let found = found(&["README.md", "20240101000000-a.sql", "x_20240101.sql", ".gitkeep", "1_a.sql"]);
        assert_eq!(found.migrations.len(), 1);
        assert_eq!(found.warnings.len(), 3);
        let found =
            super::find(Path::new("m"), ["20200101000000_init.sql", "20240101000000_init.sql"]).unwrap();
        assert_eq!((found.migrations.len(), found.warnings.len()), (1, 1));
    }

    #[test]
    fn two_files_of_one_version_are_both_named() {
        let clash = find(Path::new("m"), ["1_a.sql", "1_b.sql", "2_c.sql"]).unwrap_err();
        let places: Vec<String> = clash.places.iter().map(ToString::to_string).collect();
        assert_eq!(places, ["m/1_a.sql", "m/1_b.sql"]);
    }
}
