//! The addresses of an environment as variables, for a shell or a file: what an app needs to find the services of the
//! git branch that is checked out.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::git;
use crate::base::shell::argument;
use crate::base::{Failure, Kind, Place};
use crate::ops::branch::{Branches, url};
use crate::ops::{Context, database, failures, place};

/// The variables of the environment that the context means, by name.
pub async fn variables(context: &Context) -> Result<BTreeMap<String, String>, Failure> {
    let standing = context.standing()?;
    let subject = context.subject(&[])?;
    let engine = context.engine().await?;
    let mut all = BTreeMap::from([
        ("DEVENV_ENVIRONMENT".to_owned(), standing.label.clone()),
        ("DEVENV_PROJECT".to_owned(), standing.name.clone()),
    ]);
    let containers = engine.containers(&standing.name).await.map_err(failures::engine)?;
    for container in containers.iter().filter(|it| it.state.is_up() && !it.is_one_off()) {
        for port in container.ports.iter().filter(|port| port.published > 0 && port.protocol == "tcp") {
            let service: String = container
                .service()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
                .collect();
            let host = match port.reachable_ip() {
                ip if ip.contains(':') => format!("[{ip}]"),
                ip => ip.to_owned(),
            };
            all.insert(format!("DEVENV_{service}_{}", port.target), format!("{host}:{}", port.published));
        }
    }
    if subject.stack.is_some() {
        if let Ok(status) = database::supabase_status(context).await {
            all.extend(crate::supabase::status::variables(&status, &[])?);
        }
    } else if !url::databases(&subject).is_empty() {
        let branches = Branches::of(context, subject, engine).await?;
        if let Ok(Some(address)) = url::in_environment(&branches, &standing.name).await {
            all.extend(address.variables().into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
    }
    Ok(all)
}

/// How variables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `export NAME=value` (POSIX.1-2024, XCU 2.15), for bash and zsh.
    Posix,
    /// `set -gx NAME value` (fish documentation, "set").
    Fish,
    /// One JSON object.
    Json,
    /// `NAME="value"`, as compose files read it.
    Dotenv,
    /// As GitHub's runners read it from `$GITHUB_ENV`.
    Github,
}

/// Writes variables in a format.
#[must_use]
pub fn write(variables: &BTreeMap<String, String>, format: Format) -> String {
    if format == Format::Json {
        return serde_json::to_string_pretty(variables).unwrap_or_default() + "\n";
    }
    let fish = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
    let double = |value: &str| {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        format!("\"{}\"", escaped.replace('\n', "\\n"))
    };
    let line = |(name, value): (&String, &String)| match format {
        Format::Posix | Format::Json => format!("export {name}={}\n", argument(value)),
        Format::Fish => format!("set -gx {name} {};\n", fish(value)),
        Format::Dotenv => format!("{name}={}\n", double(value)),
        Format::Github if value.contains('\n') => format!("{name}<<devenv_end\n{value}\ndevenv_end\n"),
        Format::Github => format!("{name}={value}\n"),
    };
    variables.iter().map(line).collect()
}

/// What a shell's rc file, or direnv's `.envrc`, is given.
pub const DIRENV: &str = "# The environment of the git branch that is checked out; `direnv allow` lets it act.\n\
    watch_file \"$(git rev-parse --git-path HEAD 2>/dev/null)\" .devenv/environment\n\
    eval \"$(devenv env export --shell bash 2>/dev/null)\"\n";

const BEGIN: &str = "# >>> devenv >>>";
const END: &str = "# <<< devenv <<<";

/// The text of a file with our part replaced, or put behind what stands there.
fn with_part(text: &str, part: &str) -> String {
    let ours = format!("{BEGIN}\n{part}{END}\n");
    let at = |mark: &str| {
        text.lines()
            .scan(0, |from, line| {
                let start = *from;
                *from += line.len() + 1;
                Some((start, line))
            })
            .find(|(_, line)| line.trim_end() == mark)
            .map(|(start, _)| start)
    };
    match (at(BEGIN), at(END)) {
        (Some(begin), Some(end)) if begin < end => {
            let rest = text[end..].split_once('\n').map_or("", |(_, rest)| rest);
            format!("{}{ours}{rest}", &text[..begin])
        }
        _ if text.is_empty() || text.ends_with('\n') => format!("{text}{ours}"),
        _ => format!("{text}\n{ours}"),
    }
}

/// Writes the variables into the file that `x-devenv.dotenv` names, if it names one: between marks, readable by this
/// user alone, and only where git does not keep it.
pub async fn dotenv(context: &Context) -> Result<Option<String>, Failure> {
    let project = context.load_quietly(&[])?.project;
    let Some(asked) = project.extensions.get("x-devenv").and_then(|own| own.get("dotenv")) else {
        return Ok(None);
    };
    let name = match asked {
        serde_json::Value::Bool(true) => ".env.local",
        serde_json::Value::String(name) => name.as_str(),
        _ => return Ok(None),
    };
    let standing = context.standing()?;
    let path = standing.folder.join(name);
    if let Some(repository) = &standing.repository {
        let shown = path.display().to_string();
        let kept = repository.tracks(&shown).map_err(git::failure)?;
        if kept || !repository.ignores(&shown).map_err(git::failure)? {
            let why = if kept { "git keeps it" } else { "git does not ignore it" };
            return Err(Failure::new(Kind::Files, format!("{name} is not written: {why}"))
                .hint(format!("add `{name}` to .gitignore: passwords stand in it")));
        }
    }
    let part = write(&variables(context).await?, Format::Dotenv);
    let there = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(cannot(&path, error)),
    };
    let text = with_part(&there, &part);
    if text != there || fs::metadata(&path).is_ok_and(|it| it.permissions().mode() & 0o077 != 0) {
        place::write_private(&path, text.as_bytes()).map_err(|error| cannot(&path, error))?;
    }
    Ok(Some(name.to_owned()))
}

fn cannot(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(Kind::Files, "the variables cannot be written").at(Place::file(path)).source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_values_in_every_shell() {
        let all = BTreeMap::from([("A".to_owned(), "it's $(id) \"x\" \\ 1".to_owned())]);
        let table = [
            (Format::Posix, "export A='it'\\''s $(id) \"x\" \\ 1'\n"),
            (Format::Fish, "set -gx A 'it\\'s $(id) \"x\" \\\\ 1';\n"),
            (Format::Dotenv, "A=\"it's \\$(id) \\\"x\\\" \\\\ 1\"\n"),
            (Format::Github, "A=it's $(id) \"x\" \\ 1\n"),
        ];
        for (format, expected) in table {
            assert_eq!(write(&all, format), expected);
        }
    }

    #[test]
    fn only_what_is_ours_is_replaced() {
        let first = with_part("MINE=1", "A=1\n");
        assert_eq!(first, format!("MINE=1\n{BEGIN}\nA=1\n{END}\n"));
        let second = with_part(&format!("{first}ALSO=2\n"), "A=2\n");
        assert_eq!(second, format!("MINE=1\n{BEGIN}\nA=2\n{END}\nALSO=2\n"));
        assert_eq!(with_part(&second, "A=2\n"), second);
        assert_eq!(with_part("", ""), format!("{BEGIN}\n{END}\n"));
    }
}
