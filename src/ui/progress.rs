//! Events as they happen: one changing line per subject on a terminal, one line per outcome elsewhere.

use std::time::Duration;

use dialoguer::console::Style;
use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::{eprint_line, harmless};
use crate::base::Event;

/// Lines that are still changing, by subject.
pub(super) struct Progress {
    /// `None` where lines cannot change in place.
    lines: Option<MultiProgress>,
    bars: IndexMap<String, ProgressBar>,
    quiet: bool,
}

impl Progress {
    pub(super) fn new(live: bool, quiet: bool) -> Self {
        let lines = live && !quiet;
        let lines = lines.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15)));
        Self { lines, bars: IndexMap::new(), quiet }
    }

    pub(super) fn show(&mut self, event: &Event) {
        match event {
            Event::Started { subject, doing } => self.started(subject, doing),
            Event::Progress { subject, detail, done, total } => {
                self.progress(subject, detail, *done, *total);
            }
            Event::Done { subject, outcome, took } => self.done(subject, outcome, *took),
            Event::Failed { subject, reason } => {
                self.end(subject);
                self.print(&format!("{} {} {}", red("✘"), harmless(subject), harmless(reason)));
            }
            Event::Output { subject, line } => {
                if self.lines.is_some() {
                    self.progress(subject, line, None, None);
                } else if !self.quiet {
                    eprint_line(&format!("  {} | {}", harmless(subject), harmless(line)));
                }
            }
            Event::Warning { message, place, hint } => {
                let label = Style::new().for_stderr().yellow().bold().apply_to("warning:");
                let place = place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
                self.print(&format!("{label} {place}{}", harmless(message)));
                if let Some(hint) = hint {
                    let label = Style::new().for_stderr().cyan().bold().apply_to("hint:");
                    self.print(&format!("{label} {}", harmless(hint)));
                }
            }
            Event::Note { message } => {
                if !self.quiet {
                    self.print(&harmless(message));
                }
            }
        }
    }

    /// Takes the changing lines away; what is done has been printed above them.
    pub(super) fn finish(&mut self) {
        for (_, bar) in self.bars.drain(..) {
            bar.finish_and_clear();
        }
        if let Some(lines) = &self.lines {
            let _ = lines.clear();
        }
    }

    fn started(&mut self, subject: &str, doing: &str) {
        let Some(lines) = &self.lines else { return };
        let bar = self.bars.entry(subject.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner:.cyan} {prefix}  {msg} {elapsed:.dim}");
            let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
            let bar = lines.add(bar);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(harmless(subject));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_message(harmless(doing));
    }

    fn progress(&mut self, subject: &str, detail: &str, done: Option<u64>, total: Option<u64>) {
        self.started(subject, detail);
        if let (Some(bar), Some(done), Some(total)) = (self.bars.get(subject), done, total) {
            #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            bar.set_message(format!("{} {:.1}/{:.1} MiB", harmless(detail), mib(done), mib(total)));
        }
    }

    fn done(&mut self, subject: &str, outcome: &str, took: Duration) {
        self.end(subject);
        if !self.quiet {
            let took = if took < Duration::from_millis(100) {
                format!("{}ms", took.as_millis())
            } else {
                format!("{:.1}s", took.as_secs_f64())
            };
            let took = Style::new().for_stderr().dim().apply_to(took);
            self.print(&format!("{} {}  {} {took}", green("✔"), harmless(subject), harmless(outcome)));
        }
    }

    fn end(&mut self, subject: &str) {
        if let Some(bar) = self.bars.shift_remove(subject) {
            bar.finish_and_clear();
        }
    }

    fn print(&self, line: &str) {
        match &self.lines {
            Some(lines) => {
                let _ = lines.println(line);
            }
            None => eprint_line(line),
        }
    }
}

fn green(mark: &str) -> String {
    Style::new().for_stderr().green().apply_to(mark).to_string()
}

fn red(mark: &str) -> String {
    Style::new().for_stderr().red().apply_to(mark).to_string()
}
