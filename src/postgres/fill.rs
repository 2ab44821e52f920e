//! Filling tables: rows that come in the text format of `COPY`, and what has to be known of those that are there.

use futures_util::TryStreamExt;
use sqlx::Row;

use crate::base::copy_text::escaped;
use crate::postgres::script::record_seed;
use crate::postgres::state::state;
use crate::postgres::{Database, Error};
use crate::schema::quote;

/// Rows are sent in pieces of about this many bytes.
pub const PIECE: usize = 1 << 18;

/// A row as `COPY` writes it, value by value; none for one with a NULL.
type Values = Option<Vec<Vec<u8>>>;

impl Database {
    /// Makes the session what it is for any other program, and begins a transaction.
    pub async fn begin(&mut self) -> Result<(), Error> {
        self.learn_settings().await?;
        self.reset().await?;
        self.run("BEGIN").await
    }

    /// Sends rows to `COPY … FROM STDIN`; `next` puts them into an empty buffer and says whether there are more.
    pub async fn copy_in(
        &mut self,
        statement: &str,
        next: &mut (dyn FnMut(&mut Vec<u8>) -> bool + Send),
    ) -> Result<u64, Error> {
        let mut copy = self.connection.copy_in_raw(statement).await?;
        let mut piece = Vec::with_capacity(PIECE + PIECE / 4);
        loop {
            piece.clear();
            let more = next(&mut piece);
            copy.send(piece.as_slice()).await?;
            if !more {
                break;
            }
        }
        Ok(copy.finish().await?)
    }

    /// The first rows of a table by these columns, as `COPY` writes them, without those that have a NULL among them.
    pub async fn first_rows(
        &mut self,
        table: &str,
        columns: &[String],
        many: u32,
    ) -> Result<Vec<Vec<Vec<u8>>>, Error> {
        let names: Vec<String> = columns.iter().map(|column| quote::name(column)).collect();
        let texts: Vec<String> = names.iter().map(|name| format!("{name}::text")).collect();
        let order = names.join(", ");
        let sql =
            format!("SELECT ARRAY[{}]::text[] FROM {table} ORDER BY {order} LIMIT {many}", texts.join(", "));
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
        let mut answers = query.fetch(&mut self.connection);
        let mut rows = Vec::new();
        while let Some(row) = answers.try_next().await? {
            let values: Vec<Option<String>> = row.try_get(0)?;
            let row: Values = values.into_iter().map(|it| it.map(|it| escaped(&it))).collect();
            rows.extend(row);
        }
        Ok(rows)
    }

    /// Whether a table has a row.
    pub async fn holds_rows(&mut self, table: &str) -> Result<bool, Error> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT EXISTS (SELECT FROM {table})")));
        Ok(query.persistent(false).fetch_one(&mut self.connection).await?.try_get(0)?)
    }

    /// Records that a seed was loaded.
    pub async fn record_seed(&mut self, name: &str, hash: &str) -> Result<(), Error> {
        record_seed(self, name, hash).await
    }

    /// Forgets that seeds were loaded.
    pub async fn forget_seeds(&mut self, names: &[String]) -> Result<(), Error> {
        if state(self).await?.provisioned() {
            let query = sqlx::query("DELETE FROM supabase_migrations.seed_files WHERE path = ANY ($1)");
            query.bind(names).persistent(false).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// How many rows a table has; the highest number in `serial`, where that is more.
    pub async fn rows_there(&mut self, table: &str, serial: Option<&str>) -> Result<u64, Error> {
        let highest =
            serial.map_or_else(|| "0".to_owned(), |it| format!("max({})::numeric", quote::name(it)));
        let sql = format!("SELECT greatest(count(*), {highest}, 0)::bigint FROM {table}");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false).fetch_one(&mut self.connection).await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))
    }
}
