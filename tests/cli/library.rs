//! `template`, `module`, `schema`, `completions` and `man`.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

const PROJECT: &str = "# My shop.\nservices:\n  # the web\n  web: { image: nginx }\n";

#[test]
fn modules_are_listed_without_a_project_too() {
    let sandbox = Sandbox::new();
    let (code, stdout, stderr) = sandbox.parts("module list");
    assert_eq!((code, stderr.as_str()), (0, ""));
    for name in ["cache", "monitoring", "queue-nats", "queue-rabbitmq", "storage-s3"] {
        assert!(
            stdout.lines().any(|line| line.starts_with(&format!("{name} ")) && line.contains(" no ")),
            "{stdout}"
        );
    }
    assert_snapshot!(sandbox.devenv("module add cache"), @"
    exit 3
    --- stderr
    error: no configuration file provided: not found
    hint: write a compose.yaml, or name one with --file
    ");
    assert_snapshot!(sandbox.devenv("module show kafka"), @"
    exit 2
    --- stderr
    error: no such module: kafka
    hint: see them with `devenv module list`
    ");
    assert_snapshot!(sandbox.devenv("module show search"), @"
    exit 2
    --- stderr
    error: search is no module: it comes with the database
    hint: use Postgres full text search, the extension `rum` for ranking, `vector` for meaning
    ");
    assert_snapshot!(sandbox.devenv("template list"), @"
    exit 0
    --- stdout
    NAME      SERVICES                                     DESCRIPTION
    supabase  db api storage realtime functions mail meta  A Supabase-style stack: Postgres 17, REST, Auth, Storage, Realtime, Edge Functions, a studio and a mail catcher.
    ");
}

#[test]
fn a_module_is_added_by_any_of_its_names_and_taken_away_without_a_trace() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", PROJECT);
    let before = sandbox.files();
    assert_snapshot!(sandbox.devenv("module add redis --dry-run"), @r#"
    exit 0
    --- stdout
    would add cache: compose/cache/ (N files), and its line under `include` in compose.yaml

    SERVICE  ADDRESS         MOVED BY    WHAT ANSWERS
    cache    127.0.0.1:6379  CACHE_PORT  Redis protocol

    VARIABLE   ON THE HOST             IN A CONTAINER
    REDIS_URL  redis://127.0.0.1:6379  redis://cache:6379

    test: devenv exec cache -- sh -c 'valkey-cli set devenv:test ok ex 5 >/dev/null && test "$(valkey-cli get devenv:test)" = ok'
    "#);
    assert_eq!(sandbox.files(), before);
    assert_snapshot!(sandbox.devenv("module add redis"), @r#"
    exit 0
    --- stdout
    added cache: compose/cache/ (N files), and its line under `include` in compose.yaml

    SERVICE  ADDRESS         MOVED BY    WHAT ANSWERS
    cache    127.0.0.1:6379  CACHE_PORT  Redis protocol

    VARIABLE   ON THE HOST             IN A CONTAINER
    REDIS_URL  redis://127.0.0.1:6379  redis://cache:6379

    test: devenv exec cache -- sh -c 'valkey-cli set devenv:test ok ex 5 >/dev/null && test "$(valkey-cli get devenv:test)" = ok'

    next: devenv up cache
    "#);
    assert_snapshot!(sandbox.read("compose.yaml"), @"
    # My shop.
    include:
      - compose/cache/compose.yaml

    services:
      # the web
      web: { image: nginx }
    ");
    assert_snapshot!(sandbox.devenv("config --services"), @"
    exit 0
    --- stdout
    cache
    web
    ");
    let added = sandbox.files();
    assert_snapshot!(sandbox.devenv("module add cache valkey"), @"
    exit 0
    --- stdout
    unchanged cache: this project has it
    ");
    assert_eq!(sandbox.files(), added);
    assert_snapshot!(sandbox.devenv("module remove redis"), @"
    exit 0
    --- stdout
    removed cache: compose/cache/ (N files), and its line under `include` in compose.yaml
    --- stderr
    containers that run stay until `devenv up --remove-orphans` or `devenv down`; volumes stay until `devenv down --volumes`
    ");
    assert_eq!(sandbox.files(), before);
    assert_snapshot!(sandbox.devenv("module remove redis"), @"
    exit 2
    --- stderr
    error: this project does not have the module `cache`
    hint: see what it has with `devenv module list`
    ");
}

#[test]
fn every_module_loads_beside_the_template() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.parts("init --template supabase").0, 0);
    let before = sandbox.files();
    assert_eq!(sandbox.parts("module add cache monitoring nats rabbitmq minio").0, 0);
    let services = sandbox.parts("config --services").1;
    for name in ["cache", "prometheus", "nats", "rabbitmq", "s3", "db"] {
        assert!(services.lines().any(|line| line == name), "{services}");
    }
    assert_eq!(sandbox.parts("module remove cache monitoring nats rabbitmq minio").0, 0);
    assert_eq!(sandbox.files(), before);
}

#[test]
fn a_module_that_would_break_the_project_is_not_added() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", "services:\n  cache: { image: mine }\n");
    let before = sandbox.files();
    assert_snapshot!(sandbox.devenv("module add cache"), @"
    exit 3
    --- stderr
    error: nothing was added: services.cache conflicts with imported resource
     --> compose.yaml:2:10
      |
    2 |   cache: { image: mine }
      |          ^
      --> compose/cache/compose.yaml:4:5
      --> compose.yaml
    hint: put the change into an override file beside the included one: `path: [file, override]`
    hint: the project would not load with it; a service of the same name is the usual reason
    ");
    assert_eq!(sandbox.files(), before);
}

#[test]
fn a_module_that_something_needs_is_not_removed() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", "services:\n  web:\n    image: nginx\n");
    assert_eq!(sandbox.parts("module add cache").0, 0);
    let text = format!("{}    depends_on: [cache]\n", sandbox.read("compose.yaml"));
    sandbox.write("compose.yaml", &text);
    let before = sandbox.files();
    assert_snapshot!(sandbox.devenv("module remove cache"), @r#"
    exit 3
    --- stderr
    error: nothing was removed: service "web" depends on undefined service "cache"
     --> compose.yaml:7:18
      |
    7 |     depends_on: [cache]
      |                  ^^^^^
    hint: the project would not load without it; take away what refers to it first
    "#);
    assert_eq!(sandbox.files(), before);
}

#[test]
fn a_module_that_was_changed_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", PROJECT);
    assert_eq!(sandbox.parts("module add cache").0, 0);
    sandbox.write("compose/cache/Dockerfile", "FROM mine\n");
    sandbox.write("compose/cache/notes", "mine\n");
    let before = sandbox.files();
    assert_snapshot!(sandbox.devenv("module remove cache"), @"
    exit 5
    --- stderr
    error: files of the module `cache` are not as they came; nothing was removed
      | compose/cache/Dockerfile differs
      | compose/cache/notes is not part of the module
    hint: --force removes it and keeps the folder as compose/cache.bak
    ");
    assert_snapshot!(sandbox.devenv("module add cache"), @"
    exit 5
    --- stderr
    error: files are in the way; nothing was added
      | compose/cache/Dockerfile differs
    hint: --force writes them anew and keeps each of yours as NAME.bak
    ");
    assert_eq!(sandbox.files(), before);
    assert_eq!(sandbox.parts("module remove cache --force").0, 0);
    assert_eq!(sandbox.read("compose.yaml"), PROJECT);
    assert_eq!(sandbox.read("compose/cache.bak/notes"), "mine\n");
}

#[test]
fn what_cannot_be_edited_safely_is_told_with_the_lines_to_write() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", "{ services: { web: { image: nginx } } }\n");
    assert_snapshot!(sandbox.devenv("module add cache"), @"
    exit 3
    --- stderr
    error: this compose file is written in a way that cannot be edited safely
      --> compose.yaml
    hint: do it by hand, then give the command again:␊include:␊  - compose/cache/compose.yaml
    ");
    assert!(!sandbox.has("compose"));
}

#[test]
fn schemas_are_json() {
    let sandbox = Sandbox::new();
    for which in ["compose", "devenv", "masks"] {
        let (code, stdout, _) = sandbox.parts(&format!("schema {which}"));
        assert_eq!(code, 0);
        let schema: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert!(jsonschema::validator_for(&schema).is_ok());
    }
    assert_eq!(sandbox.parts("schema seeds").0, 2);
}

#[test]
fn every_shell_gets_a_script_and_every_command_a_page() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, stdout, stderr) = sandbox.parts(&format!("completions {shell}"));
        assert_eq!((code, stderr.as_str()), (0, ""), "{shell}");
        // The generators of the others know fewer values, or none.
        if ["bash", "zsh"].contains(&shell) {
            assert!(stdout.contains("supabase") && stdout.contains("queue-nats"), "{shell}");
        }
    }
    assert!(sandbox.parts("man").1.contains(".TH devenv 1"));
    assert_eq!(sandbox.parts("man pages").0, 0);
    assert!(sandbox.read("pages/devenv-module-add.1").contains("module"));
}
