//! The room `postgres` against the stack's own PostgreSQL: what is applied, what is recorded, what is said when
//! it goes wrong, and that nothing half-done stays.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use devenv::base::{Event, Events, Failure, Kind};
use devenv::postgres::{
    Changed, Database, Encryption, Error, Migration, Password, Prepare, Prepared, Seed, Target, connect,
    prepare, state,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use testcontainers::core::{ExecCommand, IntoContainerPort};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::runtime::Runtime;

const IMAGE: (&str, &str) = ("devenv.local/supabase/postgres", "17");
const SUPERUSER: &str = "supabase_admin";
const PATIENCE: Duration = Duration::from_mins(1);

/// One server for all tests that run at the same time; removed when the last of them ends.
pub(crate) struct Server {
    container: ContainerAsync<GenericImage>,
    pub(crate) port: u16,
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

pub(crate) async fn server() -> Arc<Server> {
    static SERVER: OnceLock<tokio::sync::Mutex<Weak<Server>>> = OnceLock::new();
    let mut known = SERVER.get_or_init(tokio::sync::Mutex::default).lock().await;
    if let Some(server) = known.upgrade() {
        return server;
    }
    let container = GenericImage::new(IMAGE.0, IMAGE.1)
        .with_exposed_port(5432.tcp())
        .with_env_var("POSTGRES_PASSWORD", "postgres")
        .start()
        .await
        .unwrap_or_else(|error| {
            panic!("{}:{} cannot be started (build it with `make up`): {error}", IMAGE.0, IMAGE.1)
        });
    let port = container.get_host_port_ipv4(5432.tcp()).await.unwrap();
    let server = Arc::new(Server { container, port });
    *known = Arc::downgrade(&server);
    server
}

/// A connection of the server's superuser, for what tests do beside the program.
pub(crate) async fn administrator(server: &Server) -> PgConnection {
    connect(&Target { user: SUPERUSER.to_owned(), ..target(server.port, "postgres") }, PATIENCE)
        .await
        .unwrap();
    let url = format!("postgres://{SUPERUSER}:postgres@127.0.0.1:{}/postgres?sslmode=disable", server.port);
    PgConnection::connect(&url).await.unwrap()
}

/// A new database, as its server's superuser, who makes all kinds of objects.
pub(crate) async fn superuser(server: &Server, database: &str) -> Database {
    let create = format!("create database {database} template template0");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut administrator(server).await).await.unwrap();
    let target = Target { user: SUPERUSER.to_owned(), ..target(server.port, database) };
    connect(&target, PATIENCE).await.unwrap()
}

fn target(port: u16, database: &str) -> Target {
    Target {
        host: "127.0.0.1".to_owned(),
        port,
        user: "postgres".to_owned(),
        password: Password::new("postgres"),
        database: database.to_owned(),
        encryption: Encryption::None,
    }
}

async fn raw(target: &Target) -> PgConnection {
    let url =
        format!("postgres://postgres:postgres@127.0.0.1:{}/{}?sslmode=disable", target.port, target.database);
    PgConnection::connect(&url).await.unwrap()
}

/// A project's files, and an empty database for them.
struct Project {
    target: Target,
    files: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Project {
    async fn new(server: &Server) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("live_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let admin = target(server.port, "postgres");
        connect(&admin, PATIENCE).await.unwrap();
        let create = sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")));
        create.execute(&mut raw(&admin).await).await.unwrap();
        Self { target: target(server.port, &name), files: Mutex::default(), events: Arc::default() }
    }

    fn file(&self, path: &str, text: impl Into<Vec<u8>>) {
        self.files.lock().unwrap().insert(PathBuf::from(path), text.into());
    }

    fn migration(&self, file: &str, text: &str) {
        self.file(&format!("supabase/migrations/{file}"), text);
    }

    fn request(&self) -> Prepare {
        let files = self.files.lock().unwrap();
        let migrations = files.keys().filter(|path| path.starts_with("supabase/migrations")).map(|path| {
            let (version, name) = path.file_stem().unwrap().to_str().unwrap().split_once('_').unwrap();
            Migration { version: version.to_owned(), name: name.to_owned(), path: path.clone() }
        });
        let seeds = files.keys().filter(|path| path.to_str().unwrap().contains("seed"));
        Prepare {
            target: self.target.clone(),
            patience: PATIENCE,
            roles: files.keys().find(|path| path.ends_with("roles.sql")).cloned(),
            vault: Vec::new(),
            migrations: Some(migrations.collect()),
            seeds: seeds.map(|path| Seed { name: path.display().to_string(), path: path.clone() }).collect(),
            changed: Changed::Tell,
        }
    }

    async fn prepare(&self) -> Result<Prepared, Failure> {
        self.prepare_as(&self.request()).await
    }

    async fn prepare_as(&self, request: &Prepare) -> Result<Prepared, Failure> {
        let events = Arc::clone(&self.events);
        let events = Events::to(move |event| events.lock().unwrap().push(event));
        let read = |path: &Path| {
            self.files
                .lock()
                .unwrap()
                .get(path)
                .cloned()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        prepare(request, &read, &events).await
    }

    fn warnings(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        let warning = |event| match event {
            Event::Warning { message, .. } => Some(message),
            _ => None,
        };
        events.into_iter().filter_map(warning).collect()
    }

    async fn ask(&self, sql: &str) -> String {
        let query =
            sqlx::raw_sql(AssertSqlSafe(format!("select coalesce(json_agg(x), '[]')::text from ({sql}) x")));
        query.fetch_one(&mut raw(&self.target).await).await.unwrap().get(0)
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut raw(&self.target).await).await.unwrap();
    }
}

fn live<T: Future<Output = ()>>(test: impl FnOnce(Project) -> T) {
    runtime().block_on(async {
        let server = server().await;
        test(Project::new(&server).await).await;
    });
}

fn places(failure: &Failure) -> Vec<String> {
    failure.places.iter().map(ToString::to_string).collect()
}

#[test]
fn migrations_are_recorded_as_the_supabase_cli_records_them() {
    live(|project| async move {
        project.migration(
            "20240101000000_first.sql",
            r"-- a leading comment; with a semicolon
create table a (id int primary key, note text); -- trailing
/* block ; /* nested */ */
create function f() returns text language sql begin atomic select 'x;y'; select case when true then 'a' else 'b' end; end;
create function g() returns void language plpgsql as $fn$ begin perform 1; end $fn$;;
insert into a values (1, E'it\'s; ok');

insert into a values (2, 'plain \');
-- only a comment
",
        );
        project.migration(
            "20240102000000_idx.sql",
            "create index concurrently a_note on a(note);\nalter table a add column x int;\nvacuum a;\n",
        );
        project.migration("20240103000000_tx.sql", "BEGIN;\nalter table a add column y int;\nCOMMIT;\n");
        project.migration("20240104000000_empty.sql", "");
        project.migration(
            "20240105000000_delta.sql",
            "-- pg-delta: transaction=false\nalter table a add column z int;\n",
        );
        let prepared = project.prepare().await.unwrap();
        assert_eq!(prepared.migrations.len(), 5);
        // What `supabase db push` 3.1.0 wrote for the same files.
        let history = "select version, name, array_to_json(statements) as statements
                       from supabase_migrations.schema_migrations order by version";
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&project.ask(history).await).unwrap(),
            serde_json::json!([
                {"version": "20240101000000", "name": "first", "statements": [
                    "-- a leading comment; with a semicolon\ncreate table a (id int primary key, note text)",
                    "-- trailing\n/* block ; /* nested */ */\ncreate function f() returns text language sql begin atomic select 'x;y'; select case when true then 'a' else 'b' end; end",
                    "create function g() returns void language plpgsql as $fn$ begin perform 1; end $fn$",
                    "insert into a values (1, E'it\\'s; ok')",
                    "insert into a values (2, 'plain \\')",
                    "-- only a comment",
                ]},
                {"version": "20240102000000", "name": "idx", "statements": [
                    "create index concurrently a_note on a(note)", "alter table a add column x int", "vacuum a"]},
                {"version": "20240103000000", "name": "tx", "statements": [
                    "BEGIN", "alter table a add column y int", "COMMIT"]},
                {"version": "20240104000000", "name": "empty", "statements": []},
                {"version": "20240105000000", "name": "delta", "statements": [
                    "-- pg-delta: transaction=false\nalter table a add column z int"]},
            ])
        );
        let columns =
            "select attname from pg_attribute where attrelid = 'a'::regclass and attnum > 0 order by attnum";
        assert_eq!(
            project.ask(columns).await.replace(['\n', ' '], ""),
            r#"[{"attname":"id"},{"attname":"note"},{"attname":"x"},{"attname":"y"},{"attname":"z"}]"#
        );
    });
}

#[test]
fn a_failing_migration_points_into_its_file_and_leaves_nothing() {
    live(|project| async move {
        project.migration("1_good.sql", "create table good (id int primary key);\n");
        project.migration(
            "2_bad.sql",
            "create table bad (id int);\n\n-- größer\ninsert into bad values (1);\nselect größe,\n  missing from bad;\n",
        );
        project.migration("3_later.sql", "create table later ();\n");
        let failure = project.prepare().await.unwrap_err();
        assert_eq!(failure.kind, Kind::Data);
        assert_eq!(
            failure.to_string(),
            "migration `2_bad.sql` failed: column \"größe\" does not exist (SQLSTATE 42703)"
        );
        assert_eq!(places(&failure), ["supabase/migrations/2_bad.sql:5:8"]);
        assert_eq!((failure.places[0].width, failure.places[0].excerpt.as_str()), (5, "select größe,"));
        let left = "select relname from pg_class where relname in ('good', 'bad', 'later')";
        assert_eq!(project.ask(left).await, r#"[{"relname":"good"}]"#);
        let history = "select version from supabase_migrations.schema_migrations";
        assert_eq!(project.ask(history).await, r#"[{"version":"1"}]"#);

        // A refusal without a position names the statement; its DETAIL and HINT are kept.
        project.migration(
            "2_bad.sql",
            "select 1;\ninsert into good values (7);\n  insert into good values (7);\nselect 2;",
        );
        let failure = project.prepare().await.unwrap_err();
        assert_eq!(places(&failure), ["supabase/migrations/2_bad.sql:3:3"]);
        assert_eq!(failure.evidence, ["DETAIL: Key (id)=(7) already exists."]);

        project.migration("2_bad.sql", "create table t (h notatype);\n");
        let failure = project.prepare().await.unwrap_err();
        assert_eq!(places(&failure), ["supabase/migrations/2_bad.sql:1:19"]);
        assert!(failure.hints[0].contains("`extensions.notatype`"), "{:?}", failure.hints);

        // A deferred constraint speaks at the commit, which belongs to no statement.
        project.migration(
            "2_bad.sql",
            "create table child (id int references good deferrable initially deferred);\ninsert into child values (9);\n",
        );
        let failure = project.prepare().await.unwrap_err();
        assert_eq!(places(&failure), ["supabase/migrations/2_bad.sql"]);

        // Mended, the rest follows.
        project.migration("2_bad.sql", "create table bad (id int);\n");
        assert_eq!(project.prepare().await.unwrap().migrations, ["2", "3"]);
    });
}

#[test]
fn what_a_file_without_one_transaction_leaves_is_said() {
    live(|project| async move {
        project.migration("1_t.sql", "create table t (id int);\ninsert into t values (1), (1);\n");
        project.migration(
            "2_i.sql",
            "alter table t add column x int;\ncreate index concurrently i on t(id);\n\ncreate unique index concurrently j on t(id);\n",
        );
        let failure = project.prepare().await.unwrap_err();
        assert_eq!(places(&failure), ["supabase/migrations/2_i.sql:4:1"]);
        assert!(failure.evidence.iter().any(|line| line.contains("up to line 2")), "{:?}", failure.evidence);
        let history = "select version from supabase_migrations.schema_migrations";
        assert_eq!(project.ask(history).await, r#"[{"version":"1"}]"#);

        // In a transaction of its own, everything can be taken back, the record too.
        project.migration("2_i.sql", "begin;\nalter table t add column y int;\nselect 1/0;\ncommit;\n");
        let failure = project.prepare().await.unwrap_err();
        assert!(failure.evidence.is_empty(), "{:?}", failure.evidence);
        let columns =
            "select attname from pg_attribute where attrelid = 't'::regclass and attname in ('x', 'y')";
        assert_eq!(project.ask(columns).await, r#"[{"attname":"x"}]"#);

        // A new enum value can be used only once it is committed.
        project.migration("2_i.sql", "create type mood as enum ('ok');\n");
        project.migration("3_e.sql", "alter type mood add value 'sad';\nselect 'sad'::mood;\n");
        let failure = project.prepare().await.unwrap_err();
        assert!(failure.hints.iter().any(|hint| hint.contains("later file")), "{failure:?}");
        project.migration("3_e.sql", "alter type mood add value 'sad';\n");
        project.migration("4_e.sql", "select 'sad'::mood;\n");
        assert_eq!(project.prepare().await.unwrap().migrations, ["3", "4"]);
    });
}

#[test]
fn a_file_does_not_change_how_the_next_one_runs() {
    live(|project| async move {
        project.file(
            "supabase/roles.sql",
            "create role live_reader;\ngrant live_reader to postgres with set true;\n",
        );
        project.migration(
            "1_a.sql",
            "select pg_catalog.set_config('search_path', '', false);\nset role live_reader;\n",
        );
        project.migration(
            "2_b.sql",
            "create table t (owner name default current_user);\ninsert into t default values;\n",
        );
        project.file("supabase/seed_1.sql", "set search_path = pg_catalog; set role live_reader;");
        project.file("supabase/seed_2.sql", "insert into t default values;");
        let prepared = project.prepare().await.unwrap();
        assert!(prepared.roles);
        assert_eq!(
            project.ask("select * from t").await,
            "[{\"owner\":\"postgres\"}, \n {\"owner\":\"postgres\"}]"
        );

        // The roles are not run again, nor where the Supabase CLI has created them.
        assert!(!project.prepare().await.unwrap().roles);
        project.execute("delete from supabase_migrations.seed_files where path like '%roles%'").await;
        assert!(!project.prepare().await.unwrap().roles);
        assert!(project.ask("select path from supabase_migrations.seed_files").await.contains("roles"));
        project.execute("drop role live_reader").await;
    });
}

#[test]
fn a_session_is_set_as_for_any_other_program() {
    live(|project| async move {
        let zone = format!("alter database {} set timezone to 'Asia/Tokyo'", project.target.database);
        sqlx::raw_sql(AssertSqlSafe(zone)).execute(&mut raw(&project.target).await).await.unwrap();
        project.migration("1_t.sql", "create extension supabase_vault cascade;\ncreate table t as select timestamptz '2024-01-01 09:00' as at;");
        project.prepare().await.unwrap();
        assert_eq!(
            project.ask("select at at time zone 'UTC' as at from t").await,
            r#"[{"at":"2024-01-01T00:00:00"}]"#
        );

        // In the stack's own database the image grants this.
        let grant =
            "grant all on all tables in schema vault to postgres; grant usage on schema vault to postgres";
        let psql = ["psql", "-qU", "supabase_admin", "-d", &project.target.database, "-c", grant];
        let mut granted = server().await.container.exec(ExecCommand::new(psql)).await.unwrap();
        assert_eq!(String::from_utf8(granted.stderr_to_vec().await.unwrap()).unwrap(), "");

        // Secrets come before migrations, which may read them.
        let secret =
            || Prepare { vault: vec![("live".to_owned(), Password::new("hidden"))], ..project.request() };
        project.migration("2_v.sql", "create table v as select decrypted_secret as s from vault.decrypted_secrets where name = 'live';");
        project.prepare_as(&secret()).await.unwrap();
        assert_eq!(project.ask("select * from v").await, r#"[{"s":"hidden"}]"#);
        project.migration(
            "3_w.sql",
            "create table w as select count(*) from vault.secrets where name = 'live';",
        );
        project.prepare_as(&secret()).await.unwrap();
        assert_eq!(project.ask("select * from w").await, r#"[{"count":1}]"#);
    });
}

#[test]
fn seeds_are_loaded_once_with_their_copy_data() {
    live(|project| async move {
        project.migration("1_t.sql", "create table people (id int primary key, name text);\n");
        let seed = "\u{feff}-- pg_dump\n\\restrict abc\nset client_encoding = 'UTF8';\nselect pg_catalog.set_config('search_path', '', false);\n\n\
                    COPY public.people (id, name) FROM stdin;\n1\tAnn; it's\n2\t\\N\n\\.\n\n\
                    insert into public.people values (3, 'Zoë');\n\\unrestrict abc\n";
        project.file("supabase/seed.sql", seed);
        assert_eq!(project.prepare().await.unwrap().seeds, ["supabase/seed.sql"]);
        assert_eq!(
            project.ask("select name from people order by id").await,
            "[{\"name\":\"Ann; it's\"}, \n {\"name\":null}, \n {\"name\":\"Zoë\"}]"
        );
        let recorded = "select path, hash = encode(sha256(convert_to($q$SEED$q$, 'UTF8')), 'hex') as same
                        from supabase_migrations.seed_files"
            .replace("SEED", seed);
        assert_eq!(project.ask(&recorded).await, r#"[{"path":"supabase/seed.sql","same":true}]"#);
        assert!(project.prepare().await.unwrap().seeds.is_empty());
        assert!(project.warnings().is_empty());

        // Changed, it is told and not run; it is run, or only recorded, when that is asked for.
        project.file("supabase/seed.sql", "delete from people where id = 3;\n");
        assert!(project.prepare().await.unwrap().seeds.is_empty());
        assert_eq!(
            project.warnings(),
            ["`supabase/seed.sql` changed since it was run, and is not run again"]
        );
        assert_eq!(project.ask("select count(*) from people").await, r#"[{"count":3}]"#);
        let request = Prepare { changed: Changed::Run, ..project.request() };
        assert_eq!(project.prepare_as(&request).await.unwrap().seeds.len(), 1);
        assert_eq!(project.ask("select count(*) from people").await, r#"[{"count":2}]"#);
        project.file("supabase/seed.sql", "delete from people;\n");
        let request = Prepare { changed: Changed::Record, ..project.request() };
        assert!(project.prepare_as(&request).await.unwrap().seeds.is_empty());
        project.prepare().await.unwrap();
        assert!(project.warnings().is_empty());
        assert_eq!(project.ask("select count(*) from people").await, r#"[{"count":2}]"#);
    });
}

#[test]
fn a_failing_seed_points_at_its_line_of_data_and_leaves_nothing() {
    live(|project| async move {
        project.migration("1_t.sql", "create table n (id int primary key);\n");
        let rows = (0..50_000).map(|row| row.to_string()).collect::<Vec<_>>().join("\n") + "\n";
        project.file("supabase/seed_1.sql", format!("copy n from stdin;\n{rows}\\.\n"));
        project.file(
            "supabase/seed_2.sql",
            format!("delete from n where id = 5;\ncopy n from stdin;\n5\nsix\n{rows}\\.\n"),
        );
        let failure = project.prepare().await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "seed `supabase/seed_2.sql` failed: invalid input syntax for type integer: \"six\" (SQLSTATE 22P02)"
        );
        assert_eq!(places(&failure), ["supabase/seed_2.sql:4:1"]);
        assert_eq!(project.ask("select count(*) from n where id = 5 or id = 6").await, r#"[{"count":2}]"#);
        assert_eq!(
            project.ask("select path from supabase_migrations.seed_files").await,
            r#"[{"path":"supabase/seed_1.sql"}]"#
        );

        project.file("supabase/seed_2.sql", "copy nowhere from stdin;\n1\n\\.\n");
        let failure = project.prepare().await.unwrap_err();
        assert_eq!(places(&failure), ["supabase/seed_2.sql:1:1"]);
        project.file("supabase/seed_2.sql", b"select 1;\nselect '\xff';".to_vec());
        assert_eq!(places(&project.prepare().await.unwrap_err()), ["supabase/seed_2.sql:2:9"]);
        project.file("supabase/seed_2.sql", "select 1;\n\\connect x\n");
        let failure = project.prepare().await.unwrap_err();
        assert_eq!(
            (failure.kind, places(&failure)),
            (Kind::Files, vec!["supabase/seed_2.sql:2:1".to_owned()])
        );
    });
}

#[test]
fn history_and_files_that_differ_are_told() {
    live(|project| async move {
        project.migration("2_b.sql", "create table b ();");
        project.prepare().await.unwrap();
        project
            .execute("insert into supabase_migrations.schema_migrations values ('9', null, 'elsewhere')")
            .await;
        project.migration("1_a.sql", "create table a ();");
        let prepared = project.prepare().await.unwrap();
        assert_eq!((prepared.migrations, prepared.unknown), (vec!["1".to_owned()], vec!["9".to_owned()]));
        assert_eq!(
            project.warnings(),
            [
                "migration `1_a.sql` is older than the newest that was applied",
                "the database has migrations without a file here: 9",
            ]
        );
        // Migrations switched off are not compared.
        let request = Prepare { migrations: None, ..project.request() };
        assert!(project.prepare_as(&request).await.unwrap().unknown.is_empty());
    });
}

#[test]
fn seeds_without_migrations_are_loaded_once() {
    live(|project| async move {
        // As the Supabase CLI leaves it: without a migration there is no table for them.
        project.execute("create schema supabase_migrations").await;
        project
            .execute(
                "create table supabase_migrations.seed_files (path text primary key, hash text not null)",
            )
            .await;
        let hash = "insert into supabase_migrations.seed_files
                    values ('supabase/seed.sql', encode(sha256('create table s ()'), 'hex'))";
        project.execute(hash).await;
        project.file("supabase/seed.sql", "create table s ()");
        assert!(project.prepare().await.unwrap().seeds.is_empty());
    });
}

#[test]
fn two_at_once_do_it_once() {
    live(|project| async move {
        project.migration("1_slow.sql", "create table t (id int);\nselect pg_sleep(0.3);\n");
        project.migration("2_index.sql", "create index concurrently i on t(id);\n");
        project.file("supabase/seed.sql", "insert into t values (1);");
        let (one, other) = tokio::join!(project.prepare(), project.prepare());
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.migrations.len() + other.migrations.len(), 2);
        assert_eq!(project.ask("select * from t").await, r#"[{"id":1}]"#);
        let notes = project.events.lock().unwrap();
        assert!(
            notes.iter().any(|event| matches!(event, Event::Note { message } if message.contains("waiting")))
        );
    });
}

#[test]
fn a_run_that_is_dropped_leaves_nothing() {
    live(|project| async move {
        project.migration("1_t.sql", "create table t (id int);\nselect pg_sleep(0.4);\n");
        let dropped = tokio::time::timeout(Duration::from_millis(200), project.prepare()).await;
        assert!(dropped.is_err());
        assert_eq!(project.prepare().await.unwrap().migrations, ["1"]);
        assert_eq!(
            project.ask("select count(*) from supabase_migrations.schema_migrations").await,
            r#"[{"count":1}]"#
        );
    });
}

#[test]
fn stub_extensions_are_listed() {
    live(|project| async move {
        assert_eq!(project.prepare().await.unwrap().stubs, []);
        project.migration("1_e.sql", "create schema if not exists extensions;\ncreate extension pg_graphql;\ncreate extension pg_trgm;\n");
        let prepared = project.prepare().await.unwrap();
        let names: Vec<&str> = prepared.stubs.iter().map(|stub| stub.name.as_str()).collect();
        assert_eq!(names, ["pg_graphql"]);
        assert!(prepared.stubs[0].comment.starts_with("devenv stub"));
        assert_eq!(project.prepare().await.unwrap().stubs, prepared.stubs);
    });
}

#[test]
fn nothing_to_do_is_quick_and_silent() {
    live(|project| async move {
        project.migration("1_t.sql", "create table t (id int);");
        project.file("supabase/seed.sql", "insert into t values (1);");
        project.prepare().await.unwrap();
        project.events.lock().unwrap().clear();
        let mut took = Vec::new();
        for _ in 0..10 {
            let start = Instant::now();
            project.prepare().await.unwrap();
            took.push(start.elapsed());
        }
        took.sort();
        assert!(project.events.lock().unwrap().is_empty());
        println!("nothing to do: {:?} (median of 10, connection included)", took[5]);
        // Far above what it takes, and far below any loop with pauses.
        assert!(took[5] < Duration::from_millis(500), "{took:?}");
        let mut database = connect(&project.target, PATIENCE).await.unwrap();
        let start = Instant::now();
        let known = state(&mut database).await.unwrap();
        println!("the question alone: {:?}", start.elapsed());
        assert_eq!((known.migrations.len(), known.seeds.len()), (1, 1));
    });
}

#[test]
fn who_does_not_answer_and_who_refuses_are_told_apart() {
    live(|project| async move {
        let nowhere = Target { port: 1, ..project.target.clone() };
        let start = Instant::now();
        let error = connect(&nowhere, Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(2));
        assert_eq!(error.failing("x").kind, Kind::Unreachable);

        let wrong = Target { password: Password::new("hunter2"), ..project.target.clone() };
        let error = connect(&wrong, PATIENCE).await.unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error:?}");
        let told = format!("{wrong:?} {error:?} {error}") + &format!("{:?}", error.failing("x"));
        assert!(!told.contains("hunter2"), "{told}");
        let missing = Target { database: "missing".to_owned(), ..project.target.clone() };
        assert!(matches!(connect(&missing, PATIENCE).await, Err(Error::Denied { .. })));
    });
}
