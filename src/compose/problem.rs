//! What is wrong, while it is still found by stages that know marks and not files.

use std::collections::HashSet;
use std::path::PathBuf;

use super::tree::Mark;
use crate::base::{Failure, Kind, Place, guess};

/// One mistake in a file, or one warning about it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub message: String,
    /// The first is the one at fault.
    pub marks: Vec<Mark>,
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, mark: Mark) -> Self {
        Self { message: message.into(), marks: vec![mark], hint: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn also(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }
}

/// What a stage gives: its result, or everything that it found wrong.
pub(crate) type Outcome<T> = Result<T, Vec<Problem>>;

/// Gives the result unless something was found wrong.
pub(crate) fn unless<T>(problems: Vec<Problem>, result: T) -> Outcome<T> {
    if problems.is_empty() { Ok(result) } else { Err(problems) }
}

/// Every file that was read, so that a mark can be shown as a line.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Source {
    fn set(&mut self, text: String) {
        self.lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.text = text;
    }

    /// A line, from 1; what a minified file has in its one line is not worth a screenful.
    fn line(&self, number: u32) -> String {
        let start = (number as usize).checked_sub(1).and_then(|index| self.lines.get(index));
        let rest = start.and_then(|start| self.text.get(*start..)).unwrap_or_default();
        rest.chars().take_while(|c| !matches!(c, '\r' | '\n')).take(MAX_EXCERPT).collect()
    }
}

/// How much of a line is shown.
const MAX_EXCERPT: usize = 400;
/// How many problems of one kind a person is told at once.
pub(crate) const MAX_TOLD: usize = 100;

impl Sources {
    /// Remembers a file; marks into it carry the number that is given back.
    pub(crate) fn add(&mut self, path: PathBuf, text: String) -> u32 {
        let mut source = Source { path, text: String::new(), lines: Vec::new() };
        source.set(text);
        self.0.push(source);
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// Gives the text of a file that was added without it.
    pub(crate) fn set_text(&mut self, file: u32, text: String) {
        if let Some(source) = self.0.get_mut(file as usize) {
            source.set(text);
        }
    }

    /// The text of a file.
    pub(crate) fn text(&self, file: u32) -> &str {
        self.0.get(file as usize).map_or("", |source| &source.text)
    }

    /// The same for each time that a place is read, for a file is read once for every service that extends it.
    fn spot(&self, mark: Mark) -> Option<Spot> {
        let path = &self.0.get(mark.file as usize)?.path;
        let first = self.0.iter().position(|source| source.path == *path)?;
        (mark.line > 0).then_some((first, mark.line, mark.column))
    }

    /// How wide a line of a file is.
    pub(crate) fn width(&self, file: u32, line: u32) -> u32 {
        let line = self.0.get(file as usize).map(|source| source.line(line)).unwrap_or_default();
        u32::try_from(line.chars().count()).unwrap_or(1)
    }

    /// A mark as a place to show. `None` for what nobody wrote.
    pub(crate) fn place(&self, mark: Mark) -> Option<Place> {
        let source = self.0.get(mark.file as usize)?;
        if mark.line == 0 {
            return None;
        }
        Some(Place {
            path: source.path.clone(),
            line: mark.line,
            column: mark.column,
            width: mark.width.max(1),
            excerpt: source.line(mark.line),
        })
    }

    /// A problem as it is told to a person.
    pub(crate) fn failure(&self, problem: Problem) -> Failure {
        let mut failure = Failure::new(Kind::Files, problem.message);
        failure.places = problem.marks.iter().filter_map(|mark| self.place(*mark)).collect();
        failure.hints = problem.hint.into_iter().collect();
        failure
    }

    /// All problems of a stage as one failure.
    pub(crate) fn failures(&self, problems: Vec<Problem>) -> Failure {
        let more = problems.len().saturating_sub(MAX_TOLD);
        let told = problems.into_iter().take(MAX_TOLD).map(|problem| self.failure(problem));
        let rest = (more > 0).then(|| Failure::new(Kind::Files, format!("and {more} more problems")));
        Failure::all(told.chain(rest).collect())
    }
}

/// A file, a line and a column.
type Spot = (usize, u32, u32);

/// What was found wrong by stages after which others could go on. What a later stage says of a place that is told
/// already follows from that, and is left out.
#[derive(Debug, Default)]
pub(crate) struct Found {
    told: Vec<(Option<Spot>, Failure)>,
    spots: HashSet<Spot>,
}

impl Found {
    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether something was found wrong there.
    pub(crate) fn at(&self, mark: Mark, sources: &Sources) -> bool {
        sources.spot(mark).is_some_and(|spot| self.spots.contains(&spot))
    }

    /// Adds what a stage found.
    ///
    /// # Errors
    /// How many more there were, once they are more than a person reads.
    pub(crate) fn add(&mut self, problems: Vec<Problem>, sources: &Sources) -> Result<(), Failure> {
        let before = self.told.len();
        let mut more = 0;
        for problem in problems {
            let spot = problem.marks.first().and_then(|mark| sources.spot(*mark));
            if self.told.len() >= MAX_TOLD {
                more += 1;
            } else if !spot.is_some_and(|spot| self.spots.contains(&spot)) {
                self.told.push((spot, sources.failure(problem)));
            }
        }
        self.spots.extend(self.told[before..].iter().filter_map(|(spot, _)| *spot));
        if more > 0 {
            return Err(Failure::new(Kind::Files, format!("and {more} more problems")));
        }
        Ok(())
    }

    /// Adds what ended the loading.
    pub(crate) fn end(&mut self, mut failure: Failure, sources: &Sources) {
        let others = std::mem::take(&mut failure.others);
        for failure in std::iter::once(failure).chain(others) {
            let spot = failure.places.first().and_then(|place| {
                let file = sources.0.iter().position(|source| source.path == place.path)?;
                (place.line > 0).then_some((file, place.line, place.column))
            });
            if !spot.is_some_and(|spot| self.spots.contains(&spot)) {
                self.told.push((spot, failure));
            }
        }
    }

    /// All of it as one failure, in the order of the files.
    pub(crate) fn failure(&mut self) -> Failure {
        let mut told = std::mem::take(&mut self.told);
        told.sort_by_key(|(spot, _)| (spot.is_none(), *spot));
        Failure::all(told.into_iter().map(|(_, failure)| failure).collect())
    }
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    guess::closest(word, candidates, |candidate| 1 + candidate.len().min(word.len()) / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_recognised() {
        assert_eq!(closest("enviroment", ["env_file", "environment"]), Some("environment"));
        assert_eq!(closest("prots", ["ports", "profiles"]), Some("ports"));
        assert_eq!(closest("zzz", ["ports"]), None);
    }

    #[test]
    fn a_mark_becomes_the_line_it_points_into() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml".into(), "one\ntwo: x\n".into());
        let place = sources.place(Mark { file, line: 2, column: 6, width: 1 });
        assert_eq!(place.map(|p| (p.to_string(), p.excerpt)), Some(("a.yaml:2:6".into(), "two: x".into())));
    }
}
