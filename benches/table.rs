//! Figures of one run, side by side: medians, spans, ratios, and the targets next to them.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use serde_json::{Value, json};

use crate::process::Programs;

/// One thing that was done, with what each contestant took for it, round by round.
pub struct Row {
    subject: String,
    unit: Unit,
    /// Contestant and its figures, in the order of the rounds; the first is devenv.
    figures: Vec<(&'static str, Vec<f64>)>,
    targets: Vec<Target>,
}

/// What a row's figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    /// So many in a second: more is better.
    Rate,
    Percent,
    Bytes,
}

/// What devenv's median is held against.
#[derive(Clone)]
pub enum Target {
    /// At most so many times another contestant's median.
    Ratio(&'static str, f64),
    /// At least so many times another contestant's median.
    AtLeast(&'static str, f64),
    /// At most so long.
    Time(Duration),
    /// At most so much, in the row's unit.
    Most(f64),
}

impl Row {
    pub fn new(subject: impl Into<String>, contestants: &[&'static str], targets: Vec<Target>) -> Self {
        let figures = contestants.iter().map(|name| (*name, Vec::new())).collect();
        Self { subject: subject.into(), unit: Unit::Seconds, figures, targets }
    }

    #[must_use]
    pub fn in_unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    pub fn add(&mut self, contestant: &str, took: Duration) {
        self.add_figure(contestant, took.as_secs_f64());
    }

    pub fn add_figure(&mut self, contestant: &str, figure: f64) {
        if let Some((_, figures)) = self.figures.iter_mut().find(|(name, _)| *name == contestant) {
            figures.push(figure);
        }
    }

    pub fn of(&self, contestant: &str) -> &[f64] {
        self.figures.iter().find(|(name, _)| *name == contestant).map_or(&[], |(_, figures)| figures)
    }

    /// One line for every contestant; what devenv is held against stands in the line of the other.
    fn lines(&self) -> Vec<[String; 6]> {
        let ours = self.of("devenv");
        let mut lines = Vec::new();
        for (index, (name, figures)) in self.figures.iter().enumerate() {
            let (mut ratio, mut paired, mut target) = (String::new(), String::new(), String::new());
            if index > 0 && !figures.is_empty() && !ours.is_empty() {
                let whole = median(ours) / median(figures);
                ratio = format!("{whole:.2}");
                paired = format!("{:.2}", paired_ratio(ours, figures));
                for wanted in &self.targets {
                    match wanted {
                        Target::Ratio(other, most) if other == name => {
                            target = format!("≤ {most:.2} × {name}: {}", verdict(whole <= *most));
                        }
                        Target::AtLeast(other, least) if other == name => {
                            target = format!("≥ {least:.2} × {name}: {}", verdict(whole >= *least));
                        }
                        _ => {}
                    }
                }
            }
            if index == 0 && !figures.is_empty() {
                for wanted in &self.targets {
                    let most = match wanted {
                        Target::Time(most) => most.as_secs_f64(),
                        Target::Most(most) => *most,
                        Target::Ratio(..) | Target::AtLeast(..) => continue,
                    };
                    target = format!("≤ {}: {}", self.unit.text(most), verdict(median(figures) <= most));
                }
            }
            let subject = if index == 0 { self.subject.clone() } else { String::new() };
            lines.push([subject, (*name).to_owned(), self.summary(figures), ratio, paired, target]);
        }
        lines
    }

    fn summary(&self, figures: &[f64]) -> String {
        if figures.is_empty() {
            return "–".to_owned();
        }
        let (least, most) = figures.iter().fold((f64::MAX, 0.0_f64), |(a, b), f| (a.min(*f), b.max(*f)));
        let text = |figure| self.unit.text(figure);
        format!("{} ({}–{}) n={}", text(median(figures)), text(least), text(most), figures.len())
    }

    fn json(&self) -> Value {
        let figures: serde_json::Map<String, Value> =
            self.figures.iter().map(|(name, figures)| ((*name).to_owned(), json!(figures))).collect();
        let mut row = json!({ "subject": self.subject });
        row[self.unit.word()] = json!(figures);
        row
    }
}

impl Unit {
    fn text(self, figure: f64) -> String {
        match self {
            Self::Seconds if figure < 1.0 => format!("{:.1} ms", figure * 1e3),
            Self::Seconds => format!("{figure:.2} s"),
            Self::Rate => format!("{figure:.0}/s"),
            Self::Percent => format!("{figure:.2} %"),
            Self::Bytes => format!("{:.1} MB", figure / 1e6),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Rate => "per_second",
            Self::Percent => "percent",
            Self::Bytes => "bytes",
        }
    }
}

fn verdict(passed: bool) -> &'static str {
    if passed { "pass" } else { "MISS" }
}

fn median(figures: &[f64]) -> f64 {
    middle(figures.to_vec())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// The median of the ratios within the rounds: noise that comes and goes touches both of a round.
fn paired_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    middle(ours.iter().zip(theirs).map(|(a, b)| a / b).collect())
}

/// All rows, and the circumstances.
pub struct Report {
    circumstances: Vec<String>,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    pub async fn begin(programs: &Programs, engine: &Docker) -> Self {
        let version = engine.version().await.ok().and_then(|found| found.version).unwrap_or_default();
        let compose = programs.compose.as_deref().map_or_else(
            || "none".to_owned(),
            |path| {
                let said = std::process::Command::new(path).args(["version", "--short"]).output();
                said.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
            },
        );
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Self {
            circumstances: vec![
                format!("devenv {}, Compose {compose}, engine {version}", env!("CARGO_PKG_VERSION")),
                format!("{cores} cores, load before: {}", load()),
            ],
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a finished row and shows it at once.
    pub fn add(&mut self, row: Row) {
        eprint!("{}", layout(&row.lines()));
        self.rows.push(row);
    }

    /// Something that whoever reads the figures has to know.
    pub fn note(&mut self, note: String) {
        eprintln!("note: {note}");
        self.notes.push(note);
    }

    pub fn end(mut self, took: Duration, file: Option<&Path>) -> Result<(), String> {
        self.circumstances.push(format!("load after: {}, {:.0} s in all", load(), took.as_secs_f64()));
        println!("\n{}", self.circumstances.join("\n"));
        let head = ["subject", "", "median (min–max)", "ratio", "paired", "target"].map(str::to_owned);
        let lines: Vec<_> = std::iter::once(head).chain(self.rows.iter().flat_map(Row::lines)).collect();
        println!("\n{}", layout(&lines));
        println!(
            "ratio: devenv's median by the other's · paired: the median of the ratios within each round"
        );
        for note in &self.notes {
            println!("note: {note}");
        }
        let Some(file) = file else { return Ok(()) };
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let all =
            json!({ "version": 1, "circumstances": self.circumstances, "notes": self.notes, "rows": rows });
        std::fs::write(file, format!("{all:#}\n")).map_err(|error| format!("{}: {error}", file.display()))
    }
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn layout(lines: &[[String; 6]]) -> String {
    const LEAST: [usize; 6] = [24, 8, 36, 6, 6, 0];
    let mut text = String::new();
    for line in lines {
        let mut out = String::new();
        for (cell, least) in line.iter().zip(LEAST) {
            let _ = write!(out, "{cell:<least$}  ");
        }
        let _ = writeln!(text, "{}", out.trim_end());
    }
    text
}
