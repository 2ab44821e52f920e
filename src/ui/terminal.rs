//! The caller's terminal while a container has it.

use std::io::IsTerminal;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Whether keys come from a person and a person reads the answer.
#[must_use]
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Width and height in characters.
#[must_use]
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some((size.ws_col, size.ws_row))
}

/// Keys go through one by one, Ctrl-C included, until this is dropped.
pub struct Raw(Option<Termios>);

/// Makes the terminal raw.
#[must_use]
pub fn raw() -> Raw {
    let Ok(before) = tcgetattr(std::io::stdin()) else { return Raw(None) };
    let mut raw = before.clone();
    raw.make_raw();
    let changed = tcsetattr(std::io::stdin(), OptionalActions::Now, &raw);
    Raw(changed.is_ok().then_some(before))
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Nothing can be done about a terminal that went away.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
