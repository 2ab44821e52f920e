//! Tells: events and failures to stderr, data to stdout. The only room that prints.
//!
//! Three ways to tell the same events: a terminal (lines that change in place), plain lines (no terminal, a
//! dumb one, or CI), and JSON lines (`--json`). Nothing is said by colour alone.

mod failure;
mod progress;
mod table;
pub mod terminal;
pub mod words;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};

use dialoguer::console::{self, Style};
use serde::Serialize;

use crate::base::{Event, Events, Failure, Kind};
use progress::Progress;
pub use table::Table;

/// What the user asked of the output.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// Colour: always, never, or (nothing said) where a terminal is.
    pub color: Option<bool>,
    /// Data as JSON, events as JSON lines.
    pub json: bool,
    /// Warnings and failures only.
    pub quiet: bool,
    /// Never ask.
    pub no_input: bool,
    /// Answer every question with yes.
    pub yes: bool,
    /// `TERM=dumb`, or CI: no lines that change in place.
    pub plain: bool,
}

/// The two ends of the terminal and how to write to them.
#[derive(Clone)]
pub struct Ui {
    wishes: Wishes,
    progress: Arc<Mutex<Progress>>,
}

impl Ui {
    /// Looks at the terminal once.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        if let Some(color) = wishes.color {
            console::set_colors_enabled(color);
            console::set_colors_enabled_stderr(color);
        }
        let live = io::stderr().is_terminal() && !wishes.plain && !wishes.json;
        Self { wishes, progress: Arc::new(Mutex::new(Progress::new(live, wishes.quiet))) }
    }

    /// Where a command sends its events.
    #[must_use]
    pub fn events(&self) -> Events {
        let progress = Arc::clone(&self.progress);
        let json = self.wishes.json;
        Events::to(move |event| {
            if json {
                eprint_line(&serde_json::to_string(&event).unwrap_or_default());
            } else if let Ok(mut progress) = progress.lock() {
                progress.show(&event);
            }
        })
    }

    /// Ends the changing lines, so that what follows stands below them.
    pub fn settle(&self) {
        if let Ok(mut progress) = self.progress.lock() {
            progress.finish();
        }
    }

    /// Tells a failure, with all that came with it.
    pub fn failure(&self, failure: &Failure) {
        self.settle();
        if self.wishes.json {
            eprint_line(&failure::as_json(failure).to_string());
        } else {
            eprint_line(failure::as_text(failure, console::colors_enabled_stderr()).trim_end());
        }
    }

    /// One line of data on stdout.
    pub fn line(&self, text: impl AsRef<str>) {
        self.bytes(format!("{}\n", text.as_ref()).as_bytes());
    }

    /// Data on stdout as it is. A reader that went away (`| head -1`) ends the program quietly.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush())
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            std::process::exit(0);
        }
    }

    /// A line of somebody else's output on stdout, behind a name in the colour of its number.
    pub fn prefixed(&self, name: &str, width: usize, number: usize, line: &str) {
        const COLORS: [fn(Style) -> Style; 6] =
            [Style::cyan, Style::yellow, Style::green, Style::magenta, Style::blue, Style::red];
        let style = COLORS[number % COLORS.len()](Style::new());
        let prefix = style.apply_to(format!("{name:<width$} |"));
        self.line(format!("{prefix} {line}"));
    }

    /// One JSON document on stdout.
    pub fn json(&self, document: &impl Serialize) {
        self.line(serde_json::to_string_pretty(document).unwrap_or_default());
    }

    /// One JSON document on one line of stdout, for streams.
    pub fn json_line(&self, document: &impl Serialize) {
        self.line(serde_json::to_string(document).unwrap_or_default());
    }

    /// A table on stdout.
    pub fn table(&self, table: &Table) {
        self.settle();
        let width = console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        self.bytes(table.render(width, console::colors_enabled()).as_bytes());
    }

    /// A message on stderr, unless `--quiet`.
    pub fn note(&self, text: &str) {
        self.events().tell(Event::note(text));
    }

    /// Whether `--json` was given.
    #[must_use]
    pub fn wants_json(&self) -> bool {
        self.wishes.json
    }

    /// Whether `--quiet` was given.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.wishes.quiet
    }

    /// Lets one of `items` be chosen. Nothing where nobody can be asked.
    pub fn choose(&self, question: &str, items: &[String]) -> Result<Option<usize>, Failure> {
        self.settle();
        if self.wishes.no_input
            || self.wishes.json
            || !io::stdin().is_terminal()
            || !io::stderr().is_terminal()
        {
            return Ok(None);
        }
        let asked = dialoguer::Select::new().with_prompt(question).items(items).default(0).interact();
        asked.map(Some).map_err(|error| {
            let dialoguer::Error::IO(error) = error;
            Failure::new(Kind::Interrupted, "no answer").source(error)
        })
    }

    /// Asks for a line. Nothing where nobody can be asked.
    pub fn typed(&self, question: &str) -> Result<Option<String>, Failure> {
        self.settle();
        if self.wishes.no_input || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(None);
        }
        let asked = dialoguer::Input::<String>::new().with_prompt(question).interact_text();
        asked.map(Some).map_err(|error| {
            let dialoguer::Error::IO(error) = error;
            Failure::new(Kind::Interrupted, "no answer").source(error)
        })
    }

    /// Asks before something that cannot be taken back. Without a terminal it is a usage failure that names
    /// `flag`, the option that answers.
    pub fn confirm(&self, question: &str, flag: &str) -> Result<bool, Failure> {
        if self.wishes.yes {
            return Ok(true);
        }
        self.settle();
        if self.wishes.no_input || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::new(Kind::Usage, format!("{question} There is no terminal to ask on"))
                .hint(format!("say {flag} to go on without being asked")));
        }
        dialoguer::Confirm::new().with_prompt(question).default(false).interact().map_err(|error| {
            let dialoguer::Error::IO(error) = error;
            Failure::new(Kind::Interrupted, "no answer").source(error)
        })
    }
}

/// The style of a state's word: good, on its way, bad.
fn style_of(word: &str) -> Style {
    match word {
        "healthy" | "running" | "ok" => Style::new().green(),
        "unhealthy" | "failed" | "dead" => Style::new().red(),
        "starting" | "restarting" | "warning" | "fixable" | "paused" => Style::new().yellow(),
        _ => Style::new(),
    }
}

/// Container output, branch names and error texts come from elsewhere and may hold terminal escapes
/// (RUSTSEC-2025-0055 is one of many): control characters are shown as their visible symbols.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            '\u{7f}' => '\u{2421}',
            c if (c as u32) < 0x20 => char::from_u32(0x2400 + c as u32).unwrap_or('?'),
            c if ('\u{80}'..='\u{9f}').contains(&c) => '?',
            // What turns the direction of the text around it (Unicode Standard Annex 9, 2.1 to 2.6).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

#[allow(clippy::print_stderr, reason = "this is the door to stderr")]
fn eprint_line(text: &str) {
    // A closed stderr is no reason to fail: the exit code still tells.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_others_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}]52;c;x\u{7}b"), "a\u{241b}]52;c;x\u{2407}b");
    }
}
