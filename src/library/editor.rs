//! What VS Code needs of a project: tasks, a start configuration, extensions to recommend, and settings that
//! check compose files as they are typed.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::schemas;
use super::writing::{Manner, Wanted};

/// What is known of a project.
#[derive(Debug, Clone, Copy, Default)]
pub struct Project<'a> {
    /// Names of files and folders at its top.
    pub names: &'a [String],
    /// Whether its stack is Supabase-like.
    pub supabase: bool,
}

impl Project<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The command that runs its tests; without any, the environment itself is looked at.
    fn test(&self) -> &'static str {
        let usual = [
            ("package.json", "npm test"),
            ("Cargo.toml", "cargo test"),
            ("go.mod", "go test ./..."),
            ("pyproject.toml", "python -m pytest"),
            ("mix.exs", "mix test"),
            ("Gemfile", "bundle exec rake test"),
        ];
        let known = usual.iter().find(|(file, _)| self.has(file));
        known.map_or("devenv status --exit-code", |(_, command)| command)
    }
}

/// The files of `.vscode/`.
#[must_use]
pub fn wanted(project: &Project<'_>) -> Vec<Wanted> {
    let mut schema = pretty(&schemas::compose());
    schema.push('\n');
    vec![
        members("tasks.json", &tasks(project)),
        members("launch.json", &launch(project)),
        members("extensions.json", &extensions(project)),
        members("settings.json", &settings(project)),
        Wanted {
            manner: Manner::Made(schemas::MADE_BY),
            ..Wanted::own(".vscode/devenv.schema.json", schema)
        },
    ]
}

fn members(name: &str, value: &Value) -> Wanted {
    Wanted {
        path: format!(".vscode/{name}"),
        content: Cow::Owned(format!("{}\n", pretty(value)).into_bytes()),
        executable: false,
        manner: Manner::Members(value.clone()),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn tasks(project: &Project<'_>) -> Value {
    let task = |label: &str, command: &str| {
        json!({
            "label": label,
            "type": "shell",
            "command": command,
            "problemMatcher": [],
        })
    };
    let mut logs = task("devenv: logs", "devenv logs --follow");
    logs["isBackground"] = json!(true);
    let mut test = task("devenv: test", project.test());
    test["group"] = json!({ "kind": "test", "isDefault": true });
    test["dependsOn"] = json!("devenv: up");
    json!({
        "version": "2.0.0",
        "tasks": [task("devenv: up", "devenv up"), task("devenv: down", "devenv down"), logs, test],
    })
}

fn launch(project: &Project<'_>) -> Value {
    let configuration = if project.supabase {
        json!({
            "name": "Studio",
            "type": "chrome",
            "request": "launch",
            "url": "http://127.0.0.1:54323",
            "preLaunchTask": "devenv: up",
        })
    } else {
        // The type comes with VS Code itself and debugs Node programs that the command starts.
        json!({
            "name": "Tests, with the environment up",
            "type": "node-terminal",
            "request": "launch",
            "command": project.test(),
            "preLaunchTask": "devenv: up",
        })
    };
    json!({ "version": "0.2.0", "configurations": [configuration] })
}

fn extensions(project: &Project<'_>) -> Value {
    let mut names = vec!["redhat.vscode-yaml", "ms-azuretools.vscode-containers"];
    if project.supabase {
        names.push("denoland.vscode-deno");
    }
    json!({ "recommendations": names })
}

fn settings(project: &Project<'_>) -> Value {
    let mut settings = json!({
        "yaml.schemas": {
            "./.vscode/devenv.schema.json": [
                "compose.yaml", "compose.yml", "compose.*.yaml", "compose.*.yml",
                "docker-compose.yaml", "docker-compose.yml", "docker-compose.*.yaml", "docker-compose.*.yml",
                "compose/*/compose.yaml",
            ],
        },
        "yaml.customTags": ["!reset scalar", "!reset sequence", "!reset mapping",
            "!override scalar", "!override sequence", "!override mapping"],
    });
    if project.supabase {
        settings["deno.enablePaths"] = json!(["supabase/functions"]);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_a_project_are_its_own() {
        let names = ["package.json".to_owned()];
        let node = Project { names: &names, supabase: false };
        assert_eq!(tasks(&node)["tasks"][3]["command"], "npm test");
        assert_eq!(tasks(&Project::default())["tasks"][3]["command"], "devenv status --exit-code");
    }

    #[test]
    fn a_stack_like_supabase_gets_deno_and_its_studio() {
        let project = Project { supabase: true, ..Project::default() };
        assert_eq!(settings(&project)["deno.enablePaths"], json!(["supabase/functions"]));
        assert_eq!(launch(&project)["configurations"][0]["name"], "Studio");
        assert_eq!(wanted(&project).len(), 5);
    }
}
