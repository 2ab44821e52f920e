//! Dumps and backups of a real PostgreSQL: what is written comes back the same, and what is not whole counts for nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::site::Site;
use crate::stacks::POSTGRES;

const SHOP: &str = "
create role dvt_clerk;
create type tier as enum ('free', 'paid');
create table users (id int generated always as identity primary key, email text not null unique, tier tier default 'free',
  spent numeric(10, 2), data jsonb, shout text generated always as (upper(email)) stored);
create table orders (id bigint primary key, who int not null references users, at timestamptz, note text);
create index on orders (who);
create table log (at date not null, line text) partition by range (at);
create table log_1 partition of log for values from ('2026-01-01') to ('2027-01-01');
alter table orders enable row level security;
create policy own on orders to dvt_clerk using (who = 1);
grant select on orders to dvt_clerk;
insert into users (email, spent, data) select n || '@example.com', n / 3.0, jsonb_build_object('n', n) from generate_series(1, 300) n;
insert into orders select n, n % 300 + 1, now(), E'a\\tb\\\\\\n' || n from generate_series(1, 900) n;
insert into log values ('2026-02-01', 'CREATE SCHEMA public;'), ('2026-03-01', null);
";

const SUMS: &str = "select (select md5(string_agg(u::text, ',' order by id)) from users u), \
    (select md5(string_agg(concat(id, who, note), ',' order by id)) from orders), (select count(*) from log), \
    (select count(*) from pg_policies where policyname = 'own')";

fn shop(test: &str) -> Site {
    let site = Site::pooled(test, POSTGRES);
    site.ok("up --wait");
    site.run_fed(&["psql", "--", "-q", "-v", "ON_ERROR_STOP=1"], SHOP.as_bytes()).exits(0);
    site
}

#[test]
fn a_dump_comes_back_as_it_was() {
    let site = shop("dump");
    let before = site.sql(&[], SUMS);
    site.ok("db dump -o shop.dump").says(&["shop.dump holds the database"]);
    site.ok("db dump main --format sql -o shop.sql");
    for (file, to) in [("shop.dump", "one"), ("shop.sql", "two")] {
        let path = site.dir().join(file);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        let done = site.json(&format!("db restore {file} --as {to} --json"));
        assert_eq!(done["branch"]["name"], to);
        site.ok(&format!("db url {to} --start"));
        assert_eq!(site.sql(&[to], SUMS), before, "{file}");
    }
    let piped = site.ok("db dump --schema-only --table users --format sql -o -");
    assert!(
        piped.out.contains("CREATE TABLE public.users") && !piped.out.contains("public.orders"),
        "{piped}"
    );
    // What is not whole, or no dump, is said before anything is made; nothing is restored over anything.
    let text = fs::read_to_string(site.dir().join("shop.sql")).unwrap();
    site.file("cut.sql", &text[..text.len() / 2]);
    site.run("db restore cut.sql --as x").exits(7).says(&["cut off", "cut.sql"]);
    let bytes = fs::read(site.dir().join("shop.dump")).unwrap();
    fs::write(site.dir().join("cut.dump"), &bytes[..bytes.len() / 2]).unwrap();
    site.run("db restore cut.dump --as x").exits(7).says(&["cut.dump"]);
    fs::write(site.dir().join("a.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    site.run("db restore a.gz --as x").exits(7).says(&["gunzip"]);
    site.file("bad.sql", "create table a ();\nselect nothing;\n");
    site.run("db restore bad.sql --as x").exits(7).says(&["\"nothing\" does not exist"]);
    site.run("db restore missing --as x").exits(3).says(&["missing"]);
    site.run("db restore shop.dump --as main").exits(5).says(&["there is a branch `main` already"]);
    let mut names = site.branches();
    names.sort();
    assert_eq!(names, ["*main", "one", "two"]);
    site.ok("down");
    site.agrees();
}

#[test]
fn a_backup_counts_once_it_was_restored_and_compared() {
    let site = shop("backup");
    let before = site.sql(&[], SUMS);
    site.ok("db backup create").says(&["restored and compared: it is the same"]);
    site.ok("db backup create --no-verify").says(&["not verified yet"]);
    let listed = site.json("db backup list --json");
    let backups = listed["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 2, "{listed}");
    assert!(backups[0]["verified"].is_null() && backups[1]["verified"].is_i64(), "{listed}");
    assert_eq!(backups[1]["tables"]["public.orders"]["rows"], 900);
    let (newer, older) = (backups[0]["name"].as_str().unwrap(), backups[1]["name"].as_str().unwrap());
    // Nothing is left of the server that it was compared in.
    assert_eq!(site.branches(), ["*main"]);
    assert!(!site.inventory().iter().any(|line| line.contains("copy-")));
    let folder = fs::read_dir(site.state().join("backups")).unwrap().next().unwrap().unwrap().path();
    for file in fs::read_dir(&folder).unwrap().flatten() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
    }
    // It is of then, not of now.
    site.sql(&[], "delete from orders where id > 5");
    site.ok(&format!("db backup verify {newer}")).says(&["it is the same"]);
    site.ok(&format!("db backup restore {older} --as before"));
    site.ok("db url before --start");
    assert_eq!(site.sql(&["before"], SUMS), before);
    // One that says otherwise than what comes back counts for nothing; so does one whose file is another.
    let record = folder.join(format!("{newer}.json"));
    let text = fs::read_to_string(&record).unwrap();
    let mut told: serde_json::Value = serde_json::from_str(&text).unwrap();
    told["tables"]["public.orders"]["rows"] = 901.into();
    fs::write(&record, told.to_string()).unwrap();
    site.run(&format!("db backup verify {newer}"))
        .exits(7)
        .says(&["public.orders has 900 rows instead of 901"]);
    let dump = folder.join(format!("{newer}.dump"));
    let mut bytes = fs::read(&dump).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&dump, bytes).unwrap();
    site.run(&format!("db backup restore {newer} --as x")).exits(7).says(&["not the one that was written"]);
    site.run("db backup restore nothing --as x").exits(2).says(&["no backup `nothing`"]);
    // The newest stays, and the newest that was verified.
    site.run("db backup prune --keep all").exits(2).says(&["--keep 5"]);
    site.ok("db backup prune --keep 1").says(&["every backup stays"]);
    site.ok("db backup create");
    site.ok("db backup prune --keep 1 --dry-run").says(&["would be taken away"]);
    site.ok("db backup prune --keep 1");
    assert_eq!(site.json("db backup list --json")["backups"].as_array().unwrap().len(), 1);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    site.ok("down");
    site.agrees();
}

#[cfg(feature = "failpoints")]
#[test]
fn what_is_cut_off_is_no_dump_and_no_branch() {
    let site = shop("backupcut");
    assert_eq!(site.failing("db:dump:written=return(KILL)", "db dump -o shop.dump").code, None);
    assert!(!site.dir().join("shop.dump").exists());
    site.ok("db dump -o shop.dump");
    for (step, words) in [
        ("db:restore:filled", "db restore shop.dump --as x"),
        ("db:backup:dumped", "db backup create"),
        ("db:backup:compared", "db backup create"),
    ] {
        assert_eq!(site.failing(&format!("{step}=return(KILL)"), words).code, None, "{step}");
        site.ok("db branch ttl main never");
        assert_eq!(site.branches(), ["*main"], "{step}");
        assert!(!site.inventory().iter().any(|line| line.contains("copy-")), "{step}");
        site.agrees();
    }
    // A dump that was recorded and not compared is there, and says so.
    let listed = site.json("db backup list --json");
    assert_eq!(listed["backups"].as_array().map(Vec::len), Some(1), "{listed}");
    assert!(listed["backups"][0]["verified"].is_null());
    site.ok("db backup verify").says(&["it is the same"]);
    site.ok("down");
    site.agrees();
}
