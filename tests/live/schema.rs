//! Schemas of a real PostgreSQL, read, compared and put together: what the difference of two says turns the one into
//! the other, to the last property, whatever they hold.

use std::path::Path;

use devenv::postgres::{Database, Scope};
use devenv::schema::{Model, Prefer, diff, merge, script};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::postgres::{Server, administrator, runtime, server, superuser};

/// Two databases that a test fills and compares, and one to try in. A superuser makes all kinds of objects. Logging in
/// takes longer than most of what is done here, so it is done once.
struct Bench {
    a: Database,
    b: Database,
    try_out: Database,
}

async fn bench(server: &Server, name: &str) -> Bench {
    let mut admin = administrator(server).await;
    let roles = "do $$ begin create role dvt_reader; exception when duplicate_object or unique_violation then null; end $$;
        do $$ begin create role dvt_owner; exception when duplicate_object or unique_violation then null; end $$;";
    sqlx::raw_sql(roles).execute(&mut admin).await.unwrap();
    let mut databases = Vec::new();
    for suffix in ["a", "b", "t"] {
        databases.push(superuser(server, &format!("schema_{name}_{suffix}")).await);
    }
    let [a, b, try_out] = databases.try_into().unwrap_or_else(|_| panic!());
    Bench { a, b, try_out }
}

/// Runs SQL as one transaction; what PostgreSQL says against it comes back with the SQL.
async fn run(database: &mut Database, sql: &str) -> Result<(), String> {
    let done = database.run_script(Path::new("test.sql"), sql).await;
    done.map_err(|failure| format!("{failure} {:?}\n{sql}", failure.evidence))
}

/// Fills a database with what `sql` makes, and nothing else.
async fn fill(database: &mut Database, sql: &str) -> Model {
    database.clear().await.unwrap();
    let defaults = "set allow_system_table_mods = on; delete from pg_catalog.pg_default_acl;";
    run(database, defaults).await.unwrap();
    run(database, sql).await.unwrap();
    model(database).await
}

async fn model(database: &mut Database) -> Model {
    database.schema(Scope::Own).await.unwrap()
}

/// What is not so of `found`, in words.
fn wrong(found: &Model, wanted: &Model) -> Option<String> {
    if found.same_as(wanted) {
        return None;
    }
    let mut lines: Vec<String> = Vec::new();
    for (id, object) in &wanted.objects {
        match found.get(id) {
            None => lines.push(format!("lacks {id}")),
            Some(other) if other.properties != object.properties => {
                lines
                    .push(format!("{id}\n  is     {:?}\n  wanted {:?}", other.properties, object.properties));
            }
            Some(_) => {}
        }
    }
    let more = found.objects.keys().filter(|id| wanted.get(id).is_none());
    lines.extend(more.map(|id| format!("has {id}")));
    Some(lines.join("\n"))
}

/// Wants that the difference turns `a` into `b`.
async fn turns(bench: &mut Bench, a: &str, b: &str) -> Result<(), String> {
    let (before, wanted) = (fill(&mut bench.a, a).await, fill(&mut bench.b, b).await);
    if !diff(&before, &before).is_empty() {
        return Err("a schema differs from itself".to_owned());
    }
    let sql = script(&diff(&before, &wanted));
    run(&mut bench.a, &sql).await?;
    match wrong(&model(&mut bench.a).await, &wanted) {
        Some(wrong) => Err(format!("{wrong}\n── by ──\n{sql}── from ──\n{a}\n── to ──\n{b}")),
        None => Ok(()),
    }
}

/// One part of a schema in several forms; the first is that it is not there. `needs` are the parts that have to be
/// there for it.
struct Part {
    needs: &'static [usize],
    forms: &'static [&'static str],
}

macro_rules! parts {
    ($(($needs:expr, [$($form:expr),+ $(,)?])),+ $(,)?) => {
        &[$(Part { needs: &$needs, forms: &["", $($form),+] }),+]
    };
}

/// Each after those that it needs.
const PARTS: &[Part] = parts![
    // 0
    ([], ["create schema app;", "create schema app; comment on schema app is 'it''s'; grant usage on schema app to dvt_reader;"]),
    // 1
    ([], [
        "create type mood as enum ('sad', 'ok');",
        "create type mood as enum ('sad', 'meh', 'ok', 'happy');",
        "create type mood as enum ('ok', 'glad'); comment on type mood is 'm';",
    ]),
    // 2
    ([], [
        "create domain email as text check (value like '%@%');",
        "create domain email as text default 'a@b' not null check (value ~ '@');",
        "create domain email as varchar(50) constraint at check (value like '%@%'); grant usage on domain email to dvt_reader;",
    ]),
    // 3
    ([], ["create type pair as (a int, b text);", "create type pair as (a bigint, b text, c date);", "create type pair as (b text);"]),
    // 4
    ([], [
        "create sequence counter;",
        "create sequence counter as integer start 10 increment 5 maxvalue 1000 cycle; grant usage on sequence counter to dvt_reader;",
        "create sequence counter increment -1;",
    ]),
    // 5: a table that much stands on
    ([], [
        "create table users (id int primary key, name text, age int, email text);",
        "create table users (id bigint generated always as identity primary key, name varchar(40) not null, email text, born date default now());
         comment on table users is 'people'; comment on column users.name is 'called';",
        "create table users (id serial primary key, name text default 'nobody', age smallint check (age > 0), email text collate \"C\");
         grant select, insert on users to dvt_reader with grant option; alter table users enable row level security;",
        "create unlogged table users (id int generated by default as identity (start 100 increment 2), name text not null, email text,
         upper_name text generated always as (upper(name)) stored, constraint users_key primary key (id) include (name)) with (fillfactor = 70);
         grant update (name) on users to dvt_reader;",
        "create table users (email text, name text, id uuid default gen_random_uuid() not null, unique nulls not distinct (email)); alter table users replica identity full;
         alter table users force row level security; alter table users owner to dvt_owner; alter table users alter name set storage external; alter table users alter name set statistics 200;",
    ]),
    // 6: foreign keys, both ways in a ring in one form
    ([5], [
        "create table posts (id int primary key, title text not null, note text);",
        "create table posts (id int primary key, title text not null, reply_to int references posts on delete cascade, tags text[] default '{}');",
        "create table posts (id bigserial primary key, title text, constraint title_len check (length(title) < 100) not valid);
         create table ring (id int primary key, post bigint references posts deferrable initially deferred); alter table posts add ring int references ring;",
    ]),
    // 7
    ([5], [
        "create index users_name on users (name);",
        "create unique index users_name on users (lower(name) desc) where name is not null; comment on index users_name is 'i';",
        "create index users_name on users using hash (email);",
    ]),
    // 8
    ([5], [
        "create view people as select id, name from users;",
        "create view people with (security_invoker = true) as select id, name, email from users where name is not null; grant select on people to dvt_reader;",
        "create view people as select name as called, count(*) as many from users group by name; comment on view people is 'v'; comment on column people.called is 'c';",
        "create materialized view people as select id, name from users; create unique index people_id on people (id);",
    ]),
    // 9: on the view
    ([5, 8], ["create view persons as select * from people;", "create view persons with (security_barrier) as select count(*) as n from people;"]),
    // 10
    ([], [
        "create function twice(n int) returns int language sql immutable as 'select n * 2';",
        "create function twice(n int, more int default 1) returns bigint language sql stable as 'select n * 2 + more';",
        "create or replace function twice(n int) returns int language plpgsql security definer set search_path = '' as $$ begin return n + n; end $$;
         revoke all on function twice(int) from public; grant execute on function twice(int) to dvt_reader;",
        "create procedure twice(n int) language sql begin atomic select n; end; comment on procedure twice(int) is 'p';",
    ]),
    // 11: a trigger with its function
    ([5], [
        "create function stamp() returns trigger language plpgsql as $$ begin return new; end $$;
         create trigger stamp before update on users for each row execute function stamp();",
        "create function stamp() returns trigger language plpgsql as $$ begin return null; end $$;
         create trigger stamp after insert or update of name on users for each row when (new.name is not null) execute function stamp();
         alter table users disable trigger stamp;",
        "create function stamp() returns trigger language plpgsql as $$ begin return new; end $$;
         create constraint trigger stamp after delete on users deferrable for each row execute function stamp(); comment on trigger stamp on users is 't';",
    ]),
    // 12
    ([5], [
        "create policy own on users for select to dvt_reader using (name = current_user);",
        "create policy own on users for select using (true); create policy more on users as restrictive for insert with check (name <> '');",
        "create policy own on users using (name is not null) with check (length(name) > 1); comment on policy own on users is 'y';",
    ]),
    // 13: partitions
    ([], [
        "create table events (at date not null, kind text) partition by range (at); create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
         create index events_kind on events (kind);",
        "create table events (at date not null, kind text, n int default 1, primary key (at, n)) partition by range (at);
         create table events_2025 partition of events for values from ('2025-01-01') to ('2025-07-01'); create table events_rest partition of events default;",
        "create table events (at date not null, kind text); comment on table events is 'flat';",
    ]),
    // 14
    ([5], [
        "create publication news for table users;",
        "create publication news for table users (id, name) where (name is not null) with (publish = 'insert, update');",
        "create publication news for all tables with (publish_via_partition_root);",
    ]),
    // 15
    ([1], [
        "create table feelings (id int primary key, mood mood default 'ok', moods mood[]);",
        "create table feelings (id int primary key, mood mood not null, constraint not_sad check (mood <> 'ok'));",
    ]),
    // 16
    ([2], ["create table letters (sender email, receiver email not null);", "create table letters (sender text, receiver email);"]),
    // 17
    ([10, 5], ["create index users_twice on users (name) where id is not null;", "create statistics users_stats on id, name from users;"]),
    // 18
    ([], [
        "alter default privileges grant select on tables to dvt_reader;",
        "alter default privileges in schema public grant all on tables to dvt_reader; alter default privileges revoke execute on functions from public;",
    ]),
    // 19
    ([5], ["create rule quiet as on delete to users do instead nothing;", "create rule quiet as on delete to users where old.name is null do also nothing;"]),
    // 20
    ([0, 5], [
        "create table app.things (id int primary key, data jsonb default '{}', n numeric(10,2));",
        "create table app.things (id int, n numeric(12,3), data jsonb, span int4range, exclude using gist (span with &&), check (n > 0));",
        "create type app.span as range (subtype = numeric); create table app.things (id int, span app.span);",
    ]),
    // 21
    ([], [
        "create function plus(a int, b int) returns int language sql immutable as 'select a + b'; create aggregate total(int) (sfunc = plus, stype = int, initcond = '0');",
        "create function plus(a int, b int) returns int language sql immutable as 'select a + b'; create aggregate total(int) (sfunc = plus, stype = int, initcond = '5');",
    ]),
    // 22: a default that calls a function, a generated column that does
    ([10], [
        "create function next_code() returns text language sql as $$ select 'x' $$; create table codes (code text default next_code(), v int);",
        "create function next_code() returns text language sql immutable as $$ select 'y' $$; create table codes (v int, code text default next_code(), w text generated always as (next_code()) stored);",
    ]),
    // 23
    ([], [
        "create table parent (a int, b text); create table child (c int) inherits (parent);",
        "create table parent (a int, b text, d date default now()); create table child (c int) inherits (parent); create index child_c on child (c);",
    ]),
    // 24: names that need quotes
    ([], ["create table \"Order\" (\"from\" int primary key, \"a b\" text default 'it''s \\ so');", "create view \"Order\" as select 1 as \"from\";"]),
];

/// The SQL of a schema: which form each part has.
fn sql(forms: &[usize]) -> String {
    let mut there = vec![false; PARTS.len()];
    let mut sql = String::new();
    for (at, part) in PARTS.iter().enumerate() {
        let form = forms[at] % part.forms.len();
        if form > 0 && part.needs.iter().all(|need| there[*need]) {
            there[at] = true;
            sql.push_str(part.forms[form]);
            sql.push('\n');
        }
    }
    sql
}

/// Parts that do not go with those before them are left out.
async fn fitting(database: &mut Database, forms: &mut [usize]) -> String {
    loop {
        let tried = async |database: &mut Database, forms: &[usize]| {
            let sql = format!("{}\ndo $$ begin raise exception 'all of it'; end $$;", sql(forms));
            run(database, &sql)
                .await
                .is_err_and(|error| error.lines().next().is_some_and(|line| line.contains("all of it")))
        };
        if tried(database, forms).await {
            return sql(forms);
        }
        for at in 0..PARTS.len() {
            let mut some = forms.to_vec();
            some[at + 1..].fill(0);
            if !tried(database, &some).await {
                forms[at] = 0;
                break;
            }
        }
    }
}

#[test]
fn the_difference_of_any_two_schemas_turns_one_into_the_other() {
    let pairs = std::env::var("DVT_SCHEMA_PAIRS").ok().and_then(|it| it.parse().ok()).unwrap_or(100_u32);
    let _inside = runtime().enter();
    let server = runtime().block_on(server());
    let bench = std::cell::RefCell::new(runtime().block_on(bench(&server, "any")));
    let form = || prop::collection::vec(0_usize..60, PARTS.len());
    // The same pairs each time: a failure that nobody can have again helps nobody.
    let mut runner = TestRunner::new_with_rng(
        Config { cases: pairs, failure_persistence: None, max_shrink_iters: 60, ..Config::default() },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let done = runner.run(&(form(), form()), |(mut a, mut b)| {
        let bench = &mut *bench.borrow_mut();
        let tried = runtime().block_on(async {
            let (a, b) =
                (fitting(&mut bench.try_out, &mut a).await, fitting(&mut bench.try_out, &mut b).await);
            turns(bench, &a, &b).await
        });
        tried.map_err(TestCaseError::fail)
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

#[test]
fn every_form_turns_into_every_other_and_back() {
    let _inside = runtime().enter();
    let server = runtime().block_on(server());
    runtime().block_on(async {
        let mut bench = bench(&server, "each").await;
        let mut wrong = Vec::new();
        for at in 0..PARTS.len() {
            // What it needs, in the first form.
            let mut around = vec![0; PARTS.len()];
            for need in PARTS[at].needs {
                around[*need] = 1;
            }
            for form in 0..PARTS[at].forms.len() {
                let next = (form + 1) % PARTS[at].forms.len();
                let with = |form: usize| {
                    let mut forms = around.clone();
                    forms[at] = form;
                    sql(&forms)
                };
                for (from, to) in [(form, next), (next, form)] {
                    if let Err(error) = turns(&mut bench, &with(from), &with(to)).await {
                        wrong.push(format!("part {at}, {from} to {to}: {error}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n\n"));
    });
}

#[test]
fn sides_of_a_merge_that_touch_different_things_come_together_either_way() {
    let base =
        "create table users (id int primary key, name text); create view people as select id from users;";
    let ours = "create table users (id int primary key, name text not null, age int); create view people as select id from users;
        create index users_age on users (age);";
    let theirs = "create table users (id int primary key, name text, email text); create view people as select id, name from users;
        create policy p on users using (true); alter table users enable row level security;";
    let both = "create table users (id int primary key, name text not null, age int, email text); create view people as select id, name from users;
        create index users_age on users (age); create policy p on users using (true); alter table users enable row level security;";
    let _inside = runtime().enter();
    let server = runtime().block_on(server());
    runtime().block_on(async {
        let mut bench = bench(&server, "merge").await;
        let mut models = Vec::new();
        for sql in [base, ours, theirs, both] {
            models.push(fill(&mut bench.b, sql).await);
        }
        let [base, ours_model, theirs_model, both] = &models[..] else { panic!() };
        for (sql, a, b) in [(ours, ours_model, theirs_model), (theirs, theirs_model, ours_model)] {
            let merged = merge(base, a, b, Prefer::None);
            assert_eq!(merged.conflicts, []);
            assert_eq!(wrong(&merged.model, both), None);
            fill(&mut bench.a, sql).await;
            let sql = script(&diff(a, &merged.model));
            run(&mut bench.a, &sql).await.unwrap();
            assert_eq!(wrong(&model(&mut bench.a).await, both), None, "{sql}");
        }
    });
}

/// Real schemas, from the project's corpus of them; the test says so where that is not there.
#[test]
fn real_schemas_come_out_of_nothing_and_go_into_nothing() {
    let archive =
        std::env::var("DVT_CORPUS").unwrap_or_else(|_| "/work/shared/corpus".to_owned()) + "/pii/open.tar.xz";
    if !std::path::Path::new(&archive).exists() {
        println!("skipped: {archive} is not there (DVT_CORPUS names the folder of the corpus)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unpacked =
        std::process::Command::new("tar").arg("-xJf").arg(&archive).current_dir(&folder).status().unwrap();
    assert!(unpacked.success());
    let _inside = runtime().enter();
    let server = runtime().block_on(server());
    runtime().block_on(async {
        let mut bench = bench(&server, "real").await;
        let mut found = 0;
        for file in ["pagila/schema.sql", "chinook/chinook.sql", "northwind/northwind.sql", "world/world.sql"]
        {
            let text = std::fs::read(folder.path().join(file)).unwrap();
            bench.b.clear().await.unwrap();
            for statement in statements(&String::from_utf8_lossy(&text)) {
                // A dump of an old version says things that are there already.
                let _ = run(&mut bench.b, &statement).await;
            }
            let wanted = model(&mut bench.b).await;
            found += wanted.objects.len();
            let nothing = fill(&mut bench.a, "").await;
            let sql = script(&diff(&nothing, &wanted));
            run(&mut bench.a, &sql).await.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(wrong(&model(&mut bench.a).await, &wanted), None, "{file}\n{sql}");
            let sql = script(&diff(&wanted, &nothing));
            run(&mut bench.a, &sql).await.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(wrong(&model(&mut bench.a).await, &nothing), None, "{file}\n{sql}");
        }
        assert!(found > 300, "{found} objects are few for four databases");
    });
}

/// The statements that make a schema, without those about rows.
fn statements(text: &str) -> Vec<String> {
    use devenv::postgres::split::{Kind, split};
    let statement = |piece: devenv::postgres::split::Piece| match piece.kind {
        Kind::Statement(statement) => Some((statement.words.join(" "), text[statement.text].to_owned())),
        _ => None,
    };
    let about_rows = |words: &str| ["INSERT", "SELECT", "ANALYZE"].iter().any(|word| words.starts_with(word));
    let schema = split(text).into_iter().filter_map(statement).filter(|(words, _)| !about_rows(words));
    schema.map(|(_, sql)| sql).collect()
}
