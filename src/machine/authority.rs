//! A certificate authority of this machine's own, for HTTPS on names below `localhost` and for nothing else: its
//! certificate says so itself (name constraints, RFC 5280, 4.2.1.10), so that its key is worth nothing elsewhere.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};

use super::{MachineError, Programs};

/// The authority's name, as trust stores show it.
pub const NAME: &str = "devenv local";
const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca-key.pem";
const DAY: u64 = 86_400;
/// How long the authority is valid, in days.
const AUTHORITY_DAYS: u64 = 3650;
/// How long what it signs is valid, in days: browsers take no more than 398.
const LEAF_DAYS: u64 = 397;
/// How long a program that changes a trust store may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The authority.
pub struct Authority {
    /// The file of its certificate.
    pub file: PathBuf,
    certificate: String,
    key: KeyPair,
}

/// A certificate that it signed, and its key, both in PEM.
pub struct Leaf {
    /// The certificate and the authority's.
    pub chain: String,
    /// The key.
    pub key: String,
}

fn wrong(error: rcgen::Error) -> io::Error {
    io::Error::other(error)
}

/// What its certificate says, but for when it is valid.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
            GeneralSubtree::IpAddress(CidrSubnet::V6(
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                [255; 16],
            )),
        ],
        excluded_subtrees: Vec::new(),
    });
    params
}

/// From a day before `now`, in seconds since 1970, for so many days.
fn valid(params: &mut CertificateParams, now: u64, days: u64) {
    let begin = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.saturating_sub(DAY));
    params.not_before = begin;
    params.not_after = begin + Duration::from_secs(days * DAY);
}

impl Authority {
    /// Whether there is one in a folder.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(CERTIFICATE).is_file() && folder.join(KEY).is_file()
    }

    /// Reads it from a folder, where it makes itself if it is not there.
    pub fn open(folder: &Path, now: u64) -> io::Result<Self> {
        if !Self::is_in(folder) {
            Self::make(folder, now)?;
        }
        let certificate = fs::read_to_string(folder.join(CERTIFICATE))?;
        let key = KeyPair::from_pem(&fs::read_to_string(folder.join(KEY))?).map_err(wrong)?;
        Ok(Self { file: folder.join(CERTIFICATE), certificate, key })
    }

    fn make(folder: &Path, now: u64) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let key = KeyPair::generate().map_err(wrong)?;
        let mut params = params();
        valid(&mut params, now, AUTHORITY_DAYS);
        let certificate = params.self_signed(&key).map_err(wrong)?.pem();
        // The key first: a certificate without one would be trusted for nothing.
        write(&folder.join(KEY), &key.serialize_pem(), 0o600)?;
        write(&folder.join(CERTIFICATE), &certificate, 0o644)
    }

    /// Signs a certificate for names, which may begin with `*.`, and for the loopback's addresses.
    pub fn sign(&self, names: &[String], now: u64) -> io::Result<Leaf> {
        let all: Vec<String> =
            names.iter().cloned().chain(["127.0.0.1".to_owned(), "::1".to_owned()]).collect();
        let mut params = CertificateParams::new(all).map_err(wrong)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "devenv gateway");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, now, LEAF_DAYS);
        let issuer = Issuer::new(self::params(), &self.key);
        let key = KeyPair::generate().map_err(wrong)?;
        let leaf = params.signed_by(&key, &issuer).map_err(wrong)?;
        Ok(Leaf { chain: format!("{}{}", leaf.pem(), self.certificate), key: key.serialize_pem() })
    }
}

/// Writes a file that is whole or not there.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(beside, path)
}

/// A place where programs look whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// The system's: a folder, and the program that reads it.
    System {
        /// Where the certificate goes.
        file: PathBuf,
        /// What has to be run afterwards.
        program: &'static str,
        /// What it is told when a certificate was taken away.
        afresh: &'static [&'static str],
    },
    /// A database of Chromium or Firefox (NSS).
    Nss(PathBuf),
}

/// What came of taking a certificate away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Gone,
    /// It was not there.
    NotThere,
    /// What has its name there is another one, as of another user, and stays.
    Another,
}

/// The certificates in a PEM file, without line ends: programs break lines as they like.
fn bodies(pem: &str) -> String {
    pem.split_whitespace().collect()
}

impl Store {
    /// What it is called.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::System { file, .. } => format!("the system's store ({})", file.display()),
            Self::Nss(folder) => format!("the browser's store {}", folder.display()),
        }
    }

    /// What a person types to do it, in a shell.
    #[must_use]
    pub fn by_hand(&self, certificate: &Path) -> String {
        use crate::base::shell::argument;
        let word = |path: &Path| argument(&path.to_string_lossy());
        match self {
            Self::System { file, program, .. } => {
                format!("sudo install -m 644 {} {} && sudo {program}", word(certificate), word(file))
            }
            Self::Nss(folder) => format!(
                "certutil -d {} -A -t C,, -n {} -i {}  # of the package libnss3-tools",
                argument(&format!("sql:{}", folder.display())),
                argument(NAME),
                word(certificate)
            ),
        }
    }

    /// What a person types to take it away again, in a shell.
    #[must_use]
    pub fn by_hand_away(&self) -> String {
        use crate::base::shell::argument;
        match self {
            Self::System { file, program, afresh } => {
                let words = [&[*program], *afresh].concat().join(" ");
                format!("sudo rm {} && sudo {words}", argument(&file.to_string_lossy()))
            }
            Self::Nss(folder) => format!(
                "certutil -d {} -D -n {}  # of the package libnss3-tools",
                argument(&format!("sql:{}", folder.display())),
                argument(NAME),
            ),
        }
    }

    /// Takes the certificate away, if it is the one that is there.
    pub async fn remove(&self, programs: &Programs, certificate: &Path) -> Result<Removal, MachineError> {
        let cannot = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| MachineError::Io { doing, path, source }
        };
        let own = fs::read_to_string(certificate).map_err(cannot("cannot read", certificate))?;
        match self {
            Self::System { file, program, afresh } => {
                match fs::read_to_string(file) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removal::NotThere),
                    Err(error) => return Err(cannot("cannot read", file)(error)),
                    Ok(there) if bodies(&there) != bodies(&own) => return Ok(Removal::Another),
                    Ok(_) => {}
                }
                // What was read from it stays trusted unless somebody reads anew.
                programs.command(program)?;
                fs::remove_file(file).map_err(cannot("cannot remove", file))?;
                programs.output(program, afresh, PATIENCE).await?;
                Ok(Removal::Gone)
            }
            Self::Nss(folder) => {
                let database = format!("sql:{}", folder.display());
                let look = ["-d", &database, "-L", "-n", NAME, "-a"];
                match programs.output("certutil", &look, PATIENCE).await {
                    // It knows no such name.
                    Err(MachineError::ProgramFailed { .. }) => return Ok(Removal::NotThere),
                    Err(error) => return Err(error),
                    Ok(there) if !bodies(&there).contains(&bodies(&own)) => return Ok(Removal::Another),
                    Ok(_) => {}
                }
                programs.output("certutil", &["-d", &database, "-D", "-n", NAME], PATIENCE).await?;
                Ok(Removal::Gone)
            }
        }
    }

    /// Puts the certificate there.
    pub async fn install(&self, programs: &Programs, certificate: &Path) -> Result<(), MachineError> {
        match self {
            Self::System { file, program, .. } => {
                // Nothing is copied that nobody would read.
                programs.command(program)?;
                let io = |source| MachineError::Io { doing: "cannot write", path: file.clone(), source };
                fs::copy(certificate, file).map_err(io)?;
                programs.output(program, &[], PATIENCE).await.map(|_| ())
            }
            Self::Nss(folder) => {
                let database = format!("sql:{}", folder.display());
                let file = certificate.to_string_lossy();
                let words = ["-d", &database, "-A", "-t", "C,,", "-n", NAME, "-i", &file];
                programs.output("certutil", &words, PATIENCE).await.map(|_| ())
            }
        }
    }
}

/// The stores of this machine and this user.
#[must_use]
pub fn stores(home: Option<&Path>) -> Vec<Store> {
    let system = [
        // Debian: update-ca-certificates(8).
        ("/usr/local/share/ca-certificates", "devenv-local.crt", "update-ca-certificates", &["--fresh"][..]),
        // Fedora and its like: update-ca-trust(8).
        ("/etc/pki/ca-trust/source/anchors", "devenv-local.pem", "update-ca-trust", &[]),
    ];
    let mut found: Vec<Store> = system
        .into_iter()
        .filter(|(folder, ..)| Path::new(folder).is_dir())
        .map(|(folder, name, program, afresh)| {
            let file = Path::new(folder).join(name);
            Store::System { file, program, afresh }
        })
        .collect();
    let Some(home) = home else { return found };
    let has_database = |folder: &PathBuf| folder.join("cert9.db").is_file();
    found.extend(Some(home.join(".pki/nssdb")).filter(has_database).map(Store::Nss));
    for profiles in [".mozilla/firefox", "snap/firefox/common/.mozilla/firefox"] {
        let entries = fs::read_dir(home.join(profiles)).into_iter().flatten().flatten();
        let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(has_database).collect();
        all.sort();
        found.extend(all.into_iter().map(Store::Nss));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_makes_itself_once_and_keeps_its_key_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("gateway");
        assert!(!Authority::is_in(&inside));
        let now = 1_800_000_000;
        let made = Authority::open(&inside, now).unwrap();
        let again = Authority::open(&inside, now).unwrap();
        assert_eq!(made.certificate, again.certificate);
        let mode = |name: &str| fs::metadata(inside.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(KEY), mode(CERTIFICATE)), (0o600, 0o644));
        let leaf = made.sign(&["localhost".to_owned(), "*.shop.localhost".to_owned()], now).unwrap();
        assert_eq!(leaf.chain.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(!leaf.key.is_empty());
    }

    /// Programs of which only these are there, as scripts of the shell.
    fn programs(folder: &Path, scripts: &[(&str, &str)]) -> Programs {
        for (name, script) in scripts {
            fs::write(folder.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", folder.display());
        Programs::new(Some(path.as_ref()), Vec::new())
    }

    #[tokio::test]
    async fn the_system_loses_what_it_was_given_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (said, file) = (folder.path().join("said"), folder.path().join("devenv-local.crt"));
        let script = format!("echo \"read anew $*\" >> {}", said.display());
        let programs = programs(folder.path(), &[("dvt-read-anew", &script)]);
        let authority = Authority::open(&folder.path().join("a"), 1_800_000_000).unwrap();
        let other = Authority::open(&folder.path().join("b"), 1_800_000_000).unwrap();
        let store = Store::System { file: file.clone(), program: "dvt-read-anew", afresh: &["--fresh"] };
        assert_eq!(store.remove(&programs, &authority.file).await.unwrap(), Removal::NotThere);
        store.install(&programs, &authority.file).await.unwrap();
        assert_eq!(store.remove(&programs, &other.file).await.unwrap(), Removal::Another);
        assert!(file.exists(), "another user's");
        assert_eq!(store.remove(&programs, &authority.file).await.unwrap(), Removal::Gone);
        assert!(!file.exists());
        assert_eq!(fs::read_to_string(said).unwrap(), "read anew \nread anew --fresh\n");
    }

    #[tokio::test]
    async fn a_browser_loses_what_it_was_given_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        // As certutil(1) does: `-A … -i FILE`, `-L` fails where there is nothing, `-D` forgets.
        let script = format!(
            "case $3 in -A) cp \"$9\" {0};; -L) sed 's/$/\\r/' {0};; -D) rm {0};; esac",
            kept.display()
        );
        let programs = programs(folder.path(), &[("certutil", &script)]);
        let authority = Authority::open(&folder.path().join("a"), 1_800_000_000).unwrap();
        let other = Authority::open(&folder.path().join("b"), 1_800_000_000).unwrap();
        let store = Store::Nss(folder.path().join("nssdb"));
        assert_eq!(store.remove(&programs, &authority.file).await.unwrap(), Removal::NotThere);
        store.install(&programs, &authority.file).await.unwrap();
        assert!(kept.exists());
        assert_eq!(store.remove(&programs, &other.file).await.unwrap(), Removal::Another);
        assert_eq!(store.remove(&programs, &authority.file).await.unwrap(), Removal::Gone);
        assert!(!kept.exists());
    }

    #[test]
    fn stores_are_those_that_are_there() {
        let home = tempfile::tempdir().unwrap();
        let nss = |stores: Vec<Store>| stores.into_iter().filter(|it| matches!(it, Store::Nss(_))).count();
        assert_eq!(nss(stores(Some(home.path()))), 0);
        for folder in [".pki/nssdb", ".mozilla/firefox/abc.default", ".mozilla/firefox/Crash Reports"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        for folder in [".pki/nssdb", ".mozilla/firefox/abc.default"] {
            fs::write(home.path().join(folder).join("cert9.db"), "").unwrap();
        }
        assert_eq!(nss(stores(Some(home.path()))), 2);
        let by_hand = Store::Nss("/a b".into()).by_hand(Path::new("/c d"));
        assert!(by_hand.starts_with("certutil -d 'sql:/a b' "), "{by_hand}");
    }
}
