//! Rows from one database into another, masked on the way: `COPY … TO STDOUT` on one side, `COPY … FROM STDIN` on the
//! other, and nothing but a buffer between them.

use std::str::FromStr;

use futures_util::TryStreamExt;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Row};

use crate::mask::residual::Residual;
use crate::mask::row::{Masker, Ragged};
use crate::postgres::{Database, Error, Password, Target};

/// Bytes that are gathered before they are sent on.
const TOGETHER: usize = 1 << 18;

/// What was carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Rows.
    pub rows: u64,
    /// Bytes that were sent on.
    pub bytes: u64,
}

/// Rows as text, as PostgreSQL writes each value; none for NULL.
pub type Rows = Vec<Vec<Option<String>>>;

impl Target {
    /// The address in a connection URI (PostgreSQL documentation, 34.1.1.2); none if it is not one.
    #[must_use]
    pub fn read(uri: &str) -> Option<Self> {
        if !(uri.starts_with("postgresql://") || uri.starts_with("postgres://")) {
            return None;
        }
        let options = PgConnectOptions::from_str(uri).ok()?;
        // sqlx does not give the password back.
        let login = uri.split_once("://")?.1.split('/').next()?;
        let password = login.rsplit_once('@').and_then(|(login, _)| login.split_once(':'));
        Some(Self {
            host: options.get_host().to_owned(),
            port: options.get_port(),
            user: options.get_username().to_owned(),
            password: Password::new(password.map(|(_, password)| unescaped(password)).unwrap_or_default()),
            database: options.get_database().unwrap_or(options.get_username()).to_owned(),
        })
    }

    /// Whether a URI asks for an encrypted connection, or leads off this machine without saying that it need not be
    /// one (`sslmode`, PostgreSQL documentation, 34.19): this program speaks no TLS to databases.
    #[must_use]
    pub fn wants_encryption(uri: &str) -> bool {
        let here = Self::read(uri).is_some_and(|target| target.is_here());
        let query = uri.split_once('?').map_or("", |(_, query)| query);
        match query.split('&').find_map(|part| part.strip_prefix("sslmode=")) {
            Some("disable" | "allow") => false,
            Some("prefer") | None => !here,
            Some(_) => true,
        }
    }

    /// Whether its host is a name of this machine that every machine has.
    #[must_use]
    pub fn is_here(&self) -> bool {
        ["127.0.0.1", "localhost", "::1", "[::1]", "0.0.0.0"].contains(&self.host.as_str())
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// The variables that libpq's programs find the password and the rest in.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        vec![
            format!("PGHOST={}", self.host),
            format!("PGPORT={}", self.port),
            format!("PGUSER={}", self.user),
            format!("PGPASSWORD={}", self.password.reveal()),
            format!("PGDATABASE={}", self.database),
        ]
    }
}

/// What `%41` and the like mean (RFC 3986, 2.1).
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|code| std::str::from_utf8(code).ok());
        match (bytes[at], code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Database {
    /// Runs SQL that this program made; names in it are quoted.
    pub async fn run(&mut self, sql: impl Into<String>) -> Result<(), Error> {
        sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Asks, with SQL that this program made.
    pub async fn ask(&mut self, sql: impl Into<String>) -> Result<Rows, Error> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.into())).fetch_all(&mut self.connection).await?;
        let row = |row: &sqlx::postgres::PgRow| -> Result<Vec<Option<String>>, Error> {
            (0..row.len()).map(|place| Ok(row.try_get_unchecked(place)?)).collect()
        };
        rows.iter().map(row).collect()
    }

    /// Asks for one value.
    pub async fn one(&mut self, sql: impl Into<String>) -> Result<Option<String>, Error> {
        let rows = self.ask(sql).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// Gives each row that a `COPY … TO STDOUT` in the text format says to `each`, without its end of line.
    pub async fn read_rows(&mut self, copy: &str, mut each: impl FnMut(&[u8])) -> Result<u64, Error> {
        let mut rows = 0;
        let mut left: Vec<u8> = Vec::new();
        let mut stream = self.connection.copy_out_raw(copy).await?;
        while let Some(chunk) = stream.try_next().await? {
            lines(&chunk, &mut left, |line| {
                rows += 1;
                each(line);
                Ok::<(), Error>(())
            })?;
        }
        Ok(rows)
    }
}

/// Calls `each` for every whole line; what is behind the last end of line waits in `left`.
fn lines<E>(chunk: &[u8], left: &mut Vec<u8>, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut rest = chunk;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        if left.is_empty() {
            each(&rest[..end])?;
        } else {
            left.extend_from_slice(&rest[..end]);
            each(left)?;
            left.clear();
        }
        rest = &rest[end + 1..];
    }
    left.extend_from_slice(rest);
    Ok(())
}

impl From<Ragged> for Error {
    fn from(ragged: Ragged) -> Self {
        Self::Lost(sqlx::Error::Protocol(ragged.to_string()))
    }
}

/// Carries what `from`, a `COPY … TO STDOUT`, says to `into`, a `COPY … FROM STDIN` of the same format. With a masker
/// the format has to be text; what is masked is remembered in `seen`.
pub async fn carry(
    source: &mut Database,
    from: &str,
    target: &mut Database,
    into: &str,
    mut masker: Option<Masker>,
    seen: Option<&Residual>,
) -> Result<Carried, Error> {
    let mut carried = Carried::default();
    let mut out: Vec<u8> = Vec::with_capacity(TOGETHER + (1 << 14));
    let mut left: Vec<u8> = Vec::new();
    let mut sink = target.connection.copy_in_raw(into).await?;
    let read = async {
        let mut stream = source.connection.copy_out_raw(from).await?;
        while let Some(chunk) = stream.try_next().await? {
            match masker.as_mut() {
                Some(masker) => lines(&chunk, &mut left, |line| masker.row(line, &mut out, seen))?,
                None => out.extend_from_slice(&chunk),
            }
            if out.len() >= TOGETHER {
                carried.bytes += u64::try_from(out.len()).unwrap_or(0);
                sink.send(out.as_slice()).await?;
                out.clear();
            }
        }
        Ok::<(), Error>(())
    };
    if let Err(error) = read.await {
        // What the target makes of the end is no news.
        let _ = sink.abort("the source ended").await;
        return Err(error);
    }
    carried.bytes += u64::try_from(out.len()).unwrap_or(0);
    sink.send(out.as_slice()).await?;
    carried.rows = sink.finish().await?;
    Ok(carried)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut left = Vec::new();
        let mut seen = Vec::new();
        for chunk in ["a\tb\nc", "", "d\n", "\n", "e\nf\n"] {
            let each = |line: &[u8]| {
                seen.push(String::from_utf8_lossy(line).into_owned());
                Ok::<(), ()>(())
            };
            lines(chunk.as_bytes(), &mut left, each).unwrap();
        }
        assert_eq!(seen, ["a\tb", "cd", "", "e", "f"]);
    }

    #[test]
    fn addresses_are_read() {
        let target = Target::read("postgres://ann:p%40ss@db.example.com:5433/shop?sslmode=disable").unwrap();
        assert_eq!(
            (target.host.as_str(), target.port, target.database.as_str()),
            ("db.example.com", 5433, "shop")
        );
        assert_eq!(target.password.reveal(), "p@ss");
        assert!(Target::read("main").is_none());
        for (uri, wants) in [
            ("postgres://a@127.0.0.1/b", false),
            ("postgres://a@db.example.com/b", true),
            ("postgres://a@db.example.com/b?sslmode=disable", false),
            ("postgres://a@localhost/b?sslmode=require", true),
        ] {
            assert_eq!(Target::wants_encryption(uri), wants, "{uri}");
        }
    }
}
