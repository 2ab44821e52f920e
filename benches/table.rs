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
    /// Contestant and its times, in the order of the rounds; the first is devenv.
    times: Vec<(&'static str, Vec<Duration>)>,
    targets: Vec<Target>,
}

/// What devenv's median is held against.
#[derive(Clone)]
pub enum Target {
    /// At most so many times another contestant's median.
    Ratio(&'static str, f64),
    /// At most so long.
    Time(Duration),
}

impl Row {
    pub fn new(subject: impl Into<String>, contestants: &[&'static str], targets: Vec<Target>) -> Self {
        let times = contestants.iter().map(|name| (*name, Vec::new())).collect();
        Self { subject: subject.into(), times, targets }
    }

    pub fn add(&mut self, contestant: &str, took: Duration) {
        if let Some((_, times)) = self.times.iter_mut().find(|(name, _)| *name == contestant) {
            times.push(took);
        }
    }

    fn of(&self, contestant: &str) -> &[Duration] {
        self.times.iter().find(|(name, _)| *name == contestant).map_or(&[], |(_, times)| times)
    }

    /// One line for every contestant; what devenv is held against stands in the line of the other.
    fn lines(&self) -> Vec<[String; 6]> {
        let ours = self.of("devenv");
        let mut lines = Vec::new();
        for (index, (name, times)) in self.times.iter().enumerate() {
            let (mut ratio, mut paired, mut target) = (String::new(), String::new(), String::new());
            if index > 0 && !times.is_empty() && !ours.is_empty() {
                let whole = median(ours) / median(times);
                ratio = format!("{whole:.2}");
                paired = format!("{:.2}", paired_ratio(ours, times));
                for wanted in &self.targets {
                    if let Target::Ratio(other, most) = wanted
                        && other == name
                    {
                        target = format!("≤ {most:.2} × {name}: {}", verdict(whole <= *most));
                    }
                }
            }
            if index == 0 && !times.is_empty() {
                for wanted in &self.targets {
                    if let Target::Time(most) = wanted {
                        target = format!(
                            "≤ {}: {}",
                            span(most.as_secs_f64()),
                            verdict(median(times) <= most.as_secs_f64())
                        );
                    }
                }
            }
            let subject = if index == 0 { self.subject.clone() } else { String::new() };
            lines.push([subject, (*name).to_owned(), summary(times), ratio, paired, target]);
        }
        lines
    }

    fn json(&self) -> Value {
        let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
        let times: serde_json::Map<String, Value> =
            self.times.iter().map(|(name, times)| ((*name).to_owned(), json!(seconds(times)))).collect();
        json!({ "subject": self.subject, "seconds": times })
    }
}

fn verdict(passed: bool) -> &'static str {
    if passed { "pass" } else { "MISS" }
}

fn median(times: &[Duration]) -> f64 {
    middle(times.iter().map(Duration::as_secs_f64).collect())
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
fn paired_ratio(ours: &[Duration], theirs: &[Duration]) -> f64 {
    middle(ours.iter().zip(theirs).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect())
}

fn span(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

fn summary(times: &[Duration]) -> String {
    if times.is_empty() {
        return "–".to_owned();
    }
    let seconds = times.iter().map(Duration::as_secs_f64);
    let (least, most) = seconds.fold((f64::MAX, 0.0_f64), |(a, b), s| (a.min(s), b.max(s)));
    format!("{} ({}–{}) n={}", span(median(times)), span(least), span(most), times.len())
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
