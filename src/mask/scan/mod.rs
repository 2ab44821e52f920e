//! Finding columns that hold what is personal or secret: what the name says, the table around it, the type, the
//! comment, what limits it, and what sampled values look like. It proposes; whoever owns the data decides.

mod judge;
mod name;
mod value;

use std::collections::BTreeMap;

use serde::Serialize;

use super::find::Sort;
use super::plan::{DISTINCT_RULES, is_room};
use super::policy::{Decision, Make, Rest, Rule, yaml_key};
use super::table::{Column, Kind, Table};
use judge::{Context, judge};

/// What the scanner knows; a proposal that was made by another version is worth another look.
pub const VERSION: u32 = 1;

/// Sampled values by table (`schema.table`) and column, NULL left out.
pub type Samples = BTreeMap<(String, String), Vec<String>>;

/// What a column is taken for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The table, as `schema.table`.
    pub table: String,
    /// The column.
    pub column: String,
    /// How much care it needs.
    pub tier: Tier,
    /// What it is: `email`, `birth date`; empty where it is nothing of note.
    pub class: &'static str,
    /// How sure that is, of 1.
    pub confidence: f32,
    /// Why, in a few words each; never a value.
    pub evidence: Vec<String>,
    /// What is proposed, as the policy writes it.
    pub proposal: String,
    /// The same for the policy.
    #[serde(skip)]
    pub decision: Decision,
}

/// How much care a column needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Nothing of note was seen.
    None,
    /// Says who somebody is only together with others: a place, an employer.
    Quasi,
    /// Free text, documents and files that may hold anything.
    Text,
    /// About a person.
    Personal,
    /// Opens doors: passwords, tokens, keys.
    Secret,
}

impl Tier {
    /// Whether it has to be masked.
    #[must_use]
    pub fn is_sensitive(self) -> bool {
        matches!(self, Self::Personal | Self::Secret)
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quasi => "quasi",
            Self::Text => "text",
            Self::Personal => "personal",
            Self::Secret => "secret",
        }
    }
}

/// What each column of each table is taken for, in their order.
#[must_use]
pub fn scan(tables: &[Table], samples: &Samples) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in tables {
        let context = Context::of(table);
        let path = table.path();
        for (place, column) in table.columns.iter().enumerate() {
            let none = Vec::new();
            let values = samples.get(&(path.clone(), column.name.clone())).unwrap_or(&none);
            let verdict = judge(&context, table, place, values);
            let decision = propose(table, place, &verdict, values);
            findings.push(Finding {
                table: path.clone(),
                column: column.name.clone(),
                tier: verdict.tier,
                class: verdict.class,
                confidence: verdict.confidence,
                evidence: verdict.evidence,
                proposal: write(&decision),
                decision,
            });
        }
    }
    findings
}

/// What a column was judged to be.
#[derive(Debug, Clone)]
struct Verdict {
    tier: Tier,
    class: &'static str,
    make: Option<Make>,
    confidence: f32,
    evidence: Vec<String>,
}

/// The rule for a column, made to fit what limits it.
fn propose(table: &Table, place: usize, verdict: &Verdict, values: &[String]) -> Decision {
    let column = &table.columns[place];
    let mask = |make: Make| Decision::Mask(Box::new(Rule::new(make)));
    if table.refers(place) || column.generated {
        return Decision::Keep;
    }
    if !verdict.tier.is_sensitive() {
        return match (verdict.tier, column.kind) {
            (Tier::Text, Kind::Json) => mask(json(values)),
            (Tier::Text, Kind::Text) if !column.array && column.length.is_none_or(|length| length >= 40) => {
                mask(Make::Redact)
            }
            _ => Decision::Keep,
        };
    }
    let wanted = verdict.make.clone().unwrap_or(Make::Form);
    let unique = table.is_unique(place);
    let nothing = || match column.kind {
        _ if !column.not_null => mask(Make::Null),
        _ if column.has_default && !unique => Decision::Drop,
        Kind::Bytes | Kind::Boolean | Kind::Place | Kind::Other | Kind::Choice => {
            mask(Make::Constant(constant(column)))
        }
        _ => mask(Make::Form),
    };
    match column.kind {
        Kind::Text => {
            let fits = is_room(&wanted, column) && (!unique || DISTINCT_RULES.contains(&wanted.word()));
            match wanted {
                Make::Null if column.not_null || unique => {
                    mask(if is_room(&Make::Hash, column) && column.length.is_none_or(|length| length >= 16) {
                        Make::Hash
                    } else {
                        Make::Form
                    })
                }
                wanted if fits => mask(wanted),
                _ => mask(Make::Form),
            }
        }
        Kind::Integer => mask(if wanted == Make::Noise(10) && !unique { wanted } else { Make::Digits }),
        Kind::Number => mask(if unique { Make::Digits } else { Make::Noise(10) }),
        Kind::Date | Kind::Time if !unique => mask(Make::Date(30)),
        Kind::Uuid => mask(Make::Uuid),
        Kind::Json if verdict.tier == Tier::Secret => nothing(),
        Kind::Json => mask(Make::Json { paths: Vec::new(), rest: Rest::Text }),
        Kind::Address if !unique => mask(Make::Network),
        _ => nothing(),
    }
}

/// A value that says nothing.
fn constant(column: &Column) -> String {
    match column.kind {
        Kind::Bytes => "\\x".to_owned(),
        Kind::Boolean => "f".to_owned(),
        Kind::Place => "(0,0)".to_owned(),
        Kind::Choice => column.labels.first().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// A rule for documents: the paths whose values give themselves away, or whose names do.
fn json(values: &[String]) -> Make {
    let mut paths: BTreeMap<String, Make> = BTreeMap::new();
    for value in values.iter().take(50) {
        if let Ok(document) = serde_json::from_str(value) {
            walk(&document, "$", &mut paths);
        }
    }
    Make::Json { paths: paths.into_iter().take(40).collect(), rest: Rest::Redact }
}

fn walk(value: &serde_json::Value, path: &str, paths: &mut BTreeMap<String, Make>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                let simple = key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
                if !simple || key.is_empty() {
                    continue;
                }
                let path = format!("{path}.{key}");
                let scalar = value.is_string() || value.is_number();
                if scalar && let Some(make) = judge::of_key(key) {
                    paths.insert(path, make);
                } else {
                    walk(value, &path, paths);
                }
            }
        }
        serde_json::Value::Array(items) => {
            for item in items.iter().take(5) {
                walk(item, &format!("{path}[*]"), paths);
            }
        }
        serde_json::Value::String(text) => {
            let make = match super::find::whole(text.as_bytes()) {
                Some(Sort::Email) => Make::Email,
                Some(Sort::Phone) => Make::Phone,
                Some(Sort::Card) => Make::Card,
                Some(Sort::Iban | Sort::Social | Sort::Secret) => Make::Form,
                Some(Sort::Network) => Make::Network,
                None => return,
            };
            if path != "$" {
                paths.insert(path.to_owned(), make);
            }
        }
        _ => {}
    }
}

/// A decision as the policy file has it.
#[must_use]
pub fn write(decision: &Decision) -> String {
    match decision {
        Decision::Keep => "keep".to_owned(),
        Decision::Public => "public".to_owned(),
        Decision::Drop => "drop".to_owned(),
        Decision::Mask(rule) => match &rule.make {
            Make::Constant(value) => format!("{{mask: constant, value: {value:?}}}"),
            Make::Date(days) => format!("{{mask: date, days: {days}}}"),
            Make::Json { paths, rest } => {
                let rest = match rest {
                    Rest::Keep => "keep",
                    Rest::Redact => "redact",
                    Rest::Text => "text",
                };
                let paths: Vec<String> =
                    paths.iter().map(|(path, make)| format!("{}: {}", path_key(path), make.word())).collect();
                if paths.is_empty() {
                    format!("{{mask: json, rest: {rest}}}")
                } else {
                    format!("{{mask: json, paths: {{{}}}, rest: {rest}}}", paths.join(", "))
                }
            }
            make => make.word().to_owned(),
        },
    }
}

fn path_key(path: &str) -> String {
    if path.chars().all(|c| c.is_ascii_alphanumeric() || "$._".contains(c)) {
        path.to_owned()
    } else {
        format!("{path:?}")
    }
}

/// A policy that decides on every column as the findings propose, with the evidence beside.
#[must_use]
pub fn policy(findings: &[Finding]) -> String {
    let mut out = String::from(
        "# What becomes of every column when data is copied with `devenv db copy --masked`.\n\
         # Proposed by `devenv db mask scan`: read it, change it, keep it in git. A column that is not here stops the copy.\n\
         version: 1\ntables:\n",
    );
    let mut table = "";
    for finding in findings {
        if finding.table != table {
            table = &finding.table;
            out.push_str(&format!("  {}:\n", yaml_key(table)));
        }
        let line = format!("    {}: {}", yaml_key(&finding.column), finding.proposal);
        if finding.tier == Tier::None {
            out.push_str(&line);
        } else {
            let sure = (finding.confidence * 100.0).round();
            let why = finding.evidence.join(", ");
            out.push_str(&format!("{line}  # {} {}, {sure} %: {why}", finding.tier.word(), finding.class));
        }
        out.push('\n');
    }
    out
}
