//! Relative paths made absolute: against the project's folder, or against the file that an extended service
//! comes from.

use super::canonical::clean;
use super::problem::{Outcome, Problem, unless};
use super::tree::{Node, Path, Value};

#[derive(Clone, Copy)]
enum Rule {
    /// A path of this machine.
    Local,
    /// A path of this machine or of another system.
    AnySystem,
    /// A build context: a path, an address, another service.
    Context,
    /// The file of `extends`.
    Extends,
    /// A path whose symbolic links are followed.
    Watched,
    Mount,
    /// A volume whose options make a bind mount of it.
    VolumeOptions,
}

const RULES: &[(&[&str], Rule)] = &[
    (&["services", "*", "build", "context"], Rule::Context),
    (&["services", "*", "build", "additional_contexts", "*"], Rule::Context),
    (&["services", "*", "build", "ssh", "*"], Rule::AnySystem),
    (&["services", "*", "env_file", "*", "path"], Rule::Local),
    (&["services", "*", "label_file", "*"], Rule::Local),
    (&["services", "*", "extends", "file"], Rule::Extends),
    (&["services", "*", "develop", "watch", "*", "path"], Rule::Watched),
    (&["services", "*", "volumes", "*"], Rule::Mount),
    (&["configs", "*", "file"], Rule::AnySystem),
    (&["secrets", "*", "file"], Rule::AnySystem),
    (&["volumes", "*"], Rule::VolumeOptions),
];

/// What paths are resolved with.
pub(crate) struct Resolver<'a> {
    /// Where relative paths start. May itself be relative: then so is the result.
    pub base: &'a str,
    pub home: Option<&'a str>,
    /// Follows the first symbolic link of a path.
    pub follow: &'a dyn Fn(&str) -> String,
}

/// Resolves every path of a tree in its long form.
pub(crate) fn tree(root: &mut Node, resolver: &Resolver<'_>) -> Outcome<()> {
    let mut problems = Vec::new();
    node(root, &Path::Top, resolver, &mut problems);
    unless(problems, ())
}

fn node(here: &mut Node, path: &Path<'_>, resolver: &Resolver<'_>, problems: &mut Vec<Problem>) {
    if let Some((_, rule)) = RULES.iter().find(|(pattern, _)| path.matches(pattern)) {
        if let Err(problem) = resolver.apply(*rule, here) {
            problems.push(problem);
        }
        return;
    }
    match &mut here.value {
        Value::Map(map) => {
            map.iter_mut().for_each(|(key, member)| node(member, &path.to(key), resolver, problems));
        }
        Value::List(items) => {
            for item in items {
                node(item, &path.to("[]"), resolver, problems);
            }
        }
        _ => {}
    }
}

impl Resolver<'_> {
    fn apply(&self, rule: Rule, node: &mut Node) -> Result<(), Problem> {
        match rule {
            Rule::Mount => return self.mount(node),
            Rule::VolumeOptions => {
                self.volume(node);
                return Ok(());
            }
            _ => {}
        }
        let kind = node.kind();
        let Value::Text(text) = &mut node.value else {
            // The reference crashes at it. A path nevertheless, it would have been looked for here and there.
            let context = matches!(rule, Rule::Context);
            let problem = Problem::new(format!("a build context is a path, this is {kind}"), node.mark);
            return if context { Err(problem.hint("write it in quotes")) } else { Ok(()) };
        };
        *text = match rule {
            Rule::Context if is_remote_context(text) => return Ok(()),
            Rule::Extends if is_remote(text) => return Ok(()),
            Rule::AnySystem => self.any_system(text),
            Rule::Watched => (self.follow)(&self.local(text)),
            _ => self.local(text),
        };
        Ok(())
    }

    /// A path of this machine.
    pub(crate) fn local(&self, path: &str) -> String {
        let path = self.expand_home(path);
        if path.starts_with('/') || path.is_empty() { path } else { join(self.base, &path) }
    }

    fn any_system(&self, path: &str) -> String {
        let path = self.expand_home(path);
        if path.starts_with('/') || is_windows_absolute(&path) { path } else { join(self.base, &path) }
    }

    fn expand_home(&self, path: &str) -> String {
        match (path.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) => join(home, rest),
            _ => path.to_owned(),
        }
    }

    fn mount(&self, node: &mut Node) -> Result<(), Problem> {
        let mark = node.mark;
        let Some(map) = node.as_map_mut() else { return Ok(()) };
        if map.get("type").and_then(Node::as_text) != Some("bind") {
            return Ok(());
        }
        match map.get_mut("source").map(|source| &mut source.value) {
            Some(Value::Text(source)) => {
                *source = self.any_system(source);
                Ok(())
            }
            // It was refused by an earlier stage.
            Some(Value::Null) => Ok(()),
            _ => Err(Problem::new(
                "invalid mount config for type \"bind\": field Source must not be empty",
                mark,
            )
            .hint("a bind mount needs the `source` on the host")),
        }
    }

    fn volume(&self, node: &mut Node) {
        if node.get("driver").and_then(Node::as_text) != Some("local") {
            return;
        }
        let Some(options) = node.get_mut("driver_opts") else { return };
        if options.get("o").and_then(Node::as_text) != Some("bind") {
            return;
        }
        if let Some(Node { value: Value::Text(device), .. }) = options.get_mut("device") {
            *device = self.any_system(device);
        }
    }
}

/// Two paths joined and cleaned.
pub(crate) fn join(base: &str, path: &str) -> String {
    match (base, path) {
        ("", path) => clean(path),
        (base, "") => clean(base),
        (base, path) => clean(&format!("{base}/{path}")),
    }
}

/// The way from one folder to a path, as Go's `filepath.Rel` gives it. Both absolute, or both relative.
pub(crate) fn relative(from: &str, to: &str) -> Option<String> {
    let (from, to) = (clean(from), clean(to));
    if from.starts_with('/') != to.starts_with('/') {
        return None;
    }
    let split = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
    };
    let (from, to) = (split(&from), split(&to));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut parts = vec!["..".to_owned(); from.len() - common];
    parts.extend(to[common..].iter().cloned());
    Some(if parts.is_empty() { ".".into() } else { parts.join("/") })
}

/// The folder of a path.
pub(crate) fn parent(path: &str) -> String {
    match path.rfind('/') {
        Some(0) => "/".into(),
        Some(end) => clean(&path[..end]),
        None => ".".into(),
    }
}

fn is_windows_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with("\\\\")
        || (bytes.len() > 2
            && bytes[0].is_ascii_alphabetic()
            && bytes[1] == b':'
            && matches!(bytes[2], b'\\' | b'/'))
}

fn is_remote_context(context: &str) -> bool {
    context.contains("://")
        || context.starts_with("service:")
        || ["github.com/", "git@"].iter().any(|prefix| context.starts_with(prefix))
}

/// Whether a file stands in a repository or a registry.
pub(crate) fn is_remote(path: &str) -> bool {
    ["git://", "ssh://", "http://", "https://", "git@", "github.com/", "oci://"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::super::parse::documents;
    use super::*;

    #[test]
    fn paths_start_at_the_base() {
        let text = "services: {a: {build: {context: b}, volumes: [{type: bind, source: ~/x}, {type: bind, source: 'C:\\y'}]}}";
        let mut root = documents(text, 0).unwrap().remove(0).root;
        let resolver = Resolver { base: "/base", home: Some("/home/u"), follow: &|path| path.to_owned() };
        tree(&mut root, &resolver).unwrap();
        let expected = "services: {a: {build: {context: /base/b}, volumes: [{type: bind, source: /home/u/x}, {type: bind, source: 'C:\\y'}]}}";
        assert_eq!(root, documents(expected, 0).unwrap().remove(0).root);
    }

    #[test]
    fn a_context_that_is_no_text_is_refused() {
        // Found by the fuzz target `loader`: it was printed as `"0"`, which is a folder when it is read again.
        let mut root =
            documents("services: {a: {build: {additional_contexts: {b: 0}}}}", 0).unwrap().remove(0).root;
        let resolver = Resolver { base: "/base", home: None, follow: &|path| path.to_owned() };
        assert_eq!(
            tree(&mut root, &resolver).unwrap_err()[0].message,
            "a build context is a path, this is a number"
        );
    }

    #[test]
    fn the_way_from_one_folder_to_another() {
        assert_eq!(relative("/a/b", "/a/c/d").as_deref(), Some("../c/d"));
        assert_eq!(relative("/a", "/a").as_deref(), Some("."));
        assert_eq!(relative("/a", "b"), None);
        assert_eq!(parent("/a/b"), "/a");
    }
}
