//! The rules of `develop.watch`: from the compose file to what is looked at and what is done
//! (<https://github.com/compose-spec/compose-spec/blob/main/develop.md>).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::ignore::{self, BadPattern, Patterns};
use crate::base::{Failure, Kind};
use crate::compose::Project;
use crate::compose::project::{Hook, Service, WatchRule};

/// What a change leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The file is written into the containers.
    Sync,
    /// So it is, and the service is started again.
    SyncRestart,
    /// So it is, and a command is run in the containers.
    SyncExec(Box<Hook>),
    /// The service is started again.
    Restart,
    /// The image is built again, and the containers are replaced.
    Rebuild,
}

impl Action {
    /// Whether files are written.
    #[must_use]
    pub fn syncs(&self) -> bool {
        matches!(self, Self::Sync | Self::SyncRestart | Self::SyncExec(_))
    }
}

/// One rule of one service.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The service.
    pub service: String,
    /// The file or folder that is watched, with all links resolved.
    pub path: PathBuf,
    /// Where it goes in the containers; empty where nothing is written.
    pub target: String,
    /// What is done.
    pub action: Action,
    /// Whether all of it is written when the containers are first seen, whatever its age.
    pub initial_sync: bool,
    /// Only these, relative to `path`; all without it.
    include: Option<Patterns>,
    /// Not these, each relative to a folder.
    ignore: Vec<(PathBuf, Patterns)>,
}

/// All rules.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// By service, in the order of the file.
    pub of: BTreeMap<String, Vec<Rule>>,
    /// What the user should know of rules that are left out.
    pub told: Vec<String>,
}

/// What has to be read for the rules.
pub struct Reader<'a> {
    /// The text of a file, if there is one.
    pub text: &'a dyn Fn(&Path) -> Option<String>,
    /// A path with its links resolved; as it is, where nothing is there.
    pub resolved: &'a dyn Fn(&Path) -> PathBuf,
}

impl Rules {
    /// Reads the rules of the services that are named, or of all.
    pub fn read(project: &Project, named: &[String], reader: &Reader<'_>) -> Result<Self, Failure> {
        let mut rules = Self::default();
        for (name, service) in &project.services {
            let written = service.develop.as_ref().map_or(&[][..], |develop| develop.watch.as_slice());
            if !named.is_empty() && !named.contains(name) {
                continue;
            }
            if written.is_empty() {
                if !named.is_empty() {
                    return Err(Failure::new(
                        Kind::Files,
                        format!("service `{name}` says nowhere what is to be watched"),
                    )
                    .hint("give it `develop: {watch: [{path: ./src, target: /app/src, action: sync}]}`"));
                }
                continue;
            }
            let of_build = of_build(service, reader).map_err(|error| bad(name, &error))?;
            for rule in written {
                if let Some(rule) = rules.rule(name, service, rule, of_build.as_ref(), reader)? {
                    rules.of.entry(name.clone()).or_default().push(rule);
                }
            }
        }
        Ok(rules)
    }

    fn rule(
        &mut self,
        name: &str,
        service: &Service,
        rule: &WatchRule,
        of_build: Option<&(PathBuf, Patterns)>,
        reader: &Reader<'_>,
    ) -> Result<Option<Rule>, Failure> {
        let action = match rule.action.as_str() {
            "sync" => Action::Sync,
            "sync+restart" => Action::SyncRestart,
            "sync+exec" => Action::SyncExec(Box::new(rule.exec.clone())),
            "restart" => Action::Restart,
            "rebuild" if service.build.is_none() => {
                return Err(Failure::new(
                    Kind::Files,
                    format!(
                        "service `{name}` is to be rebuilt when {} changes, and has no `build`",
                        rule.path
                    ),
                ));
            }
            "rebuild" => Action::Rebuild,
            other => {
                return Err(Failure::new(
                    Kind::Files,
                    format!("service `{name}` has a watch rule with the unknown action `{other}`"),
                )
                .hint("write sync, sync+restart, sync+exec, restart or rebuild"));
            }
        };
        let path = (reader.resolved)(Path::new(&rule.path));
        if action.syncs() {
            // What is mounted is the same files already.
            let mounted = service.volumes.iter().find(|volume| {
                volume.kind == "bind" && path.starts_with((reader.resolved)(Path::new(&volume.source)))
            });
            if let Some(volume) = mounted {
                self.told.push(format!(
                    "service `{name}` has {} mounted at {}: there is nothing to write for its watch rule",
                    rule.path, volume.target
                ));
                return Ok(None);
            }
        }
        let patterns = |texts: &[String]| Patterns::new(texts).map_err(|error| bad(name, &error));
        let mut ignore: Vec<_> = of_build.cloned().into_iter().collect();
        if !rule.ignore.is_empty() {
            ignore.push((path.clone(), patterns(&rule.ignore)?));
        }
        let include = if rule.include.is_empty() { None } else { Some(patterns(&rule.include)?) };
        let target = if action.syncs() { ignore::clean(&rule.target) } else { String::new() };
        if action.syncs() && !target.starts_with('/') {
            return Err(Failure::new(
                Kind::Files,
                format!("service `{name}` has a watch rule with the target `{}`", rule.target),
            )
            .hint("a target is a path in the container that begins with `/`"));
        }
        let (service, initial_sync) = (name.to_owned(), rule.initial_sync);
        Ok(Some(Rule { service, path, target, action, initial_sync, include, ignore }))
    }

    /// All rules, whosever they are.
    pub fn all(&self) -> impl Iterator<Item = &Rule> {
        self.of.values().flatten()
    }
}

/// What the build of a service leaves out, and where those patterns start.
fn of_build(service: &Service, reader: &Reader<'_>) -> Result<Option<(PathBuf, Patterns)>, BadPattern> {
    let Some(build) = &service.build else { return Ok(None) };
    let context = (reader.resolved)(Path::new(&build.context));
    let beside = (!build.dockerfile.is_empty()).then(|| format!("{}.dockerignore", build.dockerfile));
    let mut files = beside.map(|name| context.join(name)).into_iter().chain([context.join(".dockerignore")]);
    let Some(text) = files.find_map(|file| (reader.text)(&file)) else { return Ok(None) };
    Ok(Some((context, Patterns::new(ignore::read(&text))?)))
}

fn bad(service: &str, error: &BadPattern) -> Failure {
    Failure::new(Kind::Files, format!("service `{service}`, what its watch rules leave out: {error}"))
}

/// Whether a name is git's, or of a file that an editor or a compiler makes for a moment. The list is that of
/// docker/compose `pkg/watch/ephemeral.go`.
fn is_passing(name: &str) -> bool {
    let last = name.rsplit_once('.').map_or("", |(_, last)| last);
    let swap = name.starts_with('.') && ["swp", "swo", "swn", "swx", "kate-swp"].contains(&last);
    let emacs = name.starts_with(".#") || (name.starts_with('#') && name.ends_with('#') && name.len() > 1);
    let ides = name.ends_with("___jb_old___") || name.ends_with("___jb_tmp___");
    swap || emacs
        || ides
        || name.ends_with('~')
        || name.ends_with("-go-tmp-umask")
        || [".git", ".idea", "4913"].contains(&name)
}

/// A path below another one as text; none where it is not below, or is no text.
fn relative<'a>(path: &'a Path, above: &Path) -> Option<&'a str> {
    path.strip_prefix(above).ok()?.to_str()
}

impl Rule {
    /// Everything in a folder that is watched for other reasons.
    #[must_use]
    pub fn plain(path: PathBuf) -> Self {
        let (service, target) = (String::new(), String::new());
        let action = Action::Restart;
        Self { service, path, target, action, initial_sync: false, include: None, ignore: Vec::new() }
    }

    /// Whether something that lies at `below`, relative to the rule's path, is meant.
    #[must_use]
    pub fn wants(&self, below: &str) -> bool {
        if below.split('/').any(is_passing) || self.ignores(below) {
            return false;
        }
        // The folder itself is always there; a file is itself what the rule names.
        below.is_empty() || self.include.as_ref().is_none_or(|include| include.matches(below))
    }

    /// Whether something below the folder `below` could be meant.
    #[must_use]
    pub fn enters(&self, below: &str) -> bool {
        if below.is_empty() {
            return true;
        }
        if below.split('/').any(is_passing) {
            return false;
        }
        if self.ignores(below) && !self.excepts_below(below) {
            return false;
        }
        self.include.as_ref().is_none_or(|include| include.matches(below) || include.could_match_below(below))
    }

    fn ignores(&self, below: &str) -> bool {
        self.ignored_by(below).next().is_some()
    }

    /// The patterns that leave it out, and how they call it.
    fn ignored_by<'a>(&'a self, below: &'a str) -> impl Iterator<Item = (&'a Patterns, String)> {
        self.ignore.iter().filter_map(move |(folder, patterns)| {
            let path = if *folder == self.path {
                below.to_owned()
            } else {
                relative(&self.path.join(below), folder)?.to_owned()
            };
            (!path.is_empty() && patterns.matches(&path)).then_some((patterns, path))
        })
    }

    fn excepts_below(&self, below: &str) -> bool {
        self.ignored_by(below).all(|(patterns, path)| patterns.could_except_below(&path))
    }

    /// Where it goes in the container.
    #[must_use]
    pub fn inside(&self, below: &str) -> String {
        if below.is_empty() {
            self.target.clone()
        } else {
            format!("{}/{below}", self.target.trim_end_matches('/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(service: serde_json::Value, ignored: Option<&str>) -> Result<Rules, Failure> {
        let service: Service = serde_json::from_value(service).unwrap();
        let mut project = Project::default();
        project.services.insert("a".to_owned(), service);
        let text = |path: &Path| {
            let ignored = ignored.map(str::to_owned);
            if path == Path::new("/p/.dockerignore") { ignored } else { None }
        };
        let resolved = |path: &Path| path.to_owned();
        Rules::read(&project, &[], &Reader { text: &text, resolved: &resolved })
    }

    fn one(rule: &serde_json::Value, ignored: Option<&str>) -> Rule {
        let service = json!({ "build": { "context": "/p" }, "develop": { "watch": [rule] } });
        read(service, ignored).unwrap().of.remove("a").unwrap().remove(0)
    }

    #[test]
    fn what_is_left_out_is_not_even_entered() {
        let rule = one(
            &json!({ "path": "/p", "target": "/app/", "action": "sync", "ignore": ["node_modules/", "*.log"] }),
            None,
        );
        assert_eq!((rule.path.to_str(), rule.inside("b/c").as_str()), (Some("/p"), "/app/b/c"));
        assert_eq!(rule.inside(""), "/app");
        for meant in ["a.js", "src", "src/a.log", "src/node_modules"] {
            assert!(rule.wants(meant), "{meant}");
        }
        for not in ["a.log", "node_modules", "node_modules/x", ".git/HEAD", "a.js~", "src/.a.swp", "x/4913"] {
            assert!(!rule.wants(not), "{not}");
        }
        assert!(!rule.enters("node_modules") && !rule.enters("src/.git") && rule.enters("src"));
    }

    #[test]
    fn an_include_is_all_there_is_and_dockerignore_takes_from_it() {
        let rule = one(
            &json!({
                "path": "/p/web", "target": "/w", "action": "sync",
                "include": ["**/*.ts", "conf"], "ignore": ["gen"],
            }),
            Some("web/dist\n!web/dist/keep.ts\nweb/skip.ts\n"),
        );
        for meant in ["a.ts", "x/y/a.ts", "conf", "conf/any", "dist/keep.ts"] {
            assert!(rule.wants(meant), "{meant}");
        }
        for not in ["a.js", "skip.ts", "gen/a.ts", "dist/a.ts"] {
            assert!(!rule.wants(not), "{not}");
        }
        assert!(rule.enters("dist") && rule.enters("x") && !rule.enters("gen"));
    }

    #[test]
    fn one_file_is_a_rule_of_its_own() {
        let rule = one(&json!({ "path": "/p/package.json", "action": "rebuild" }), None);
        assert_eq!(rule.action, Action::Rebuild);
        assert!(rule.wants(""));
    }

    #[test]
    fn mistakes_and_rules_without_work_are_told() {
        let why = |rule: serde_json::Value| {
            let service = json!({ "image": "b", "develop": { "watch": [rule] } });
            read(service, None).unwrap_err().to_string()
        };
        assert!(read(json!({ "image": "b" }), None).unwrap().of.is_empty());
        assert!(why(json!({ "path": "/p", "action": "rebuild" })).contains("has no `build`"));
        let pattern = json!({ "path": "/p", "target": "/c", "action": "sync", "ignore": ["["] });
        assert!(why(pattern).contains("not a valid ignore pattern"));
        assert!(why(json!({ "path": "/p", "target": "c", "action": "sync" })).contains("the target `c`"));
        let mounted = json!({
            "image": "b",
            "volumes": [{ "type": "bind", "source": "/p", "target": "/app" }],
            "develop": { "watch": [{ "path": "/p/s", "target": "/app/s", "action": "sync" }] },
        });
        let rules = read(mounted, None).unwrap();
        assert!(rules.of.is_empty());
        assert!(rules.told[0].contains("mounted at /app"), "{:?}", rules.told);
    }
}
