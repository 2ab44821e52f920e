//! Generated rows against a real PostgreSQL: no constraint is ever broken, and the same seed gives the same rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use devenv::base::Failure;
use devenv::generate::{Plan, Pool, Request, Wish, Wishes, plan};
use devenv::postgres::{Database, Scope};
use devenv::schema::table::Table;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sha2::{Digest, Sha256};

use crate::postgres::{runtime, server, superuser};
use crate::site::Site;
use crate::stacks::POSTGRES;

async fn run(database: &mut Database, sql: &str) {
    let done = database.run_script(Path::new("test.sql"), sql).await;
    done.unwrap_or_else(|failure| panic!("{failure} {:?}\n{sql}", failure.evidence));
}

async fn planned(database: &mut Database, wishes: Wishes, skip: &[String]) -> Result<Plan, Failure> {
    let tables = database.tables(Scope::Own).await.unwrap();
    let own: BTreeSet<String> = tables.keys().map(|(schema, _)| schema.clone()).collect();
    let request = Request { own, wishes, skip: skip.to_vec(), ..Request::default() };
    let pools: Vec<Pool> = devenv::generate::outside(&tables, &request)?;
    plan(&tables, &request, pools)
}

/// Fills the tables as the verb does; every constraint is checked by the database.
async fn fill(database: &mut Database, plan: &Plan) {
    devenv::ops::generate::fill(database, plan, &devenv::base::Events::nowhere()).await.unwrap_or_else(
        |failure| {
            panic!("{failure} {:?}", failure.evidence);
        },
    );
}

fn rows(plan: &Plan, table: &str) -> Vec<String> {
    let sheet = plan.sheets.iter().position(|sheet| sheet.name.1 == table).unwrap();
    let mut out = Vec::new();
    plan.write(sheet, 0..plan.sheets[sheet].rows, &mut out);
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

fn wishes(seed: u64, scale: f64) -> Wishes {
    Wishes { seed: Some(seed), scale: Some(scale), tables: BTreeMap::new() }
}

/// Something of everything.
const SHOP: &str = "
create type mood as enum ('sad', 'it''s', 'b,c');
create domain positive as int check (value > 0);
create domain code as varchar(8) not null check (value ~ '^[A-Z]{3}$');
create table tenants (id uuid primary key default gen_random_uuid(), name text not null unique, slug varchar(12) unique,
  check (slug = lower(slug)));
create table users (
  id bigint generated always as identity primary key, tenant_id uuid not null references tenants,
  email varchar(60) not null, phone text, first_name text not null, mood mood, moods mood[], age int check (age between 18 and 99),
  manager_id bigint references users, created_at timestamptz not null default now(), updated_at timestamptz not null,
  balance numeric(10,2) not null check (balance >= 0 and balance < 5000), tags text[], extra jsonb not null, raw bytea,
  ip inet, born date, works tstzrange, flags bit(5), full_name text generated always as (first_name || 'x') stored,
  unique (tenant_id, id), check (created_at < updated_at));
create unique index on users (lower(email));
create table projects (id serial primary key, tenant_id uuid not null, owner_id bigint not null, name text not null check (length(name) between 3 and 20),
  kind text not null check (kind in ('a', 'b', 'c')), priority positive, ref code,
  foreign key (tenant_id, owner_id) references users (tenant_id, id), foreign key (tenant_id) references tenants, unique (owner_id, kind));
create table members (user_id bigint references users, project_id int references projects, primary key (user_id, project_id));
create table follows (follower_id bigint not null references users, followee_id bigint not null references users,
  primary key (follower_id, followee_id), check (follower_id <> followee_id));
create table profiles (user_id bigint primary key references users on delete cascade, bio text);
create table a (id int primary key, b_id int not null, name char(2));
create table b (id int primary key, a_id int not null unique references a, note text);
alter table a add foreign key (b_id) references b;
create table attachments (id int primary key, project_id int references projects, user_id bigint references users,
  check (num_nonnulls(project_id, user_id) = 1));
create table kinds (kind mood primary key);
";

#[test]
fn tables_of_all_sorts_are_filled_without_an_error() {
    runtime().block_on(async {
        let server = server().await;
        let mut database = superuser(&server, "generate_shop").await;
        run(&mut database, SHOP).await;
        let plan = planned(&mut database, wishes(42, 1.0), &[]).await.unwrap();
        // For ever: a change of this number is a change of everybody's rows.
        assert_eq!(devenv::ops::generate::digest(&plan), DIGEST);
        fill(&mut database, &plan).await;
        let large = planned(&mut database, wishes(42, 7.0), &[]).await.unwrap();
        for table in ["tenants", "users", "members", "follows", "profiles", "a", "b"] {
            let (small, large) = (rows(&plan, table), rows(&large, table));
            assert_eq!(small.len() * 7, large.len(), "{table}");
            assert_eq!(small[..], large[..small.len()], "{table}");
        }
        assert_eq!(rows(&plan, "kinds").len(), 3);
        let users = rows(&plan, "users");
        assert!(users.iter().all(|row| row.contains("@example.")), "{}", users[0]);
        // Sequences go on behind, and what was deferred is as it was.
        run(
            &mut database,
            "insert into users (tenant_id, email, first_name, updated_at, balance, extra) select id, 'x', 'x', 'infinity', 1, '{}' from tenants limit 1;
             do $$ begin if exists (select from pg_constraint where condeferrable) then raise 'deferrable'; end if; end $$;",
        )
        .await;
    });
}

const DIGEST: &str = "44efc68492bac08abc5913e5da429c36ea03f65d8ed4bfcf8acec0d97102383e";

#[test]
fn what_cannot_be_filled_is_refused_before_the_first_row() {
    runtime().block_on(async {
        let server = server().await;
        let mut database = superuser(&server, "generate_refused").await;
        let cases = [
            ("create table t (a int check (a % 3 = 1))", "check `t_a_check`: it is not understood"),
            ("create table t (a text check (a ~ '^(x|y){7}z$'))", "no values are known for `a`"),
            (
                "create table t (r int4range, exclude using gist (r with &&))",
                "exclusion constraint `t_r_excl`",
            ),
            ("create table t (p pg_lsn not null)", "nothing is known of how to write a `pg_lsn`"),
            (
                "create table o (id int primary key); create table t (o int not null references o)",
                "there are no rows in public.o",
            ),
        ];
        for (sql, wanted) in cases {
            run(&mut database, &format!("drop schema public cascade; create schema public; {sql}")).await;
            let failure = planned(
                &mut database,
                wishes(1, 1.0),
                &["o".to_owned()][..usize::from(sql.contains("table o"))],
            )
            .await
            .unwrap_err();
            assert!(failure.to_string().contains(wanted), "{failure}");
            assert!(!failure.hints.is_empty());
        }
        run(
            &mut database,
            "drop schema public cascade; create schema public; create table t (b boolean unique not null)",
        )
        .await;
        assert_eq!(planned(&mut database, wishes(1, 1.0), &[]).await.unwrap().sheets[0].rows, 2);
        let mut asked = wishes(1, 1.0);
        asked.tables.insert("t".into(), Wish { rows: Some(3), ..Wish::default() });
        let failure = planned(&mut database, asked, &[]).await.unwrap_err();
        assert!(failure.to_string().contains("there is room for 2 rows, not for 3"), "{failure}");
    });
}

/// A column of a table that is made up: its definition, with `%` for its name.
fn column() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "% int",
        "% int not null unique",
        "% smallint unique",
        "% text not null",
        "% varchar(5) unique",
        "% char(3)",
        "% numeric(6,3) check (% > 1.5)",
        "% numeric unique",
        "% date",
        "% timestamptz not null unique",
        "% time",
        "% interval",
        "% boolean",
        "% uuid unique",
        "% jsonb",
        "% int[]",
        "% text[]",
        "% numrange",
        "% daterange",
        "% inet",
        "% macaddr",
        "% bit(3)",
        "% varbit(7)",
        "% bytea unique",
        "% float8",
        "% real check (% <= 10)",
        "% text check (% in ('a', 'b'))",
        "% text check (char_length(%) = 9)",
        "% text check (% ~ '^[a-z]+$')",
        "% bigint check (% between -5 and 5)",
        "% text unique check (length(%) <= 6)",
        "% money",
        "% xml",
        "% tsvector",
        "% point",
        "% bpchar",
        "% name unique",
        "% date check (% >= '2030-01-01')",
        "% int check (% <> 0 and % > -3)",
        "% cidr",
        "% timestamp[]",
        "% bool[]",
    ])
}

/// A schema: tables of columns, and for each pair of tables whether the one points at the other, and how.
fn schema() -> impl Strategy<Value = String> {
    let table = (prop::collection::vec(column(), 1..6), 0_usize..4);
    (prop::collection::vec(table, 1..5), prop::collection::vec((0_usize..5, 0_usize..5, 0_usize..6), 0..6)).prop_map(
        |(tables, keys)| {
            let mut sql = String::new();
            let many = tables.len();
            for (number, (columns, key)) in tables.iter().enumerate() {
                let key = ["id int primary key", "id bigserial primary key", "id uuid primary key", "id varchar(9) primary key"][*key];
                let columns: Vec<String> =
                    columns.iter().enumerate().map(|(at, it)| it.replace('%', &format!("c{at}"))).collect();
                sql += &format!("create table t{number} ({key}, {});\n", columns.join(", "));
            }
            for (at, (from, to, how)) in keys.iter().enumerate() {
                let (from, to) = (from % many, to % many);
                let kind = ["int", "bigint", "uuid", "varchar(9)"][tables[to].1];
                let null = if how % 2 == 0 || from == to { "" } else { " not null" };
                sql += &format!("alter table t{from} add r{at} {kind}{null} references t{to};\n");
                match how {
                    2 => sql += &format!("create unique index on t{from} (r{at}, id);\n"),
                    3 => sql += &format!("alter table t{from} add k{at} text not null check (k{at} in ('x', 'y')), add unique (r{at}, k{at});\n"),
                    4 if from != to => sql += &format!("alter table t{from} add unique (r{at});\n"),
                    _ => {}
                }
            }
            sql
        },
    )
}

#[test]
fn schemas_that_are_made_up_are_filled_without_an_error() {
    runtime().block_on(async {
        let server = server().await;
        let mut database = superuser(&server, "generate_random").await;
        let config = Config::default();
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let mut filled = 0;
        for _ in 0..60 {
            let sql = schema().new_tree(&mut runner).unwrap().current();
            run(&mut database, &format!("drop schema public cascade; create schema public;\n{sql}")).await;
            match planned(&mut database, wishes(7, 1.0), &[]).await {
                Ok(plan) => {
                    let done =
                        devenv::ops::generate::fill(&mut database, &plan, &devenv::base::Events::nowhere())
                            .await;
                    done.unwrap_or_else(|failure| panic!("{failure} {:?}\n{sql}", failure.evidence));
                    filled += 1;
                    let again = planned_again(&mut database).await;
                    assert_eq!(hash(&plan), hash(&again), "{sql}");
                }
                Err(failure) => println!("{failure}\n{sql}"),
            }
        }
        println!("{filled} of 60 schemas were filled");
        assert!(filled >= 50);
    });
}

async fn planned_again(database: &mut Database) -> Plan {
    planned(database, wishes(7, 1.0), &[]).await.unwrap()
}

fn hash(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    for sheet in &plan.sheets {
        hash.update(rows(plan, &sheet.name.1).join("\n"));
    }
    hex::encode(hash.finalize())
}

#[test]
fn real_schemas_are_filled_without_an_error() {
    let archive = "/work/shared/corpus/pii/open.tar.xz";
    if !Path::new(archive).exists() {
        println!("left out: there is no {archive}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unpacked = std::process::Command::new("tar").args(["xJf", archive, "-C"]).arg(folder.path()).status();
    assert!(unpacked.unwrap().success());
    runtime().block_on(async {
        let server = server().await;
        for (name, file) in [
            ("chinook", "chinook/chinook.sql"),
            ("northwind", "northwind/northwind.sql"),
            ("world", "world/world.sql"),
            ("titanic", "neon-samples/titanic.sql"),
            ("netflix", "neon-samples/netflix.sql"),
            ("snaplet", "snaplet-fixtures/noUniqueConstraint.sql"),
            ("pagila", "pagila/schema.sql"),
        ] {
            let Ok(sql) = std::fs::read_to_string(folder.path().join(file)) else { continue };
            let mut database = superuser(&server, &format!("generate_{name}")).await;
            let statements =
                sql.lines().filter(|line| !line.starts_with('\\')).collect::<Vec<_>>().join("\n");
            if let Err(failure) = database.run_script(Path::new(file), &statements).await {
                println!("{name} does not load: {failure}");
                continue;
            }
            let tables = database.tables(Scope::Own).await.unwrap();
            let all: Vec<String> = tables.values().map(Table::qualified).collect();
            run(&mut database, &format!("truncate {} cascade", all.join(", "))).await;
            let partitioned: Vec<String> =
                tables.values().filter(|table| table.partitioned).map(|table| table.name.clone()).collect();
            match planned(&mut database, wishes(1, 1.0), &partitioned).await {
                Ok(plan) => {
                    fill(&mut database, &plan).await;
                    println!("{name}: {} tables filled", plan.sheets.len());
                }
                Err(failure) => println!("{name} is refused: {failure} {:?}", failure.others),
            }
        }
    });
}

fn stack() -> String {
    format!(
        "{POSTGRES}x-devenv: {{generate: {{seed: 9, tables: {{orders: {{rows: 300, columns: {{status: [paid]}}}}}}}}}}\n"
    )
}

#[test]
fn rows_are_generated_as_a_user_asks_for_them() {
    let site = Site::pooled("generate", &stack());
    site.ok("up");
    let sql = "create table users (id serial primary key, email text unique); create table orders (id serial primary key, \
               user_id int not null references users, status text not null)";
    let asked =
        |query: &str| site.run_args(&["db", "psql", "--", "-At", "-c", query]).exits(0).out.trim().to_owned();
    asked(sql);
    site.ok("db branch create feat");
    site.ok("db generate --dry-run").prints(&["public.users", "1000", "public.orders", "300"]);
    assert_eq!(asked("select count(*) from users"), "0");
    let done = site.json("db generate --rows users=2k --json --digest");
    assert_eq!((&done["rows"], &done["seed"]), (&2300.into(), &9.into()));
    assert_eq!(asked("select count(*), min(status), max(status) from orders"), "300|paid|paid");
    site.run("db generate")
        .exits(7)
        .says(&["there are rows already in public.orders, public.users", "--append"]);
    site.ok("db generate --append --only users --rows users=10 --no-snapshot");
    assert_eq!(asked("select count(*), max(id) from users"), "2010|2010");
    site.run("db generate --rows user=3").exits(2).says(&["did you mean `users`?"]);
    let kept = done["snapshot"].as_str().unwrap();
    site.ok(&format!("db snapshot restore {kept}"));
    assert_eq!(asked("select count(*) from users"), "0");
    // The same rows as SQL.
    let printed = site.ok("db generate --rows users=20 --out sql --scale 0.1").out;
    asked(&printed);
    assert_eq!(asked("select count(*) from orders"), "30");
    site.ok("db branch protect");
    site.run("db generate --append").exits(5).says(&["protected"]);
    site.ok("db branch unprotect");
    site.agrees();
}

#[test]
fn sets_of_seeds_are_loaded_once_and_whole() {
    let site = Site::pooled("seeds", &stack());
    site.ok("up");
    let asked =
        |query: &str| site.run_args(&["db", "psql", "--", "-At", "-c", query]).exits(0).out.trim().to_owned();
    asked(
        "create table users (id serial primary key, email text unique, note text default 'none'); \
         create table orders (id serial primary key, user_id int not null references users, status text not null)",
    );
    site.ok("db branch create feat");
    site.file("seeds/demo/10_users.csv", "id,email\n1,a@example.com\n2,\"b,b@example.com\"\n");
    site.file(
        "seeds/demo/20_users.ndjson",
        "{\"id\": 3, \"email\": \"it's\"}\n{\"id\": 4, \"note\": null}\n",
    );
    site.file("seeds/demo/30_orders.sql", "copy orders (user_id, status) from stdin;\n1\tpaid\n\\.\n");
    site.file("seeds/demo/notes.txt", "no seed");
    site.file(
        "seeds/more.yaml",
        "seed: 3\ntables: {orders: {rows: 5, columns: {id: {min: 100, max: 900}}}}\n",
    );
    let done = site.json("db seed demo --json");
    let names = ["10_users.csv", "20_users.ndjson", "30_orders.sql"].map(|name| format!("seeds/demo/{name}"));
    assert_eq!(done["loaded"], serde_json::json!(names));
    assert_eq!(
        asked("select string_agg(concat(id, email, note), ' ' order by id) from users"),
        "1a@example.comnone 2b,b@example.comnone 3it'snone 4"
    );
    site.ok("db seed demo").says(&["nothing to do: 3 files loaded before"]);
    site.ok("db seed demo --only-empty").says(&["there are rows already"]);
    // A mistake is shown where it is, and nothing of its file stays.
    site.file("seeds/bad/users.csv", "id,email\n7,c@example.com\nx,d@example.com\n");
    site.run("db seed bad").exits(7).says(&["users.csv:3", "invalid input syntax for type integer"]);
    site.file("seeds/bad/users.csv", "id,email\n");
    site.file("seeds/bad/users.ndjson", "{\"id\": 7}\n{\"id\": }\n");
    site.run("db seed bad").exits(3).says(&["users.ndjson:2:8", "not a JSON object"]);
    assert_eq!(asked("select count(*) from users"), "4");
    site.run("db seed nothing").exits(2).says(&["there is no seed set `seeds/nothing`"]);
    // A set beside others, from empty tables, and back.
    let done = site.json("db seed demo --reset --json");
    assert_eq!(done["loaded"].as_array().unwrap().len(), 3);
    assert_eq!(asked("select count(*) from orders"), "1");
    site.ok(&format!("db snapshot restore {}", done["snapshot"].as_str().unwrap()));
    asked("truncate orders restart identity");
    site.compose(&stack().replace("generate:", "seeds: {more: seeds/more.yaml}, generate:"));
    site.ok("db seed more").says(&["loaded 1 file"]);
    site.ok("db seed more").says(&["nothing to do"]);
    assert_eq!(asked("select count(*), count(distinct user_id) > 0 from orders"), "5|t");
    site.agrees();
}
