//! What a new server needs before rows come, and after: who may make everything, an empty database, roles, sequences
//! that go on where the source's are, and views that hold what they say.

use std::fmt::Write as _;
use std::time::Duration;

use super::PATIENCE;
use super::carry::failing;
use crate::base::Failure;
use crate::ops::mask::discreet;
use crate::postgres::{self, Database, Target};
use crate::schema::quote;

/// Who may make everything in a new server: the stack's own user, or else the superuser that the image made with the
/// same password.
pub(in crate::ops::branch) async fn superuser(target: &Target) -> Result<Target, Failure> {
    let failed = |error| failing(error, "asked who may do what");
    let mut database = postgres::connect(target, PATIENCE).await.map_err(failed)?;
    let asked = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin \
                 ORDER BY rolname <> current_user, oid";
    for name in database.ask(asked).await.map_err(failed)?.into_iter().flatten().flatten() {
        if name == target.user {
            break;
        }
        let admin = Target { user: name, ..target.clone() };
        if postgres::connect(&admin, Duration::from_secs(2)).await.is_ok() {
            return Ok(admin);
        }
    }
    Ok(target.clone())
}

/// Makes the database anew, without what the image's own scripts put there: the schema comes from the source. The
/// roles that they made stay, and so do the settings that they gave to the database.
pub(super) async fn empty(admin: &Target, owner: &str) -> Result<(), Failure> {
    let failed = |error| failing(error, "made");
    let mut database =
        postgres::connect(&admin.with_database("template1"), PATIENCE).await.map_err(failed)?;
    let (name, text) = (quote::name(&admin.database), quote::text(&admin.database));
    let asked = format!(
        "SELECT pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1) \
         FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, \
         pg_catalog.unnest(s.setconfig) c WHERE d.datname = {text} AND s.setrole = 0"
    );
    let settings = database.ask(asked).await.map_err(failed)?;
    // A worker of an extension may come back at once.
    for turn in 0..20 {
        match database.run(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await {
            Ok(()) => break,
            Err(error) if turn == 19 => return Err(failed(error)),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    let owner = quote::name(owner);
    database.run(format!("CREATE DATABASE {name} TEMPLATE template0 OWNER {owner}")).await.map_err(failed)?;
    for row in settings {
        if let [Some(setting), Some(value)] = row.as_slice() {
            let setting: Vec<String> = setting.split('.').map(quote::name).collect();
            let sql = format!("ALTER DATABASE {name} SET {} = {}", setting.join("."), quote::text(value));
            database.run(sql).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Roles that the schema names and the new server does not have; nobody can log in as them.
pub(super) async fn roles(
    source: &mut Database,
    target: &mut Database,
    texts: &[&String],
) -> Result<(), Failure> {
    let names = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'";
    let there = target.ask(names).await.map_err(|error| failing(error, "asked for its roles"))?;
    let wanted = source.ask(names).await.map_err(|error| discreet(error, "the roles cannot be read"))?;
    let mut sql = String::new();
    for name in wanted.iter().filter(|row| !there.contains(row)).flatten().flatten() {
        let quoted = quote::name(name);
        let named = |text: &&String| {
            text.contains(&format!("TO {quoted}"))
                || text.contains(&format!("ROLE {quoted}"))
                || text.contains(&format!("AUTHORIZATION {quoted}"))
        };
        if texts.iter().any(named) {
            let _ = writeln!(sql, "CREATE ROLE {quoted} NOLOGIN;");
        }
    }
    target.run(sql).await.map_err(|error| failing(error, "given its roles"))
}

/// Lets sequences go on where they are.
pub(super) async fn sequences(source: &mut Database, target: &mut Database) -> Result<(), Failure> {
    let asked = "SELECT schemaname, sequencename, last_value FROM pg_catalog.pg_sequences WHERE last_value IS NOT NULL";
    let found = source.ask(asked).await.map_err(|error| discreet(error, "the sequences cannot be read"))?;
    let mut sql = String::new();
    for row in &found {
        if let [Some(schema), Some(name), Some(value)] = row.as_slice() {
            let name = quote::text(&format!("{}.{}", quote::name(schema), quote::name(name)));
            let _ = writeln!(
                sql,
                "SELECT pg_catalog.setval(pg_catalog.to_regclass({name}), {value}) WHERE pg_catalog.to_regclass({name}) IS NOT NULL;"
            );
        }
    }
    target.run(sql).await.map_err(|error| failing(error, "given its sequences"))
}

/// Fills materialised views from what was copied; one may be made of another.
pub(super) async fn views(database: &mut Database) -> Result<(), Failure> {
    let asked =
        "SELECT schemaname, matviewname FROM pg_catalog.pg_matviews WHERE NOT ispopulated ORDER BY 1, 2";
    for _ in 0..20 {
        let left = database.ask(asked).await.map_err(|error| failing(error, "asked for its views"))?;
        if left.is_empty() {
            break;
        }
        for row in &left {
            if let [Some(schema), Some(name)] = row.as_slice() {
                let name = format!("{}.{}", quote::name(schema), quote::name(name));
                // One that reads an empty one is refused, and has its turn again.
                if let Err(error) = database.run(format!("REFRESH MATERIALIZED VIEW {name}")).await {
                    tracing::debug!(view = name, %error, "not filled yet");
                }
            }
        }
    }
    Ok(())
}
