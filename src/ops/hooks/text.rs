//! What a hook's file is to hold, as text: our part in it, or a file of ours before it.

use crate::base::shell::argument;

const BEGIN: &str = "# >>> devenv >>> `devenv hooks uninstall` takes this away\n";
const END: &str = "# <<< devenv <<<\n";
/// In a file that takes another one's place.
const WRAPPER: &str =
    "# The hook that was here before is run at the end; `devenv hooks uninstall` puts it back.\n";
/// What the hook that was there before is called meanwhile.
pub(super) const OLD: &str = "devenv-old";

/// Our part: runs `program`, or whatever `devenv` is on the PATH if that is gone. Nothing but a commit in the wrong
/// environment (exit code 5) is told to git.
pub(super) fn part(hook: &str, program: &str) -> String {
    let program = argument(program);
    let otherwise = if hook == "pre-commit" { "|| [ $? -ne 5 ] || exit 1" } else { "|| :" };
    // Without a process where only files were checked out (githooks(5), "post-checkout").
    let unless = if hook == "post-checkout" { "if [ \"$3\" = 0 ]; then :\nelif" } else { "if" };
    format!(
        "{BEGIN}{unless} [ -x {program} ]; then {program} hooks run {hook} \"$@\" {otherwise}\n\
         elif command -v devenv >/dev/null 2>&1; then devenv hooks run {hook} \"$@\" {otherwise}\nfi\n{END}"
    )
}

/// A file of ours where there was none.
pub(super) fn whole(hook: &str, program: &str) -> String {
    format!("#!/bin/sh\n{}", part(hook, program))
}

/// A file of ours before one that is no shell script, or that git does not run.
pub(super) fn wrapper(hook: &str, program: &str) -> String {
    format!(
        "#!/bin/sh\n{}{WRAPPER}old=$(dirname -- \"$0\")/{hook}.{OLD}\n\
         if [ -x \"$old\" ]; then exec \"$old\" \"$@\"; fi\n",
        part(hook, program)
    )
}

/// Whether our part is in it.
pub(super) fn has_part(text: &str) -> bool {
    text.contains(BEGIN)
}

/// Whether it is a file of ours before another one.
pub(super) fn is_wrapper(text: &str) -> bool {
    has_part(text) && text.contains(WRAPPER)
}

/// The script with our part behind its first line, where later lines cannot end it before. None for what is no shell
/// script; `bare` allows one that does not say so.
pub(super) fn with_part(text: &str, part: &str, bare: bool) -> Option<String> {
    if !text.starts_with("#!") {
        return bare.then(|| format!("{part}{text}"));
    }
    let (first, rest) = text.split_once('\n')?;
    let mut words = first.trim_start_matches("#!").split_whitespace();
    let name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let mut program = name(words.next()?);
    if program == "env" {
        program = name(words.find(|word| !word.starts_with('-'))?);
    }
    let shell = ["sh", "bash", "dash", "zsh", "ksh"].contains(&program.as_str());
    shell.then(|| format!("{first}\n{part}{rest}"))
}

/// The text without our part; none where it is not there.
pub(super) fn without_part(text: &str) -> Option<String> {
    let begin = text.find(BEGIN)?;
    let end = begin + text[begin..].find(END)? + END.len();
    Some(format!("{}{}", &text[..begin], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let part = part("post-checkout", "/opt/it's/devenv");
        for (script, bare) in [
            ("#!/bin/sh\necho a\n", false),
            ("#!/usr/bin/env bash\nset -e\nexit 0", false),
            ("#!/usr/bin/env -S bash -e\n", false),
            ("npm test", true),
            ("", true),
        ] {
            let with = with_part(script, &part, bare).unwrap();
            assert!(has_part(&with) && !is_wrapper(&with));
            assert_eq!(without_part(&with).as_deref(), Some(script));
        }
        for script in ["#!/usr/bin/python3\nimport os\n", "#!/bin/sh", "\u{7f}ELF"] {
            assert_eq!(with_part(script, &part, false), None, "{script}");
        }
        assert_eq!(without_part("#!/bin/sh\n"), None);
        assert!(is_wrapper(&wrapper("pre-commit", "/d")));
    }
}
