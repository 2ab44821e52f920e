//! A source's schema as SQL: `pg_dump` says it, where one that is new enough runs and reaches the source.

use std::path::Path;
use std::{fs, io};

use super::carry::Work;
use crate::base::{Failure, Kind, Place};
use crate::engine::Engine;
use crate::engine::stream::{Channel, Command, Piece};
use crate::ops::failures;
use crate::postgres::Encryption;

/// Where machines keep the certificates that they trust: Debian, Fedora, Alpine and macOS.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Where the new server's container has them.
const TRUSTED: &str = "/tmp/devenv-trusted.pem";

/// Asks `pg_dump` for the schema.
pub(super) struct Dumper<'a> {
    pub(super) engine: &'a Engine,
    pub(super) work: &'a Work<'a>,
    /// The new server's container.
    pub(super) target: &'a str,
    pub(super) instant: &'a str,
}

impl Dumper<'_> {
    pub(super) async fn section(&self, section: &str) -> Result<String, Failure> {
        let (container, environment) = self.place().await?;
        let snapshot = format!("--snapshot={}", self.instant);
        let section = format!("--section={section}");
        let argv = [
            "pg_dump",
            "--schema-only",
            &section,
            &snapshot,
            "--no-comments",
            "--no-publications",
            "--no-subscriptions",
            "--no-security-labels",
            "--no-tablespaces",
            "--no-password",
        ];
        let command = Command { argv: argv.map(str::to_owned).to_vec(), environment, ..Command::default() };
        let (code, out, said) = exec(self.engine, &container, &command).await?;
        if code != 0 {
            let mut failure = Failure::new(Kind::Data, "the schema cannot be read");
            for line in said.lines().take(5) {
                failure = failure.evidence(line);
            }
            return Err(failure);
        }
        Ok(out)
    }

    /// Where `pg_dump` runs, and how it reaches the source: beside the source where that is a container of this engine,
    /// beside the target where it is elsewhere.
    async fn place(&self) -> Result<(String, Vec<String>), Failure> {
        let source = self.work.source;
        let mut target = source.target.clone();
        if !target.is_here() {
            let root = match &target.encryption {
                Encryption::Verified { root, .. } => Some(self.trusted(root.as_deref()).await?),
                Encryption::None | Encryption::Unverified => None,
            };
            return Ok((self.target.to_owned(), target.variables(root)));
        }
        let running = self.engine.running_containers().await.map_err(failures::engine)?;
        let found = running.iter().find_map(|container| {
            let port = container.ports.iter().find(|port| port.published == target.port)?;
            Some((container.id.clone(), port.target))
        });
        let Some((container, port)) = found else {
            return Err(Failure::new(
                Kind::Unreachable,
                format!(
                    "nothing beside {} can run pg_dump: it is not in a container of this engine",
                    source.name
                ),
            )
            .hint("name it by an address that containers reach too, such as this machine's own"));
        };
        "127.0.0.1".clone_into(&mut target.host);
        target.port = port;
        // In its own container nobody else answers, and under no name that a certificate would have.
        if target.encryption != Encryption::None {
            target.encryption = Encryption::Unverified;
        }
        Ok((container, target.variables(None)))
    }

    /// Gives the new server's container the certificates to trust; where it has them.
    async fn trusted(&self, root: Option<&Path>) -> Result<&'static str, Failure> {
        let files = match root {
            Some(root) => vec![root],
            None => BUNDLES.into_iter().map(Path::new).collect(),
        };
        let unread = |error| {
            Failure::new(Kind::Files, "the certificates to trust cannot be read")
                .at(Place::file(files[0]))
                .source(error)
        };
        let found = files.iter().find_map(|file| match fs::read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read),
        });
        let bytes = found.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())).map_err(unread)?;
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap_or(0));
        header.set_mode(0o444);
        let name = TRUSTED.trim_start_matches("/tmp/");
        let packed = tar.append_data(&mut header, name, bytes.as_slice()).and_then(|()| tar.into_inner());
        let packed = packed.map_err(unread)?;
        let sent = self.engine.upload(self.target, "/tmp", io::Cursor::new(packed)).await;
        sent.map_err(|error| failures::step("given the certificates to trust", self.target, error))?;
        Ok(TRUSTED)
    }
}

/// Runs a command in a container: its exit code, what it printed, and what it complained of.
async fn exec(engine: &Engine, container: &str, command: &Command) -> Result<(i64, String, String), Failure> {
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let each = |piece: Piece| match piece.channel {
        Channel::Out => out.extend_from_slice(&piece.bytes),
        Channel::Err => said.extend_from_slice(&piece.bytes),
    };
    let code = engine.run(container, command, each).await;
    let code = code.map_err(|error| failures::step("entered", container, error))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((code, text(out), text(said)))
}

/// How statements begin that are about other servers.
const ELSEWHERE: [&str; 7] = [
    "CREATE USER MAPPING",
    "ALTER USER MAPPING",
    "CREATE SERVER",
    "ALTER SERVER",
    "CREATE FOREIGN ",
    "ALTER FOREIGN ",
    "GRANT ALL ON FOREIGN ",
];

/// A schema without what belongs to the source alone: how it reaches other servers, and as whom. `pg_dump` puts each
/// statement at the beginning of a line.
pub(super) fn harmless(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut left_out = false;
    for line in sql.lines() {
        let begins = |words: &str| line.starts_with(words);
        left_out |= ELSEWHERE.iter().any(|words| begins(words));
        // psql's own, which newer versions write.
        let own = begins("\\restrict") || begins("\\unrestrict") || begins("CREATE SCHEMA public;");
        if !left_out && !own {
            out.push_str(line);
            out.push('\n');
        }
        if line.ends_with(';') {
            left_out = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_stays_behind() {
        let sql = "CREATE TABLE a ();\nCREATE USER MAPPING FOR x SERVER y OPTIONS (\n    password 'z'\n);\nSELECT 1;\n\\restrict a\n";
        assert_eq!(harmless(sql), "CREATE TABLE a ();\nSELECT 1;\n");
    }
}
