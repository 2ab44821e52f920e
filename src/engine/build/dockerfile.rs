//! Where the instructions of a Dockerfile stand. Only as much of the grammar as it takes to find the line of
//! a step that an engine names `[stage 3/7] RUN …`; engines up to 20.10 tell no more than that. Pure.

/// One instruction, its continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Its first line, from 1.
    pub(super) line: u32,
    /// Its first word in upper case.
    pub(super) word: String,
    /// What follows it.
    pub(super) rest: String,
}

impl Instruction {
    /// The image or stage of a `FROM`.
    pub(super) fn base(&self) -> Option<&str> {
        let mut words = self.rest.split_whitespace();
        (self.word == "FROM").then(|| words.find(|word| !word.starts_with("--")))?
    }

    /// The name that a `FROM` gives its stage.
    fn stage(&self) -> Option<&str> {
        let mut words = self.rest.split_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("as"));
        words.nth(1)
    }
}

/// All instructions in order.
pub(super) fn instructions(text: &str) -> Vec<Instruction> {
    let mut found: Vec<Instruction> = Vec::new();
    let mut escape = '\\';
    let mut continued = false;
    let mut heredocs: Vec<String> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if !continued && let Some(end) = heredocs.first() {
            if line.trim_start_matches('\t') == end {
                heredocs.remove(0);
            }
            continue;
        }
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            let directive = comment.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
            if directive.is_some_and(|(key, value)| key.eq_ignore_ascii_case("escape") && value == "`") {
                escape = '`';
            }
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let (part, more) = match line.strip_suffix(escape) {
            Some(part) => (part.trim_end(), true),
            None => (line, false),
        };
        if let Some(last) = found.last_mut().filter(|_| continued) {
            last.rest.push(' ');
            last.rest.push_str(part);
        } else {
            let (word, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
            let word = word.to_ascii_uppercase();
            found.push(Instruction { line: number, word, rest: rest.trim_start().to_owned() });
        }
        continued = more;
        if let (false, Some(last)) = (continued, found.last())
            && matches!(last.word.as_str(), "RUN" | "COPY" | "ADD")
        {
            heredocs = heredoc_ends(&last.rest);
        }
    }
    found
}

fn heredoc_ends(text: &str) -> Vec<String> {
    let after = text.match_indices("<<").filter(|(at, _)| {
        // `<<<` is the shell's.
        !text[at + 2..].starts_with('<') && !text[..*at].ends_with('<')
    });
    let words = after.map(|(at, _)| {
        let rest = text[at + 2..].trim_start_matches('-').trim_start_matches(['"', '\'']);
        rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    });
    words.filter(|word| !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())).collect()
}

/// The instruction behind `[stage 3/7] RUN …`.
pub(super) fn find_step<'a>(all: &'a [Instruction], step: &str) -> Option<&'a Instruction> {
    let (place, said) = step.strip_prefix('[')?.split_once("] ")?;
    let (stage, numbers) = place.rsplit_once(' ').unwrap_or(("", place));
    // With several platforms theirs comes first.
    let stage = stage.rsplit(' ').next().unwrap_or(stage);
    let (number, total) = numbers.split_once('/')?;
    let (number, total): (usize, usize) = (number.parse().ok()?, total.parse().ok()?);
    let own = stage_of(all, stage)?;
    let word = said.split_whitespace().next()?;
    for with_workdir in [true, false] {
        let counted: Vec<_> = own
            .iter()
            .filter(|one| match one.word.as_str() {
                "FROM" => one.base() != Some("scratch") && !is_stage(all, one),
                "RUN" | "COPY" | "ADD" => true,
                "WORKDIR" => with_workdir,
                _ => false,
            })
            .collect();
        if counted.len() == total
            && let Some(found) = counted.get(number.checked_sub(1)?)
            && found.word.eq_ignore_ascii_case(word)
        {
            return Some(found);
        }
    }
    None
}

/// From the stage's `FROM` to the one behind it.
fn stage_of<'a>(all: &'a [Instruction], stage: &str) -> Option<&'a [Instruction]> {
    let starts: Vec<usize> = (0..all.len()).filter(|&at| all[at].word == "FROM").collect();
    let index = match stage.strip_prefix("stage-").and_then(|number| number.parse::<usize>().ok()) {
        Some(number) => number,
        None if stage.is_empty() => 0,
        None => starts
            .iter()
            .rposition(|&at| all[at].stage().is_some_and(|name| name.eq_ignore_ascii_case(stage)))?,
    };
    let start = *starts.get(index)?;
    Some(&all[start..starts.get(index + 1).copied().unwrap_or(all.len())])
}

fn is_stage(all: &[Instruction], from: &Instruction) -> bool {
    let earlier = all.iter().take_while(|one| one.line < from.line).filter(|one| one.word == "FROM");
    let base = from.base().unwrap_or_default();
    earlier.filter_map(Instruction::stage).any(|name| name.eq_ignore_ascii_case(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# syntax=x\nARG X=1 \\\n# c\n FROM\n\nfrom --platform=x ${X} AS One\nRUN a && \\\n\n  b\n\
        workdir /x\nCOPY <<EOF /y\nFROM nothing\nEOF\nENV A=1\nRUN c\nFROM one\nRUN d\nFROM scratch as two\nRUN e\n";

    #[test]
    fn lines_are_joined_and_heredocs_skipped() {
        let all = instructions(TEXT);
        let short: Vec<_> = all.iter().map(|one| (one.line, one.word.as_str(), one.rest.as_str())).collect();
        assert_eq!(
            short,
            [
                (2, "ARG", "X=1 FROM"),
                (6, "FROM", "--platform=x ${X} AS One"),
                (7, "RUN", "a && b"),
                (10, "WORKDIR", "/x"),
                (11, "COPY", "<<EOF /y"),
                (14, "ENV", "A=1"),
                (15, "RUN", "c"),
                (16, "FROM", "one"),
                (17, "RUN", "d"),
                (18, "FROM", "scratch as two"),
                (19, "RUN", "e"),
            ]
        );
        assert_eq!(all[1].base(), Some("${X}"));
    }

    #[test]
    fn steps_are_found() {
        let all = instructions(TEXT);
        let line = |step: &str| find_step(&all, step).map(|one| one.line);
        assert_eq!(line("[one 1/5] FROM x"), Some(6));
        assert_eq!(line("[one 2/5] RUN a && b"), Some(7));
        assert_eq!(line("[one 5/5] RUN c"), Some(15));
        assert_eq!(line("[linux/amd64 stage-1 1/1] RUN d"), Some(17));
        assert_eq!(line("[two 1/1] RUN e"), Some(19));
        assert_eq!(line("[two 1/9] RUN e"), None);
        assert_eq!(line("[internal] load metadata"), None);
    }
}
