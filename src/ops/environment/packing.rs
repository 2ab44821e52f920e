//! The file of an archive, written and read; what stands in it is said in [`crate::lineage::archive`]. Everything here
//! blocks.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use crate::lineage::archive::{
    DATA, Entry, FILES, Gate, Kind, LONGEST, MANIFEST, Manifest, Place, Refused, SEAL, Seal,
};

/// Why an archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The file, or what it is made of.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What stands in it is not let in.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// The prefix of extended attributes in a tar (star(1)).
const ATTRIBUTE: &str = "SCHILY.xattr.";

/// What is kept of an entry beside its path and its content.
struct Head {
    kind: Kind,
    mode: u32,
    user: u64,
    group: u64,
    time: u64,
    size: u64,
    target: Vec<u8>,
    attributes: Vec<(String, Vec<u8>)>,
}

fn kind(of: EntryType) -> Kind {
    match of {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Folder,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Link => Kind::Link,
        EntryType::Fifo => Kind::Pipe,
        _ => Kind::Other,
    }
}

impl Head {
    fn file(mode: u32, size: u64, time: u64) -> Self {
        let (user, group, target, attributes) = (0, 0, Vec::new(), Vec::new());
        Self { kind: Kind::File, mode, user, group, time, size, target, attributes }
    }

    fn of<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Self> {
        let mut attributes = Vec::new();
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            if let Ok(key) = extension.key()
                && key.starts_with(ATTRIBUTE)
            {
                attributes.push((key.to_owned(), extension.value_bytes().to_vec()));
            }
        }
        let header = entry.header();
        let kind = kind(header.entry_type());
        Ok(Self {
            kind,
            mode: header.mode()?,
            user: header.uid()?,
            group: header.gid()?,
            time: header.mtime()?,
            size: if kind == Kind::File { entry.size() } else { 0 },
            target: entry.link_name_bytes().map(|target| target.to_vec()).unwrap_or_default(),
            attributes,
        })
    }

    /// All of it, for the checksum.
    fn text(&self) -> Vec<u8> {
        let Self { kind, mode, user, group, time, size, .. } = self;
        let mut text = format!("{kind:?} {mode:o} {user} {group} {time} {size}").into_bytes();
        for (key, value) in &self.attributes {
            text.extend(format!(" {} {key} {} ", key.len(), value.len()).into_bytes());
            text.extend(value);
        }
        text
    }

    /// Writes the entry into a tar.
    fn append<W: Write>(&self, tar: &mut tar::Builder<W>, path: &[u8], content: impl Read) -> io::Result<()> {
        let attributes = self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        tar.append_pax_extensions(attributes)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(match self.kind {
            Kind::Folder => EntryType::Directory,
            Kind::Symlink => EntryType::Symlink,
            Kind::Link => EntryType::Link,
            Kind::Pipe => EntryType::Fifo,
            Kind::File | Kind::Other => EntryType::Regular,
        });
        header.set_mode(self.mode);
        header.set_uid(self.user);
        header.set_gid(self.group);
        header.set_mtime(self.time);
        header.set_size(self.size);
        let path = Path::new(OsStr::from_bytes(path));
        match self.kind {
            Kind::Symlink | Kind::Link => {
                tar.append_link(&mut header, path, Path::new(OsStr::from_bytes(&self.target)))
            }
            _ => tar.append_data(&mut header, path, content),
        }
    }
}

/// Content on its way, which the checksum sees.
struct Seen<'a, R> {
    inner: R,
    seal: &'a mut Seal,
}

impl<R: Read> Read for Seen<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.seal.content(&buffer[..length]);
        Ok(length)
    }
}

/// An archive that is being written.
pub(super) struct Packing {
    tar: tar::Builder<GzEncoder<BufWriter<File>>>,
    seal: Seal,
}

impl Packing {
    /// Begins with the manifest and the project's files, by their paths below its folder.
    pub(super) fn begin(file: File, manifest: &Manifest, files: &[(String, Vec<u8>)]) -> io::Result<Self> {
        let out = GzEncoder::new(BufWriter::with_capacity(1 << 18, file), Compression::fast());
        let mut packing = Self { tar: tar::Builder::new(out), seal: Seal::default() };
        let time = u64::try_from(manifest.created).unwrap_or(0);
        packing.small(MANIFEST, &serde_json::to_vec_pretty(manifest)?, time)?;
        for (path, content) in files {
            packing.small(&format!("{FILES}/{path}"), content, time)?;
        }
        Ok(packing)
    }

    fn small(&mut self, path: &str, content: &[u8], time: u64) -> io::Result<()> {
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.add(path.as_bytes(), &Head::file(0o600, size, time), content)
    }

    fn add(&mut self, path: &[u8], head: &Head, content: impl Read) -> io::Result<()> {
        self.seal.entry(path, &head.text(), &head.target);
        head.append(&mut self.tar, path, Seen { inner: content, seal: &mut self.seal })
    }

    /// Adds the data out of a tar whose first folder is called `id`. Says after each file how many bytes that was.
    pub(super) fn data(
        &mut self,
        tar: impl Read,
        id: &str,
        mut told: impl FnMut(u64),
    ) -> Result<(), Trouble> {
        let inside = |path: &[u8]| -> Option<Vec<u8>> {
            let rest = path.strip_prefix(id.as_bytes())?;
            let rest = rest.strip_suffix(b"/").unwrap_or(rest);
            Some([DATA.as_bytes(), rest].concat())
        };
        for entry in tar::Archive::new(tar).entries()? {
            let mut entry = entry?;
            let path = entry.path_bytes().into_owned();
            let mut head = Head::of(&mut entry)?;
            let place =
                inside(&path).ok_or(Refused::Form("the engine gave another folder than that of the data"))?;
            if place == DATA.as_bytes() {
                continue;
            }
            match head.kind {
                Kind::Other => {
                    return Err(Refused::Device(String::from_utf8_lossy(&path).into_owned()).into());
                }
                Kind::Link => head.target = inside(&head.target).unwrap_or_default(),
                _ => {}
            }
            let size = head.size;
            self.add(&place, &head, &mut entry)?;
            told(size);
        }
        Ok(())
    }

    /// Ends with the checksum; all of it is on the disk when this returns.
    pub(super) fn end(mut self) -> io::Result<()> {
        let text = self.seal.text();
        let size = u64::try_from(text.len()).unwrap_or(0);
        Head::file(0o600, size, 0).append(&mut self.tar, SEAL.as_bytes(), text.as_bytes())?;
        let out = self.tar.into_inner()?.finish()?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    }
}

/// What was found in an archive.
#[derive(Debug)]
pub(super) struct Found {
    /// What it is.
    pub(super) manifest: Manifest,
    /// The project's files.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// Bytes of all files of its volumes.
    pub(super) bytes: u64,
    /// Its checksum: another file has another one.
    pub(super) seal: String,
}

/// Reads an archive to its end and judges all of it; data goes into `out`, if there is one, as a tar that begins with
/// the volumes. Says after each file how many bytes that was.
pub(super) fn read(
    file: &Path,
    mut out: Option<&mut tar::Builder<&mut dyn Write>>,
    mut told: impl FnMut(u64),
) -> Result<Found, Trouble> {
    let unzipped = GzDecoder::new(BufReader::with_capacity(1 << 18, File::open(file)?));
    let mut archive = tar::Archive::new(unzipped);
    let (mut gate, mut seal) = (Gate::default(), Seal::default());
    let (mut manifest, mut files, mut bytes, mut sealed) = (None, Vec::new(), 0_u64, String::new());
    for entry in archive.entries().map_err(|_| Refused::Foreign)? {
        let mut entry =
            entry.map_err(|_| if manifest.is_none() { Refused::Foreign } else { Refused::Damaged })?;
        let path = entry.path_bytes().into_owned();
        let head = Head::of(&mut entry).map_err(|_| Refused::Damaged)?;
        let target = (!head.target.is_empty()).then(|| head.target.clone());
        let place = gate.admit(&Entry { path: path.clone(), kind: head.kind, target, size: head.size })?;
        let damaged = |error: io::Error| match error.kind() {
            // What is written to is not at fault in the file.
            io::ErrorKind::BrokenPipe => Trouble::Io(error),
            _ => Trouble::Refused(Refused::Damaged),
        };
        if place == Place::Seal {
            entry.take(LONGEST).read_to_string(&mut sealed).map_err(damaged)?;
            if sealed != seal.text() {
                return Err(Refused::Damaged.into());
            }
            continue;
        }
        seal.entry(&path, &head.text(), &head.target);
        let mut seen = Seen { inner: entry, seal: &mut seal };
        match place {
            Place::Manifest | Place::File(_) => {
                let mut content = Vec::new();
                seen.read_to_end(&mut content).map_err(damaged)?;
                if let Place::File(name) = place {
                    files.push((name, content));
                } else {
                    manifest = Some(gate.begin(&content)?);
                }
            }
            Place::Data => {
                bytes = bytes.saturating_add(head.size);
                let inside = |path: &[u8]| path.get(DATA.len() + 1..).unwrap_or_default().to_vec();
                match &mut out {
                    Some(out) => {
                        let target =
                            if head.kind == Kind::Link { inside(&head.target) } else { head.target.clone() };
                        let size = head.size;
                        let head = Head { target, ..head };
                        head.append(out, &inside(&path), &mut seen).map_err(damaged)?;
                        told(size);
                    }
                    None => {
                        io::copy(&mut seen, &mut io::sink()).map_err(damaged)?;
                        told(head.size);
                    }
                }
            }
            Place::Seal => {}
        }
    }
    gate.end()?;
    // The compression has a checksum and a length of its own at the end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|_| Refused::Damaged)?;
    let manifest = manifest.ok_or(Refused::Foreign)?;
    Ok(Found { manifest, files, bytes, seal: sealed })
}
