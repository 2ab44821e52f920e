//! Reads checks as PostgreSQL writes them (`pg_get_constraintdef`), into what they ask of columns.
//!
//! What a check asks is taken as asked of every row; where it offers a choice (`OR`), one side is enough. Casts and
//! collations do not matter to it. What is not understood makes the whole check not understood.

/// What a check asks; it asks all of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The column is at least, and at most, and whether that itself is allowed.
    Low(String, String, bool),
    /// See [`Ask::Low`].
    High(String, String, bool),
    /// The length in characters is at least.
    Longer(String, i64),
    /// And at most.
    Shorter(String, i64),
    /// It is one of these.
    Of(String, Vec<String>),
    /// It is not this.
    Not(String, String),
    /// The first is less than the second; equal, too, with `true`.
    Less(String, String, bool),
    /// They are not the same.
    Differ(String, String),
    /// It matches the regular expression.
    Matches(String, String),
    /// It is never NULL.
    Present(String),
    /// It is always NULL.
    Absent(String),
    /// It has no capital letters.
    Lower(String),
    /// It is JSON of this type.
    Json(String, String),
}

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    Name(String),
    Literal(String),
    Call(String, Vec<Self>),
    Array(Vec<Self>),
    Not(Box<Self>),
    Null(Box<Self>, bool),
    Two(String, Box<Self>, Box<Self>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Text(String),
    Number(String),
    Sign(String),
}

/// What the definition of a check asks; nothing when it is not understood. In that of a domain, `value` is the column.
#[must_use]
pub fn read(definition: &str) -> Option<Vec<Ask>> {
    let text = definition.trim().strip_prefix("CHECK").unwrap_or(definition);
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let expr = parser.or()?;
    let rest = &parser.tokens[parser.at..];
    let allowed = |token: &Token| matches!(token, Token::Word(word) if ["not", "valid", "no", "inherit"].contains(&word.as_str()));
    if !rest.iter().all(allowed) {
        return None;
    }
    let mut asks = Vec::new();
    ask(&expr, &mut asks)?;
    Some(asks)
}

/// The column that an expression of an index is about, if values that differ in it, but for case, differ in the index.
#[must_use]
pub fn folded(expression: &str) -> Option<String> {
    let mut parser = Parser { tokens: tokens(expression)?, at: 0 };
    let expr = parser.or()?;
    match expr {
        Expr::Name(name) => Some(name),
        Expr::Call(function, arguments) if ["lower", "upper"].contains(&function.as_str()) => {
            match &arguments[..] {
                [Expr::Name(name)] => Some(name.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    let quoted = |from: usize, quote: char, escapes: bool| -> Option<(String, usize)> {
        let mut text = String::new();
        let mut at = from;
        loop {
            let c = *chars.get(at)?;
            if c == quote {
                if chars.get(at + 1) == Some(&quote) {
                    at += 1;
                } else {
                    return Some((text, at + 1));
                }
            } else if c == '\\' && escapes {
                at += 1;
                text.push(*chars.get(at)?);
                at += 1;
                continue;
            }
            text.push(c);
            at += 1;
        }
    };
    while let Some(&c) = chars.get(at) {
        if c.is_whitespace() {
            at += 1;
        } else if c == '\'' {
            let (text, next) = quoted(at + 1, '\'', false)?;
            found.push(Token::Text(text));
            at = next;
        } else if (c == 'E' || c == 'e') && chars.get(at + 1) == Some(&'\'') {
            let (text, next) = quoted(at + 2, '\'', true)?;
            found.push(Token::Text(text));
            at = next;
        } else if c == '"' {
            let (text, next) = quoted(at + 1, '"', false)?;
            found.push(Token::Quoted(text));
            at = next;
        } else if c.is_alphabetic() || c == '_' {
            let from = at;
            while chars.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_' || *c == '$') {
                at += 1;
            }
            found.push(Token::Word(chars[from..at].iter().collect::<String>().to_lowercase()));
        } else if c.is_ascii_digit() {
            let from = at;
            while chars.get(at).is_some_and(|c| c.is_ascii_digit() || *c == '.') {
                at += 1;
            }
            found.push(Token::Number(chars[from..at].iter().collect()));
        } else {
            let sign = ["!~*", "!~", "~*", "~~", "<=", ">=", "<>", "::", "||", "->>"]
                .into_iter()
                .find(|sign| sign.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c)));
            let sign = sign.map_or_else(|| c.to_string(), str::to_owned);
            at += sign.chars().count();
            found.push(Token::Sign(sign));
        }
    }
    Some(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn word(&mut self, word: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some(Token::Word(it)) if it == word);
        self.at += usize::from(there);
        there
    }

    fn sign(&mut self, sign: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some(Token::Sign(it)) if it == sign);
        self.at += usize::from(there);
        there
    }

    fn or(&mut self) -> Option<Expr> {
        let mut left = self.and()?;
        while self.word("or") {
            left = Expr::Two("or".into(), left.into(), self.and()?.into());
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Expr> {
        let mut left = self.not()?;
        while self.word("and") {
            left = Expr::Two("and".into(), left.into(), self.not()?.into());
        }
        Some(left)
    }

    fn not(&mut self) -> Option<Expr> {
        if self.word("not") { Some(Expr::Not(self.not()?.into())) } else { self.compared() }
    }

    fn compared(&mut self) -> Option<Expr> {
        let mut left = self.value()?;
        loop {
            if self.word("is") {
                let not = self.word("not");
                if !self.word("null") {
                    return None;
                }
                left = Expr::Null(left.into(), !not);
                continue;
            }
            let sign = match self.tokens.get(self.at) {
                Some(Token::Sign(sign))
                    if ["<", "<=", ">", ">=", "=", "<>", "~", "~*"].contains(&sign.as_str()) =>
                {
                    sign.clone()
                }
                _ => return Some(left),
            };
            self.at += 1;
            left = Expr::Two(sign, left.into(), self.value()?.into());
        }
    }

    fn value(&mut self) -> Option<Expr> {
        let mut value = self.atom()?;
        while self.sign("::") {
            self.type_name()?;
        }
        // A cast in front of a collation says nothing either.
        if self.word("collate") {
            self.at += 1;
            if self.sign(".") {
                self.at += 1;
            }
        }
        if let Expr::Call(name, arguments) = &value
            && ["btrim", "trim"].contains(&name.as_str())
            && arguments.len() == 1
        {
            // Nothing that is generated begins or ends with a blank.
            value = arguments[0].clone();
        }
        Some(value)
    }

    fn type_name(&mut self) -> Option<()> {
        loop {
            match self.tokens.get(self.at)? {
                Token::Word(_) | Token::Quoted(_) => self.at += 1,
                _ => return None,
            }
            if !self.sign(".") {
                break;
            }
        }
        // `character varying`, `timestamp with time zone`.
        while matches!(self.tokens.get(self.at), Some(Token::Word(word))
            if ["varying", "precision", "with", "without", "time", "zone"].contains(&word.as_str()))
        {
            self.at += 1;
        }
        if matches!(self.tokens.get(self.at), Some(Token::Sign(sign)) if sign == "(") {
            while !self.sign(")") {
                self.tokens.get(self.at)?;
                self.at += 1;
            }
        }
        while matches!(self.tokens.get(self.at), Some(Token::Word(word))
            if ["with", "without", "time", "zone"].contains(&word.as_str()))
        {
            self.at += 1;
        }
        while self.sign("[") {
            if !self.sign("]") {
                return None;
            }
        }
        Some(())
    }

    fn atom(&mut self) -> Option<Expr> {
        if self.sign("(") {
            let inner = self.or()?;
            return self.sign(")").then_some(inner);
        }
        if self.sign("-") {
            return match self.atom()? {
                Expr::Literal(number) => Some(Expr::Literal(format!("-{number}"))),
                _ => None,
            };
        }
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        match token {
            Token::Text(text) | Token::Number(text) => Some(Expr::Literal(text)),
            Token::Quoted(name) => Some(Expr::Name(name)),
            Token::Word(word) if word == "array" && self.sign("[") => {
                let mut items = Vec::new();
                while !self.sign("]") {
                    items.push(self.or()?);
                    self.sign(",");
                }
                Some(Expr::Array(items))
            }
            Token::Word(mut word) => {
                // A function may have its schema.
                while self.sign(".") {
                    let Some(Token::Word(next)) = self.tokens.get(self.at) else { return None };
                    word.clone_from(next);
                    self.at += 1;
                }
                if self.sign("(") {
                    let mut arguments = Vec::new();
                    if !self.sign(")") {
                        loop {
                            // `TRIM(BOTH FROM name)`.
                            let _ = self.word("both") && self.word("from");
                            arguments.push(self.or()?);
                            if self.sign(")") {
                                break;
                            }
                            if !self.sign(",") {
                                return None;
                            }
                        }
                    }
                    return Some(Expr::Call(word, arguments));
                }
                Some(match word.as_str() {
                    "true" | "false" => Expr::Literal(word),
                    _ => Expr::Name(word),
                })
            }
            Token::Sign(_) => None,
        }
    }
}

fn ask(expr: &Expr, asks: &mut Vec<Ask>) -> Option<()> {
    match expr {
        Expr::Literal(literal) if literal == "true" => {}
        Expr::Name(name) => asks.push(Ask::Of(name.clone(), vec!["true".into()])),
        Expr::Not(inner) => match &**inner {
            Expr::Name(name) => asks.push(Ask::Of(name.clone(), vec!["false".into()])),
            Expr::Null(it, null) => ask(&Expr::Null(it.clone(), !null), asks)?,
            _ => return None,
        },
        Expr::Null(it, null) => match (&**it, null) {
            (Expr::Name(name), true) => asks.push(Ask::Absent(name.clone())),
            (Expr::Name(name), false) => asks.push(Ask::Present(name.clone())),
            _ => return None,
        },
        Expr::Two(sign, left, right) => match sign.as_str() {
            "and" => {
                ask(left, asks)?;
                ask(right, asks)?;
            }
            "or" => {
                // The side that is about values is better than the one that asks for NULL.
                let mut sides = [left, right];
                if matches!(**left, Expr::Null(_, true)) {
                    sides.reverse();
                }
                // `a = 'x' OR a = 'y'` is a list.
                if let (Some(mut one), Some(mut other)) = (listed(left), listed(right))
                    && one.0 == other.0
                {
                    one.1.append(&mut other.1);
                    asks.push(Ask::Of(one.0, one.1));
                    return Some(());
                }
                let side = sides.into_iter().find_map(|side| {
                    let mut found = Vec::new();
                    ask(side, &mut found).map(|()| found)
                });
                asks.extend(side?);
            }
            sign => compared(sign, left, right, asks)?,
        },
        Expr::Call(..) | Expr::Literal(_) | Expr::Array(_) => return None,
    }
    Some(())
}

fn listed(expr: &Expr) -> Option<(String, Vec<String>)> {
    let mut asks = Vec::new();
    ask(expr, &mut asks)?;
    match asks.pop() {
        Some(Ask::Of(column, values)) if asks.is_empty() => Some((column, values)),
        _ => None,
    }
}

fn turned(sign: &str) -> &str {
    match sign {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

fn literals(items: &[Expr]) -> Option<Vec<String>> {
    items
        .iter()
        .map(|item| match item {
            Expr::Literal(text) => Some(text.clone()),
            _ => None,
        })
        .collect()
}

fn compared(sign: &str, left: &Expr, right: &Expr, asks: &mut Vec<Ask>) -> Option<()> {
    match (left, right) {
        (Expr::Literal(_), Expr::Name(_) | Expr::Call(..)) => {
            return compared(turned(sign), right, left, asks);
        }
        (Expr::Name(a), Expr::Name(b)) if a != b => asks.push(match sign {
            "<" | "<=" => Ask::Less(a.clone(), b.clone(), sign == "<="),
            ">" | ">=" => Ask::Less(b.clone(), a.clone(), sign == ">="),
            "<>" => Ask::Differ(a.clone(), b.clone()),
            _ => return None,
        }),
        (Expr::Name(column), Expr::Literal(value)) => asks.push(match sign {
            ">" | ">=" => Ask::Low(column.clone(), value.clone(), sign == ">="),
            "<" | "<=" => Ask::High(column.clone(), value.clone(), sign == "<="),
            "=" => Ask::Of(column.clone(), vec![value.clone()]),
            "<>" => Ask::Not(column.clone(), value.clone()),
            "~" | "~*" => Ask::Matches(column.clone(), value.clone()),
            _ => return None,
        }),
        (Expr::Name(column), Expr::Call(any, items)) if sign == "=" && any == "any" => match &items[..] {
            [Expr::Array(items)] => asks.push(Ask::Of(column.clone(), literals(items)?)),
            [Expr::Literal(text)] => {
                // `'{a,b}'::text[]`.
                let inner = text.strip_prefix('{')?.strip_suffix('}')?;
                if inner.contains(['"', '\\', '{']) {
                    return None;
                }
                asks.push(Ask::Of(column.clone(), inner.split(',').map(str::to_owned).collect()));
            }
            _ => return None,
        },
        (Expr::Call(function, arguments), Expr::Literal(value)) => {
            let [Expr::Name(column), ..] = &arguments[..] else { return None };
            match function.as_str() {
                "length" | "char_length" | "character_length" | "octet_length" => {
                    let number: i64 = value.parse().ok()?;
                    let column = column.clone();
                    match sign {
                        ">" => asks.push(Ask::Longer(column, number + 1)),
                        ">=" => asks.push(Ask::Longer(column, number)),
                        "<" => asks.push(Ask::Shorter(column, number - 1)),
                        "<=" => asks.push(Ask::Shorter(column, number)),
                        "=" => {
                            asks.push(Ask::Longer(column.clone(), number));
                            asks.push(Ask::Shorter(column, number));
                        }
                        _ => return None,
                    }
                }
                "jsonb_typeof" | "json_typeof" if sign == "=" => {
                    asks.push(Ask::Json(column.clone(), value.clone()));
                }
                "num_nonnulls" if sign == "=" || sign == ">=" => {
                    let names: Option<Vec<&String>> = arguments
                        .iter()
                        .map(|it| if let Expr::Name(name) = it { Some(name) } else { None })
                        .collect();
                    let wanted: usize = value.parse().ok()?;
                    for (number, name) in names?.into_iter().enumerate() {
                        asks.push(if number < wanted {
                            Ask::Present(name.clone())
                        } else {
                            Ask::Absent(name.clone())
                        });
                    }
                }
                _ => return None,
            }
        }
        // `email = lower(email)`.
        (Expr::Name(a), Expr::Call(function, arguments))
        | (Expr::Call(function, arguments), Expr::Name(a))
            if sign == "=" && function == "lower" && arguments[..] == [Expr::Name(a.clone())] =>
        {
            asks.push(Ask::Lower(a.clone()));
        }
        // `(a IS NULL) = (b IS NULL)`.
        (Expr::Null(a, true), Expr::Null(b, true)) if sign == "=" => match (&**a, &**b) {
            (Expr::Name(a), Expr::Name(b)) => {
                asks.extend([Ask::Present(a.clone()), Ask::Present(b.clone())]);
            }
            _ => return None,
        },
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_as_postgresql_writes_them() {
        let asked = |text: &str| format!("{:?}", read(text).unwrap_or_default());
        let cases = [
            ("CHECK ((price > (0)::numeric))", r#"[Low("price", "0", false)]"#),
            (
                "CHECK (((status)::text = ANY ((ARRAY['a'::character varying, 'it''s'::character varying])::text[])))",
                r#"[Of("status", ["a", "it's"])]"#,
            ),
            (
                "CHECK (((stars >= 1) AND (stars <= 5))) NOT VALID",
                r#"[Low("stars", "1", true), High("stars", "5", true)]"#,
            ),
            ("CHECK ((char_length(\"Name\") >= 3))", r#"[Longer("Name", 3)]"#),
            ("CHECK ((starts_at < ends_at))", r#"[Less("starts_at", "ends_at", false)]"#),
            ("CHECK (((a IS NULL) OR (a > '-5'::integer)))", r#"[Low("a", "-5", false)]"#),
            ("CHECK (((k = 'x'::text) OR (k = 'y'::text)))", r#"[Of("k", ["x", "y"])]"#),
            ("CHECK (((VALUE)::text ~ '^[a-z]+$'::text))", r#"[Matches("value", "^[a-z]+$")]"#),
            ("CHECK ((num_nonnulls(a, b) = 1))", r#"[Present("a"), Absent("b")]"#),
            (
                "CHECK ((d >= '2020-01-01 00:00:00+00'::timestamp with time zone))",
                r#"[Low("d", "2020-01-01 00:00:00+00", true)]"#,
            ),
            ("CHECK ((a <> b))", r#"[Differ("a", "b")]"#),
            ("CHECK ((length(TRIM(BOTH FROM name)) > 0))", r#"[Longer("name", 1)]"#),
            ("CHECK (((a + b) > 3))", "[]"),
        ];
        for (text, wanted) in cases {
            assert_eq!(asked(text), wanted, "{text}");
        }
        assert_eq!(folded("lower((email)::text)").as_deref(), Some("email"));
        assert_eq!(folded("(a || b)"), None);
    }
}
