//! Rows from one database into another, masked on the way: `COPY … TO STDOUT` on one side, `COPY … FROM STDIN` on the
//! other, and nothing but a buffer between them.

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Row};

use crate::mask::residual::Residual;
use crate::mask::row::{Masker, Ragged};
use crate::postgres::{Database, Error};

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
}
