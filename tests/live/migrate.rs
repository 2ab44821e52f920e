//! Migrations, schema differences and merges as a user gives the commands, on one stack with a real PostgreSQL.

use std::fs;

use crate::site::{Run, Site};
use crate::stacks::POSTGRES;

fn stack() -> String {
    format!("{POSTGRES}x-devenv: {{migrations: db/migrations, merge: {{tables: [kinds]}}}}\n")
}

impl Site {
    fn migration(&self, version: u32, name: &str, sql: &str, rollback: Option<&str>) {
        self.file(&format!("db/migrations/{version}_{name}.sql"), sql);
        if let Some(rollback) = rollback {
            self.file(&format!("db/rollbacks/{version}_{name}.sql"), rollback);
        }
    }

    fn history(&self) -> String {
        let sql =
            "select string_agg(version, ' ' order by version) from supabase_migrations.schema_migrations";
        self.sql(&[], sql)
    }

    /// How each migration stands.
    fn standing(&self) -> String {
        let found = self.json("db migrate status --json");
        let one = |it: &serde_json::Value| format!("{} {}", it["version"], it["standing"]).replace('"', "");
        found["migrations"].as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

fn site(test: &str) -> Site {
    let site = Site::pooled(test, &stack());
    site.ok("up");
    site
}

#[test]
fn migrations_up_down_and_what_is_said_of_them() {
    let site = site("migrate");
    let made = site.ok("db migrate new Add-Users! --rollback").out;
    let made: Vec<&str> = made.lines().collect();
    assert!(made[0].starts_with("db/migrations/20") && made[0].ends_with("_add_users.sql"), "{made:?}");
    assert!(made[1].starts_with("db/rollbacks/20"), "{made:?}");
    for file in made {
        fs::remove_file(site.dir().join(file)).unwrap();
    }
    site.migration(
        1,
        "users",
        "create table users (id int primary key);\n-- the end\n",
        Some("drop table users;"),
    );
    site.migration(
        2,
        "name",
        "alter table users add name text;\ncreate index concurrently on users (name);",
        None,
    );
    site.ok("db migrate up 1").says(&["applied migration 1;", "main-before-migrate"]);
    site.ok("db branch create feat");
    let done = site.json("db migrate up --json");
    assert_eq!(done["applied"], serde_json::json!(["2"]));
    assert!(done["snapshot"].as_str().unwrap().starts_with("feat-before-migrate"), "{done}");
    assert_eq!(site.standing(), "1 applied, 2 applied");
    site.ok("db migrate up").says(&["nothing to do"]);

    // The history is what the Supabase CLI writes: the statements as they stand in the file, without `;`.
    let kept = site.sql(&[], "select version, name, array_to_json(statements) from supabase_migrations.schema_migrations order by 1");
    assert_eq!(
        kept,
        "1|users|[\"create table users (id int primary key)\",\"-- the end\"]\n\
         2|name|[\"alter table users add name text\",\"create index concurrently on users (name)\"]"
    );

    // A mistake is shown where it is; nothing of the file stays, and what was before is offered.
    site.migration(4, "bad", "create table half (id int);\n\nalter table users add age intt;\n", None);
    let failed = site.run("db migrate up").exits(7).says(&[
        "type \"intt\" does not exist",
        "4_bad.sql:3:27",
        "db snapshot restore feat-before-migrate",
    ]);
    assert_eq!(site.sql(&[], "select to_regclass('half') is null"), "t");
    let kept = failed.err.split("restore ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    site.sql(&[], "create table later (id int)");
    site.ok(&format!("db snapshot restore {kept}"));
    assert_eq!(site.sql(&[], "select to_regclass('later') is null"), "t");
    fs::remove_file(site.dir().join("db/migrations/4_bad.sql")).unwrap();

    // Edited, out of order, without a file.
    site.sql(&[], "insert into supabase_migrations.schema_migrations values ('5', null, 'theirs')");
    site.migration(2, "name", "alter table users add name varchar;", None);
    site.migration(3, "late", "create table late (id int);", Some("drop table late;"));
    assert_eq!(site.standing(), "1 applied, 2 edited, 3 out-of-order, 5 without-file");
    site.run("db migrate up")
        .exits(7)
        .says(&["migration `3_late` is not applied and older", "--include-all"]);
    site.ok("db migrate up --include-all").says(&["applied migration 3"]);
    site.ok("db migrate repair --status applied 2").says(&["2"]);
    site.ok("db migrate repair --status reverted 5");
    assert_eq!(site.standing(), "1 applied, 2 applied, 3 applied");

    // Back, and again.
    site.ok("db migrate redo --no-snapshot").says(&["took back and applied again migration 3"]);
    site.ok("db migrate down").says(&["took back migration 3", "feat-before-migrate-down"]);
    assert_eq!(
        (site.history().as_str(), site.sql(&[], "select to_regclass('late') is null").as_str()),
        ("1 2", "t")
    );
    site.run("db migrate down")
        .exits(7)
        .says(&["migration `2_name` has no file that takes it back", "db/rollbacks/2_name.sql"]);
    site.ok("db branch protect");
    site.run("db migrate down").exits(5).says(&["protected"]);
    site.ok("db branch unprotect");
    site.agrees();
}

#[test]
fn migrations_tried_on_throw_away_branches() {
    let site = site("trial");
    site.migration(
        1,
        "users",
        "create table users (id int primary key, name text);",
        Some("drop table users;"),
    );
    site.migration(2, "posts", "create table posts (id int primary key, by int references users);\ninsert into users values (1, 'a');", None);
    site.ok("db branch create feat");
    site.ok("db migrate up --no-snapshot");
    let verified = site.ok("db migrate verify");
    verified.prints(&["users", "ok", "no rollback"]);
    // What was tried is gone, and what was there is not.
    assert_eq!(site.branches(), ["main", "*feat"]);
    assert_eq!(site.sql(&[], "select count(*) from users"), "1");
    site.ok("db migrate diff --exit-code").says(&["the database is what its migrations make"]);

    // A rollback that forgets something.
    site.migration(
        3,
        "more",
        "create table more (id int); create type kind as enum ('a');",
        Some("drop table more;"),
    );
    site.run("db migrate verify").exits(7).says(&[
        "does not take back all",
        "3_more.sql",
        "DROP TYPE public.kind",
    ]);
    fs::remove_file(site.dir().join("db/migrations/3_more.sql")).unwrap();

    // What was done by hand becomes a migration.
    site.sql(&[], "alter table users add email text; create view names as select name from users; comment on view names is 'n'");
    site.run("db migrate diff --exit-code")
        .exits(1)
        .prints(&["ADD COLUMN email text", "CREATE VIEW public.names"]);
    let file = site.ok("db migrate diff by_hand").out.trim().to_owned();
    site.ok("db migrate repair --status applied");
    site.ok("db migrate diff --exit-code");
    site.ok("db migrate verify").prints(&["by_hand"]);

    // All of it as one; the rows that it wrote are the database's, not the file's.
    site.ok("db migrate squash").says(&["stands for 3 migrations"]);
    let left: Vec<_> = fs::read_dir(site.dir().join("db/migrations")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(
        fs::read_dir(site.dir().join("db"))
            .unwrap()
            .flatten()
            .filter(|it| it.file_name().to_string_lossy().starts_with("squashed-"))
            .count(),
        1
    );
    let text = fs::read_to_string(site.dir().join(&file)).unwrap();
    assert!(text.contains("CREATE TABLE public.posts") && !text.contains("INSERT"), "{text}");
    site.ok("db migrate verify");
    site.ok("db migrate diff --exit-code");
    assert!(site.standing().ends_with(" applied") && !site.standing().contains(','), "{}", site.standing());
    site.agrees();
}

#[test]
fn branches_compared_and_put_together() {
    let site = site("merge");
    site.sql(
        &[],
        "create table users (id int primary key, name text); create table kinds (code text primary key, label text);
         insert into kinds values ('a', 'A'), ('b', 'B'), ('c', 'C')",
    );
    site.ok("db branch create feat");
    site.sql(
        &[],
        "alter table users add email text; create index on users (email); alter table users enable row level security;
         create policy own on users using (name = current_user);
         update kinds set label = 'AA' where code = 'a'; insert into kinds values ('d', 'it''s'); delete from kinds where code = 'c'",
    );
    site.ok("db branch diff main").prints(&[
        "+ column public.users.email",
        "+ policy own on public.users",
        "~ table public.users",
    ]);
    site.run("db branch diff main --sql --exit-code")
        .exits(1)
        .prints(&["ADD COLUMN email text", "ENABLE ROW LEVEL SECURITY"]);
    site.ok("db branch diff main --data --table kinds").prints(&[
        "~ public.kinds (a) label: A → AA",
        "+ public.kinds (d)",
        "- public.kinds (c)",
    ]);
    site.ok("db branch diff feat feat --exit-code").says(&["the same"]);
    site.run("db branch diff main --data --table nothing")
        .exits(2)
        .says(&["there is no table `public.nothing`"]);

    site.ok("db branch switch main");
    site.sql(&[], "alter table users add age int; update kinds set label = 'BB' where code = 'b'");
    site.ok("db branch merge feat --plan")
        .prints(&["ADD COLUMN email text", "UPDATE public.kinds SET label = 'AA'"]);
    site.ok("db branch merge feat --verify").says(&["proved"]);
    assert_eq!(site.branches(), ["*main", "feat"]);
    let done = site.ok("db branch merge feat").says(&["merged feat into main", "main-before-merge"]);
    assert!(done.out.trim().ends_with("_merge_feat.sql"), "{done}");
    let columns = "select string_agg(attname, ' ' order by attname) from pg_attribute where attrelid = 'users'::regclass and attnum > 0";
    assert_eq!(site.sql(&[], columns), "age email id name");
    assert_eq!(
        site.sql(&[], "select string_agg(code || label, ' ' order by code) from kinds"),
        "aAA bBB dit's"
    );
    site.ok("db branch merge feat").says(&["has all of feat already"]);

    // The same changed on both sides.
    site.ok("db branch create other --no-switch");
    site.sql(
        &[],
        "alter table users alter age type bigint; update kinds set label = 'ours' where code = 'a'",
    );
    site.ok("db branch switch other");
    site.sql(
        &[],
        "alter table users alter age type smallint; update kinds set label = 'theirs' where code = 'a'",
    );
    let disputed = site.run("db branch merge other main --plan").exits(5);
    disputed.says(&[
        "2 conflicts",
        "column public.users.age, its type",
        "main: bigint",
        "other: smallint",
        "row (a) of public.kinds",
    ]);
    site.ok("db branch merge other main --plan --strategy theirs").prints(&["TYPE smallint", "'theirs'"]);
    site.ok("db branch merge other main --plan --strategy ours").says(&["has all of other already"]);
    site.agrees();
}

#[test]
fn the_supabase_cli_and_devenv_take_turns() {
    let site = site("turns");
    site.file("supabase/config.toml", "project_id = \"turns\"\n[db]\nmajor_version = 17\n");
    site.compose(&stack().replace("migrations: db/migrations, ", ""));
    let url = format!("--remote={}?sslmode=disable", site.ok("db url").out.trim());
    let cli = |words: &str| {
        let mut command = site.program(crate::interop::peer("supabase", "3.1.0"));
        command.env("SUPABASE_TELEMETRY_DISABLED", "1").args(words.split(' ')).args([&url, "--yes"]);
        Run::new(format!("(supabase) {words}"), &command.output().unwrap()).exits(0)
    };
    // A comment before, between and behind; a body with `;`; text that looks like one.
    let sql = "-- one; of them\ncreate table NAME (id int primary key, t text default ';'); /* two */\n\
        create function NAME_f() returns int language plpgsql as $$ begin return 1; end $$;\n\ninsert into NAME values (1, 'a''b');\n-- end\n";
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        site.file(
            &format!("supabase/migrations/2026010100000{number}_{name}.sql"),
            &sql.replace("NAME", name),
        );
        if number % 2 == 0 {
            site.ok("db migrate up --no-snapshot").says(&["applied migration"]);
        } else {
            cli("migration up");
        }
        // To each, what the other did is done, and as the file is.
        cli("migration up").prints(&["up to date"]);
        site.ok("db migrate up").says(&["nothing to do"]);
        assert_eq!(site.standing().matches(" applied").count(), number + 1, "{}", site.standing());
    }
    let list = cli("migration list").out;
    assert_eq!(list.matches("`20260101").count(), 8, "{list}");
    cli("db lint");
    cli("gen types typescript").prints(&["\"d\": {", "Row: {"]);
}

/// How a step ends a command: with a failure, and as `kill -9` does.
#[cfg(feature = "failpoints")]
const ENDS: [&str; 2] = ["return", "return(KILL)"];

#[cfg(feature = "failpoints")]
fn cut(site: &Site, step: &str, end: &str, words: &str) -> Run {
    let run = site.failing(&format!("{step}={end}"), words);
    assert_eq!(run.code, if end == "return" { Some(1) } else { None }, "{step} is no step of: {run}");
    run
}

#[cfg(feature = "failpoints")]
#[test]
fn migrating_cut_off_at_any_step() {
    let site = site("fmigrate");
    site.ok("db branch create feat");
    site.migration(1, "a", "create table a (id int);", Some("drop table a;"));
    site.migration(2, "b", "create table b (id int);", Some("drop table b;"));
    for end in ENDS {
        for step in ["migrate:up:begun", "snapshot:save:copied", "migrate:up:kept", "migrate:up:applied"] {
            cut(&site, step, end, "db migrate up");
            site.ok("db migrate up");
            assert_eq!(site.history(), "1 2", "{step}");
            site.agrees();
            site.ok("db migrate down 2 --no-snapshot");
            assert_eq!(
                site.sql(&[], "select to_regclass('a') is null and to_regclass('b') is null"),
                "t",
                "{step}"
            );
        }
        site.ok("db migrate up --no-snapshot");
        for step in ["migrate:down:begun", "migrate:down:kept", "migrate:down:reverted"] {
            cut(&site, step, end, "db migrate down --to 1");
            site.ok("db migrate down --to 1");
            assert_eq!(site.history(), "1", "{step}");
            site.ok("db migrate up --no-snapshot");
        }
        // What a throw-away branch leaves, the next one takes away.
        for step in ["trial:made", "trial:started", "trial:ending", "trial:removed"] {
            cut(&site, step, end, "db migrate verify");
            site.ok("db migrate verify");
            assert_eq!(site.branches(), ["main", "*feat"], "{step}");
            site.agrees();
        }
        site.ok("db migrate down 2 --no-snapshot");
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_merge_cut_off_at_any_step() {
    // (Without snapshots: those of all steps together would fill the pool of a test.)
    let site = site("fmerge");
    site.sql(&[], "create table t (id int primary key)");
    site.ok("db branch create feat");
    for (number, end) in ENDS.into_iter().enumerate() {
        for (step, written) in
            [("merge:proved", false), ("merge:kept", false), ("merge:written", true), ("merge:applied", true)]
        {
            let column = format!("{}{number}", step.replace(':', "_"));
            site.sql(&["feat"], &format!("alter table t add {column} int"));
            site.ok("db branch switch main");
            cut(&site, step, end, "db branch merge feat --no-snapshot");
            // A file that was written is a migration like any other: the next `up` applies it, the next merge finds it
            // done.
            if written {
                site.ok("db migrate up --no-snapshot");
            }
            site.ok("db branch merge feat --no-snapshot");
            let there = format!(
                "select count(*) from pg_attribute where attrelid = 't'::regclass and attname = '{column}'"
            );
            assert_eq!(site.sql(&[], &there), "1", "{step}");
            let pending = site.standing();
            assert!(!pending.contains("pending") && !pending.contains("order"), "{step}: {pending}");
            assert_eq!(site.branches(), ["*main", "feat"], "{step}");
            site.agrees();
        }
    }
}
