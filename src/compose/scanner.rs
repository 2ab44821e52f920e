//! Text to YAML tokens, as libyaml (and go-yaml, its translation) cuts them.
//!
//! Why not a parser from a crate: the ones that are safe Rust follow YAML 1.2 to the letter and refuse what
//! people write and Compose reads, such as a `]` below the key of its list, `"x"#comment`, or a quoted text whose
//! second line is not indented. The rules here are libyaml's: which key a `:` belongs to is found out by
//! remembering where a simple key may have begun.

use std::collections::VecDeque;

/// A position in the text, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Spot {
    pub index: usize,
    pub line: usize,
    pub column: usize,
}

/// Why a text is not YAML.
#[derive(Debug)]
pub(crate) struct ScanError {
    pub message: String,
    pub at: Spot,
}

pub(crate) type Scanned<T> = Result<T, ScanError>;

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    StreamEnd,
    /// `%YAML`, with major and minor.
    Version(u32, u32),
    TagDirective {
        handle: String,
        prefix: String,
    },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag {
        handle: String,
        suffix: String,
    },
    Scalar {
        text: String,
        plain: bool,
    },
}

/// A token with where it begins and ends.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub token: Token,
    pub start: Spot,
    pub end: Spot,
}

/// A place where a key may have begun; the `:` that follows shows whether it did.
#[derive(Debug, Clone, Copy)]
struct SimpleKey {
    /// The token that the key would stand before.
    token: usize,
    /// Whether nothing but a key can stand there.
    required: bool,
    at: Spot,
}

/// Cuts a text into tokens.
pub(crate) struct Scanner {
    text: Vec<char>,
    spot: Spot,
    tokens: VecDeque<Placed>,
    /// How many tokens were given away.
    taken: usize,
    /// The column of the open block, -1 outside of any.
    indent: isize,
    indents: Vec<isize>,
    flow: usize,
    /// One for the block context, and one for each open bracket.
    keys: Vec<Option<SimpleKey>>,
    key_allowed: bool,
    ended: bool,
}

/// How deep brackets and indentation may go.
const MAX_LEVELS: usize = 1000;
const END: char = '\0';

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}
fn is_break_or_end(c: char) -> bool {
    is_break(c) || c == END
}
fn is_blank_or_end(c: char) -> bool {
    is_blank(c) || is_break_or_end(c)
}
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

fn column(spot: Spot) -> isize {
    isize::try_from(spot.column).unwrap_or(isize::MAX)
}

impl Scanner {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.chars().collect(),
            spot: Spot::default(),
            tokens: VecDeque::new(),
            taken: 0,
            indent: -1,
            indents: Vec::new(),
            flow: 0,
            keys: vec![None],
            key_allowed: true,
            ended: false,
        }
    }

    /// The next token, which stays.
    pub(crate) fn peek(&mut self) -> Scanned<&Placed> {
        self.fill()?;
        let at = self.spot;
        self.tokens.front().ok_or_else(|| ScanError { message: "unexpected end of the file".into(), at })
    }

    /// The next token.
    pub(crate) fn next(&mut self) -> Scanned<Placed> {
        self.fill()?;
        self.taken += 1;
        let at = self.spot;
        self.tokens.pop_front().ok_or_else(|| ScanError { message: "unexpected end of the file".into(), at })
    }

    /// Scans until it is certain what comes first: a key may still be put before what is there.
    fn fill(&mut self) -> Scanned<()> {
        loop {
            if !self.tokens.is_empty() {
                self.drop_stale_keys()?;
                if !self.keys.iter().flatten().any(|key| key.token == self.taken) {
                    return Ok(());
                }
            } else if self.ended {
                return Ok(());
            }
            self.fetch()?;
        }
    }

    // ---- characters -------------------------------------------------------------------------------------

    fn char(&self, ahead: usize) -> char {
        self.text.get(self.spot.index + ahead).copied().unwrap_or(END)
    }

    fn skip(&mut self) {
        self.spot.index += 1;
        self.spot.column += 1;
    }

    fn skip_many(&mut self, count: usize) {
        for _ in 0..count {
            self.skip();
        }
    }

    /// Reads a character.
    fn read(&mut self, into: &mut String) {
        into.push(self.char(0));
        self.skip();
    }

    /// Reads a line break, of whatever kind.
    fn read_line(&mut self, into: &mut String) {
        match self.char(0) {
            c @ ('\u{2028}' | '\u{2029}') => into.push(c),
            _ => into.push('\n'),
        }
        self.skip_line();
    }

    fn skip_line(&mut self) {
        self.spot.index += if self.char(0) == '\r' && self.char(1) == '\n' { 2 } else { 1 };
        self.spot.column = 0;
        self.spot.line += 1;
    }

    fn skip_comment(&mut self) {
        if self.char(0) == '#' {
            while !is_break_or_end(self.char(0)) {
                self.skip();
            }
        }
    }

    fn fail<T>(message: impl Into<String>, at: Spot) -> Scanned<T> {
        Err(ScanError { message: message.into(), at })
    }

    fn at_document_indicator(&self) -> bool {
        let three = |c: char| (0..3).all(|ahead| self.char(ahead) == c);
        self.spot.column == 0 && (three('-') || three('.')) && is_blank_or_end(self.char(3))
    }

    // ---- simple keys and indentation --------------------------------------------------------------------

    /// A simple key ends in the line it begins in, within 1024 characters.
    fn drop_stale_keys(&mut self) -> Scanned<()> {
        let here = self.spot;
        for key in &mut self.keys {
            if let Some(simple) = key
                && (simple.at.line < here.line || simple.at.index + 1024 < here.index)
            {
                if simple.required {
                    return Self::fail("could not find expected ':'", simple.at);
                }
                *key = None;
            }
        }
        Ok(())
    }

    fn save_key(&mut self) -> Scanned<()> {
        let required = self.flow == 0 && self.indent == column(self.spot);
        if self.key_allowed {
            let key = SimpleKey { token: self.taken + self.tokens.len(), required, at: self.spot };
            self.remove_key()?;
            if let Some(last) = self.keys.last_mut() {
                *last = Some(key);
            }
        }
        Ok(())
    }

    fn remove_key(&mut self) -> Scanned<()> {
        match self.keys.last_mut().and_then(Option::take) {
            Some(key) if key.required => Self::fail("could not find expected ':'", key.at),
            _ => Ok(()),
        }
    }

    fn push(&mut self, token: Token, start: Spot) {
        self.tokens.push_back(Placed { token, start, end: self.spot });
    }

    /// Opens a block where the column is further right than the open one.
    fn roll_indent(&mut self, to: isize, before: Option<usize>, token: Token, at: Spot) -> Scanned<()> {
        if self.flow > 0 || self.indent >= to {
            return Ok(());
        }
        if self.indents.len() >= MAX_LEVELS {
            return Self::fail(format!("nested more than {MAX_LEVELS} levels deep"), at);
        }
        self.indents.push(self.indent);
        self.indent = to;
        let place = before.map_or(self.tokens.len(), |number| number.saturating_sub(self.taken));
        self.tokens.insert(place.min(self.tokens.len()), Placed { token, start: at, end: at });
        Ok(())
    }

    /// Closes the blocks that a column further left leaves.
    fn unroll_indent(&mut self, to: isize) {
        if self.flow > 0 {
            return;
        }
        while self.indent > to {
            self.push(Token::BlockEnd, self.spot);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    // ---- tokens -----------------------------------------------------------------------------------------

    fn fetch(&mut self) -> Scanned<()> {
        self.skip_to_token();
        self.drop_stale_keys()?;
        self.unroll_indent(column(self.spot));
        let (start, first, second) = (self.spot, self.char(0), self.char(1));
        let (blank_next, in_flow) = (is_blank_or_end(second), self.flow > 0);
        match first {
            END => self.fetch_end(),
            '%' if start.column == 0 => self.fetch_directive(),
            '-' if self.at_document_indicator() => self.fetch_document(Token::DocumentStart),
            '.' if self.at_document_indicator() => self.fetch_document(Token::DocumentEnd),
            '[' => self.fetch_flow_start(Token::FlowSequenceStart),
            '{' => self.fetch_flow_start(Token::FlowMappingStart),
            ']' => self.fetch_flow_end(Token::FlowSequenceEnd),
            '}' => self.fetch_flow_end(Token::FlowMappingEnd),
            ',' => {
                self.remove_key()?;
                self.key_allowed = true;
                self.skip();
                self.push(Token::FlowEntry, start);
                Ok(())
            }
            '-' if blank_next => self.fetch_block_entry(),
            '?' if in_flow || blank_next => self.fetch_key(),
            ':' if in_flow || blank_next => self.fetch_value(),
            '*' | '&' => self.fetch_anchor(),
            '!' => self.fetch_tag(),
            '|' | '>' if !in_flow => {
                self.remove_key()?;
                self.key_allowed = true;
                self.block_scalar(first == '|')
            }
            '\'' | '"' => {
                self.save_key()?;
                self.key_allowed = false;
                self.quoted_scalar(first)
            }
            '-' if !is_blank(second) => self.fetch_plain(),
            '?' | ':' if !in_flow && !blank_next => self.fetch_plain(),
            '-' | '?' | ':' | '#' | '|' | '>' | '%' | '@' | '`' | '\t' => {
                let shown = if first == '\t' { "a tab".to_owned() } else { format!("`{first}`") };
                Self::fail(format!("found character that cannot start any token: {shown}"), start)
            }
            _ => self.fetch_plain(),
        }
    }

    fn skip_to_token(&mut self) {
        loop {
            if self.spot.column == 0 && self.char(0) == '\u{FEFF}' {
                self.skip();
            }
            // A tab is a blank, except where it would be taken for indentation.
            while self.char(0) == ' ' || (self.char(0) == '\t' && (self.flow > 0 || !self.key_allowed)) {
                self.skip();
            }
            self.skip_comment();
            if !is_break(self.char(0)) {
                return;
            }
            self.skip_line();
            if self.flow == 0 {
                self.key_allowed = true;
            }
        }
    }

    fn fetch_end(&mut self) -> Scanned<()> {
        if self.spot.column != 0 {
            self.spot.column = 0;
            self.spot.line += 1;
        }
        self.unroll_indent(-1);
        self.remove_key()?;
        self.key_allowed = false;
        self.ended = true;
        self.push(Token::StreamEnd, self.spot);
        Ok(())
    }

    fn fetch_document(&mut self, token: Token) -> Scanned<()> {
        self.unroll_indent(-1);
        self.remove_key()?;
        self.key_allowed = false;
        let start = self.spot;
        self.skip_many(3);
        self.push(token, start);
        Ok(())
    }

    fn fetch_flow_start(&mut self, token: Token) -> Scanned<()> {
        self.save_key()?;
        if self.flow >= MAX_LEVELS {
            return Self::fail(format!("nested more than {MAX_LEVELS} levels deep"), self.spot);
        }
        self.keys.push(None);
        self.flow += 1;
        self.key_allowed = true;
        let start = self.spot;
        self.skip();
        self.push(token, start);
        Ok(())
    }

    fn fetch_flow_end(&mut self, token: Token) -> Scanned<()> {
        self.remove_key()?;
        if self.flow > 0 {
            self.flow -= 1;
            self.keys.pop();
        }
        self.key_allowed = false;
        let start = self.spot;
        self.skip();
        self.push(token, start);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Scanned<()> {
        if self.flow == 0 {
            if !self.key_allowed {
                return Self::fail("block sequence entries are not allowed in this context", self.spot);
            }
            self.roll_indent(column(self.spot), None, Token::BlockSequenceStart, self.spot)?;
        }
        self.remove_key()?;
        self.key_allowed = true;
        let start = self.spot;
        self.skip();
        self.push(Token::BlockEntry, start);
        Ok(())
    }

    fn fetch_key(&mut self) -> Scanned<()> {
        if self.flow == 0 {
            if !self.key_allowed {
                return Self::fail("mapping keys are not allowed in this context", self.spot);
            }
            self.roll_indent(column(self.spot), None, Token::BlockMappingStart, self.spot)?;
        }
        self.remove_key()?;
        self.key_allowed = self.flow == 0;
        let start = self.spot;
        self.skip();
        self.push(Token::Key, start);
        Ok(())
    }

    fn fetch_value(&mut self) -> Scanned<()> {
        if let Some(key) = self.keys.last_mut().and_then(Option::take) {
            let place = key.token.saturating_sub(self.taken).min(self.tokens.len());
            self.tokens.insert(place, Placed { token: Token::Key, start: key.at, end: key.at });
            self.roll_indent(column(key.at), Some(key.token), Token::BlockMappingStart, key.at)?;
            self.key_allowed = false;
        } else {
            if self.flow == 0 {
                if !self.key_allowed {
                    return Self::fail("mapping values are not allowed in this context", self.spot);
                }
                self.roll_indent(column(self.spot), None, Token::BlockMappingStart, self.spot)?;
            }
            self.key_allowed = self.flow == 0;
        }
        let start = self.spot;
        self.skip();
        self.push(Token::Value, start);
        Ok(())
    }

    fn fetch_anchor(&mut self) -> Scanned<()> {
        self.save_key()?;
        self.key_allowed = false;
        let start = self.spot;
        let alias = self.char(0) == '*';
        self.skip();
        let mut name = String::new();
        while is_name(self.char(0)) {
            self.read(&mut name);
        }
        let next = self.char(0);
        let ends = is_blank_or_end(next) || matches!(next, '?' | ':' | ',' | ']' | '}' | '%' | '@' | '`');
        if name.is_empty() || !ends {
            let what = if alias { "an alias" } else { "an anchor" };
            let message = format!(
                "{what} must have a name of letters, digits, `_` and `-`; a text that starts with `*` or `&` stands in quotes"
            );
            return Self::fail(message, start);
        }
        self.push(if alias { Token::Alias(name) } else { Token::Anchor(name) }, start);
        Ok(())
    }

    fn fetch_plain(&mut self) -> Scanned<()> {
        self.save_key()?;
        self.key_allowed = false;
        self.plain_scalar()
    }

    // ---- directives and tags ----------------------------------------------------------------------------

    fn fetch_directive(&mut self) -> Scanned<()> {
        self.unroll_indent(-1);
        self.remove_key()?;
        self.key_allowed = false;
        let start = self.spot;
        self.skip();
        let mut name = String::new();
        while is_name(self.char(0)) {
            self.read(&mut name);
        }
        if name.is_empty() || !is_blank_or_end(self.char(0)) {
            return Self::fail("could not find expected directive name", start);
        }
        self.skip_blanks();
        let token = match name.as_str() {
            "YAML" => {
                let major = self.version_number(start)?;
                if self.char(0) != '.' {
                    return Self::fail("did not find expected digit or '.' character", start);
                }
                self.skip();
                Token::Version(major, self.version_number(start)?)
            }
            "TAG" => {
                let handle = self.tag_handle(start)?;
                if handle != "!" && !handle.ends_with('!') {
                    return Self::fail("did not find expected '!'", start);
                }
                if !is_blank(self.char(0)) {
                    return Self::fail("did not find expected whitespace", start);
                }
                self.skip_blanks();
                let prefix = self.tag_uri("", start)?;
                if !is_blank_or_end(self.char(0)) {
                    return Self::fail("did not find expected whitespace or line break", start);
                }
                Token::TagDirective { handle, prefix }
            }
            _ => return Self::fail("found unknown directive name", start),
        };
        self.push(token, start);
        self.skip_blanks();
        self.skip_comment();
        if !is_break_or_end(self.char(0)) {
            return Self::fail("did not find expected comment or line break", start);
        }
        if is_break(self.char(0)) {
            self.skip_line();
        }
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while is_blank(self.char(0)) {
            self.skip();
        }
    }

    fn version_number(&mut self, start: Spot) -> Scanned<u32> {
        let (mut number, mut digits) = (0, 0);
        while let Some(digit) = self.char(0).to_digit(10).filter(|_| digits < 2) {
            number = number * 10 + digit;
            digits += 1;
            self.skip();
        }
        if digits == 0 || self.char(0).is_ascii_digit() {
            return Self::fail("did not find expected version number", start);
        }
        Ok(number)
    }

    fn fetch_tag(&mut self) -> Scanned<()> {
        self.save_key()?;
        self.key_allowed = false;
        let start = self.spot;
        let (handle, suffix) = if self.char(1) == '<' {
            self.skip_many(2);
            let suffix = self.tag_uri("", start)?;
            if self.char(0) != '>' {
                return Self::fail("did not find the expected '>'", start);
            }
            self.skip();
            (String::new(), suffix)
        } else {
            let handle = self.tag_handle(start)?;
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.tag_uri("", start)?;
                (handle, suffix)
            } else {
                let suffix = self.tag_uri(&handle, start)?;
                if suffix.is_empty() { (suffix, "!".to_owned()) } else { ("!".to_owned(), suffix) }
            }
        };
        if !is_blank_or_end(self.char(0)) {
            return Self::fail("did not find expected whitespace or line break after a tag", start);
        }
        self.push(Token::Tag { handle, suffix }, start);
        Ok(())
    }

    fn tag_handle(&mut self, start: Spot) -> Scanned<String> {
        let mut handle = String::new();
        if self.char(0) != '!' {
            return Self::fail("did not find expected '!'", start);
        }
        self.read(&mut handle);
        while is_name(self.char(0)) {
            self.read(&mut handle);
        }
        if self.char(0) == '!' {
            self.read(&mut handle);
        }
        Ok(handle)
    }

    fn tag_uri(&mut self, head: &str, start: Spot) -> Scanned<String> {
        let mut bytes: Vec<u8> = head.bytes().skip(1).collect();
        let mut found = !head.is_empty();
        loop {
            match self.char(0) {
                '%' => {
                    let hex = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                    let (Some(high), Some(low)) = (hex(self.char(1)), hex(self.char(2))) else {
                        return Self::fail("did not find URI escaped octet", start);
                    };
                    bytes.push(high * 16 + low);
                    self.skip_many(3);
                }
                c if is_name(c) || ";/?:@&=+$,.!~*'()[]".contains(c) => {
                    bytes.extend(c.to_string().bytes());
                    self.skip();
                }
                _ => break,
            }
            found = true;
        }
        if !found {
            return Self::fail("did not find expected tag URI", start);
        }
        String::from_utf8(bytes).or_else(|_| Self::fail("a tag is not valid UTF-8", start))
    }

    // ---- scalars ----------------------------------------------------------------------------------------

    fn block_scalar(&mut self, literal: bool) -> Scanned<()> {
        let start = self.spot;
        self.skip();
        let mut keep: Option<bool> = None;
        let mut increment = 0;
        for _ in 0..2 {
            match self.char(0) {
                c @ ('+' | '-') if keep.is_none() => keep = Some(c == '+'),
                '0' if increment == 0 => {
                    return Self::fail("found an indentation indicator equal to 0", start);
                }
                c if c.is_ascii_digit() && increment == 0 => {
                    increment = isize::try_from(c.to_digit(10).unwrap_or(0)).unwrap_or(0);
                }
                _ => break,
            }
            self.skip();
        }
        self.skip_blanks();
        self.skip_comment();
        if !is_break_or_end(self.char(0)) {
            return Self::fail("did not find expected comment or line break", start);
        }
        let header_end = self.spot;
        if is_break(self.char(0)) {
            self.skip_line();
        }
        let mut indent = if increment > 0 { self.indent.max(0) + increment } else { 0 };
        let (mut text, mut leading, mut trailing) = (String::new(), String::new(), String::new());
        self.block_breaks(&mut indent, &mut trailing)?;
        let mut after_blank = false;
        while column(self.spot) == indent && self.char(0) != END {
            let blank = is_blank(self.char(0));
            if !literal && !after_blank && !blank && leading.starts_with('\n') {
                if trailing.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&leading);
            }
            leading.clear();
            text.push_str(&trailing);
            trailing.clear();
            after_blank = blank;
            while !is_break_or_end(self.char(0)) {
                self.read(&mut text);
            }
            if is_break(self.char(0)) {
                self.read_line(&mut leading);
            }
            self.block_breaks(&mut indent, &mut trailing)?;
        }
        if keep != Some(false) {
            text.push_str(&leading);
        }
        if keep == Some(true) {
            text.push_str(&trailing);
        }
        self.tokens.push_back(Placed { token: Token::Scalar { text, plain: false }, start, end: header_end });
        Ok(())
    }

    /// Reads the blank lines of a block scalar, and finds out its indentation.
    fn block_breaks(&mut self, indent: &mut isize, breaks: &mut String) -> Scanned<()> {
        let mut widest = 0;
        loop {
            let inside = |this: &Self| *indent == 0 || column(this.spot) < *indent;
            while inside(self) && self.char(0) == ' ' {
                self.skip();
            }
            widest = widest.max(column(self.spot));
            if inside(self) && self.char(0) == '\t' {
                return Self::fail("found a tab character where an indentation space is expected", self.spot);
            }
            if !is_break(self.char(0)) {
                break;
            }
            self.read_line(breaks);
        }
        if *indent == 0 {
            *indent = widest.max(self.indent + 1).max(1);
        }
        Ok(())
    }

    fn quoted_scalar(&mut self, quote: char) -> Scanned<()> {
        let start = self.spot;
        self.skip();
        let mut text = String::new();
        loop {
            if self.at_document_indicator() {
                return Self::fail("found unexpected document indicator in a quoted text", start);
            }
            if self.char(0) == END {
                return Self::fail("the quote is not closed", start);
            }
            let mut folded = false;
            while !is_blank_or_end(self.char(0)) {
                let (c, next) = (self.char(0), self.char(1));
                if c == quote && quote == '\'' && next == '\'' {
                    text.push('\'');
                    self.skip_many(2);
                } else if c == quote {
                    break;
                } else if quote == '"' && c == '\\' && is_break(next) {
                    self.skip();
                    self.skip_line();
                    folded = true;
                    break;
                } else if quote == '"' && c == '\\' {
                    self.escape(&mut text)?;
                } else {
                    self.read(&mut text);
                }
            }
            if self.char(0) == quote {
                break;
            }
            let mut gap = Gap { folded, ..Gap::default() };
            while is_blank(self.char(0)) || is_break(self.char(0)) {
                gap.read(self);
            }
            gap.join(&mut text);
        }
        self.skip();
        self.push(Token::Scalar { text, plain: false }, start);
        Ok(())
    }

    fn escape(&mut self, text: &mut String) -> Scanned<()> {
        let at = self.spot;
        let digits = match self.char(1) {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            c => {
                text.push(match c {
                    '0' => '\0',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    't' | '\t' => '\t',
                    'n' => '\n',
                    'v' => '\u{B}',
                    'f' => '\u{C}',
                    'r' => '\r',
                    'e' => '\u{1B}',
                    ' ' | '"' | '\'' | '/' | '\\' => c,
                    'N' => '\u{85}',
                    '_' => '\u{A0}',
                    'L' => '\u{2028}',
                    'P' => '\u{2029}',
                    _ => {
                        let message =
                            format!("`\\{c}` is no escape: double the backslash, or use single quotes");
                        return Self::fail(message, at);
                    }
                });
                self.skip_many(2);
                return Ok(());
            }
        };
        self.skip_many(2);
        let mut code = 0_u32;
        for ahead in 0..digits {
            let Some(digit) = self.char(ahead).to_digit(16) else {
                return Self::fail("did not find expected hexadecimal number", at);
            };
            code = code.wrapping_mul(16).wrapping_add(digit);
        }
        let Some(c) = char::from_u32(code) else {
            return Self::fail("found invalid Unicode character escape code", at);
        };
        text.push(c);
        self.skip_many(digits);
        Ok(())
    }

    fn plain_scalar(&mut self) -> Scanned<()> {
        let start = self.spot;
        let mut end = start;
        let indent = self.indent + 1;
        let mut text = String::new();
        let mut gap = Gap::default();
        loop {
            if self.at_document_indicator() || self.char(0) == '#' {
                break;
            }
            while !is_blank_or_end(self.char(0)) {
                let (c, blank_next) = (self.char(0), is_blank_or_end(self.char(1)));
                let ends_in_flow = matches!(c, ',' | '?' | '[' | ']' | '{' | '}');
                if (c == ':' && blank_next) || (self.flow > 0 && ends_in_flow) {
                    break;
                }
                std::mem::take(&mut gap).join(&mut text);
                self.read(&mut text);
                end = self.spot;
            }
            if !(is_blank(self.char(0)) || is_break(self.char(0))) {
                break;
            }
            while is_blank(self.char(0)) || is_break(self.char(0)) {
                if gap.folded && column(self.spot) < indent && self.char(0) == '\t' {
                    return Self::fail("found a tab character that violates indentation", self.spot);
                }
                gap.read(self);
            }
            if self.flow == 0 && column(self.spot) < indent {
                break;
            }
        }
        if gap.folded {
            self.key_allowed = true;
        }
        self.tokens.push_back(Placed { token: Token::Scalar { text, plain: true }, start, end });
        Ok(())
    }
}

/// The blanks and line breaks between two words of a scalar.
#[derive(Default)]
struct Gap {
    blanks: String,
    first: String,
    further: String,
    /// Whether a line break was met.
    folded: bool,
}

impl Gap {
    fn read(&mut self, scanner: &mut Scanner) {
        if is_blank(scanner.char(0)) {
            if self.folded {
                scanner.skip();
            } else {
                scanner.read(&mut self.blanks);
            }
        } else if self.folded {
            scanner.read_line(&mut self.further);
        } else {
            self.blanks.clear();
            scanner.read_line(&mut self.first);
            self.folded = true;
        }
    }

    fn join(self, text: &mut String) {
        if !self.folded {
            text.push_str(&self.blanks);
        } else if !self.first.starts_with('\n') {
            text.push_str(&self.first);
            text.push_str(&self.further);
        } else if self.further.is_empty() {
            text.push(' ');
        } else {
            text.push_str(&self.further);
        }
    }
}
