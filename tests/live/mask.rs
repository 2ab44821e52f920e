//! Masked copies of a real PostgreSQL: what is proposed, what is refused, what arrives, and that nothing raw does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::pooled::pool;
use crate::site::{Site, engine};
use crate::stacks::POSTGRES;

/// A shop whose every personal value says so.
const SHOP: &str = "
create schema shop;
create type shop.tier as enum ('free', 'paid');
create domain shop.code as text check (value ~ '^[a-z0-9.@-]+$');
create table shop.users (
  id int generated always as identity primary key,
  email varchar(80) not null unique,
  full_name text not null,
  phone text,
  born date,
  token uuid unique,
  tier shop.tier not null default 'free',
  bio text,
  prefs jsonb,
  tags text[],
  shout text generated always as (upper(full_name)) stored
);
create unique index on shop.users (lower(email));
create table shop.accounts (number text primary key check (length(number) = 10), owner int not null references shop.users);
create table shop.orders (
  id bigint primary key, account text not null references shop.accounts, contact text, note shop.code, placed timestamptz
) ;
create table shop.log (at timestamptz not null, line text) partition by range (at);
create table shop.log_1 partition of shop.log for values from ('2024-01-01') to ('2025-01-01');
create materialized view shop.sums as select account, count(*) n from shop.orders group by 1;
create sequence shop.numbers; select setval('shop.numbers', 41);
insert into shop.users (email, full_name, phone, born, token, bio, prefs, tags)
select 'Canary' || n || '@corp-canary.de', 'Canaryana' || n || ' Canarylli', '+49 30 55' || (480000 + n), date '1980-01-01' + n,
  ('c0ffee00-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
  'Hi I am canaryana' || n || ' Canarylli, write to canary' || n || '@corp-canary.de',
  jsonb_build_object('phone', '+49 30 55' || (480000 + n), 'theme', 'dark', 'more', jsonb_build_array('canary' || n || '@corp-canary.de')),
  array['vip', 'Canarytag' || n]
from generate_series(1, 500) n;
insert into shop.accounts select lpad((7300000000 + id)::text, 10, '0'), id from shop.users;
insert into shop.orders select n, number, (select email from shop.users where id = owner), 'left-at-the-door', now()
from generate_series(1, 2) k, lateral (select number, owner, row_number() over () + 500 * (k - 1) n from shop.accounts) a;
insert into shop.log values ('2024-03-01', 'started'), ('2024-03-02', null), ('2024-03-03', '');
refresh materialized view shop.sums;
";

/// What no byte may say after a masked copy. Each is the beginning of what stands in some column.
const CANARIES: [&str; 9] = [
    "Canaryana",
    "canaryana",
    "CANARYANA",
    "Canarylli",
    "corp-canary",
    "30 5548",
    "Canarytag",
    "73000004",
    "c0ffee00",
];

const POLICY: &str = "version: 1
tables:
  shop.users:
    id: keep
    email: email
    full_name: name
    phone: phone
    born: {mask: date, days: 30, per: id}
    token: uuid
    tier: keep
    bio: redact
    prefs: {mask: json, paths: {$.phone: phone}, rest: redact}
    tags: form
  shop.accounts:
    number: digits
    owner: keep
  shop.orders:
    id: keep
    contact: email
    note: keep
    placed: keep
  shop.log:
    at: keep
    line: keep
";

/// A source that has nothing to do with any pool.
fn source(test: &str) -> (Site, String) {
    let site = Site::up(test, POSTGRES);
    site.run_fed(&["psql", "--", "-q", "-v", "ON_ERROR_STOP=1"], SHOP.as_bytes()).exits(0);
    let url = site.ok("db url").out.trim().to_owned();
    (site, url)
}

fn target(test: &str, url: &str, policy: &str) -> Site {
    let mut site = Site::pooled(test, POSTGRES);
    site.set("SOURCE", url);
    site.file("masking.yaml", policy);
    site
}

/// The policy without the tables of the image's own schemas, which the database of the source has too.
fn whole(site: &Site) -> String {
    let scanned = site.json("db mask scan --from env:SOURCE --all --sample 0 --json");
    let mut policy = POLICY.to_owned();
    let mut others: Vec<&str> =
        scanned["findings"].as_array().unwrap().iter().filter_map(|it| it["table"].as_str()).collect();
    others.dedup();
    for table in others.into_iter().filter(|table| !table.starts_with("shop.")) {
        policy.push_str(&format!("  {table}: drop\n"));
    }
    policy
}

/// How often any of `needles` stands in the bytes of a file, however large.
fn count(path: &Path, needles: &[&str]) -> usize {
    let mut grep = std::process::Command::new("grep");
    grep.args(["-a", "-o", "-F"]).args(needles.iter().flat_map(|needle| ["-e", needle])).arg("--").arg(path);
    let found = grep.env("LC_ALL", "C").output().unwrap();
    String::from_utf8_lossy(&found.stdout).lines().count()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Every byte that a copy could have left: the pool's file, with all data directories, logs and snapshots in it, and
/// all that the command keeps.
fn left(site: &Site) -> Vec<(PathBuf, usize)> {
    // What the pool's file system holds in memory is in its file after that.
    std::process::Command::new("sync").status().unwrap();
    let root = engine("GET", "/info").1["DockerRootDir"].as_str().unwrap_or_default().to_owned();
    let image = PathBuf::from(root).join("devenv").join(pool()).join("pool.img");
    assert!(image.exists(), "{} is the pool", image.display());
    let home = site.dir().parent().unwrap().to_owned();
    let all = files(&home).into_iter().chain([image]);
    all.map(|path| (path.clone(), count(&path, &CANARIES))).filter(|(_, found)| *found > 0).collect()
}

#[test]
fn nothing_raw_is_left_of_a_masked_copy() {
    let (_source, url) = source("maskleak");
    let site = target("maskleakto", &url, POLICY);
    site.file("masking.yaml", &whole(&site));
    site.ok("db mask check --from env:SOURCE");
    let child = site.spawn("db copy --from env:SOURCE --to safe --masked");
    let mut seen = Vec::new();
    let pid = child.id().to_string();
    while Path::new("/proc").join(&pid).join("exe").read_link().is_ok() {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).into_owned();
            let tells =
                CANARIES.iter().any(|it| arguments.contains(it)) || arguments.contains("pass%20word@");
            seen.extend(tells.then_some(arguments));
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        if fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z ")) {
            break;
        }
    }
    let run = crate::site::Run::of("db copy", child).exits(0);
    assert!(seen.is_empty(), "{seen:?}");
    assert!(CANARIES.iter().all(|it| !run.err.contains(it)), "{run}");
    assert_eq!(left(&site), []);

    // It is all there, and fits together.
    site.ok("db url safe --start");
    assert_eq!(left(&site), []);
    let ask = |query: &str| site.sql(&["safe"], query);
    assert_eq!(
        ask("select count(*), count(distinct email), count(distinct lower(email)) from shop.users"),
        "500|500|500"
    );
    assert_eq!(ask("select count(*) from shop.orders join shop.accounts on account = number"), "1000");
    assert_eq!(
        ask(
            "select count(*) from shop.orders o join shop.accounts on account = number join shop.users u on u.id = owner where o.contact = u.email"
        ),
        "1000"
    );
    assert_eq!(
        ask("select count(*) from shop.users where email ~ '@example.(com|org|net)$' and phone like '+999%'"),
        "500"
    );
    assert_eq!(
        ask("select count(*) from shop.users where shout = upper(full_name) and prefs->>'theme' = 'dark'"),
        "500"
    );
    assert_eq!(ask("select sum(n), count(*) from shop.sums"), "1000|500");
    assert_eq!(ask("select count(*), count(line) from shop.log"), "3|2");
    assert_eq!(ask("select nextval('shop.numbers'), max(id) from shop.users group by ()"), "42|500");
    let made = "with made as (insert into shop.users (email, full_name) values ('a@b', 'c') returning id) \
                select id from made";
    assert_eq!(ask(made), "501");
    let snapshots = site.json("db snapshot list --json --all");
    let name = snapshots["snapshots"][0]["name"].as_str().unwrap().to_owned();
    let shown = site.json(&format!("db snapshot show {name} --json"));
    let attested = &shown["snapshot"]["attestation"];
    assert!(attested["policy"].as_str().unwrap().len() == 64 && attested["rows"] == 2003, "{attested}");
    site.ok("db mask verify --from safe --against env:SOURCE").says(&["nothing was found"]);

    // The same test finds what is raw.
    site.run("db copy --from env:SOURCE --to raw --raw").exits(2).says(&["--confirm raw"]);
    site.run("db copy --from env:SOURCE --to raw --raw --confirm other").exits(2);
    site.ok("db copy --from env:SOURCE --to raw --raw --confirm raw");
    let found = left(&site);
    assert!(found.iter().map(|(_, found)| found).sum::<usize>() > 500, "{found:?}");
    site.ok("down");
    site.agrees();
}

#[test]
fn what_cannot_be_masked_is_refused_before_a_row_is_read() {
    let (source, url) = source("maskgate");
    let site = target("maskgateto", &url, POLICY);
    let policy = whole(&site);
    let refused = |from: &str, to: &str, says: &[&str]| {
        site.file("masking.yaml", &policy.replace(from, to));
        site.run("db mask check --from env:SOURCE").exits(7).says(says);
        site.run("db copy --from env:SOURCE --to x --masked").exits(7).says(says);
    };
    refused("    phone: phone\n", "", &["shop.users.phone", "is not decided on"]);
    refused(
        "    phone: phone\n",
        "    phones: phone\n",
        &["shop.users.phones", "is not there", "masking.yaml:7"],
    );
    refused("    email: email\n", "    email: name\n", &["have to be unique"]);
    refused("    full_name: name\n", "    full_name: null\n", &["takes no NULL"]);
    refused(
        "    born: {mask: date, days: 30, per: id}\n",
        "    born: email\n",
        &["nothing for the type date"],
    );
    // What only the database knows: a check, and the check of a domain.
    refused(
        "    number: digits\n",
        "    number: hash\n",
        &["shop.accounts.number", "`hash` makes values that the check `accounts_number_check` refuses"],
    );
    refused(
        "    note: keep\n",
        "    note: name\n",
        &["shop.orders.note", "`name` makes values that the domain shop.code refuses"],
    );
    site.file("masking.yaml", &policy);
    // A copy of a masked value in a column that is kept.
    let planted = "update shop.orders set note = '7300000007' where id = 7";
    // Not as an argument: another test looks for canaries there.
    source.run_fed(&["psql", "--", "-q"], planted.as_bytes()).exits(0);
    let run = site.run("db copy --from env:SOURCE --to x --masked").exits(7);
    let run = run.says(&["raw values are left", "shop.orders.note", "in 1 rows"]);
    assert!(!run.err.contains("Canary"), "{run}");
    assert_eq!(site.branches(), ["*main"]);
    // Nor is anything said of values by what shows them.
    let shown = site.ok("db mask preview shop.users --from env:SOURCE");
    assert!(CANARIES.iter().all(|it| !shown.out.contains(it)), "{shown}");
    shown.prints(&["@example.", "+999", "full_name"]);
    site.agrees();
}

#[cfg(feature = "failpoints")]
#[test]
fn a_copy_that_is_cut_off_is_absent_or_whole() {
    let (_source, url) = source("maskcut");
    let site = target("maskcutto", &url, POLICY);
    site.file("masking.yaml", &whole(&site));
    let words = "db copy --from env:SOURCE --to safe --masked";
    for step in ["begun", "started", "schema", "table", "rows", "carried", "stopped", "frozen"] {
        let end = if step == "rows" { "return" } else { "return(KILL)" };
        let run = site.failing(&format!("db:copy:{step}={end}"), words);
        assert_ne!(run.code, Some(0), "{run}");
        site.run("db url safe").exits(2).says(&["no such branch"]);
        // The next command that changes something puts it right.
        site.ok("db branch ttl main never");
        assert_eq!(site.branches(), ["*main"], "{step}");
        let left: Vec<String> = site.inventory().into_iter().filter(|line| line.contains("copy-")).collect();
        assert!(left.is_empty(), "{step}: {left:?}");
        site.agrees();
    }
    assert_eq!(site.failing("db:copy:committed=return(KILL)", words).code, None);
    assert_eq!(site.branches(), ["*main", "safe"]);
    site.ok("db url safe --start");
    assert_eq!(site.sql(&["safe"], "select count(*) from shop.users"), "500");
    site.ok("down");
    site.agrees();
}

/// What `openssl` makes: an authority, and a certificate of its for an address.
fn certificates(site: &Site, address: &str) {
    let names = format!("subjectAltName=IP:{address}");
    let made = [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=dvt-authority -days 2",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=dvt-server",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    ];
    site.file("names", &names);
    for words in made {
        let done =
            std::process::Command::new("openssl").args(words.split(' ')).current_dir(site.dir()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn a_copy_over_tls_trusts_whom_it_is_told_to() {
    // As from another machine: by an address that is not the loopback's.
    let bridge = engine("GET", "/networks/bridge").1;
    let address = bridge["IPAM"]["Config"][0]["Gateway"].as_str().unwrap().to_owned();
    let source = Site::up("masktls", &POSTGRES.replace("127.0.0.1::5432", &format!("{address}::5432")));
    source.run_fed(&["psql", "--", "-q", "-v", "ON_ERROR_STOP=1"], SHOP.as_bytes()).exits(0);
    certificates(&source, &address);
    source.ok("cp server.pem db:/tmp/server.pem");
    source.ok("cp server.key db:/tmp/server.key");
    // From now on nobody gets in without.
    let hba = "cd /var/lib/postgresql && mv /tmp/server.pem /tmp/server.key . && chown postgres server.pem server.key && \
               chmod 600 server.key && printf 'local all all trust\\nhostssl all all all scram-sha-256\\n' > pg_hba.conf";
    source.run_args(&["exec", "-T", "--user", "root", "db", "--", "sh", "-c", hba]).exits(0);
    let set = "ALTER SYSTEM SET ssl_cert_file = '/var/lib/postgresql/server.pem'; \
               ALTER SYSTEM SET ssl_key_file = '/var/lib/postgresql/server.key'; \
               ALTER SYSTEM SET hba_file = '/var/lib/postgresql/pg_hba.conf'; ALTER SYSTEM SET ssl = on";
    for statement in set.split("; ") {
        let words = [
            "exec",
            "-T",
            "db",
            "--",
            "psql",
            "-qU",
            "supabase_admin",
            "-d",
            "postgres",
            "-h",
            "127.0.0.1",
            "-c",
            statement,
        ];
        source.run_args(&words).exits(0);
    }
    // A port that is left to the engine is another one after that.
    source.ok("restart db");
    source.ok("up --wait");
    let url = source.ok("db url").out.trim().to_owned();
    let bare = url.split('?').next().unwrap().to_owned();
    let ca = source.dir().join("ca.pem");
    let mut site = target("masktlsto", &bare, POLICY);
    site.file("other.pem", &fs::read_to_string(&ca).unwrap());
    site.set("CLEAR", &format!("{bare}?sslmode=disable"));
    site.set("VERIFIED", &format!("{bare}?sslmode=verify-full&sslrootcert={}", ca.display()));
    site.set("STRANGER", &format!("{bare}?sslmode=verify-full"));
    let policy = site.json("db mask scan --from env:SOURCE --all --sample 0 --json");
    assert!(policy["findings"].as_array().is_some_and(|found| !found.is_empty()));
    site.file("masking.yaml", &whole(&site));
    site.run("db mask check --from env:CLEAR").exits(4).says(&["refuses user"]);
    site.run("db mask check --from env:STRANGER").exits(4).says(&["can be trusted", "sslrootcert=FILE"]);
    site.ok("db copy --from env:VERIFIED --to verified --masked");
    site.ok("db copy --from env:SOURCE --to encrypted --masked");
    site.ok("db url verified --start");
    assert_eq!(site.sql(&["verified"], "select count(*) from shop.users"), "500");
    site.ok("down");
    site.agrees();
}

/// Tables that refer to one another in every way.
const WEB: &str = "
create table people (id int primary key, code text not null unique, boss int references people, home int);
create table teams (id int primary key, lead int not null references people);
alter table people add foreign key (home) references teams deferrable initially deferred;
create table badges (who text not null references people (code), at date, primary key (who, at)) ;
create table stamps (who text, at date, foreign key (who, at) references badges);
create table kinds (id int primary key);
begin;
insert into people select n, 'c' || n, nullif(n / 10, 0), case when n % 3 = 0 then n / 3 end from generate_series(1, 300) n;
insert into teams select n, 301 - n from generate_series(1, 100) n;
commit;
insert into badges select 'c' || n, date '2026-01-01' + n % 5 from generate_series(1, 300) n;
insert into stamps select who, at from badges union all select 'c1', null;
insert into kinds select generate_series(1, 7);
";

/// What stays by the rule, found the slow way: what refers to what is not there goes, until nothing does.
const SLOWLY: &str = "
do $$ declare n int; m int; begin loop
  delete from people p where boss is not null and not exists (select from people b where b.id = p.boss)
    or home is not null and not exists (select from teams t where t.id = p.home);
  get diagnostics n = row_count;
  delete from teams t where not exists (select from people p where p.id = t.lead);
  get diagnostics m = row_count;
  exit when n + m = 0;
end loop; end $$;
delete from badges b where not exists (select from people p where p.code = b.who);
delete from stamps s where at is not null and not exists (select from badges b where (b.who, b.at) = (s.who, s.at));
";

#[test]
fn a_part_of_a_database_has_whole_foreign_keys() {
    let site = Site::pooled("subset", POSTGRES);
    site.ok("up --wait");
    site.run_fed(&["psql", "--", "-q", "-v", "ON_ERROR_STOP=1"], WEB.as_bytes()).exits(0);
    let counted = "select (select count(*) from people), (select count(*) from teams), (select count(*) from badges), \
                   (select count(*) from stamps), (select count(*) from kinds)";
    let copied = |name: &str, rules: &[&str]| {
        let mut words = vec!["db", "copy", "--from", "main", "--to", name, "--raw", "--confirm", name];
        words.extend(rules.iter().flat_map(|rule| ["--subset", *rule]));
        site.run_args(&words).exits(0);
        site.ok(&format!("db url {name} --start"));
        site.sql(&[name], counted)
    };
    // Every foreign key was checked as it was made; what is there is all that can be.
    let few = copied("few", &["people:id <= 120"]);
    site.ok("db branch create slow --from main --no-switch");
    site.ok("db url slow --start");
    let cut = "set session_replication_role = replica; delete from people where id > 120;";
    site.run_fed(
        &["db", "psql", "slow", "--", "-q", "-U", "supabase_admin"],
        format!("{cut}{SLOWLY}").as_bytes(),
    )
    .exits(0);
    assert_eq!(few, site.sql(&["slow"], counted));
    let people: u32 = few.split('|').next().unwrap().parse().unwrap();
    assert!((1..120).contains(&people) && few.ends_with("|7"), "{few}");
    // By number and by share.
    let few = copied("ten", &["badges:10", "kinds:3"]);
    assert!(few.starts_with("300|100|10|") && few.ends_with("|3"), "{few}");
    let some = copied("some", &["stamps:20%"]);
    let stamps: u32 = some.split('|').nth(3).unwrap().parse().unwrap();
    assert!((20..110).contains(&stamps), "{some}");
    // What is wrong is said before anything is made.
    let refused = |rule: &str, says: &[&str]| {
        site.run_args(&["db", "copy", "--to", "x", "--raw", "--confirm", "x", "--subset", rule])
            .says(says)
            .code
    };
    assert_eq!(refused("people", &["does not say which part"]), Some(2));
    assert_eq!(refused("nobody:1", &["no table `nobody`"]), Some(2));
    assert_eq!(refused("people:nothing > 1", &["column \"nothing\" does not exist"]), Some(7));
    assert!(!site.branches().iter().any(|name| name.contains('x')));
    site.ok("down");
    site.agrees();
}
