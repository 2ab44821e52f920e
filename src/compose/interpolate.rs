//! Variables in values: `$A`, `${A}`, `${A:-default}` and the other forms, and the types that some keys are
//! cast to afterwards. Keys are never interpolated.

use std::collections::BTreeMap;

use super::problem::{Outcome, Problem, unless};
use super::tree::{Mark, Node, Path, Value};

/// What a text uses that has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TemplateError {
    /// `${` without a form that is known.
    Invalid,
    /// `${A:?message}`.
    Required {
        /// The variable without a value.
        variable: String,
        /// What the file says about it.
        reason: String,
    },
    /// Nested too deeply, or longer than any value is.
    TooMuch,
}

/// How deep defaults may be nested in defaults.
const MAX_DEPTH: usize = 100;
/// How much text one file may become.
const MAX_TEXT: usize = 16 << 20;

/// Where values come from, and which names were asked for in vain.
pub(crate) struct Lookup<'a> {
    value: &'a dyn Fn(&str) -> Option<String>,
    unset: Vec<String>,
    /// How much more text may be made.
    left: usize,
    depth: usize,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(value: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { value, unset: Vec::new(), left: MAX_TEXT, depth: 0 }
    }

    /// The names that were used without a value since the last call.
    pub(crate) fn take_unset(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unset)
    }
}

/// One variable as a text uses it.
pub(crate) struct Use<'t> {
    pub name: &'t str,
    /// `:-`, `-`, `:?`, `?`, `:+`, `+`, or nothing.
    pub operator: &'t str,
    pub argument: &'t str,
}

/// A piece of a text.
pub(crate) enum Piece<'t> {
    Literal(&'t str),
    Variable(Use<'t>),
}

/// Takes a text apart.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, after) = (&rest[..dollar], &rest[dollar + 1..]);
        if let Some(next) = after.strip_prefix('$') {
            pieces.push(Piece::Literal(before));
            pieces.push(Piece::Literal("$"));
            rest = next;
        } else if let Some(braced) = after.strip_prefix('{') {
            pieces.push(Piece::Literal(before));
            let (variable, next) = in_braces(braced)?;
            pieces.push(Piece::Variable(variable));
            rest = next;
        } else {
            let name = name_at(after);
            if name.is_empty() {
                pieces.push(Piece::Literal(&rest[..=dollar]));
            } else {
                pieces.push(Piece::Literal(before));
                pieces.push(Piece::Variable(Use { name, operator: "", argument: "" }));
            }
            rest = &after[name.len()..];
        }
    }
    pieces.push(Piece::Literal(rest));
    Ok(pieces)
}

/// The name that a text starts with.
fn name_at(text: &str) -> &str {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !text.starts_with(first) {
        return "";
    }
    let end = text.find(|c: char| !first(c) && !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// Reads the rest of `${`, up to the brace that closes it.
fn in_braces(text: &str) -> Result<(Use<'_>, &str), TemplateError> {
    let name = name_at(text);
    let after = &text[name.len()..];
    if name.is_empty() {
        return Err(TemplateError::Invalid);
    }
    if let Some(next) = after.strip_prefix('}') {
        return Ok((Use { name, operator: "", argument: "" }, next));
    }
    let operator = [":-", ":?", ":+", "-", "?", "+"].into_iter().find(|operator| after.starts_with(operator));
    let Some(operator) = operator.map(|operator| &after[..operator.len()]) else {
        return Err(TemplateError::Invalid);
    };
    let argument = &after[operator.len()..];
    // The expression ends in the line that it begins in, at the brace that balances the first one; where none
    // does, at the last one.
    let last = || argument.lines().next().and_then(|line| line.rfind('}')).ok_or(TemplateError::Invalid);
    let end = balanced(argument).map_or_else(last, Ok)?;
    Ok((Use { name, operator, argument: &argument[..end] }, &argument[end + 1..]))
}

/// Where in its line the brace that was opened before `text` is closed.
fn balanced(text: &str) -> Option<usize> {
    let mut open = 1_u32;
    let mut bytes = text.bytes().enumerate();
    while let Some((position, byte)) = bytes.next() {
        match byte {
            b'}' if open == 1 => return Some(position),
            b'}' => open -= 1,
            b'\n' => return None,
            b'{' => {
                open += 1;
                // The character after an opening brace never closes it.
                if let Some((_, b'\n')) = bytes.next() {
                    return None;
                }
            }
            _ => {}
        }
    }
    None
}

/// Gives `text` with its variables replaced.
pub(crate) fn substitute(text: &str, lookup: &mut Lookup<'_>) -> Result<String, TemplateError> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    if lookup.depth >= MAX_DEPTH {
        return Err(TemplateError::TooMuch);
    }
    lookup.depth += 1;
    let mut result = String::with_capacity(text.len());
    for piece in pieces(text)? {
        let made = result.len();
        match piece {
            Piece::Literal(literal) => result.push_str(literal),
            Piece::Variable(variable) => result.push_str(&value_of(&variable, lookup)?),
        }
        lookup.left = lookup.left.checked_sub(result.len() - made).ok_or(TemplateError::TooMuch)?;
    }
    lookup.depth -= 1;
    Ok(result)
}

fn value_of(variable: &Use<'_>, lookup: &mut Lookup<'_>) -> Result<String, TemplateError> {
    // The argument is read even where it is not needed: a mistake in it is always told.
    let argument = substitute(variable.argument, lookup)?;
    let value = (lookup.value)(variable.name);
    let present = match variable.operator {
        ":-" | ":?" | ":+" => value.as_deref().is_some_and(|value| !value.is_empty()),
        _ => value.is_some(),
    };
    match variable.operator {
        ":-" | "-" => Ok(if present { value.unwrap_or_default() } else { argument }),
        ":+" | "+" => Ok(if present { argument } else { value.unwrap_or_default() }),
        ":?" | "?" if !present => {
            Err(TemplateError::Required { variable: variable.name.to_owned(), reason: argument })
        }
        ":?" | "?" => Ok(value.unwrap_or_default()),
        _ => {
            if value.is_none() {
                lookup.unset.push(variable.name.to_owned());
            }
            Ok(value.unwrap_or_default())
        }
    }
}

/// One variable that a file uses, as `config --variables` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Whether the file refuses to be read without it.
    pub required: bool,
    /// What stands for it when it has no value.
    pub default_value: String,
    /// What stands in its place when it has one.
    pub presence_value: String,
}

/// Every variable that the values of a tree use.
pub(crate) fn variables(node: &Node, found: &mut BTreeMap<String, Variable>) {
    match &node.value {
        Value::Text(text) => variables_in(text, found),
        Value::List(items) => items.iter().for_each(|item| variables(item, found)),
        Value::Map(map) => map.iter().for_each(|(_, member)| variables(member, found)),
        _ => {}
    }
}

fn variables_in(text: &str, found: &mut BTreeMap<String, Variable>) {
    for piece in pieces(text).unwrap_or_default() {
        let Piece::Variable(used) = piece else { continue };
        let argument = used.argument.to_owned();
        let mut variable = Variable { name: used.name.to_owned(), ..Variable::default() };
        match used.operator {
            ":?" | "?" => variable.required = true,
            ":-" | "-" => variable.default_value = argument,
            ":+" | "+" => variable.presence_value = argument,
            _ => {}
        }
        found.entry(variable.name.clone()).or_insert(variable);
        variables_in(used.argument, found);
    }
}

/// What a value is cast to once its variables are replaced.
#[derive(Clone, Copy)]
enum Cast {
    Int,
    Float,
    Bool,
}

const CASTS: &[(&[&str], Cast)] = &[
    (&["services", "*", "cpu_count"], Cast::Int),
    (&["services", "*", "cpu_percent"], Cast::Float),
    (&["services", "*", "cpu_period"], Cast::Int),
    (&["services", "*", "cpu_quota"], Cast::Int),
    (&["services", "*", "cpu_rt_period"], Cast::Int),
    (&["services", "*", "cpu_rt_runtime"], Cast::Int),
    (&["services", "*", "cpus"], Cast::Float),
    (&["services", "*", "cpu_shares"], Cast::Int),
    (&["services", "*", "init"], Cast::Bool),
    (&["services", "*", "deploy", "replicas"], Cast::Int),
    (&["services", "*", "deploy", "update_config", "parallelism"], Cast::Int),
    (&["services", "*", "deploy", "update_config", "max_failure_ratio"], Cast::Float),
    (&["services", "*", "deploy", "rollback_config", "parallelism"], Cast::Int),
    (&["services", "*", "deploy", "rollback_config", "max_failure_ratio"], Cast::Float),
    (&["services", "*", "deploy", "restart_policy", "max_attempts"], Cast::Int),
    (&["services", "*", "deploy", "placement", "max_replicas_per_node"], Cast::Int),
    (&["services", "*", "healthcheck", "retries"], Cast::Int),
    (&["services", "*", "healthcheck", "disable"], Cast::Bool),
    (&["services", "*", "oom_kill_disable"], Cast::Bool),
    (&["services", "*", "oom_score_adj"], Cast::Int),
    (&["services", "*", "pids_limit"], Cast::Int),
    (&["services", "*", "ports", "[]", "target"], Cast::Int),
    (&["services", "*", "privileged"], Cast::Bool),
    (&["services", "*", "read_only"], Cast::Bool),
    (&["services", "*", "scale"], Cast::Int),
    (&["services", "*", "stdin_open"], Cast::Bool),
    (&["services", "*", "tty"], Cast::Bool),
    (&["services", "*", "ulimits", "*"], Cast::Int),
    (&["services", "*", "ulimits", "*", "hard"], Cast::Int),
    (&["services", "*", "ulimits", "*", "soft"], Cast::Int),
    (&["services", "*", "volumes", "[]", "read_only"], Cast::Bool),
    (&["services", "*", "volumes", "[]", "volume", "nocopy"], Cast::Bool),
    (&["networks", "*", "external"], Cast::Bool),
    (&["networks", "*", "internal"], Cast::Bool),
    (&["networks", "*", "attachable"], Cast::Bool),
    (&["networks", "*", "enable_ipv4"], Cast::Bool),
    (&["networks", "*", "enable_ipv6"], Cast::Bool),
    (&["volumes", "*", "external"], Cast::Bool),
    (&["secrets", "*", "external"], Cast::Bool),
    (&["configs", "*", "external"], Cast::Bool),
];

/// Replaces the variables of every value, and casts those that are cast.
pub(crate) fn tree(
    root: &mut Node,
    value: &dyn Fn(&str) -> Option<String>,
    warnings: &mut Vec<Problem>,
) -> Outcome<()> {
    let mut stage = Stage { lookup: Lookup::new(value), warnings, problems: Vec::new() };
    stage.node(root, &Path::Top);
    unless(stage.problems, ())
}

struct Stage<'a, 'w> {
    lookup: Lookup<'a>,
    warnings: &'w mut Vec<Problem>,
    problems: Vec<Problem>,
}

impl Stage<'_, '_> {
    fn node(&mut self, node: &mut Node, path: &Path<'_>) {
        let mark = node.mark;
        match &mut node.value {
            Value::Map(map) => map.iter_mut().for_each(|(key, member)| self.node(member, &path.to(key))),
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item, &path.to("[]"))),
            Value::Text(text) => match substitute(text, &mut self.lookup) {
                Ok(replaced) => {
                    for name in self.lookup.take_unset() {
                        self.warnings.push(unset(&name, mark));
                    }
                    let cast = CASTS.iter().find(|(pattern, _)| path.matches(pattern));
                    match cast {
                        Some((_, cast)) => self.cast(node, &replaced, *cast, path),
                        None => *text = replaced,
                    }
                }
                Err(error) => {
                    self.lookup.depth = 0;
                    self.problems.push(problem(&error, text, mark, path));
                }
            },
            _ => {}
        }
    }

    fn cast(&mut self, node: &mut Node, text: &str, cast: Cast, path: &Path<'_>) {
        let value = match cast {
            Cast::Int => text.parse().map(Value::Int).map_err(|_| "a whole number"),
            Cast::Float => text.parse().map(Value::Float).map_err(|_| "a number"),
            Cast::Bool => boolean(text, node.mark, self.warnings).map(Value::Bool).ok_or("true or false"),
        };
        match value {
            Ok(value) => node.value = value,
            Err(wanted) => {
                self.problems.push(Problem::new(format!("{path} must be {wanted}, not `{text}`"), node.mark));
            }
        }
    }
}

/// A boolean as YAML 1.1 spells it; the spellings that YAML 1.2 dropped are taken with a warning.
pub(crate) fn boolean(text: &str, mark: Mark, warnings: &mut Vec<Problem>) -> Option<bool> {
    let lower = text.to_lowercase();
    let value = match lower.as_str() {
        "true" => return Some(true),
        "false" => return Some(false),
        "y" | "yes" | "on" => true,
        "n" | "no" | "off" => false,
        _ => return None,
    };
    let message = format!("\"{text}\" for boolean is not supported by YAML 1.2, please use `{value}`");
    warnings.push(Problem::new(message, mark));
    Some(value)
}

/// The warning for a variable without a value.
pub(crate) fn unset(name: &str, mark: Mark) -> Problem {
    Problem::new(format!("The \"{name}\" variable is not set. Defaulting to a blank string."), mark)
        .hint(format!("set it in the environment or in .env, write `${{{name}:-default}}`, or `$${name}` for the text itself"))
}

fn problem(error: &TemplateError, text: &str, mark: Mark, path: &Path<'_>) -> Problem {
    match error {
        TemplateError::Invalid => {
            let shown: String = text.trim_end().chars().take(400).collect();
            let message = format!("invalid interpolation format for {path}: {shown}");
            Problem::new(message, mark).hint("You may need to escape any $ with another $")
        }
        TemplateError::TooMuch => {
            Problem::new(format!("the variables in {path} are nested too deeply or become too long"), mark)
        }
        TemplateError::Required { variable, reason } => {
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            Problem::new(format!("{path} needs the variable {variable}, which has no value{reason}"), mark)
                .hint(format!("set {variable} in the environment or in .env"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(name: &str) -> Option<String> {
        match name {
            "A" => Some("alpha".into()),
            "E" => Some(String::new()),
            _ => None,
        }
    }

    fn all(text: &str) -> Result<String, TemplateError> {
        substitute(text, &mut Lookup::new(&value))
    }

    #[test]
    fn every_form_of_a_variable() {
        for (text, expected) in [
            ("$A-${A}", "alpha-alpha"),
            ("${U:-d} ${U-d} ${E:-d} ${E-d}", "d d d "),
            ("${A:+x} ${A+x} ${E:+x} ${E+x} ${U+x}", "x x  x "),
            ("${A:?no} ${E?no}", "alpha "),
            ("${U:-${A}}", "alpha"),
            ("${U:-${V:-${A}}}", "alpha"),
            ("$$A $1 $ a$ $-", "$A $1 $ a$ $-"),
            ("$$$A", "$alpha"),
            ("${U:-}}", "}"),
            ("${U:-a}b}", "ab}"),
            ("${U:-{}", "{"),
            ("\\$A", "\\alpha"),
            ("${U:-a b}${A}", "a balpha"),
        ] {
            assert_eq!(all(text), Ok(expected.to_owned()), "{text}");
        }
        for text in ["${", "${}", "${A", "${ A }", "${A/x/y}", "${#A}", "${U:=x}", "${A:1}", "${U:-a\nb}"] {
            assert_eq!(all(text), Err(TemplateError::Invalid), "{text}");
        }
        assert!(matches!(all("${U:?why}"), Err(TemplateError::Required { reason, .. }) if reason == "why"));
    }

    #[test]
    fn variables_are_listed_with_their_forms() {
        let mut found = BTreeMap::new();
        variables_in("${A:-x} ${B:?} $C ${A}", &mut found);
        let list: Vec<_> =
            found.values().map(|v| (v.name.as_str(), v.required, v.default_value.as_str())).collect();
        assert_eq!(list, [("A", false, "x"), ("B", true, ""), ("C", false, "")]);
    }

    proptest! {
        #[test]
        fn interpolation_never_panics(text in "[$\\{\\}:?+\\-A-Ca \\n\u{e9}]{0,40}") {
            let _ = all(&text);
        }
    }
}
