//! `db dump`: a branch's database as a file that every PostgreSQL takes back, written by the server's own `pg_dump`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::copy::server::superuser;
use super::{failpoint, url};
use crate::base::{Event, Failure, Kind, Place};
use crate::engine::Engine;
use crate::engine::stream::{Channel, Command, Piece};
use crate::ops::{Context, failures};
use crate::postgres::Target;

/// The form of a dump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// `pg_dump`'s own, compressed.
    #[default]
    Custom,
    /// SQL.
    Sql,
}

/// What is wanted of a dump.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The branch; none for the current one.
    pub branch: Option<String>,
    /// The file; none for standard output.
    pub to: Option<PathBuf>,
    /// Its form.
    pub form: Form,
    /// No rows.
    pub schema_only: bool,
    /// Nothing but rows.
    pub data_only: bool,
    /// Only these tables; none for everything.
    pub tables: Vec<String>,
}

/// What was written.
#[derive(Debug)]
pub struct Dumped {
    /// The file; none for standard output.
    pub file: Option<PathBuf>,
    /// How many bytes.
    pub bytes: u64,
}

/// Where `pg_dump` and its like run, and which database they work on.
pub(super) struct Beside {
    pub(super) container: String,
    pub(super) environment: Vec<String>,
}

impl Beside {
    /// Beside a server in its container, on its `port` there.
    pub(super) fn new(container: &str, target: &Target, port: u16) -> Self {
        let inside = Target { host: "127.0.0.1".to_owned(), port, ..target.clone() };
        Self { container: container.to_owned(), environment: inside.variables(None) }
    }

    pub(super) fn command(&self, argv: &[&str]) -> Command {
        Command {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            environment: self.environment.clone(),
            ..Command::default()
        }
    }
}

/// Writes a dump.
pub async fn dump(context: &Context, options: &Options) -> Result<Dumped, Failure> {
    let address = url::url(context, options.branch.as_deref(), false).await?;
    let target = superuser(&address.target()).await?;
    let place = Beside::new(&address.container, &target, address.server.port);
    let engine = context.engine().await?;
    let mut more: Vec<String> = Vec::new();
    more.extend(options.schema_only.then(|| "--schema-only".to_owned()));
    more.extend(options.data_only.then(|| "--data-only".to_owned()));
    more.extend(options.tables.iter().map(|table| format!("--table={table}")));
    let file = options.to.as_ref().map(|file| context.directory.join(file));
    let Some(file) = file else {
        let bytes = write(&engine, &place, options.form, &more, &mut io::stdout()).await?;
        return Ok(Dumped { file: None, bytes });
    };
    let subject = format!("dump {}", context.shown(&file).display());
    context.events.tell(Event::Started { subject, doing: "asking pg_dump".to_owned() });
    let bytes = whole(&file, async |part| {
        let bytes = write(&engine, &place, options.form, &more, part).await?;
        failpoint!("db:dump:written");
        Ok(bytes)
    })
    .await?;
    Ok(Dumped { file: Some(file), bytes })
}

/// Makes a file that nobody else may read, and that is whole or not there. What stood there before stays until then.
pub(super) async fn whole<T>(
    file: &Path,
    write: impl AsyncFnOnce(&mut File) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let failed =
        |error| Failure::new(Kind::Failed, "the dump cannot be written").at(Place::file(file)).source(error);
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let part = file.with_file_name(format!(".{name}.part"));
    // Of a command that was killed.
    let _ = fs::remove_file(&part);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    let mut open = opened.map_err(failed)?;
    let written = match write(&mut open).await {
        Ok(done) => open.sync_all().and_then(|()| fs::rename(&part, file)).map_err(failed).map(|()| done),
        Err(failure) => Err(failure),
    };
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

/// Has `pg_dump` write; gives the number of bytes.
pub(super) async fn write(
    engine: &Engine,
    place: &Beside,
    form: Form,
    more: &[String],
    to: &mut (dyn Write + Send),
) -> Result<u64, Failure> {
    let form = match form {
        Form::Custom => "--format=custom",
        Form::Sql => "--format=plain",
    };
    let mut argv = vec!["pg_dump", form, "--no-password"];
    argv.extend(more.iter().map(String::as_str));
    let (mut bytes, mut said, mut broken) = (0, Vec::new(), None);
    let each = |piece: Piece| match piece.channel {
        Channel::Out if broken.is_none() => match to.write_all(&piece.bytes) {
            Ok(()) => bytes += u64::try_from(piece.bytes.len()).unwrap_or(0),
            Err(error) => broken = Some(error),
        },
        Channel::Out => {}
        Channel::Err => said.extend_from_slice(&piece.bytes),
    };
    let code = engine.run(&place.container, &place.command(&argv), each).await;
    let code = code.map_err(|error| failures::step("entered", &place.container, error))?;
    if let Some(error) = broken.or_else(|| to.flush().err()) {
        return Err(Failure::new(Kind::Failed, "the dump cannot be written").source(error));
    }
    ended(code, &said, "the database cannot be dumped")?;
    Ok(bytes)
}

/// What a program of PostgreSQL's complained of, if it failed.
pub(super) fn ended(code: i64, said: &[u8], what: &str) -> Result<(), Failure> {
    if code == 0 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(said);
    Err(said.lines().take(5).fold(Failure::new(Kind::Data, what), Failure::evidence))
}
