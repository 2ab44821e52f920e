//! What is wrong, while it is still found by stages that know marks and not files.

use std::path::PathBuf;

use super::tree::Mark;
use crate::base::{Failure, Kind, Place};

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
}

impl Sources {
    /// Remembers a file; marks into it carry the number that is given back.
    pub(crate) fn add(&mut self, path: PathBuf, text: String) -> u32 {
        self.0.push(Source { path, text });
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// Gives the text of a file that was added without it.
    pub(crate) fn set_text(&mut self, file: u32, text: String) {
        if let Some(source) = self.0.get_mut(file as usize) {
            source.text = text;
        }
    }

    /// The text of a file.
    pub(crate) fn text(&self, file: u32) -> &str {
        self.0.get(file as usize).map_or("", |source| &source.text)
    }

    /// A mark as a place to show. `None` for what nobody wrote.
    pub(crate) fn place(&self, mark: Mark) -> Option<Place> {
        let source = self.0.get(mark.file as usize)?;
        if mark.line == 0 {
            return None;
        }
        let excerpt = source.text.lines().nth(mark.line as usize - 1).unwrap_or_default();
        // The excerpt of a minified file is not worth a screenful.
        let excerpt: String = excerpt.chars().take(400).collect();
        Some(Place {
            path: source.path.clone(),
            line: mark.line,
            column: mark.column,
            width: mark.width.max(1),
            excerpt,
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
        Failure::all(problems.into_iter().map(|problem| self.failure(problem)).collect())
    }
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
