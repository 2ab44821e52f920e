//! Runs one SQL file, together with the row that records it.
//!
//! A file is one transaction, and the row is part of it. Exceptions are the CLI's: statements that PostgreSQL
//! runs in no transaction are run between two, and a file that begins and ends transactions itself does so.
//! Where such a file is one transaction as a whole, the row goes into that.

use std::ops::Range;
use std::path::Path;

use futures_util::TryStreamExt;
use sqlx::Either;

use crate::base::{Failure, Kind, Place};
use crate::postgres::split::{self, Opened, Piece, Statement, Trouble};
use crate::postgres::{Database, Error};

/// A file that was read and cut.
pub(super) struct Script<'a> {
    path: &'a Path,
    sql: &'a str,
    pieces: Vec<Piece>,
    steps: Vec<Step>,
}

/// The row that says that a file was run.
pub(super) enum Record<'a> {
    /// A migration of this version and name.
    Migration(&'a str, &'a str),
    /// A seed under this path with this hash.
    Seed(&'a str, &'a str),
    /// That the migration of this version is not applied any more.
    Reverted(&'a str),
    /// Nobody has to know.
    Nothing,
}

/// One act of running a file; numbers are those of pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Begin,
    /// Statements sent as one text.
    Run(Vec<usize>),
    Copy(usize),
    /// A statement that must not share its message with others.
    Alone(usize),
    Record,
    Commit,
}

/// Statements are sent together up to this many bytes.
const TOGETHER: usize = 1 << 18;
/// COPY data is sent in slices of this many bytes.
const SLICE: usize = 1 << 16;
/// A file that starts with this line is not run in a transaction; written by `supabase db diff`.
const NO_TRANSACTION: &str = "-- pg-delta: transaction=false";

impl<'a> Script<'a> {
    /// Cuts `sql`, the text of `path`, and refuses what cannot be run, before anything of it is.
    pub(super) fn new(path: &'a Path, sql: &'a str) -> Result<Self, Failure> {
        if let Some(at) = sql.find('\0') {
            let failure = Failure::new(Kind::Files, "a zero byte cannot be part of SQL");
            return Err(failure.at(Place::in_text(path, sql, &(at..at + 1))));
        }
        let pieces = split::split(sql);
        let mut script = Self { path, sql, pieces, steps: Vec::new() };
        let troubles: Vec<Failure> = script
            .pieces
            .iter()
            .filter_map(|piece| match &piece.kind {
                split::Kind::Trouble(trouble) => Some(script.trouble(trouble)),
                _ => None,
            })
            .collect();
        if !troubles.is_empty() {
            return Err(Failure::all(troubles));
        }
        script.steps = script.plan()?;
        Ok(script)
    }

    /// The texts that the history holds, as the CLI writes them.
    pub(super) fn statements(&self) -> Vec<&'a str> {
        let text = |piece: &Piece| match &piece.kind {
            split::Kind::Statement(statement) | split::Kind::Copy(statement, _) => {
                Some(statement.text.clone())
            }
            split::Kind::Comment(text) => Some(text.clone()),
            _ => None,
        };
        self.pieces.iter().filter_map(text).map(|text| &self.sql[text]).collect()
    }

    fn statement(&self, number: usize) -> Option<&Statement> {
        match &self.pieces.get(number)?.kind {
            split::Kind::Statement(statement) | split::Kind::Copy(statement, _) => Some(statement),
            _ => None,
        }
    }

    fn place(&self, at: &Range<usize>) -> Place {
        Place::in_text(self.path, self.sql, at)
    }

    fn trouble(&self, trouble: &Trouble) -> Failure {
        let failure = |message: String| Failure::new(Kind::Files, message);
        match trouble {
            Trouble::Psql(name) => {
                failure(format!("`{}` is a command of psql, not SQL", &self.sql[name.clone()]))
                    .at(self.place(name))
                    .hint("remove the line: the file is sent to the database itself")
            }
            Trouble::Endless(from, opened) => {
                let what = match opened {
                    Opened::Text => "text in quotes",
                    Opened::Name => "name in quotes",
                    Opened::Dollar => "text in dollar quotes",
                    Opened::Comment => "comment",
                };
                failure(format!("the {what} that begins here never ends")).at(self.place(from))
            }
            Trouble::BehindCopy(rest) => {
                failure("nothing may follow `COPY … FROM stdin;` on its line".to_owned())
                    .at(self.place(rest))
                    .hint("begin the data on the next line and end it with a line `\\.`")
            }
        }
    }

    /// In which steps the file is run.
    fn plan(&self) -> Result<Vec<Step>, Failure> {
        let run: Vec<usize> =
            (0..self.pieces.len()).filter(|number| self.statement(*number).is_some()).collect();
        let controls: Vec<(usize, Control)> =
            run.iter().filter_map(|number| Some((*number, control(self.statement(*number)?)?))).collect();
        let no_transaction = self.sql.lines().next().is_some_and(|line| line.trim_end() == NO_TRANSACTION);
        if no_transaction || !controls.is_empty() {
            if let [(first, Control::Begin), (last, Control::End)] = controls[..]
                && run.first() == Some(&first)
                && run.last() == Some(&last)
                && !no_transaction
            {
                let mut steps = vec![Step::Alone(first)];
                self.batch(&run[1..run.len() - 1], &mut steps);
                steps.extend([Step::Record, Step::Alone(last)]);
                return Ok(steps);
            }
            if let Some((number, Control::Begin | Control::Chain)) = controls.last()
                && let Some(statement) = self.statement(*number)
            {
                return Err(Failure::new(Kind::Files, "the transaction that begins here never ends")
                    .at(self.place(&(statement.code..statement.text.end)))
                    .hint("end it with `commit;`, or leave both away: a file is one transaction by itself"));
            }
            let mut steps: Vec<Step> = run.iter().map(|number| self.alone(*number)).collect();
            steps.push(Step::Record);
            return Ok(steps);
        }
        let mut steps = Vec::new();
        let mut batch = Vec::new();
        for number in run {
            if self.statement(number).is_some_and(runs_alone) {
                if !batch.is_empty() {
                    steps.push(Step::Begin);
                    self.batch(&batch, &mut steps);
                    steps.push(Step::Commit);
                    batch.clear();
                }
                steps.push(Step::Alone(number));
            } else {
                batch.push(number);
            }
        }
        steps.push(Step::Begin);
        self.batch(&batch, &mut steps);
        steps.extend([Step::Record, Step::Commit]);
        Ok(steps)
    }

    fn alone(&self, number: usize) -> Step {
        match self.pieces[number].kind {
            split::Kind::Copy(..) => Step::Copy(number),
            _ => Step::Alone(number),
        }
    }

    /// Puts neighbouring statements together: their text is sent as it stands in the file, so that positions
    /// in it are positions in the file.
    fn batch(&self, run: &[usize], steps: &mut Vec<Step>) {
        let mut together: Vec<usize> = Vec::new();
        let mut bytes = 0;
        for &number in run {
            let piece = &self.pieces[number];
            let joined = together.last().is_none_or(|last| {
                let between = &self.pieces[last + 1..number];
                between.iter().all(|piece| matches!(piece.kind, split::Kind::Blank | split::Kind::Comment(_)))
            });
            let copies = matches!(piece.kind, split::Kind::Copy(..));
            if !joined || copies || bytes + piece.span.len() > TOGETHER {
                if !together.is_empty() {
                    steps.push(Step::Run(std::mem::take(&mut together)));
                }
                bytes = 0;
            }
            if copies {
                steps.push(Step::Copy(number));
            } else {
                bytes += piece.span.len();
                together.push(number);
            }
        }
        if !together.is_empty() {
            steps.push(Step::Run(together));
        }
    }

    /// Runs the file and records it; `what` is its name in a failure ("migration `1_a.sql`").
    pub(super) async fn run(
        &self,
        database: &mut Database,
        record: &Record<'_>,
        what: &str,
    ) -> Result<(), Failure> {
        database.reset().await.map_err(|error| error.failing(format!("{what} cannot be run")))?;
        let (mut open, mut kept) = (false, 0);
        for (position, step) in self.steps.iter().enumerate() {
            let Err(problem) = self.step(database, step, record).await else {
                match self.control(step) {
                    Some(Control::Begin) => open = true,
                    Some(Control::Undo) => open = false,
                    Some(Control::End) => (open, kept) = (false, position + 1),
                    None if open => {}
                    Some(Control::Chain) | None => kept = position + 1,
                }
                continue;
            };
            let mut failure = self.failure(problem, what);
            // The connection may be gone, and the transaction with it.
            let _ = simple(database, "ROLLBACK").await;
            if let Some(last) = self.steps[..kept].iter().rev().find_map(Step::last)
                && let Some(statement) = self.statement(last)
            {
                let place = self.place(&(statement.code..statement.text.end));
                failure = failure
                    .evidence(format!(
                        "what stands before stays applied, up to line {}: it could not be part of one transaction",
                        place.line
                    ))
                    .hint("undo that part, or write it with `if not exists`, before running the file again");
            }
            return Err(failure);
        }
        Ok(())
    }

    /// What a step does to the transaction.
    fn control(&self, step: &Step) -> Option<Control> {
        match step {
            Step::Begin => Some(Control::Begin),
            Step::Commit => Some(Control::End),
            Step::Alone(number) => self.statement(*number).and_then(control),
            Step::Run(_) | Step::Copy(_) | Step::Record => None,
        }
    }

    async fn step(&self, database: &mut Database, step: &Step, record: &Record<'_>) -> Result<(), Problem> {
        match step {
            Step::Begin => simple(database, "BEGIN").await.map_err(Problem::whole),
            Step::Commit => simple(database, "COMMIT").await.map_err(Problem::whole),
            Step::Run(numbers) => self.send(database, numbers).await,
            Step::Alone(number) => self.send(database, &[*number]).await,
            Step::Copy(number) => self.copy(database, *number).await,
            Step::Record => self.record(database, record).await.map_err(Problem::whole),
        }
    }

    async fn send(&self, database: &mut Database, numbers: &[usize]) -> Result<(), Problem> {
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Ok(()) };
        let (Some(first), Some(last)) = (self.statement(*first), self.statement(*last)) else {
            return Ok(());
        };
        let sent = first.text.start..last.text.end;
        // The user's own file: running it is what was asked for.
        let query = sqlx::raw_sql(sqlx::AssertSqlSafe(&self.sql[sent.clone()]));
        let mut completed = 0;
        let mut answers = query.fetch_many(&mut database.connection);
        loop {
            match answers.try_next().await {
                Ok(Some(Either::Left(_))) => completed += 1,
                Ok(Some(Either::Right(_))) => {}
                Ok(None) => return Ok(()),
                Err(error) => {
                    let number = numbers.get(completed).or(numbers.last()).copied();
                    return Err(Problem { error: error.into(), number, sent: Some(sent.start) });
                }
            }
        }
    }

    async fn copy(&self, database: &mut Database, number: usize) -> Result<(), Problem> {
        let Some(Piece { kind: split::Kind::Copy(statement, data), .. }) = self.pieces.get(number) else {
            return Ok(());
        };
        let sent = statement.code..statement.text.end;
        let copied = async {
            let mut copy = database.connection.copy_in_raw(&self.sql[sent.clone()]).await?;
            for slice in self.sql.as_bytes()[data.clone()].chunks(SLICE) {
                copy.send(slice).await?;
            }
            copy.finish().await
        };
        let copied: Result<u64, sqlx::Error> = copied.await;
        let problem = |error: sqlx::Error| Problem {
            error: error.into(),
            number: Some(number),
            sent: Some(sent.start),
        };
        copied.map(|_| ()).map_err(problem)
    }

    async fn record(&self, database: &mut Database, record: &Record<'_>) -> Result<(), Error> {
        // A file may have taken another role, which need not have the right to write here.
        simple(database, "RESET SESSION AUTHORIZATION; RESET ROLE").await?;
        match record {
            Record::Migration(version, name) => {
                let sql = "INSERT INTO supabase_migrations.schema_migrations(version, name, statements) \
                           VALUES($1, $2, $3)";
                let query = sqlx::query(sql).bind(version).bind(name).bind(self.statements());
                query.persistent(false).execute(&mut database.connection).await?;
            }
            Record::Seed(path, hash) => record_seed(database, path, hash).await?,
            Record::Reverted(version) => {
                let sql = "DELETE FROM supabase_migrations.schema_migrations WHERE version = $1";
                let query = sqlx::query(sql).bind(version);
                query.persistent(false).execute(&mut database.connection).await?;
            }
            Record::Nothing => {}
        }
        Ok(())
    }

    /// Tells what went wrong, and where in the file.
    fn failure(&self, problem: Problem, what: &str) -> Failure {
        let Problem { error, number, sent } = problem;
        let statement = number.and_then(|number| self.statement(number));
        let refusal = error.refusal().cloned();
        let mut at = statement.map(|statement| statement.code..statement.text.end);
        let mut hints = Vec::new();
        if let Some(refusal) = &refusal {
            if let (Some(sent), Some(position)) = (sent, refusal.position) {
                at = Some(self.word_at(sent, position));
            }
            if let Some(Piece { kind: split::Kind::Copy(_, data), .. }) =
                number.map(|number| &self.pieces[number])
                && let Some(line) = refusal.context.as_deref().and_then(copy_line)
            {
                at = Some(line_of(self.sql, data, line));
            }
            hints.extend(hint(&refusal.code, &refusal.message));
        }
        let mut failure = error.failing(format!("{what} failed"));
        failure.places.push(at.map_or_else(|| Place::file(self.path), |at| self.place(&at)));
        failure.hints.extend(hints);
        failure
    }

    /// The word at a position that counts characters from 1, in the text sent from byte `sent` on.
    fn word_at(&self, sent: usize, position: usize) -> Range<usize> {
        let rest = &self.sql[sent..];
        let start =
            sent + rest.char_indices().nth(position.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '.';
        let length: usize = self.sql[start..].chars().take_while(|c| word(*c)).map(char::len_utf8).sum();
        start..start + length.max(1)
    }
}

impl Step {
    /// The last piece that it runs.
    fn last(&self) -> Option<usize> {
        match self {
            Self::Run(numbers) => numbers.last().copied(),
            Self::Copy(number) | Self::Alone(number) => Some(*number),
            Self::Begin | Self::Record | Self::Commit => None,
        }
    }
}

/// An error, and what was being run.
struct Problem {
    error: Error,
    /// The piece.
    number: Option<usize>,
    /// Where the text that was sent begins.
    sent: Option<usize>,
}

impl Problem {
    fn whole(error: Error) -> Self {
        Self { error, number: None, sent: None }
    }
}

/// Runs one of our own statements.
pub(super) async fn simple(database: &mut Database, sql: &'static str) -> Result<(), Error> {
    sqlx::raw_sql(sql).execute(&mut database.connection).await?;
    Ok(())
}

/// Records that the seed `path` was loaded when its hash was `hash`.
pub(super) async fn record_seed(database: &mut Database, path: &str, hash: &str) -> Result<(), Error> {
    let sql = "INSERT INTO supabase_migrations.seed_files(path, hash) VALUES($1, $2) \
               ON CONFLICT (path) DO UPDATE SET hash = EXCLUDED.hash";
    sqlx::query(sql).bind(path).bind(hash).persistent(false).execute(&mut database.connection).await?;
    Ok(())
}

/// What a statement does to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Begin,
    End,
    /// It ends it and begins the next.
    Chain,
    /// It undoes it.
    Undo,
}

fn control(statement: &Statement) -> Option<Control> {
    let word = |at: usize| statement.words.get(at).map_or("", String::as_str);
    let chains = statement.words.windows(2).any(|pair| pair[0] == "AND" && pair[1] == "CHAIN");
    match (word(0), word(1)) {
        ("COMMIT" | "ROLLBACK", "PREPARED") => None,
        ("BEGIN", _) | ("START", "TRANSACTION") => Some(Control::Begin),
        ("COMMIT" | "END" | "ROLLBACK" | "ABORT", _) if chains => Some(Control::Chain),
        ("COMMIT" | "END", _) | ("PREPARE", "TRANSACTION") => Some(Control::End),
        ("ABORT", _) => Some(Control::Undo),
        ("ROLLBACK", next) => {
            let to = if matches!(next, "WORK" | "TRANSACTION") { word(2) } else { next };
            (to != "TO").then_some(Control::Undo)
        }
        _ => None,
    }
}

/// Whether PostgreSQL, or the CLI, runs a statement outside transactions only.
fn runs_alone(statement: &Statement) -> bool {
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    match words[..] {
        ["CREATE" | "DROP", "INDEX", "CONCURRENTLY", ..]
        | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..]
        | ["ALTER", "SYSTEM", ..]
        | ["VACUUM" | "CLUSTER", ..] => true,
        ["REINDEX", ref rest @ ..] => rest.contains(&"CONCURRENTLY"),
        _ => false,
    }
}

/// What to do about some errors that migrations meet often.
fn hint(code: &str, message: &str) -> Option<String> {
    match code {
        "25001" => Some(format!(
            "put the statement into a file of its own that begins with the line `{NO_TRANSACTION}`"
        )),
        "55P04" => Some("use the new value in a later file: it exists once this one is committed".to_owned()),
        "42704" => {
            let (_, rest) = message.split_once("type \"")?;
            let (name, _) = rest.split_once("\" does not exist")?;
            (!name.contains('.')).then(|| {
                format!("name the schema too if the type belongs to an extension, as in `extensions.{name}`")
            })
        }
        _ => None,
    }
}

/// The number in `COPY people, line 3, column id: "x"`.
fn copy_line(context: &str) -> Option<usize> {
    let (_, rest) = context.strip_prefix("COPY ")?.split_once(", line ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// The bytes of a line of COPY data, from 1.
fn line_of(sql: &str, data: &Range<usize>, line: usize) -> Range<usize> {
    let mut start = data.start;
    for _ in 1..line {
        start = sql[start..data.end].find('\n').map_or(data.end, |newline| start + newline + 1);
    }
    let length = sql[start..data.end].find(['\r', '\n']).unwrap_or(data.end - start);
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(sql: &str) -> String {
        let script = Script::new(Path::new("f.sql"), sql).unwrap();
        let text = |number: &usize| sql[script.statement(*number).unwrap().text.clone()].to_owned();
        let show = |step: &Step| match step {
            Step::Run(numbers) => {
                format!("run({})", numbers.iter().map(text).collect::<Vec<_>>().join(" | "))
            }
            Step::Copy(number) => format!("copy({})", text(number)),
            Step::Alone(number) => format!("alone({})", text(number)),
            other => format!("{other:?}").to_lowercase(),
        };
        script.steps.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_file_is_one_transaction_with_its_record() {
        assert_eq!(
            steps("select 1; -- x\nselect 2;\n"),
            "begin run(select 1 | -- x\nselect 2) record commit"
        );
        assert_eq!(steps(""), "begin record commit");
        assert_eq!(
            steps("select 1;\ncopy a from stdin;\n1\n\\.\n\\unrestrict x\nselect 2; select 3"),
            "begin run(select 1) copy(copy a from stdin) run(\\unrestrict x\nselect 2 | select 3) record commit"
                .replace("\\unrestrict x\n", "")
        );
    }

    #[test]
    fn statements_outside_transactions_are_run_between_two() {
        assert_eq!(
            steps("select 1; create index concurrently i on t(a); vacuum; select 2"),
            "begin run(select 1) commit alone(create index concurrently i on t(a)) alone(vacuum) begin \
             run(select 2) record commit"
        );
        assert_eq!(steps("reindex (verbose) table concurrently t"), {
            "alone(reindex (verbose) table concurrently t) begin record commit"
        });
    }

    #[test]
    fn a_file_with_its_own_transaction_keeps_it() {
        assert_eq!(
            steps("begin; select 1; savepoint s; rollback to s; commit;"),
            "alone(begin) run(select 1 | savepoint s | rollback to s) record alone(commit)"
        );
        assert_eq!(
            steps("select 0; begin; select 1; commit;"),
            "alone(select 0) alone(begin) alone(select 1) alone(commit) record"
        );
        assert_eq!(
            steps("-- pg-delta: transaction=false\nselect 1; select 2;"),
            "alone(-- pg-delta: transaction=false\nselect 1) alone(select 2) record"
        );
        let failure = Script::new(Path::new("f.sql"), "\n begin; select 1;").err().unwrap();
        assert_eq!(failure.places[0].to_string(), "f.sql:2:2");
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_place() {
        let refused = |sql| Script::new(Path::new("f.sql"), sql).err().unwrap();
        let failure = refused("select 1;\n  \\connect other\n");
        assert_eq!(failure.to_string(), "`\\connect` is a command of psql, not SQL");
        assert_eq!(failure.places[0].to_string(), "f.sql:2:3");
        assert_eq!(refused("select 1;\nselect 'x\n").places[0].to_string(), "f.sql:2:8");
    }

    #[test]
    fn places_of_copy_data() {
        assert_eq!(copy_line("COPY people, line 3, column id: \"x\""), Some(3));
        assert_eq!(copy_line("SQL function f"), None);
        let sql = "copy a from stdin;\n1\n2\r\nthree\n\\.\n";
        assert_eq!(&sql[line_of(sql, &(19..29), 2)], "2");
        assert_eq!(&sql[line_of(sql, &(19..29), 3)], "three");
    }
}
