//! Cuts a SQL file into pieces: statements, the data of `COPY … FROM stdin`, and what only `psql` understands.
//!
//! The pieces are slices of the text and cover it, so a place that PostgreSQL names inside a statement is a
//! place in the file. Statements are cut where the Supabase CLI 3.1.0 cuts them, since its history table
//! holds their texts; what `pg_dump` writes and the CLI refuses (COPY data, `\restrict`) is understood.

use std::ops::Range;

/// A piece of a SQL file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The bytes it covers, from the end of the piece before it.
    pub span: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a piece is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// White space, or a `;` alone.
    Blank,
    /// A statement to be run.
    Statement(Statement),
    /// Comments that no statement follows: nothing to run, but the history holds them.
    Comment(Range<usize>),
    /// `COPY … FROM stdin;` and the bytes that follow it, without the final `\.`.
    Copy(Statement, Range<usize>),
    /// `\restrict` and `\unrestrict`, with which `pg_dump` guards its output.
    Guard,
    /// Something that cannot be run.
    Trouble(Trouble),
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text with the comments before it, without white space around it and `;` behind it.
    pub text: Range<usize>,
    /// Where it starts behind the comments before it.
    pub code: usize,
    /// Its first words in upper case, to tell what it does; comments between them are not counted.
    pub words: Vec<String>,
}

/// Why a piece cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A command of `psql`, such as `\connect`; the bytes of its name.
    Psql(Range<usize>),
    /// Something that begins here never ends.
    Endless(Range<usize>, Opened),
    /// Text on the same line behind `COPY … FROM stdin;`.
    BehindCopy(Range<usize>),
}

/// What never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// `'`
    Text,
    /// `"`
    Name,
    /// `$tag$`
    Dollar,
    /// `/*`
    Comment,
}

/// How many first words of a statement are kept.
const WORDS: usize = 8;

/// Cuts `sql` into pieces. Concatenated, their spans give `sql`.
#[must_use]
pub fn split(sql: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < sql.len() {
        let piece = Scanner::new(sql, start).piece();
        start = piece.span.end;
        pieces.push(piece);
    }
    pieces
}

/// Reads one piece.
struct Scanner<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    start: usize,
    at: usize,
    code: Option<usize>,
    words: Vec<String>,
    last: [Range<usize>; 2],
    parentheses: usize,
    atomic: Option<Atomic>,
}

/// Inside `BEGIN ATOMIC … END`.
struct Atomic {
    /// Nothing but comments since the last `;`: an `END` here ends the body.
    fresh: bool,
}

impl<'a> Scanner<'a> {
    fn new(sql: &'a str, start: usize) -> Self {
        Self {
            sql,
            bytes: sql.as_bytes(),
            start,
            at: start,
            code: None,
            words: Vec::new(),
            last: [0..0, 0..0],
            parentheses: 0,
            atomic: None,
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn piece(mut self) -> Piece {
        while let Some(byte) = self.peek(0) {
            if byte.is_ascii_whitespace() || byte == 0x0b {
                self.at += 1;
                continue;
            }
            let from = self.at;
            let trouble = match byte {
                b'-' if self.peek(1) == Some(b'-') => {
                    self.skip_line_comment();
                    continue;
                }
                b'/' if self.peek(1) == Some(b'*') => match self.skip_block_comment() {
                    Ok(()) => continue,
                    Err(()) => return self.endless(from, 2, Opened::Comment),
                },
                b';' => {
                    self.at += 1;
                    if self.parentheses > 0 {
                        continue;
                    }
                    if let Some(atomic) = &mut self.atomic {
                        atomic.fresh = true;
                        continue;
                    }
                    return self.end_of_statement();
                }
                b'\\' => return self.psql(),
                b'\'' => self.skip_text(self.escapes()).err().map(|()| Opened::Text),
                b'"' => self.skip_quoted(b'"', false).err().map(|()| Opened::Name),
                b'$' => self.skip_dollar().err().map(|()| Opened::Dollar),
                _ => {
                    self.plain(byte);
                    None
                }
            };
            self.code.get_or_insert(from);
            if matches!(byte, b'\'' | b'"' | b'$') {
                self.between_words();
            }
            if let Some(opened) = trouble {
                return self.endless(from, 1, opened);
            }
        }
        self.end_of_statement()
    }

    /// Something that is no word: the words around it do not belong together.
    fn between_words(&mut self) {
        self.last = [0..0, 0..0];
        if let Some(atomic) = &mut self.atomic {
            atomic.fresh = false;
        }
    }

    /// A word or a sign outside quotes and comments.
    fn plain(&mut self, byte: u8) {
        if !is_word(byte) {
            match byte {
                b'(' => self.parentheses += 1,
                b')' => self.parentheses = self.parentheses.saturating_sub(1),
                _ => {}
            }
            self.between_words();
            self.at += 1;
            return;
        }
        let from = self.at;
        while self.peek(0).is_some_and(is_word) {
            self.at += 1;
        }
        let word = from..self.at;
        if let Some(atomic) = &mut self.atomic {
            let ends = atomic.fresh && self.parentheses == 0 && is(self.sql, &word, "END");
            atomic.fresh = false;
            if ends {
                self.atomic = None;
            }
            return;
        }
        if self.words.len() < WORDS {
            self.words.push(self.sql[word.clone()].to_ascii_uppercase());
        }
        if is(self.sql, &word, "ATOMIC") && is(self.sql, &self.last[1], "BEGIN") {
            self.atomic = Some(Atomic { fresh: true });
        }
        let [_, before] = &self.last;
        self.last = [before.clone(), word];
    }

    /// Whether the quote at the cursor is that of `E'…'`.
    fn escapes(&self) -> bool {
        let prefix = self.at.checked_sub(1).filter(|at| *at >= self.start);
        prefix.is_some_and(|at| self.bytes[at].eq_ignore_ascii_case(&b'e'))
            && self.at.checked_sub(2).filter(|at| *at >= self.start).is_none_or(|at| !is_word(self.bytes[at]))
    }

    fn skip_line_comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n' && byte != b'\r') {
            self.at += 1;
        }
    }

    fn skip_block_comment(&mut self) -> Result<(), ()> {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(()),
            }
        }
    }

    /// A text and, where it has escapes, the texts that continue it on later lines.
    fn skip_text(&mut self, escapes: bool) -> Result<(), ()> {
        self.skip_quoted(b'\'', escapes)?;
        if !escapes {
            return Ok(());
        }
        loop {
            let end = self.at;
            let mut newline = false;
            loop {
                match self.peek(0) {
                    Some(b'\n' | b'\r') => newline = true,
                    Some(byte) if byte.is_ascii_whitespace() => {}
                    Some(b'-') if self.peek(1) == Some(b'-') => {
                        self.skip_line_comment();
                        continue;
                    }
                    _ => break,
                }
                self.at += 1;
            }
            if !newline || self.peek(0) != Some(b'\'') {
                self.at = end;
                return Ok(());
            }
            self.skip_quoted(b'\'', true)?;
        }
    }

    fn skip_quoted(&mut self, quote: u8, escapes: bool) -> Result<(), ()> {
        self.at += 1;
        loop {
            match self.peek(0).ok_or(())? {
                b'\\' if escapes => self.at += 2,
                byte if byte == quote && self.peek(1) == Some(quote) => self.at += 2,
                byte => {
                    self.at += 1;
                    if byte == quote {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// A dollar quote, or a `$` that is none (`$1`).
    fn skip_dollar(&mut self) -> Result<(), ()> {
        let from = self.at;
        self.at += 1;
        if self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            return Ok(());
        }
        while self.peek(0).is_some_and(|byte| is_word(byte) && byte != b'$') {
            self.at += 1;
        }
        if self.peek(0) != Some(b'$') {
            return Ok(());
        }
        self.at += 1;
        let tag = &self.sql[from..self.at];
        let Some(length) = self.sql[self.at..].find(tag) else {
            self.at = self.bytes.len();
            return Err(());
        };
        self.at += length + tag.len();
        Ok(())
    }

    fn line_end(&self) -> usize {
        self.sql[self.at..].find('\n').map_or(self.bytes.len(), |newline| self.at + newline + 1)
    }

    /// A backslash outside quotes: a command of psql, to the end of its line.
    fn psql(mut self) -> Piece {
        let from = self.at;
        let own_line = self.code.is_none()
            && self.sql[..from]
                .rfind('\n')
                .map_or(&self.sql[..from], |newline| &self.sql[newline..from])
                .trim()
                .is_empty();
        self.at += 1;
        while self.peek(0).is_some_and(is_word) {
            self.at += 1;
        }
        let name = from..self.at;
        self.at = self.line_end();
        let guard = matches!(&self.sql[name.clone()], r"\restrict" | r"\unrestrict");
        let kind = if own_line && guard { Kind::Guard } else { Kind::Trouble(Trouble::Psql(name)) };
        self.done(kind)
    }

    fn endless(mut self, from: usize, width: usize, opened: Opened) -> Piece {
        self.at = self.bytes.len();
        self.done(Kind::Trouble(Trouble::Endless(from..from + width, opened)))
    }

    fn done(self, kind: Kind) -> Piece {
        Piece { span: self.start..self.at, kind }
    }

    /// At the byte behind `;`, or at the end.
    fn end_of_statement(mut self) -> Piece {
        let raw = &self.sql[self.start..self.at];
        // PostgreSQL's white space, which is ASCII's: a no-break space is a letter to it.
        let space = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
        let trimmed = raw.trim_end_matches(';').trim_matches(space);
        let offset = self.start + (trimmed.as_ptr() as usize - raw.as_ptr() as usize);
        let text = offset..offset + trimmed.len();
        let Some(code) = self.code.filter(|_| !trimmed.is_empty()) else {
            let kind = if trimmed.is_empty() { Kind::Blank } else { Kind::Comment(text) };
            return self.done(kind);
        };
        let copies = self.words.first().is_some_and(|word| word == "COPY") && self.reads_stdin(&text);
        let code = code.max(text.start);
        let statement = Statement { text, code, words: std::mem::take(&mut self.words) };
        if !copies {
            return self.done(Kind::Statement(statement));
        }
        let behind = self.at..self.line_end();
        let rest = self.sql[behind.clone()].trim();
        if !rest.is_empty() && !rest.starts_with("--") {
            self.at = behind.end;
            return self.done(Kind::Trouble(Trouble::BehindCopy(behind)));
        }
        self.at = behind.end;
        let data = self.at;
        while self.at < self.bytes.len() {
            let line = self.at..self.line_end();
            self.at = line.end;
            if self.sql[line.clone()].trim_end_matches(['\r', '\n']) == r"\." {
                return self.done(Kind::Copy(statement, data..line.start));
            }
        }
        let end = self.at;
        self.done(Kind::Copy(statement, data..end))
    }

    /// Whether a COPY says `FROM STDIN` outside parentheses and quotes.
    fn reads_stdin(&self, text: &Range<usize>) -> bool {
        let mut scanner = Scanner::new(self.sql, text.start);
        scanner.bytes = &self.bytes[..text.end];
        while let Some(byte) = scanner.peek(0) {
            let from = scanner.at;
            let skipped = match byte {
                b'-' if scanner.peek(1) == Some(b'-') => {
                    scanner.skip_line_comment();
                    Ok(())
                }
                b'/' if scanner.peek(1) == Some(b'*') => scanner.skip_block_comment(),
                b'\'' => scanner.skip_text(scanner.escapes()),
                b'"' => scanner.skip_quoted(b'"', false),
                _ if byte.is_ascii_whitespace() => {
                    scanner.at += 1;
                    continue;
                }
                _ => {
                    scanner.plain(byte);
                    let [before, word] = &scanner.last;
                    if scanner.parentheses == 0 && is(self.sql, before, "FROM") && is(self.sql, word, "STDIN")
                    {
                        return true;
                    }
                    continue;
                }
            };
            if skipped.is_err() || scanner.at <= from {
                return false;
            }
        }
        false
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn is(sql: &str, word: &Range<usize>, keyword: &str) -> bool {
    sql.as_bytes()[word.clone()].eq_ignore_ascii_case(keyword.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the CLI would write into its history.
    fn texts(sql: &str) -> Vec<&str> {
        let text = |piece: &Piece| match &piece.kind {
            Kind::Statement(statement) | Kind::Copy(statement, _) => Some(&sql[statement.text.clone()]),
            Kind::Comment(text) => Some(&sql[text.clone()]),
            _ => None,
        };
        split(sql).iter().filter_map(text).collect()
    }

    #[test]
    fn statements_are_those_of_the_supabase_cli() {
        // `supabase db push` 3.1.0 wrote these statements for this file.
        let sql = r"-- a leading comment; with a semicolon
create table a (id int primary key, note text); -- trailing
/* block ; /* nested */ */
create function f() returns text language sql begin atomic select 'x;y'; select case when true then 'a' else 'b' end; end;
create function g() returns void language plpgsql as $fn$ begin perform 1; end $fn$;;
insert into a values (1, E'it\'s; ok');

insert into a values (2, 'plain \');
-- only a comment
";
        assert_eq!(
            texts(sql),
            [
                "-- a leading comment; with a semicolon\ncreate table a (id int primary key, note text)",
                "-- trailing\n/* block ; /* nested */ */\ncreate function f() returns text language sql begin atomic \
                 select 'x;y'; select case when true then 'a' else 'b' end; end",
                "create function g() returns void language plpgsql as $fn$ begin perform 1; end $fn$",
                r"insert into a values (1, E'it\'s; ok')",
                r"insert into a values (2, 'plain \')",
                "-- only a comment",
            ]
        );
    }

    #[test]
    fn quotes_hide_semicolons() {
        for one in [
            "select $$a;b$$",
            "select $a$ $b$;$a$",
            "select $1",
            "select a$b$c",
            "select U&'d\\0061t;'",
            "select e'a\\\\;' \n 'b\\';'",
            "select \"a;\"\"b\"",
            "create rule r as on insert to t do also (select 1; select 2)",
            "select 'it''s;'",
            "select typE''';'",
        ] {
            assert_eq!(texts(&format!("{one}; select 2")), [one, "select 2"]);
        }
        assert_eq!(texts("select name'x\\';select 2"), ["select name'x\\'", "select 2"]);
        assert_eq!(texts("begin; atomic; end;"), ["begin", "atomic", "end"]);
    }

    #[test]
    fn copy_takes_its_data_along() {
        let sql =
            "copy public.a (id, \"from\") from stdin with (delimiter ';');\n1;x\n2;';\n\\.\n\nselect 1;\n";
        let pieces = split(sql);
        let Kind::Copy(statement, data) = &pieces[0].kind else { panic!("{pieces:?}") };
        assert_eq!(
            &sql[statement.text.clone()],
            "copy public.a (id, \"from\") from stdin with (delimiter ';')"
        );
        assert_eq!(&sql[data.clone()], "1;x\n2;';\n");
        assert_eq!(texts(sql)[1], "select 1");

        let endless = "COPY a FROM STDIN ; -- why\r\n1\r\n2";
        let Kind::Copy(_, data) = &split(endless)[0].kind else { panic!() };
        assert_eq!(&endless[data.clone()], "1\r\n2");
        let first = |sql| split(sql).remove(0).kind;
        assert!(matches!(
            first("copy a from stdin; select 1;\n\\.\n"),
            Kind::Trouble(Trouble::BehindCopy(_))
        ));
        assert!(matches!(first("copy (select 'from stdin') to stdout;\n"), Kind::Statement(_)));
        assert!(matches!(first("copy a from '/stdin';\n"), Kind::Statement(_)));
    }

    #[test]
    fn psql_commands_are_told_apart() {
        let kinds = |sql| split(sql).into_iter().map(|piece| piece.kind).collect::<Vec<_>>();
        assert_eq!(kinds("-- dump\n\n\\restrict aXb\n"), [Kind::Guard]);
        assert_eq!(kinds("\\connect db\n"), [Kind::Trouble(Trouble::Psql(0..8))]);
        assert_eq!(kinds("select 1 \\gexec\n"), [Kind::Trouble(Trouble::Psql(9..15))]);
        assert_eq!(kinds("select '"), [Kind::Trouble(Trouble::Endless(7..8, Opened::Text))]);
        assert_eq!(kinds("/* /* */"), [Kind::Trouble(Trouble::Endless(0..2, Opened::Comment))]);
        assert_eq!(kinds("do $x$ begin"), [Kind::Trouble(Trouble::Endless(3..4, Opened::Dollar))]);
    }

    #[test]
    fn the_first_words_tell_what_a_statement_does() {
        let words = |sql: &str| match &split(sql)[0].kind {
            Kind::Statement(statement) => statement.words.join(" "),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            words("/* a */ create /* b */ unique index concurrently i on t(a)"),
            "CREATE UNIQUE INDEX CONCURRENTLY I ON T A"
        );
        assert_eq!(words("vacuum(full)"), "VACUUM FULL");
    }

    #[test]
    fn a_space_that_only_unicode_knows_is_code() {
        // Found by the test below: the trimmed text was shorter than its code.
        covers("--\r\u{a0}");
    }

    proptest! {
        #[test]
        fn pieces_cover_the_text_whatever_it_is(sql in r"(?s).{0,60}") {
            covers(&sql);
        }

        #[test]
        fn pieces_cover_what_looks_like_sql(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "'", "\"", "$$", "$a$", "--", "/*", "*/", "\n", ";", "\\", "\\.", "(", ")", "E'", " ",
                    "begin atomic ", "end", "copy t from stdin", "ä", "\r", "$1", "é'", "\\restrict x\n",
                    "\u{a0}", "select",
                ]),
                0..24,
            )
        ) {
            covers(&parts.concat());
        }
    }

    fn covers(sql: &str) {
        let pieces = split(sql);
        let together: String = pieces.iter().map(|piece| &sql[piece.span.clone()]).collect();
        assert_eq!(together, sql);
        for piece in &pieces {
            assert!(!piece.span.is_empty());
            if let Kind::Statement(statement) | Kind::Copy(statement, _) = &piece.kind {
                assert!(!sql[statement.text.clone()].is_empty());
                assert!(statement.text.contains(&statement.code), "{sql:?}");
            }
        }
    }
}
