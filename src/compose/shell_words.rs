//! Commands that are written as one text, split into words as the reference splits them: quotes and backslashes
//! count, nothing is expanded, and what follows `;`, `&`, `|`, `<` or `>` is dropped.

/// How many words a command may have; no system starts one with more.
const MAX_WORDS: usize = 100_000;

/// Splits a command.
pub(crate) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    // Whether the word exists; an empty one does once it is quoted.
    let mut begun = false;
    let (mut escaped, mut double, mut single, mut backtick, mut dollar) = (false, false, false, false, false);
    for c in line.chars() {
        if escaped {
            escaped = false;
            if backtick || dollar {
                word.push('\\');
                word.push(c);
            } else {
                word.push(match c {
                    't' => '\t',
                    'n' => '\n',
                    c => c,
                });
            }
            begun = true;
            continue;
        }
        match c {
            '\\' if single => word.push(c),
            '\\' => escaped = true,
            ' ' | '\t' | '\r' | '\n' => {
                if single || double || backtick || dollar {
                    word.push(c);
                } else if begun && words.len() >= MAX_WORDS {
                    return Err(format!("a command of more than {MAX_WORDS} words"));
                } else if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            '"' if !single && !dollar && !backtick => {
                begun |= double;
                double = !double;
            }
            '\'' if !double && !dollar && !backtick => {
                begun |= single;
                single = !single;
            }
            ';' | '&' | '|' | '<' | '>' if !(single || double || backtick || dollar) => {
                // `2>` belongs to what is dropped; the reference looks at the first character alone.
                if c == '>' && word.starts_with(|c: char| c.is_ascii_digit()) {
                    begun = false;
                }
                break;
            }
            '(' if !single && !double && !backtick => {
                if dollar || !word.ends_with('$') {
                    return invalid();
                }
                dollar = true;
                word.push(c);
            }
            ')' if !single && !double && !backtick => {
                dollar = !dollar;
                word.push(c);
                begun = true;
            }
            c => {
                if c == '`' && !single && !double && !dollar {
                    backtick = !backtick;
                }
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    if escaped || single || double || backtick || dollar {
        return invalid();
    }
    Ok(words)
}

fn invalid<T>() -> Result<T, String> {
    Err("invalid command line string: a quote, a bracket or a backslash has no end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_like_the_reference_does() {
        for (line, words) in [
            ("echo a  b", &["echo", "a", "b"][..]),
            ("echo 'a b' \"c d\" e\\ f", &["echo", "a b", "c d", "e f"]),
            ("echo '' x", &["echo", "", "x"]),
            ("echo a && b", &["echo", "a"]),
            ("echo a | b", &["echo", "a"]),
            ("echo a 2>/dev/null", &["echo", "a"]),
            ("echo $(date +%s)", &["echo", "$(date +%s)"]),
            ("echo `x y`", &["echo", "`x y`"]),
            ("", &[]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for wrong in ["echo \"a", "echo 'a", "echo a\\", "(a)", "echo `a"] {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }
}
