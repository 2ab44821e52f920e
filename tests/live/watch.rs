//! Saved files in containers: each action of `develop.watch`, and what can come between.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use crate::site::{Site, engine, list, signal, until};

/// A service that writes nothing itself, as a user who is not root.
const WEB: &str = "services:
  web:
    IMAGELINES
    user: '1234:4321'
    develop:
      watch:
        - {path: ./src, target: /app/src, action: sync, ignore: [ignored/, '*.log']}
";

/// `devenv watch`, until this is dropped.
struct Watching {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Watching {
    /// Starts it and waits until it watches and each service's files are equal.
    fn start(site: &Site, words: &str, ready: &[&str]) -> Self {
        let watching = Self::of(site.spawn(&format!("watch {words}")));
        watching.says("watching");
        for service in ready {
            watching.says(&format!("{service}  in step with"));
        }
        watching
    }

    fn of(mut child: Child) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&said);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.lock().unwrap().push(line);
            }
        });
        Self { child, said }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn count(&self, text: &str) -> usize {
        self.said().iter().filter(|line| line.contains(text)).count()
    }

    #[track_caller]
    fn says(&self, text: &str) {
        self.says_times(text, 1);
    }

    #[track_caller]
    fn says_times(&self, text: &str, times: usize) {
        let what = format!("it says {text:?} {times} times; it said {:#?}", self.said());
        until(&what, || {
            assert!(!self.said().iter().any(|line| line.contains("panicked")), "{:#?}", self.said());
            (self.count(text) >= times).then_some(())
        });
    }

    /// Ctrl-C.
    fn end(mut self) -> i32 {
        signal(&self.child, Signal::INT);
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        signal(&self.child, Signal::INT);
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("it said {:#?}", self.said());
        }
    }
}

fn site(test: &str, compose: &str) -> Site {
    let site = Site::new(test);
    write(&site, compose);
    site
}

fn write(site: &Site, compose: &str) {
    let lines = "image: IMAGE\n    command: sleep infinity\n    stop_signal: SIGKILL";
    site.compose(&compose.replace("IMAGELINES", lines));
}

/// The same with a first file, and up.
fn up(test: &str, compose: &str) -> Site {
    let site = site(test, compose);
    site.file("src/first", "first");
    site.ok("up");
    site
}

/// All below a folder, a line each; `OWNER` stands for the numbers of user and group.
const LOOK: &str = "cd \"$0\" && find . -mindepth 1 ! -path './ignored*' ! -name '*.log' -printf '%P|%y|%m|OWNER|%l\\n' | sort \
    && find . -type f ! -path './ignored*' ! -name '*.log' -print0 | sort -z | xargs -0r sha256sum";

fn inside(site: &Site, service: &str, folder: &str) -> String {
    let look = LOOK.replace("OWNER", "%U:%G");
    site.run_args(&["exec", "-T", "-u", "0", service, "sh", "-c", &look, folder]).out
}

fn here(site: &Site, folder: &str, owner: &str) -> String {
    let mut command = site.program("sh");
    let look = LOOK.replace("OWNER", owner);
    let output = command.args(["-c", &look, folder]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until what is in the container is what is here, byte, mode and owner.
#[track_caller]
fn equal(site: &Site, service: &str, owner: &str) {
    let wanted = here(site, "src", owner);
    until(&format!("/app/src is\n{wanted}, and not\n{}", inside(site, service, "/app/src")), || {
        (inside(site, service, "/app/src") == here(site, "src", owner)).then_some(())
    });
}

fn reads(site: &Site, service: &str, path: &str) -> Option<String> {
    let run = site.run_args(&["exec", "-T", service, "cat", path]);
    (run.code == Some(0)).then_some(run.out)
}

#[track_caller]
fn becomes(site: &Site, service: &str, path: &str, content: Option<&str>) {
    until(&format!("{path} is {content:?}"), || {
        (reads(site, service, path).as_deref() == content).then_some(())
    });
}

fn started(site: &Site, service: &str) -> String {
    site.inspect(service)["State"]["StartedAt"].to_string()
}

/// The programs beside the container of a service.
fn programs(site: &Site, service: &str) -> usize {
    let id = site.id(service)[..12].to_owned();
    let filter = "%7B%22label%22%3A%5B%22dev.devenv.own%3Dwatch%22%5D%7D";
    let found = list(&format!("/containers/json?all=1&filters={filter}"));
    found.iter().filter(|it| it["Names"][0].as_str().unwrap().contains(&id)).count()
}

#[test]
fn saved_is_there_and_what_is_removed_is_not() {
    let site = up("watch", WEB);
    let src = site.dir().join("src");
    let watching = Watching::start(&site, "--no-up", &["web"]);
    equal(&site, "web", "1234:4321");

    site.file("src/a.txt", "one");
    watching.says("web  src/a.txt → /app/src/a.txt");
    becomes(&site, "web", "/app/src/a.txt", Some("one"));
    site.file("src/a.txt", "two, and longer");
    becomes(&site, "web", "/app/src/a.txt", Some("two, and longer"));
    // As editors save: beside, and renamed.
    fs::write(src.join("4913"), "").unwrap();
    fs::write(src.join("a.txt~"), "three").unwrap();
    fs::remove_file(src.join("4913")).unwrap();
    fs::rename(src.join("a.txt~"), src.join("a.txt")).unwrap();
    becomes(&site, "web", "/app/src/a.txt", Some("three"));

    site.file("src/deep/er/b.js", "b");
    fs::set_permissions(src.join("deep/er/b.js"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("er/b.js", src.join("deep/link")).unwrap();
    symlink("/etc/hostname", src.join("away")).unwrap();
    site.file("src/with space/ü\"'.txt", "names");
    equal(&site, "web", "1234:4321");
    fs::rename(src.join("deep"), src.join("moved")).unwrap();
    site.file("src/moved/er/b.js", "b again");
    equal(&site, "web", "1234:4321");
    fs::remove_file(src.join("away")).unwrap();
    fs::create_dir(src.join("away")).unwrap();
    site.file("src/away/now a folder", "x");
    equal(&site, "web", "1234:4321");
    fs::remove_dir_all(src.join("moved")).unwrap();
    equal(&site, "web", "1234:4321");
    fs::remove_file(src.join("a.txt")).unwrap();
    watching.says("web  src/a.txt is gone, and /app/src/a.txt with it");
    assert_eq!(reads(&site, "web", "/app/src/a.txt"), None);

    assert_eq!(programs(&site, "web"), 1);
    assert_eq!(watching.end(), 130);
    until("nothing is left beside the container", || (programs(&site, "web") == 0).then_some(()));
    assert_eq!(site.inspect("web")["State"]["Running"], true);
}

#[test]
fn what_is_left_out_is_left_alone_on_both_sides() {
    let site = up("watchout", WEB);
    let watching = Watching::start(&site, "--no-up", &["web"]);
    let own = "mkdir -p /app/src/ignored /app/src/gone && echo own > /app/src/ignored/own && echo own > /app/src/gone/own";
    site.run_args(&["exec", "-T", "-u", "0", "web", "sh", "-c", own]).exits(0);
    site.file("src/ignored/x", "x");
    site.file("src/x.log", "x");
    site.file("src/.git/HEAD", "x");
    site.file("src/gone/y", "y");
    becomes(&site, "web", "/app/src/gone/y", Some("y"));
    fs::remove_dir_all(site.dir().join("src/gone")).unwrap();
    fs::remove_dir_all(site.dir().join("src/ignored")).unwrap();
    becomes(&site, "web", "/app/src/gone/y", None);
    for left in ["/app/src/ignored/x", "/app/src/x.log", "/app/src/.git/HEAD"] {
        assert_eq!(reads(&site, "web", left), None, "{left}");
    }
    for own in ["/app/src/ignored/own", "/app/src/gone/own"] {
        assert_eq!(reads(&site, "web", own).as_deref(), Some("own\n"), "{own}");
    }
    drop(watching);

    write(&site, &WEB.replace("ignore: [ignored/, '*.log']", "include: ['**/*.ts', 'conf']"));
    let _watching = Watching::start(&site, "--no-up", &["web"]);
    site.file("src/z/a.js", "a");
    site.file("src/z/a.ts", "a");
    site.file("src/conf/any", "a");
    becomes(&site, "web", "/app/src/z/a.ts", Some("a"));
    becomes(&site, "web", "/app/src/conf/any", Some("a"));
    assert_eq!(reads(&site, "web", "/app/src/z/a.js"), None);
}

#[test]
fn a_restart_a_command_and_one_file() {
    let site = site(
        "watchact",
        "services:
  web:
    IMAGELINES
    develop:
      watch:
        - {path: ./src, target: /app/src, action: sync+restart, initial_sync: true}
        - {path: ./one.conf, target: /etc/one.conf, action: sync+exec, exec: {command: [sh, -c, 'cat /etc/one.conf; grep -q good /etc/one.conf']}}
        - {path: ./flag, action: restart}
",
    );
    for file in ["src/first", "one.conf", "flag"] {
        site.file(file, "good\n");
    }
    site.ok("up");
    let watching = Watching::start(&site, "--no-up", &["web"]);
    becomes(&site, "web", "/app/src/first", Some("good\n"));
    // Its process has read it only now.
    watching.says("web  restarted");
    let began = started(&site, "web");
    site.file("src/a", "a");
    watching.says_times("web  restarted", 2);
    assert_ne!(started(&site, "web"), began);
    becomes(&site, "web", "/app/src/a", Some("a"));

    site.file("one.conf", "bad\n");
    watching.says("| bad");
    watching.says("exited with 1");
    let beside = site.dir().join("one.conf.new");
    fs::write(&beside, "good again\n").unwrap();
    fs::rename(&beside, site.dir().join("one.conf")).unwrap();
    watching.says("| good again");
    watching.says("web  ran `sh");

    let began = started(&site, "web");
    site.file("flag", "x");
    until("it was started again", || (started(&site, "web") != began).then_some(()));
    site.file("src/a", "after");
    becomes(&site, "web", "/app/src/a", Some("after"));
}

#[test]
fn a_rebuild_replaces_one_service_and_nothing_else() {
    let site = Site::new("watchbuild");
    site.compose(
        "services:
  web:
    build: .
    command: sleep infinity
    stop_signal: SIGKILL
    depends_on: [db]
    develop:
      watch:
        - {path: ./src, target: /app/src, action: sync}
        - {path: ./list, action: rebuild}
  db: {IDLE}
",
    );
    site.file("Dockerfile", "FROM IMAGE\nCOPY list /list\nCOPY src /app/src\n");
    site.file(".dockerignore", "src/left\n");
    site.file("list", "one");
    site.file("src/first", "first");
    let watching = Watching::start(&site, "web", &["web"]);
    let (web, db) = (site.id("web"), site.id("db"));
    let image = site.inspect("web")["Image"].as_str().unwrap().to_owned();
    site.file("src/saved", "saved");
    site.file("src/left", "left");
    becomes(&site, "web", "/app/src/saved", Some("saved"));
    site.file("list", "two");
    watching.says("web  rebuilt, as list changed");
    becomes(&site, "web", "/list", Some("two"));
    assert_ne!(site.id("web"), web);
    assert_eq!(site.id("db"), db);
    becomes(&site, "web", "/app/src/saved", Some("saved"));
    assert_eq!(reads(&site, "web", "/app/src/left"), None);
    until("the old image is gone", || {
        (engine("GET", &format!("/images/{image}/json")).0 == 404).then_some(())
    });
    // A build that fails is told, and the next one is tried.
    site.file("Dockerfile", "FROM IMAGE\nRUN false\nCOPY list /list\nCOPY src /app/src\n");
    site.file("list", "three");
    watching.says("✘ web");
    assert_eq!(reads(&site, "web", "/list").as_deref(), Some("two"));
    site.file("Dockerfile", "FROM IMAGE\nCOPY list /list\nCOPY src /app/src\n");
    site.file("list", "four");
    becomes(&site, "web", "/list", Some("four"));
}

#[test]
fn what_was_saved_while_nobody_was_there_is_caught_up() {
    let site = up("watchaway", WEB);
    let watching = Watching::start(&site, "--no-up", &["web"]);
    site.file("src/both", "old");
    site.file("src/goes", "x");
    becomes(&site, "web", "/app/src/goes", Some("x"));
    let id = site.id("web");
    engine("POST", &format!("/containers/{id}/stop?t=0"));
    site.file("src/both", "new");
    site.file("src/more", "more");
    fs::remove_file(site.dir().join("src/goes")).unwrap();
    engine("POST", &format!("/containers/{id}/start"));
    equal(&site, "web", "1234:4321");
    // Taken away and made again.
    site.ok("down");
    site.file("src/more", "more and more");
    site.ok("up");
    assert_ne!(site.id("web"), id);
    equal(&site, "web", "1234:4321");
    site.file("src/last", "x");
    becomes(&site, "web", "/app/src/last", Some("x"));
    drop(watching);
    // While it was off.
    site.file("src/both", "while it was off");
    let _watching = Watching::start(&site, "--no-up", &["web"]);
    becomes(&site, "web", "/app/src/both", Some("while it was off"));
}

#[test]
fn a_killed_watch_leaves_nothing_and_two_can_watch() {
    let site = up("watchkill", WEB);
    let mut first = Watching::start(&site, "--no-up", &["web"]);
    let second = Watching::start(&site, "--no-up", &["web"]);
    site.file("src/a", "a");
    becomes(&site, "web", "/app/src/a", Some("a"));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert_eq!(programs(&site, "web"), 2);
    until("one program is left", || (programs(&site, "web") == 1).then_some(()));
    site.file("src/a", "b");
    becomes(&site, "web", "/app/src/a", Some("b"));
    drop(second);
}

#[test]
fn a_folder_that_is_gone_takes_nothing_with_it() {
    let site = up("watchroot", WEB);
    let watching = Watching::start(&site, "--no-up", &["web"]);
    becomes(&site, "web", "/app/src/first", Some("first"));
    let (src, aside) = (site.dir().join("src"), site.dir().join("aside"));
    fs::rename(&src, &aside).unwrap();
    watching.says("src is gone");
    assert_eq!(reads(&site, "web", "/app/src/first").as_deref(), Some("first"));
    fs::write(aside.join("second"), "second").unwrap();
    fs::remove_file(aside.join("first")).unwrap();
    fs::rename(&aside, &src).unwrap();
    watching.says("src is back");
    equal(&site, "web", "1234:4321");
    site.file("src/third", "third");
    becomes(&site, "web", "/app/src/third", Some("third"));
    assert_eq!(watching.count("is gone:"), 1);
}

#[test]
fn a_full_or_read_only_target_is_told_once_and_tried_again() {
    let site = up(
        "watchfull",
        &WEB.replace(
            "user: '1234:4321'",
            "volumes: [{type: tmpfs, target: /app/src, tmpfs: {size: 200000}}]",
        ),
    );
    let watching = Watching::start(&site, "--no-up", &["web"]);
    fs::write(site.dir().join("src/large"), vec![b'x'; 150_000]).unwrap();
    until("it is there", || reads(&site, "web", "/app/src/large").filter(|it| it.len() == 150_000));
    fs::write(site.dir().join("src/larger"), vec![b'x'; 150_000]).unwrap();
    watching.says("/app/src/larger is not written: no space left on device");
    site.file("src/small", "fits");
    becomes(&site, "web", "/app/src/small", Some("fits"));
    fs::remove_file(site.dir().join("src/large")).unwrap();
    equal(&site, "web", "0:0");
    assert_eq!(watching.count("no space left"), 1, "{:#?}", watching.said());
    drop(watching);

    let site = up(
        "watchro",
        &WEB.replace("user: '1234:4321'", "volumes: ['data:/app:ro']")
            .replace("services:", "volumes: {data: {}}\nservices:"),
    );
    let watching = Watching::of(site.spawn("watch --no-up"));
    watching.says("read-only file system");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(watching.count("read-only"), 1, "{:#?}", watching.said());
}

#[test]
fn an_image_without_a_shell_and_a_user_by_name() {
    let site = Site::new("watchbare");
    site.compose(
        "services:
  web:
    build:
      dockerfile_inline: |
        FROM IMAGE
        RUN echo 'app:x:77:88::/:/none' >> /etc/passwd && echo 'crew:x:99:' >> /etc/group
        RUN rm -f /usr/bin/tar /bin/bash /bin/dash /bin/sh
        USER app:crew
        ENTRYPOINT [\"/bin/sleep\", \"infinity\"]
    stop_signal: SIGKILL
    read_only: true
    volumes: ['data:/app']
    develop: {watch: [{path: ./src, target: /app/src, action: sync}]}
volumes: {data: {}}
",
    );
    site.file("src/first", "first");
    let _watching = Watching::start(&site, "", &["web"]);
    site.file("src/a/b", "b");
    becomes(&site, "web", "/app/src/a/b", Some("b"));
    let found = site.run_args(&["exec", "-T", "web", "stat", "-c", "%u:%g", "/app/src/a", "/app/src/a/b"]);
    assert_eq!(found.out, "77:99\n77:99\n", "{found}");
    fs::remove_dir_all(site.dir().join("src/a")).unwrap();
    becomes(&site, "web", "/app/src/a/b", None);
}

#[test]
fn processes_that_are_shared_are_told_apart() {
    let site = site(
        "watchpid",
        "services:
  web: {IDLE}
  side:
    IMAGELINES
    pid: service:web
    develop: {watch: [{path: ./src, target: /app/src, action: sync}]}
",
    );
    site.file("src/first", "first");
    site.ok("up");
    let _watching = Watching::start(&site, "--no-up", &["side"]);
    becomes(&site, "side", "/app/src/first", Some("first"));
    assert_eq!(reads(&site, "web", "/app/src/first"), None);
}

#[test]
fn it_looks_by_itself_where_the_system_has_no_room() {
    let site = up("watchpoll", WEB);
    for number in 0..20 {
        site.file(&format!("src/{number}/x"), "x");
    }
    let watching = Watching::start(&site, "--no-up --poll", &["web"]);
    site.file("src/3/y", "y");
    becomes(&site, "web", "/app/src/3/y", Some("y"));
    drop(watching);
    // The limit is each user namespace's own (`user_namespaces(7)`).
    let mut command = site.program("unshare");
    let limited = "echo 10 > /proc/sys/user/max_inotify_watches && exec \"$0\" watch --no-up";
    command.args(["--user", "--map-root-user", "sh", "-c", limited, env!("CARGO_BIN_EXE_devenv")]);
    let watching = Watching::of(command.spawn().unwrap());
    watching.says("fs.inotify.max_user_watches");
    watching.says("hint: raise it, and start again: `sudo sysctl -w fs.inotify.max_user_watches=");
    watching.says("web  in step");
    site.file("src/9/z", "z");
    becomes(&site, "web", "/app/src/9/z", Some("z"));
}

#[test]
fn up_goes_on_watching_and_the_logs_stay() {
    let site = site(
        "watchup",
        &WEB.replace("sleep infinity", "x").replace("action: sync,", "action: sync+restart,"),
    );
    let text = fs::read_to_string(site.dir().join("compose.yaml")).unwrap();
    site.compose(
        &text.replace("command: sleep infinity", "command: [sh, -c, 'cat /app/src/word; sleep infinity']"),
    );
    site.file("src/word", "first");
    let mut command = site.program(env!("CARGO_BIN_EXE_devenv"));
    let mut child = command.args(["up", "--watch", "--attach"]).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap()).lines();
    let printed = Arc::new(Mutex::new(String::new()));
    let print = Arc::clone(&printed);
    std::thread::spawn(move || {
        out.map_while(Result::ok).for_each(|line| print.lock().unwrap().push_str(&format!("{line}\n")));
    });
    let watching = Watching::of(child);
    watching.says("web  in step");
    for word in ["second", "third"] {
        site.file("src/word", &format!("{word}\n"));
        until(&format!("the log has {word}"), || printed.lock().unwrap().contains(word).then_some(()));
    }
    assert_eq!(watching.end(), 0);
    assert_eq!(site.inspect("web")["State"]["Running"], false);
}

#[test]
fn what_cannot_be_watched_is_said() {
    let site = Site::with("watchno", "services: {web: {IDLE}, other: {IDLE}}");
    site.run("watch").exits(3).says(&["no service says what is to be watched", "develop"]);
    site.run("watch web").exits(3).says(&["service `web` says nowhere"]);
    site.run("watch nobody").exits(2).says(&["no such service: nobody"]);
    site.compose("services: {web: {IDLE, develop: {watch: [{path: ., action: rebuild}]}}}");
    site.run("watch").exits(3).says(&["`build`"]);
    site.compose(
        "services: {web: {IDLE, volumes: ['.:/app'], develop: {watch: [{path: ., target: /app, action: sync}]}}}",
    );
    site.run("watch --no-up").exits(3).says(&["mounted at /app", "no service says what is to be watched"]);
}

#[test]
fn a_saved_migration_is_tried_and_then_applied() {
    let site = Site::pooled(
        "watchsql",
        "services:
  db:
    image: devenv.local/supabase/postgres:17
    environment: {POSTGRES_PASSWORD: postgres, PGDATA: /var/lib/postgresql/data}
    ports: ['127.0.0.1::5432']
    volumes: ['data:/var/lib/postgresql/data']
    stop_signal: SIGINT
    healthcheck: {test: pg_isready -q -h 127.0.0.1 -U postgres, interval: 200ms, start_period: 60s, retries: 50}
volumes: {data: {}}
x-devenv: {migrations: db/migrations}
",
    );
    site.file("db/migrations/1_users.sql", "create table users (id int primary key);\n");
    site.ok("up");
    site.ok("db migrate up");
    let watching = Watching::start(&site, "--no-up", &[]);
    // Without a branch it is applied at once, or not at all.
    site.file("db/migrations/2_names.sql", "create table names (id int);\nalter table nobody add x int;\n");
    watching.says("warning: db/migrations/2_names.sql:2:");
    assert_eq!(site.sql(&[], "select to_regclass('users') is null, to_regclass('names') is null"), "f|t");
    fs::remove_file(site.dir().join("db/migrations/2_names.sql")).unwrap();
    site.ok("db branch create feat");
    site.file("db/migrations/3_mails.sql", "create table mails (id int);\ninsert into users values ('x');\n");
    watching.says("warning: db/migrations/3_mails.sql:2:");
    assert_eq!(site.sql(&[], "select to_regclass('mails') is null"), "t");
    site.file("db/migrations/3_mails.sql", "create table mails (id int);\ninsert into users values (1);\n");
    watching.says(
        "database  migration 3 applied, after a trial on a throw-away branch; what was there before is",
    );
    assert_eq!(site.sql(&[], "select count(*) from users, (select count(*) from mails)"), "1");
    // What was applied is not applied again.
    site.file("db/migrations/3_mails.sql", "create table mails (id bigint);\n");
    watching.says("migration `3_mails` was applied as it was before");
    assert_eq!(site.branches(), ["main", "*feat"]);
}

// ── at random ───────────────────────────────────────────────────────────────────────────────────────────────

/// Numbers as they come from a seed (Steele, Lea and Flood, 2014: `SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.next(all.len())].clone())
    }
}

/// Files, folders and links below a folder.
fn below(root: &Path) -> [Vec<PathBuf>; 3] {
    let mut found = [Vec::new(), vec![root.to_owned()], Vec::new()];
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(entry.path());
                found[1].push(entry.path());
            } else {
                found[if kind.is_symlink() { 2 } else { 0 }].push(entry.path());
            }
        }
    }
    found
}

fn act(random: &mut Random, root: &Path, number: usize) {
    let [files, folders, links] = below(root);
    let inner: Vec<PathBuf> = folders[1..].to_vec();
    let new = |random: &mut Random| random.of(&folders).unwrap().join(format!("n{}", random.next(40)));
    let clear = |path: &Path| match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    };
    match random.next(12) {
        0..=2 => {
            let path = new(random);
            clear(&path);
            let length = [0, 10, 3000, 70_000][random.next(4)];
            fs::write(path, format!("{number} ").repeat(length / 4)).unwrap();
        }
        3 | 4 => {
            if let Some(path) = random.of(&files) {
                fs::write(path, format!("edited {number}")).unwrap();
            }
        }
        5 => {
            // As an editor saves.
            if let Some(path) = random.of(&files) {
                let beside = path.with_extension("new~");
                fs::write(&beside, format!("saved {number}")).unwrap();
                fs::rename(beside, path).unwrap();
            }
        }
        6 => {
            if let Some(path) = random.of(&files) {
                fs::remove_file(path).unwrap();
            }
        }
        7 => {
            let path = new(random);
            clear(&path);
            fs::create_dir_all(path.join("a/b")).unwrap();
            fs::write(path.join("a/b/c"), format!("{number}")).unwrap();
        }
        8 => {
            // Files and whole folders, moved into other folders.
            let all: Vec<PathBuf> = files.iter().chain(&inner).cloned().collect();
            if let (Some(from), Some(folder)) = (random.of(&all), random.of(&folders)) {
                let to = folder.join(format!("m{}", random.next(10)));
                if !to.starts_with(&from) && !from.starts_with(&to) {
                    clear(&to);
                    fs::rename(from, to).unwrap();
                }
            }
        }
        9 => {
            let modes = [0o600, 0o644, 0o755, 0o444, 0o4755];
            let (path, modes) = match random.next(3) {
                0 => (random.of(&inner), &[0o700, 0o755, 0o1777][..]),
                _ => (random.of(&files), &modes[..]),
            };
            if let Some(path) = path {
                let mode = modes[random.next(modes.len())];
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        10 => {
            // A link becomes another one, or a file a link.
            let path = random.of(&links).unwrap_or_else(|| new(random));
            clear(&path);
            symlink(["n1", "../n2", "/etc/hostname", "nowhere"][random.next(4)], path).unwrap();
        }
        _ => {
            if let Some(path) = random.of(&inner).filter(|_| random.next(3) == 0) {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }
}

#[test]
fn whatever_is_done_both_sides_are_equal_in_the_end() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("WATCH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let acts = number("WATCH_ACTS").unwrap_or(400);
    println!("WATCH_SEED={seed} WATCH_ACTS={acts}");
    let mut random = Random(seed);
    let site = up("watchrandom", WEB);
    let root = site.dir().join("src");
    let watching = Watching::start(&site, "--no-up", &["web"]);
    for number in 0..acts {
        act(&mut random, &root, usize::try_from(number).unwrap());
        match random.next(100) {
            0 => {
                let id = site.id("web");
                engine("POST", &format!("/containers/{id}/restart?t=0"));
            }
            1..=10 => std::thread::sleep(Duration::from_millis(random.next(80) as u64)),
            _ => {}
        }
    }
    equal(&site, "web", "1234:4321");
    // And still so when all has settled.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(inside(&site, "web", "/app/src"), here(&site, "src", "1234:4321"));
    assert_eq!(watching.count("✘"), 0, "{:#?}", watching.said());
}
