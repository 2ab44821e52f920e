//! The first words of a PostgreSQL connection: which environment it asks for, and what is passed on. Pure.
//!
//! Formats: PostgreSQL documentation, "Message Formats" (`StartupMessage`, `SSLRequest`, `GSSENCRequest`,
//! `CancelRequest`, `BackendKeyData`, `ErrorResponse`) and "Message Flow".

/// The longest first message that a server takes (PostgreSQL, `MAX_STARTUP_PACKET_LENGTH`).
pub const LONGEST: usize = 10_000;

/// The parameter that names an environment.
const PARAMETER: &str = "devenv.branch";

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;
const MAJOR: u32 = 3;

/// The first message of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// Asks for TLS.
    Tls,
    /// Asks for encryption by Kerberos.
    Gss,
    /// Asks to cancel what another connection does, whose key this is: process id and secret.
    Cancel(Vec<u8>),
    /// Begins a session.
    Session(Session),
}

/// The beginning of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    version: u32,
    parameters: Vec<Pair>,
}

/// A parameter's name and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// Why a first message is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Reads a first message, without the four bytes of its length.
pub fn read(body: &[u8]) -> Result<First, Malformed> {
    let (code, rest) = body.split_first_chunk::<4>().ok_or(Malformed)?;
    match u32::from_be_bytes(*code) {
        SSL_REQUEST => Ok(First::Tls),
        GSS_REQUEST => Ok(First::Gss),
        // Up to version 3.0 the secret has four bytes, from 3.2 on up to 256.
        CANCEL if (8..=260).contains(&rest.len()) => Ok(First::Cancel(rest.to_vec())),
        version if version >> 16 == MAJOR => {
            Ok(First::Session(Session { version, parameters: pairs(rest)? }))
        }
        _ => Err(Malformed),
    }
}

/// Names and values, each ended by a zero byte, all ended by one more.
fn pairs(mut rest: &[u8]) -> Result<Vec<Pair>, Malformed> {
    let mut found = Vec::new();
    let word = |rest: &mut &[u8]| -> Result<Vec<u8>, Malformed> {
        let end = rest.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
        let word = rest[..end].to_vec();
        *rest = &rest[end + 1..];
        Ok(word)
    };
    loop {
        let name = word(&mut rest)?;
        if name.is_empty() {
            return if rest.is_empty() { Ok(found) } else { Err(Malformed) };
        }
        let value = word(&mut rest)?;
        found.push((name, value));
    }
}

/// What a session asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The current environment.
    Current,
    /// The environment that is called so, or works on the branch that is.
    Named(String),
}

impl Session {
    /// Takes the wish for an environment out of the message; the server is to see none of it. It stands in the
    /// parameter `devenv.branch`, in `options` (`-c devenv.branch=NAME`), or behind the user's name and a dot.
    /// `is_environment` tells names of environments from other words behind a dot.
    pub fn take_wish(&mut self, is_environment: impl Fn(&str) -> bool) -> Wish {
        let mut wish = Wish::Current;
        let mut named = |value: &[u8]| {
            wish = Wish::Named(String::from_utf8_lossy(value).into_owned());
        };
        self.parameters.retain(|(key, value)| {
            if key == PARAMETER.as_bytes() {
                named(value);
                return false;
            }
            true
        });
        for (key, value) in &mut self.parameters {
            if key == b"options" {
                let (rest, found) = without_wish(value);
                if let Some(found) = found {
                    named(&found);
                    *value = rest;
                }
            }
        }
        self.parameters.retain(|(key, value)| key != b"options" || !value.is_empty());
        for (key, value) in &mut self.parameters {
            if key != b"user" {
                continue;
            }
            let mut dots = (0..value.len()).filter(|at| value[*at] == b'.');
            let behind = |dot: usize| String::from_utf8_lossy(&value[dot + 1..]).into_owned();
            // Nobody is called `postgres.something`, so a mistyped name is told instead of passed on.
            let is_meant = |dot: &usize| &value[..*dot] == b"postgres" || is_environment(&behind(*dot));
            if let Some(dot) = dots.find(is_meant) {
                if wish == Wish::Current {
                    wish = Wish::Named(behind(dot));
                }
                // Without a database, the server takes the user's name for one: the short one.
                value.truncate(dot);
            }
        }
        wish
    }

    /// The message as it goes to the server, with its length.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        for (key, value) in &self.parameters {
            for word in [key, value] {
                body.extend_from_slice(word);
                body.push(0);
            }
        }
        body.push(0);
        with_length(body)
    }
}

/// `CancelRequest` for a key.
#[must_use]
pub fn cancel(key: &[u8]) -> Vec<u8> {
    let mut body = CANCEL.to_be_bytes().to_vec();
    body.extend_from_slice(key);
    with_length(body)
}

/// `SSLRequest`, as a client sends it.
#[must_use]
pub fn ssl_request() -> Vec<u8> {
    with_length(SSL_REQUEST.to_be_bytes().to_vec())
}

fn with_length(body: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut message = length.to_be_bytes().to_vec();
    message.extend(body);
    message
}

/// `options` without `-c devenv.branch=NAME`, and that name. Arguments are separated by white space, and a backslash
/// takes the next byte as it is (PostgreSQL, `pg_split_opts`).
fn without_wish(options: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut arguments: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut bytes = options.iter().copied().peekable();
    loop {
        while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
        if bytes.peek().is_none() {
            break;
        }
        let (mut raw, mut read) = (Vec::new(), Vec::new());
        while let Some(byte) = bytes.next_if(|byte| !byte.is_ascii_whitespace()) {
            raw.push(byte);
            if byte == b'\\'
                && let Some(next) = bytes.next()
            {
                raw.push(next);
                read.push(next);
            } else {
                read.push(byte);
            }
        }
        arguments.push((raw, read));
    }
    let value = |word: &[u8]| word.strip_prefix(PARAMETER.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
    let (mut kept, mut found): (Vec<Vec<u8>>, Option<Vec<u8>>) = (Vec::new(), None);
    let mut at = 0;
    while at < arguments.len() {
        let (raw, read) = &arguments[at];
        let next = arguments.get(at + 1).filter(|_| read == b"-c").and_then(|(_, next)| value(next));
        let joined = read.strip_prefix(b"-c").or_else(|| read.strip_prefix(b"--")).and_then(value);
        if let Some(next) = next {
            found = Some(next);
            at += 1;
        } else if let Some(joined) = joined {
            found = Some(joined);
        } else {
            kept.push(raw.clone());
        }
        at += 1;
    }
    (kept.join(&b' '), found)
}

/// What ends a session before it began, as a server would say it (`ErrorResponse`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The SQLSTATE (PostgreSQL documentation, appendix A).
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// There is no such environment or service (`3D000`, `invalid_catalog_name`): trying again does not help.
pub const NO_SUCH: &str = "3D000";
/// Not now (`57P03`, `cannot_connect_now`): trying again may help.
pub const NOT_NOW: &str = "57P03";
/// No PostgreSQL (`08P01`, `protocol_violation`).
pub const NOT_UNDERSTOOD: &str = "08P01";

impl Refusal {
    /// The message.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let fields =
            [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', self.code), (b'M', &self.message), (b'H', &self.hint)];
        for (field, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            body.push(field);
            body.extend(value.bytes().filter(|byte| *byte != 0));
            body.push(0);
        }
        body.push(0);
        let mut message = vec![b'E'];
        message.extend(with_length(body));
        message
    }
}

/// A message of a server, as far as the gateway looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// `BackendKeyData`: so many bytes in all.
    Key(usize),
    /// `ReadyForQuery`: from here on nothing is looked at.
    Ready(usize),
    /// Anything else.
    Other(usize),
}

impl Word {
    /// Its length.
    #[must_use]
    pub fn length(self) -> usize {
        let (Self::Key(length) | Self::Ready(length) | Self::Other(length)) = self;
        length
    }
}

/// What a server's message is, from its first five bytes; none while there are fewer.
#[must_use]
pub fn word(bytes: &[u8]) -> Option<Word> {
    let (kind, rest) = bytes.split_first()?;
    let length = u32::from_be_bytes(*rest.first_chunk::<4>()?);
    let length = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1).max(5);
    Some(match kind {
        b'K' => Word::Key(length),
        b'Z' => Word::Ready(length),
        _ => Word::Other(length),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session(parameters: &[(&str, &str)]) -> Session {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let parameters = parameters.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
        Session { version: MAJOR << 16, parameters }
    }

    fn wish(parameters: &[(&str, &str)]) -> (Wish, Session) {
        let mut session = session(parameters);
        let wish = session.take_wish(|name| name == "feat-login");
        (wish, session)
    }

    fn named(name: &str) -> Wish {
        Wish::Named(name.to_owned())
    }

    #[test]
    fn an_environment_is_named_in_three_ways() {
        let plain = [("user", "postgres"), ("database", "app")];
        assert_eq!(wish(&plain), (Wish::Current, session(&plain)));
        let found = wish(&[("user", "postgres.feat-login"), ("database", "app")]);
        assert_eq!(found, (named("feat-login"), session(&plain)));
        let found =
            wish(&[("user", "postgres"), ("database", "app"), ("options", "-c devenv.branch=feat/login")]);
        assert_eq!(found, (named("feat/login"), session(&plain)));
        let found = wish(&[("user", "postgres"), ("database", "app"), ("devenv.branch", "other")]);
        assert_eq!(found, (named("other"), session(&plain)));
    }

    #[test]
    fn other_options_stay_as_they_are() {
        for (options, rest, name) in [
            ("-c a=b -c devenv.branch=x --work_mem=4MB", "-c a=b --work_mem=4MB", "x"),
            ("-cdevenv.branch=x", "", "x"),
            ("--devenv.branch=x\t -c  search_path=a\\ b", "-c search_path=a\\ b", "x"),
            ("-c devenv.branch=a -c devenv.branch=b", "", "b"),
            ("-c devenv.branch=two\\ words", "", "two words"),
        ] {
            let (found, session) = wish(&[("user", "u"), ("options", options)]);
            assert_eq!(found, named(name), "{options}");
            let left = session.parameters.iter().find(|(key, _)| key == b"options");
            let left = left.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
            assert_eq!(left, rest, "{options}");
        }
        let untouched = [("user", "u"), ("options", "-c  a=b   -d 5")];
        assert_eq!(wish(&untouched), (Wish::Current, session(&untouched)));
    }

    #[test]
    fn users_with_a_dot_are_left_alone_unless_it_names_an_environment() {
        let dotted = [("user", "jane.doe")];
        assert_eq!(wish(&dotted), (Wish::Current, session(&dotted)));
        assert_eq!(wish(&[("user", "jane.feat-login")]), (named("feat-login"), session(&[("user", "jane")])));
        assert_eq!(wish(&[("user", "postgres.typo")]).0, named("typo"));
        assert_eq!(wish(&[("user", "postgres.v1.2")]), (named("v1.2"), session(&[("user", "postgres")])));
    }

    #[test]
    fn first_messages_are_told_apart() {
        assert_eq!(read(&ssl_request()[4..]), Ok(First::Tls));
        assert_eq!(read(&80_877_104_u32.to_be_bytes()), Ok(First::Gss));
        let key = [0, 0, 0, 7, 1, 2, 3, 4];
        assert_eq!(read(&cancel(&key)[4..]), Ok(First::Cancel(key.to_vec())));
        let begun = session(&[("user", "u"), ("database", "d")]);
        assert_eq!(read(&begun.write()[4..]), Ok(First::Session(begun)));
        assert!(read(b"GET / HTTP/1.1\r\n\r\n").is_err());
        assert!(read(&(2_u32 << 16).to_be_bytes()).is_err(), "version 2");
        assert!(read(&[0, 3, 0, 0, b'u', 0]).is_err(), "cut off");
    }

    #[test]
    fn a_refusal_is_a_message_of_its_length() {
        let refusal = Refusal { code: NO_SUCH, message: "a\0b".to_owned(), hint: String::new() };
        let bytes = refusal.write();
        assert_eq!(word(&bytes), Some(Word::Other(bytes.len())));
        assert_eq!(&bytes[5..], b"SFATAL\0VFATAL\0C3D000\0Mab\0\0");
    }

    proptest! {
        #[test]
        fn nothing_breaks_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(First::Session(mut session)) = read(&bytes) {
                let written = session.write();
                prop_assert_eq!(&written[4..], &bytes[..]);
                let _ = session.take_wish(|_| true);
                prop_assert!(read(&session.write()[4..]).is_ok());
            }
            let _ = word(&bytes);
        }

        #[test]
        fn options_without_a_wish_are_untouched(options in "[-a-z=\\\\ .]{0,60}") {
            prop_assume!(!options.contains("devenv"));
            let before = [("user", "u"), ("options", options.as_str())];
            let (found, after) = wish(&before);
            prop_assert_eq!(found, Wish::Current);
            if !options.is_empty() {
                prop_assert_eq!(after, session(&before));
            }
        }
    }
}
