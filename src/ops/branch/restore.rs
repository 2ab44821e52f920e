//! `db restore`: a dump into a new branch. It is read and judged first, the server that takes it is a new one in an
//! environment of its own, and nobody knows the branch before all of it is there; nothing is restored over anything.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use super::copy::{self, Made, Served, Told};
use super::dump::{Beside, Form, ended};
use super::{Branches, adopt, failpoint};
use crate::base::{Event, Failure, Kind, Place};
use crate::engine::Engine;
use crate::engine::stream::{Channel, Piece};
use crate::lineage::{Branch, Snapshot};
use crate::ops::mask::discreet;
use crate::ops::{Context, failures};
use crate::postgres::{self, Database};
use crate::schema::quote;

/// How long a new server may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);

/// How the custom format begins (PostgreSQL, `pg_backup_archiver.c`).
const MAGIC: &[u8] = b"PGDMP";

/// What came of it.
#[derive(Debug)]
pub struct Restored {
    /// The new branch.
    pub branch: Branch,
    /// What it begins as.
    pub snapshot: Snapshot,
    /// How long it took.
    pub took: Duration,
}

/// Restores a dump into a new branch.
pub async fn restore(context: &Context, file: &Path, to: &str, force: bool) -> Result<Restored, Failure> {
    let began = Instant::now();
    let file = context.directory.join(file);
    let form = form(&file)?;
    let mut branches = Branches::change(context).await?;
    copy::may_be_made(&branches, to)?;
    adopt::adopt(&mut branches, Some(to)).await?;
    let made = Made::begin(&mut branches, to).await?;
    let filled = async {
        fill(&branches, &made, &file, form).await?;
        failpoint!("db:restore:filled");
        Ok::<_, Failure>(())
    };
    if let Err(failure) = filled.await {
        // What cannot be taken back now, the next command takes back.
        if let Err(second) = made.take_back(&mut branches).await {
            context.events.warn(&second);
        }
        return Err(failure);
    }
    let message = format!("restored from {}", context.shown(&file).display());
    let told = Told { word: "restored", message, attestation: None, audit: None, force };
    let (branch, snapshot) = made.commit(&mut branches, told).await?;
    let took = began.elapsed();
    let outcome = format!("restored from {}", context.shown(&file).display());
    context.events.tell(Event::Done { subject: format!("branch {to}"), outcome, took });
    Ok(Restored { branch, snapshot, took })
}

fn unread(file: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(Kind::Files, "the dump cannot be read").at(Place::file(file)).source(error)
}

/// What a file is, by its beginning.
pub(super) fn form(file: &Path) -> Result<Form, Failure> {
    let mut head = Vec::new();
    let open = File::open(file).map_err(unread(file))?;
    open.take(4096).read_to_end(&mut head).map_err(unread(file))?;
    let refused = |why: &str, hint: &str| Err(Failure::new(Kind::Data, why).at(Place::file(file)).hint(hint));
    match head.as_slice() {
        [] => refused("the dump is empty", "make it again"),
        [0x1f, 0x8b, ..] => refused("the dump is compressed by gzip", "`gunzip` it first"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => refused("the dump is compressed by zstd", "`unzstd` it first"),
        head if head.starts_with(MAGIC) => Ok(Form::Custom),
        head if head.contains(&0) => {
            refused("this is no dump of PostgreSQL", "`pg_dump --format=custom` or plain SQL is taken")
        }
        _ => Ok(Form::Sql),
    }
}

/// What is known of a dump before it is restored.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    /// Whether it makes the schema `public` itself.
    public: bool,
    /// The roles that it names.
    roles: BTreeSet<String>,
    /// Whether it is `pg_dump`'s, and whether its end is there.
    begun: bool,
    ended: bool,
}

impl Known {
    /// Reads SQL as `pg_dump` writes it, without the rows in it.
    fn read(sql: impl BufRead) -> io::Result<Self> {
        let (mut known, mut rows) = (Self::default(), false);
        for line in sql.split(b'\n') {
            let line = line?;
            if rows {
                rows = line != b"\\.";
                continue;
            }
            let line = String::from_utf8_lossy(&line);
            rows = line.starts_with("COPY ") && line.ends_with(" FROM stdin;");
            known.begun |= line == "-- PostgreSQL database dump";
            known.ended |= line == "-- PostgreSQL database dump complete";
            known.public |= line == "CREATE SCHEMA public;";
            known.roles.extend(roles(&line));
        }
        Ok(known)
    }
}

/// The roles that a statement is about.
fn roles(line: &str) -> Vec<String> {
    let after = |words: &str| line.split_once(words).map(|(_, rest)| rest);
    let rest = if line.starts_with("GRANT ") || line.starts_with("CREATE POLICY ") {
        after(" TO ")
    } else if line.starts_with("REVOKE ") {
        after(" FROM ")
    } else if line.starts_with("ALTER DEFAULT PRIVILEGES FOR ROLE ") {
        after(" FOR ROLE ")
    } else if line.starts_with("ALTER ") {
        after(" OWNER TO ")
    } else {
        None
    };
    let Some(mut rest) = rest else { return Vec::new() };
    let mut found = Vec::new();
    loop {
        let end = match rest.strip_prefix('"') {
            Some(quoted) => {
                let Some(end) = quoted.replace("\"\"", "\u{1}\u{1}").find('"') else { break };
                found.push(quoted[..end].replace("\"\"", "\""));
                end + 2
            }
            None => {
                let end = rest.find([';', ' ', ',']).unwrap_or(rest.len());
                found.extend(Some(rest[..end].to_owned()).filter(|it| !it.is_empty() && it != "PUBLIC"));
                end
            }
        };
        match rest[end..].strip_prefix(", ") {
            Some(next) => rest = next,
            None => break,
        }
    }
    found
}

/// Fills the empty server of what is being made.
pub(super) async fn fill(
    branches: &Branches<'_>,
    made: &Made,
    file: &Path,
    form: Form,
) -> Result<Database, Failure> {
    let tell = |doing: &str| {
        let subject = format!("branch {}", made.branch.name);
        branches.context.events.tell(Event::Started { subject, doing: doing.to_owned() });
    };
    let engine = &branches.engine;
    // A file of SQL is judged before anything is started; of the other form only `pg_restore` can read.
    let known = match form {
        Form::Sql => {
            Some(judged(Known::read(BufReader::new(File::open(file).map_err(unread(file))?)), file)?)
        }
        Form::Custom => None,
    };
    tell("starting an empty server");
    let Served { target, container, port } = made.serve(branches).await?;
    let place = Beside::new(&container, &target, port);
    let known = match known {
        Some(known) => known,
        None => {
            let argv = ["pg_restore", "--schema-only", "--file=-"];
            let sql = run(engine, &place, &argv, file, "the dump cannot be read").await?;
            judged(Known::read(sql.as_slice()), file)?
        }
    };
    let failed = |error| discreet(error, "the new database cannot be made ready");
    let mut database = postgres::connect(&target, PATIENCE).await.map_err(failed)?;
    let sql = ready(&mut database, &known).await.map_err(failed)?;
    database.run(sql).await.map_err(failed)?;
    tell("restoring");
    let into = format!("--dbname={}", target.database);
    let argv: &[&str] = match form {
        Form::Custom => &["pg_restore", "--exit-on-error", "--no-password", &into],
        Form::Sql => {
            &["psql", "-X", "-q", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null", &into]
        }
    };
    run(engine, &place, argv, file, "the dump cannot be restored").await?;
    database.run("ANALYZE; CHECKPOINT").await.map_err(failed)?;
    Ok(database)
}

fn judged(known: io::Result<Known>, file: &Path) -> Result<Known, Failure> {
    let known = known.map_err(unread(file))?;
    if known.begun && !known.ended {
        return Err(Failure::new(Kind::Data, "the dump ends before its end: it was cut off")
            .at(Place::file(file))
            .hint("make it again"));
    }
    Ok(known)
}

/// What a database needs before a dump comes into it: the roles that it names, of which nobody can log in, and no
/// schema that it makes itself.
async fn ready(database: &mut Database, known: &Known) -> Result<String, postgres::Error> {
    let there: BTreeSet<String> = database
        .ask("SELECT rolname FROM pg_catalog.pg_roles")
        .await?
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    let mut sql = String::new();
    for role in known.roles.difference(&there) {
        let _ = writeln!(sql, "CREATE ROLE {} NOLOGIN;", quote::name(role));
    }
    if known.public {
        sql.push_str("DROP SCHEMA IF EXISTS public;");
    }
    Ok(sql)
}

/// Runs a program on a file; gives what it printed.
async fn run(
    engine: &Engine,
    place: &Beside,
    argv: &[&str],
    file: &Path,
    what: &str,
) -> Result<Vec<u8>, Failure> {
    let input = tokio::fs::File::open(file).await.map_err(unread(file))?;
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let each = |piece: Piece| match piece.channel {
        Channel::Out => out.extend_from_slice(&piece.bytes),
        Channel::Err => said.extend_from_slice(&piece.bytes),
    };
    let code = engine.run_fed(&place.container, &place.command(argv), input, each).await;
    let code = code.map_err(|error| failures::step("entered", &place.container, error))?;
    ended(code, &said, what).map_err(|failure| failure.at(Place::file(file)))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dump_asks_for_is_known_before() {
        let sql = "-- PostgreSQL database dump\nCREATE SCHEMA public;\nALTER TABLE public.a OWNER TO \"Ann \"\"B\";\n\
                   GRANT ALL ON TABLE public.a TO reader;\nREVOKE ALL ON TABLE public.a FROM PUBLIC;\n\
                   ALTER DEFAULT PRIVILEGES FOR ROLE boss IN SCHEMA public GRANT SELECT ON TABLES TO reader;\n\
                   CREATE POLICY p ON public.a TO one, \"two\" USING ((b = 'x TO y'::text));\n\
                   COPY public.a (b) FROM stdin;\n-- PostgreSQL database dump complete\nALTER x OWNER TO nobody;\n\\.\n";
        let known = Known::read(sql.as_bytes()).unwrap();
        assert_eq!(
            known.roles.iter().map(String::as_str).collect::<Vec<_>>(),
            ["Ann \"B", "boss", "one", "reader", "two"]
        );
        assert!(known.public && known.begun && !known.ended);
        assert!(judged(Ok(known), Path::new("x.sql")).is_err());
    }
}
