//! `template`, `module` and `schema`: what the program carries with it.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::base::Failure;
use crate::library::{self, Module, Template, manifest, schemas};
use crate::ops::{Context, modules};
use crate::ui::{Table, Ui};

/// Takes any text, so that our own sentence answers a wrong name, but tells shells what there is to complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names(pub(super) fn() -> Vec<&'static str>);

impl TypedValueParser for Names {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}

/// Show the ready-made stacks that `init` can begin with
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  devenv template list\n  devenv template show supabase")]
pub(super) struct Templates {
    #[command(subcommand)]
    verb: TemplateVerb,
}

#[derive(Debug, Subcommand)]
enum TemplateVerb {
    /// Every template
    #[command(visible_alias = "ls")]
    List,
    /// One template: its services, its files, the variables that change it
    Show {
        /// The template
        #[arg(value_parser = Names(library::template_names_listed))]
        name: String,
    },
}

impl Templates {
    pub(super) fn run(self, _context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.verb {
            TemplateVerb::List => {
                let templates: Vec<Template> =
                    library::template_names().map(library::template).collect::<Result<_, _>>()?;
                if ui.wants_json() {
                    let rows = templates.iter().map(|template| {
                        json!({
                            "name": template.name, "description": template.description,
                            "services": template.services.keys().collect::<Vec<_>>(),
                        })
                    });
                    ui.json(&json!({ "version": 1, "templates": rows.collect::<Vec<_>>() }));
                    return Ok(());
                }
                let mut table = Table::new(&["NAME", "SERVICES", "DESCRIPTION"]);
                for template in templates {
                    let services: Vec<&str> = template.services.keys().map(String::as_str).collect();
                    table.row([template.name, services.join(" "), template.description]);
                }
                ui.table(&table);
            }
            TemplateVerb::Show { name } => show_template(&library::template(&name)?, ui)?,
        }
        Ok(())
    }
}

fn show_template(template: &Template, ui: &Ui) -> Result<(), Failure> {
    let variables = manifest::variables(template.compose_text()?);
    let files: Vec<String> = template.wanted(None)?.into_iter().map(|file| file.path).collect();
    if ui.wants_json() {
        ui.json(&json!({
            "version": 1, "name": template.name, "description": template.description,
            "services": template.services, "variables": variables, "files": files,
        }));
        return Ok(());
    }
    ui.line(format!("{}\n", template.description));
    let mut services = Table::new(&["SERVICE", "WHAT IT DOES"]);
    for (name, what) in &template.services {
        services.row([name, what]);
    }
    ui.table(&services);
    ui.line("");
    let mut table = Table::new(&["VARIABLE", "DEFAULT"]);
    for (name, default) in &variables {
        table.row([name, default]);
    }
    ui.table(&table);
    ui.line(format!(
        "\nWrites {} files: {}, {}{}.",
        files.len(),
        template.compose.to,
        template.copy.iter().map(|copy| format!("{}/", copy.to)).collect::<Vec<_>>().join(", "),
        template.sample.as_ref().map_or_else(String::new, |sample| {
            format!(", and the sample {}/ unless there is one", sample.to)
        })
    ));
    ui.line(format!("next: devenv init --template {}", template.name));
    Ok(())
}

/// Add ready-made services to a project: a cache, queues, S3 storage, monitoring
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv module list\n  devenv module add redis          is the module cache\n  devenv module remove cache\n\nTouches: compose/MODULE/ and one line under `include:` of the compose file; all else in it stays as it is."
)]
pub(super) struct Modules {
    #[command(subcommand)]
    verb: ModuleVerb,
}

#[derive(Debug, Subcommand)]
enum ModuleVerb {
    /// Every module, and whether this project has it
    #[command(visible_alias = "ls")]
    List,
    /// One module: its services, addresses, variables and its test
    Show {
        /// The module
        #[arg(value_parser = Names(library::module_names_listed))]
        name: String,
    },
    /// Add modules to the project
    #[command(
        after_help = "Examples:\n  devenv module add cache\n  devenv module add rabbitmq minio --dry-run"
    )]
    Add(Change),
    /// Run the one-line tests of modules that are up
    #[command(after_help = "Example:\n  devenv up && devenv module test")]
    Test {
        /// Modules [default: all that the project has]
        #[arg(value_parser = Names(library::module_names_listed))]
        names: Vec<String>,
    },
    /// Take modules out of the project; their volumes stay
    #[command(visible_alias = "rm", after_help = "Example:\n  devenv module remove cache")]
    Remove(Change),
}

#[derive(Debug, Args)]
struct Change {
    /// Modules
    #[arg(required = true, value_parser = Names(library::module_names_listed))]
    names: Vec<String>,
    /// Go on where files differ from the module's; yours are kept as NAME.bak
    #[arg(long)]
    force: bool,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Modules {
    pub(super) async fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        match self.verb {
            ModuleVerb::Test { names } => modules::test(context, &names).await,
            ModuleVerb::List => list_modules(context, ui),
            ModuleVerb::Show { name } => {
                let module = library::module(&name)?;
                if ui.wants_json() {
                    ui.json(&json!({ "version": 1, "module": module }));
                } else {
                    ui.line(format!("{}\n", module.description));
                    about(ui, context, &module);
                    ui.line(format!("next: devenv module add {}", module.name));
                }
                Ok(())
            }
            ModuleVerb::Add(change) => {
                let done = modules::add(context, &change.names, change.force, change.dry_run)?;
                if show_change(ui, &done, change.dry_run, ("added", "would add")) {
                    let new: Vec<&Module> = done
                        .modules
                        .iter()
                        .filter(|changed| changed.changed)
                        .map(|changed| &changed.module)
                        .collect();
                    for module in &new {
                        about(ui, context, module);
                    }
                    if !change.dry_run && !new.is_empty() {
                        let services: Vec<String> =
                            new.iter().flat_map(|module| module.services.clone()).collect();
                        ui.line(format!("next: devenv up {}", services.join(" ")));
                    }
                }
                Ok(())
            }
            ModuleVerb::Remove(change) => {
                let done = modules::remove(context, &change.names, change.force, change.dry_run)?;
                show_change(ui, &done, change.dry_run, ("removed", "would remove"));
                Ok(())
            }
        }
    }
}

fn list_modules(context: &Context, ui: &Ui) -> Result<(), Failure> {
    let present = modules::present(context);
    let all: Vec<Module> = library::module_names().map(library::module).collect::<Result<_, _>>()?;
    if ui.wants_json() {
        let rows = all.iter().map(|module| {
            json!({
                "name": module.name, "description": module.description, "services": module.services,
                "aliases": library::aliases(&module.name).collect::<Vec<_>>(),
                "present": present.contains(&module.name),
            })
        });
        ui.json(&json!({ "version": 1, "modules": rows.collect::<Vec<_>>() }));
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "HERE", "SERVICES", "ALSO CALLED", "DESCRIPTION"]);
    for module in all {
        let here = if present.contains(&module.name) { "yes" } else { "no" };
        let aliases: Vec<&str> = library::aliases(&module.name).collect();
        table.row([
            module.name.as_str(),
            here,
            &module.services.join(" "),
            &aliases.join(" "),
            &module.description,
        ]);
    }
    ui.table(&table);
    Ok(())
}

/// Tells what was changed; whether there is more to say about it.
fn show_change(ui: &Ui, done: &modules::Done, dry_run: bool, (did, would): (&str, &str)) -> bool {
    if ui.wants_json() {
        ui.json(&json!({
            "version": 1, "dry_run": dry_run, "compose_file": done.compose_file, "modules": done.modules,
        }));
        return false;
    }
    if ui.is_quiet() {
        return false;
    }
    for changed in &done.modules {
        let name = &changed.module.name;
        if !changed.changed {
            ui.line(format!("unchanged {name}: this project has it"));
            continue;
        }
        let word = if dry_run { would } else { did };
        let file = done.compose_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ui.line(format!(
            "{word} {name}: {}/ ({} files), and its line under `include` in {file}",
            changed.module.folder(),
            changed.files.len()
        ));
        for copy in &changed.copies {
            ui.line(format!("kept yours as {copy}"));
        }
    }
    true
}

/// Where a module answers, what programs need to use it, and how to see that it works.
fn about(ui: &Ui, context: &Context, module: &Module) {
    ui.line("");
    let mut ports = Table::new(&["SERVICE", "ADDRESS", "MOVED BY", "WHAT ANSWERS"]);
    for port in &module.ports {
        let address = format!("127.0.0.1:${{{}:-{}}}", port.variable, port.default);
        let address = manifest::with_defaults(&address, &context.environment);
        ports.row([&port.service, &address, &port.variable, &port.what]);
    }
    if !module.ports.is_empty() {
        ui.table(&ports);
        ui.line("");
    }
    let mut variables = Table::new(&["VARIABLE", "ON THE HOST", "IN A CONTAINER"]);
    for (name, address) in &module.env {
        variables.row([
            name.clone(),
            manifest::with_defaults(&address.host, &context.environment),
            manifest::with_defaults(&address.container, &context.environment),
        ]);
    }
    if !module.env.is_empty() {
        ui.table(&variables);
        ui.line("");
    }
    if let Some(test) = &module.test {
        ui.line(format!("test: {}\n", test.line()));
    }
}

/// Print a JSON Schema
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv schema compose > .vscode/devenv.schema.json\n  devenv schema devenv\n\n`devenv init --vscode` writes the first one and the setting that uses it."
)]
pub(super) struct Schema {
    /// compose: a compose file with x-devenv · devenv: what stands under x-devenv alone · masks: a masking policy
    #[arg(value_parser = ["compose", "devenv", "masks"])]
    which: String,
}

impl Schema {
    pub(super) fn run(&self, ui: &Ui) {
        match self.which.as_str() {
            "devenv" => ui.bytes(schemas::X_DEVENV.as_bytes()),
            "masks" => ui.bytes(schemas::MASKING.as_bytes()),
            _ => ui.json(&schemas::compose()),
        }
    }
}
