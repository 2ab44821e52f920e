//! A failure as a person reads it: what, where in the file with a caret, what was seen, what to do next.

use std::fmt::Write;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use dialoguer::console::Style;
use serde_json::{Value, json};

use super::harmless;
use crate::base::{Failure, Place};

/// The failure and all that came with it, as text that ends in a line break.
pub(super) fn as_text(failure: &Failure, color: bool) -> String {
    let mut text = one(failure, color);
    for other in &failure.others {
        text.push('\n');
        text.push_str(&one(other, color));
    }
    text
}

fn one(failure: &Failure, color: bool) -> String {
    let style = |style: Style| style.force_styling(color);
    let message = harmless(&failure.to_string());
    let mut text = String::new();
    let pointed = failure.places.first().filter(|place| place.line > 0);
    if let Some(place) = pointed {
        text.push_str(&with_caret(&message, place, color));
        text.push('\n');
        for place in &failure.places[1..] {
            let _ = writeln!(text, "  --> {place}");
        }
    } else {
        let _ = writeln!(text, "{} {message}", style(Style::new().red().bold()).apply_to("error:"));
        for place in &failure.places {
            let _ = writeln!(text, "  --> {place}");
        }
    }
    for line in failure.evidence.iter().flat_map(|evidence| evidence.lines()) {
        let _ = writeln!(text, "  | {}", harmless(line));
    }
    for hint in &failure.hints {
        let _ = writeln!(text, "{} {}", style(Style::new().cyan().bold()).apply_to("hint:"), harmless(hint));
    }
    text
}

fn with_caret(message: &str, place: &Place, color: bool) -> String {
    let excerpt = harmless(&place.excerpt);
    let byte_of = |column: usize| excerpt.char_indices().nth(column).map_or(excerpt.len(), |(byte, _)| byte);
    let start = place.column.saturating_sub(1) as usize;
    let span = byte_of(start)..byte_of(start + place.width.max(1) as usize);
    let path = place.path.display().to_string();
    let snippet = Snippet::source(excerpt.as_str())
        .line_start(place.line as usize)
        .path(path.as_str())
        .annotation(AnnotationKind::Primary.span(span));
    let report: &[Group<'_>] = &[Level::ERROR.primary_title(message).element(snippet)];
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(report)
}

/// The failure as the `error` document of `--json`.
pub(super) fn as_json(failure: &Failure) -> Value {
    let one = |failure: &Failure| {
        json!({
            "message": failure.to_string(),
            "exit_code": failure.kind.exit_code(),
            "places": failure.places.iter().map(|place| json!({
                "path": place.path, "line": place.line, "column": place.column,
            })).collect::<Vec<_>>(),
            "evidence": failure.evidence,
            "hints": failure.hints,
        })
    };
    let mut document = json!({ "version": 1, "error": one(failure) });
    if !failure.others.is_empty() {
        document["others"] = failure.others.iter().map(one).collect();
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;

    #[test]
    fn a_mistake_is_shown_at_its_place() {
        let failure = Failure::new(Kind::Files, "service `web` has a port that is not a number or a mapping")
            .at(Place {
                path: "compose.yaml".into(),
                line: 7,
                column: 9,
                width: 14,
                excerpt: "      - {target: five}".to_owned(),
            })
            .hint("write `\"8080:80\"` or `{ target: 80, published: 8080 }`");
        insta::assert_snapshot!(as_text(&failure, false), @r#"
        error: service `web` has a port that is not a number or a mapping
         --> compose.yaml:7:9
          |
        7 |       - {target: five}
          |         ^^^^^^^^^^^^^^
        hint: write `"8080:80"` or `{ target: 80, published: 8080 }`
        "#);
    }

    #[test]
    fn evidence_and_others_follow() {
        let mut failure =
            Failure::new(Kind::Unhealthy, "service `db` is unhealthy").evidence("line 1\nline 2");
        failure.others.push(Failure::new(Kind::Files, "another").at(Place::file("a.yaml")));
        insta::assert_snapshot!(as_text(&failure, false), @"
        error: service `db` is unhealthy
          | line 1
          | line 2

        error: another
          --> a.yaml
        ");
    }
}
