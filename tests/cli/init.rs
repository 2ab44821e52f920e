//! `init`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

#[test]
fn an_empty_folder_without_a_terminal_asks_for_a_template() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.devenv("init"), @"
    exit 2
    --- stderr
    error: there is no compose file here, and no template was chosen
    hint: say which with --template: supabase
    ");
    sandbox.write("supabase/config.toml", "project_id = \"x\"\n");
    assert_snapshot!(sandbox.devenv("init --no-input"), @"
    exit 2
    --- stderr
    error: there is no compose file here, and no template was chosen
    hint: this is a Supabase project: say `--template supabase`; it stays as it is
    ");
    assert_snapshot!(sandbox.devenv("init --template supabsae there"), @"
    exit 2
    --- stderr
    error: no such template: supabsae
    hint: did you mean `supabase`?
    ");
    assert!(!sandbox.has("there"));
}

#[test]
fn a_template_becomes_a_project_that_loads_and_can_be_given_again() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.devenv("init --template supabase --name corner-shop --vscode --dry-run"), @"
    exit 0
    --- stdout
    would write    .gitignore
    would write    .vscode/ (N files)
    would write    compose.yaml
    would write    compose/supabase/ (N files)
    would write    supabase/ (N files)
    ");
    assert!(sandbox.files().is_empty());
    assert_snapshot!(sandbox.devenv("init --template supabase --name corner-shop --vscode"), @"
    exit 0
    --- stdout
    wrote          .gitignore
    wrote          .vscode/ (N files)
    wrote          compose.yaml
    wrote          compose/supabase/ (N files)
    wrote          supabase/ (N files)

    next: devenv up
    ");
    assert!(sandbox.read("compose.yaml").starts_with("name: corner-shop\n"));
    let mode =
        fs::metadata(sandbox.folder().join("compose/supabase/build/fetch")).unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
    assert_snapshot!(sandbox.devenv("config --services"), @"
    exit 0
    --- stdout
    db
    storage
    api
    functions
    mail
    realtime
    ");
    let before = sandbox.files();
    assert_snapshot!(sandbox.devenv("init --template supabase --name corner-shop --vscode"), @"
    exit 0
    --- stdout
    unchanged      .gitignore
    unchanged      .vscode/ (N files)
    unchanged      compose.yaml
    unchanged      compose/supabase/ (N files)
    left alone     supabase/ (N files): supabase is there already

    next: devenv up
    --- stderr
    everything is there already
    ");
    assert_eq!(sandbox.files(), before);
}

#[test]
fn an_untouched_supabase_project_stays_untouched() {
    let sandbox = Sandbox::new();
    sandbox.write("supabase/config.toml", "project_id = \"mine\"\n");
    sandbox.write("supabase/migrations/1_a.sql", "select 1;\n");
    assert_snapshot!(sandbox.devenv("init --template supabase"), @"
    exit 0
    --- stdout
    wrote          .gitignore
    wrote          compose.yaml
    wrote          compose/supabase/ (N files)
    left alone     supabase/ (N files): supabase is there already

    next: devenv up
    ");
    let own: Vec<_> = sandbox.files().into_iter().filter(|(name, _)| name.starts_with("supabase/")).collect();
    assert_eq!(own.len(), 2);
    assert_eq!(own[0].1, b"project_id = \"mine\"\n");
}

#[test]
fn what_a_crash_left_is_completed() {
    let sandbox = Sandbox::new();
    sandbox.write("compose/supabase/.Dockerfile.devenv-new", "half");
    sandbox.write(".supabase.devenv-new/config.toml", "half");
    sandbox.write(
        "compose/supabase/.dockerignore",
        "**/node_modules\n**/test\ncompose.yaml\ntemplate.json\n*.md\n",
    );
    assert_eq!(sandbox.parts("init --template supabase").0, 0);
    assert!(!sandbox.has(".supabase.devenv-new") && !sandbox.has("compose/supabase/.Dockerfile.devenv-new"));
    assert!(sandbox.has("supabase/seed.sql"));
}

#[test]
fn a_file_of_the_users_is_in_the_way_until_force_keeps_it() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", "services: {}\n");
    let before = sandbox.files();
    assert_snapshot!(sandbox.devenv("init --template supabase"), @"
    exit 5
    --- stderr
    error: a file is in the way in [ROOT]/shop; nothing was written
      | compose.yaml differs
    hint: --force writes them anew and keeps each of yours as NAME.bak
    hint: to keep your compose file and add only what it lacks, leave --template away
    ");
    assert_eq!(sandbox.files(), before);
    assert_snapshot!(sandbox.devenv("init --template supabase --force"), @"
    exit 0
    --- stdout
    wrote          .gitignore
    replaced       compose.yaml
                   compose.yaml is now compose.yaml.bak
    wrote          compose/supabase/ (N files)
    wrote          supabase/ (N files)

    next: devenv up
    ");
    assert_eq!(sandbox.read("compose.yaml.bak"), "services: {}\n");
}

#[test]
fn a_compose_file_of_another_name_would_be_hidden() {
    let sandbox = Sandbox::new();
    sandbox.write("docker-compose.yml", "services: {}\n");
    assert_snapshot!(sandbox.devenv("init --template supabase --force"), @"
    exit 5
    --- stderr
    error: a file is in the way in [ROOT]/shop; nothing was written
      | docker-compose.yml would be hidden by compose.yaml
    hint: move them away, or choose another folder: devenv init --template … DIR
    hint: to keep your compose file and add only what it lacks, leave --template away
    ");
}

#[test]
fn a_project_with_a_compose_file_gets_only_what_it_lacks() {
    let sandbox = Sandbox::new();
    let compose = "# mine\nservices:\n  web: { image: nginx }\n";
    sandbox.write("compose.yaml", compose);
    sandbox.write(".gitignore", "dist\n.env");
    sandbox.write("package.json", "{}");
    sandbox.write(".vscode/settings.json", "{\n    // mine\n    \"editor.tabSize\": 3,\n}\n");
    sandbox.write(".vscode/launch.json", "{ broken");
    assert_snapshot!(sandbox.devenv("init --vscode"), @r#"
    exit 0
    --- stdout
    added to       .gitignore
    wrote          .vscode/ (N files)
    added to       .vscode/settings.json
    left alone     .vscode/launch.json: it cannot be read, line 1: not a value
    add to .vscode/launch.json by hand:
    {
      "version": "0.2.0",
      "configurations": [
        {
          "name": "Tests, with the environment up",
          "type": "node-terminal",
          "request": "launch",
          "command": "npm test",
          "preLaunchTask": "devenv: up"
        }
      ]
    }

    next: devenv up
    "#);
    assert_eq!(sandbox.read("compose.yaml"), compose);
    assert_eq!(sandbox.read(".gitignore"), "dist\n.env\n.devenv/\n");
    assert!(sandbox.read(".vscode/tasks.json").contains("\"npm test\""));
    let settings = sandbox.read(".vscode/settings.json");
    assert!(
        settings.starts_with("{\n    // mine\n    \"editor.tabSize\": 3,\n    \"yaml.schemas\": {\n"),
        "{settings}"
    );
    assert_eq!(sandbox.read(".vscode/launch.json"), "{ broken");
    let printed = sandbox.parts("schema compose").1;
    assert_eq!(sandbox.read(".vscode/devenv.schema.json"), printed);
}

#[test]
fn a_name_is_checked_and_written_once() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", "services:\n  web: { image: nginx }\n");
    assert_snapshot!(sandbox.devenv("init --name My.Shop"), @"
    exit 2
    --- stderr
    error: `My.Shop` cannot be a project's name: it takes small letters, digits, - and _, a letter or digit first
    hint: say --name my-shop
    ");
    assert_eq!(sandbox.parts("init --name shop").0, 0);
    assert_eq!(sandbox.read("compose.yaml"), "name: shop\n\nservices:\n  web: { image: nginx }\n");
    assert_snapshot!(sandbox.devenv("init --name other"), @"
    exit 5
    --- stderr
    error: the project has another name already
     --> compose.yaml:1:1
      |
    1 | name: shop
      | ^^^^^^^^^^
    hint: write `name: other` there, or leave --name away
    ");
}

#[test]
fn json_tells_every_file() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", "services: {}\n");
    assert_snapshot!(sandbox.devenv("init --json --dry-run"), @r#"
    exit 0
    --- stdout
    {
      "version": 1,
      "dry_run": true,
      "directory": "[ROOT]/shop",
      "template": null,
      "files": [
        {
          "path": ".gitignore",
          "step": "create"
        }
      ],
      "next": [
        "devenv up"
      ]
    }
    "#);
}

#[test]
fn files_of_an_older_version_are_renewed_and_the_users_are_not() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.parts("init --template supabase --name old-shop").0, 0);
    let now = sandbox.files();
    // As an older devenv would have left it: other files, and their hashes in the record.
    sandbox.write("compose/supabase/Dockerfile", "old\n");
    let record = sandbox.read("compose/supabase/.devenv.sha256");
    assert_eq!(sandbox.parts("init --template supabase").0, 5);
    // `old` and a line break.
    let hash = "01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee";
    let line = |text: &str| text.lines().find(|line| line.ends_with("/Dockerfile")).unwrap().to_owned();
    sandbox.write(
        "compose/supabase/.devenv.sha256",
        &record.replace(&line(&record), &format!("{hash}  compose/supabase/Dockerfile")),
    );
    assert_snapshot!(sandbox.devenv("init --template supabase"), @"
    exit 0
    --- stdout
    unchanged      .gitignore
    unchanged      compose.yaml
    renewed        compose/supabase/ (N files)
    unchanged      compose/supabase/ (N files)
    left alone     supabase/ (N files): supabase is there already

    next: devenv up
    ");
    assert_eq!(sandbox.files(), now);
}
