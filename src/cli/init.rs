//! `init`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde_json::json;

use super::library::Names;
use crate::base::Failure;
use crate::library;
use crate::ops::Context;
use crate::ops::init::{self, Done, Options};
use crate::ui::Ui;

/// Give a folder what devenv needs: a stack from a template, or only what your own compose file lacks
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devenv init --template supabase shop     a new project in the folder shop\n  devenv init --template supabase          a stack for the Supabase project here; supabase/ stays as it is\n  devenv init --vscode                     tasks and schemas for the compose file here\n  devenv init --template supabase --dry-run\n\nTouches: files in that folder only. Yours are never overwritten: what differs ends the command before anything is written, and --force keeps a copy of it. It can be given again at any time."
)]
pub(super) struct Init {
    /// The folder; it is made if it is not there [default: this one]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: Option<PathBuf>,
    /// Begin with a ready-made stack (see `devenv template list`)
    #[arg(short, long, value_name = "NAME", value_parser = Names(library::template_names_listed))]
    template: Option<String>,
    /// The project's name, written into the compose file [default: the folder's name decides]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Write .vscode/ too: tasks, start configuration, extensions, and schemas for compose files
    #[arg(long)]
    vscode: bool,
    /// Write files that differ anew, and keep each of yours as NAME.bak
    #[arg(long)]
    force: bool,
    /// Say what would be written
    #[arg(long)]
    dry_run: bool,
}

impl Init {
    pub(super) fn run(self, context: &Context, ui: &Ui) -> Result<(), Failure> {
        let mut options = Options {
            directory: self.directory,
            template: self.template,
            name: self.name,
            vscode: self.vscode,
            force: self.force,
            dry_run: self.dry_run,
        };
        if init::needs_template(context, &options)? {
            options.template = Some(choose(context, &options, ui)?);
        }
        let done = init::init(context, &options)?;
        if ui.wants_json() {
            ui.json(&json!({
                "version": 1, "dry_run": options.dry_run, "directory": done.directory,
                "template": done.template, "files": done.files, "next": done.next,
            }));
        } else if !ui.is_quiet() {
            show(ui, &done, options.dry_run);
        }
        Ok(())
    }
}

fn choose(context: &Context, options: &Options, ui: &Ui) -> Result<String, Failure> {
    let templates: Vec<library::Template> =
        library::template_names().map(library::template).collect::<Result<_, _>>()?;
    let items: Vec<String> =
        templates.iter().map(|template| format!("{}: {}", template.name, template.description)).collect();
    match ui.choose("There is no compose file here. Begin with", &items)? {
        Some(chosen) => Ok(templates[chosen].name.clone()),
        None => Err(init::no_template(context, options)),
    }
}

fn show(ui: &Ui, done: &Done, dry_run: bool) {
    // A folder of many files is one line.
    let mut lines: BTreeMap<(&str, &str), Vec<&init::File>> = BTreeMap::new();
    for file in &done.files {
        lines.entry((place(&file.path), file.step)).or_default().push(file);
    }
    let mut changed = false;
    for ((place, step), files) in &lines {
        changed |= !matches!(*step, "keep" | "unchanged");
        let word = word(step, dry_run);
        let name = match files.as_slice() {
            [file] => file.path.clone(),
            files => format!("{place}/ ({} files)", files.len()),
        };
        let note = match files[0].reason.as_deref() {
            Some(reason) => format!(": {reason}"),
            None => String::new(),
        };
        ui.line(format!("{word:<14} {name}{note}"));
        for file in files {
            if let Some(copy) = &file.copy {
                ui.line(format!("{:<14} {} is now {copy}", "", file.path));
            }
            if let Some(snippet) = &file.snippet {
                ui.line(format!("add to {} by hand:\n{snippet}", file.path));
            }
        }
    }
    if !changed {
        ui.note("everything is there already");
    }
    if !dry_run {
        ui.line(format!("\nnext: {}", done.next.join(" && ")));
    }
}

/// What a file is listed under: itself at the top, its folder further down, a template's own folder in `compose`.
fn place(path: &str) -> &str {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["compose", name, ..] => &path[.."compose/".len() + name.len()],
        [top, _, ..] => &path[..top.len()],
        _ => path,
    }
}

fn word(step: &str, dry_run: bool) -> &'static str {
    match (step, dry_run) {
        ("create", false) => "wrote",
        ("create", true) => "would write",
        ("extend", false) => "added to",
        ("extend", true) => "would add to",
        ("renew", false) => "renewed",
        ("renew", true) => "would renew",
        ("replace", false) => "replaced",
        ("replace", true) => "would replace",
        ("keep", _) => "left alone",
        _ => "unchanged",
    }
}
