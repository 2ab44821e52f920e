//! Serves directories to `BuildKit`, which asks for the names first and then only for the files it lacks:
//! a second build of an unchanged context moves no file at all.

use std::collections::HashMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSync;
use tokio::sync::mpsc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::walk::{Filter, Unreadable, follow_links, walk, without_nested};
use crate::base::ignore::Patterns;

/// How much of a file goes into one message; engines take 4 MiB.
const CHUNK: usize = 256 * 1024;

/// What an engine may ask for by name.
#[derive(Debug, Clone)]
pub(super) enum Offer {
    /// A directory of this machine.
    Directory(PathBuf),
    /// Files by name that exist in memory only, sorted.
    Files(Vec<(String, Vec<u8>)>),
}

/// The offers of one build, and what went wrong while reading them.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pub(super) offers: HashMap<String, Offer>,
    pub(super) trouble: Arc<Mutex<Option<Unreadable>>>,
}

type Sender = mpsc::Sender<Result<Packet, Status>>;
type Packets = tokio_stream::wrappers::ReceiverStream<Result<Packet, Status>>;

#[tonic::async_trait]
impl FileSync for Files {
    type DiffCopyStream = Packets;
    type TarStreamStream = Packets;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let wanted = request.metadata();
        let name = wanted.get("dir-name").and_then(|name| name.to_str().ok()).unwrap_or_default();
        let Some(offer) = self.offers.get(name).cloned() else {
            return Err(Status::not_found(format!("there is no directory `{name}` here")));
        };
        let asked = Asked {
            include: values(wanted, "include-patterns"),
            exclude: values(wanted, "exclude-patterns"),
            follow: values(wanted, "followpaths"),
        };
        let (packets, out) = mpsc::channel(32);
        let sending = Sending { packets, places: Arc::default(), trouble: Arc::clone(&self.trouble) };
        let walking = sending.clone();
        tokio::task::spawn_blocking(move || walking.names(&offer, &asked));
        tokio::spawn(sending.answer(request.into_inner()));
        Ok(Response::new(Packets::new(out)))
    }

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("only DiffCopy is served"))
    }
}

struct Asked {
    include: Vec<String>,
    exclude: Vec<String>,
    follow: Vec<String>,
}

impl Asked {
    fn filter(self: &Asked, root: &Path) -> Result<Filter, crate::base::ignore::BadPattern> {
        let mut include = Some(self.include.clone());
        if !self.follow.is_empty() {
            include = follow_links(root, &self.follow).and_then(|followed| {
                without_nested(followed.into_iter().chain(self.include.iter().cloned()))
            });
        }
        let include = match include {
            Some(patterns) if !patterns.is_empty() => Some(Patterns::new(patterns)?),
            _ => None,
        };
        Ok(Filter { include, exclude: Patterns::new(&self.exclude)? })
    }
}

/// Values of a header; newer engines escape what is not ASCII and say so.
fn values(headers: &MetadataMap, key: &str) -> Vec<String> {
    let escaped = headers.contains_key(format!("{key}-encoded").as_str());
    let values = headers.get_all(key).iter();
    values
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_encoded_bytes());
            if escaped { unescape(&text) } else { text.into_owned() }
        })
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'+' => bytes.push(b' '),
            b'%' if behind.len() >= 2 && hex::decode(&behind[..2]).is_ok() => {
                bytes.extend(hex::decode(&behind[..2]).unwrap_or_default());
                rest = &behind[2..];
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Clone)]
enum Content {
    At(PathBuf),
    Bytes(Vec<u8>),
}

/// One exchange with the engine.
#[derive(Clone)]
struct Sending {
    packets: Sender,
    /// What can be asked for, by its number in the order of names.
    places: Arc<Mutex<HashMap<u32, Content>>>,
    trouble: Arc<Mutex<Option<Unreadable>>>,
}

impl Sending {
    /// Sends the names, in a thread of its own.
    fn names(&self, offer: &Offer, asked: &Asked) {
        let result = match offer {
            Offer::Directory(root) => self.directory(root, asked),
            Offer::Files(files) => {
                self.files(files, asked);
                Ok(())
            }
        };
        if let Err(status) = result {
            let _ = self.packets.blocking_send(Err(status));
            return;
        }
        let _ = self.packets.blocking_send(Ok(packet(PacketType::PacketStat, 0, Vec::new())));
    }

    fn directory(&self, root: &Path, asked: &Asked) -> Result<(), Status> {
        let filter = asked.filter(root).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        let mut number = 0;
        let done = walk(root, &filter, &mut |entry| {
            let kind = entry.metadata.file_type();
            // Neither a socket nor a device can be copied into an image.
            if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
                return Ok(ControlFlow::Continue(()));
            }
            let mut linkname = String::new();
            if kind.is_symlink() {
                let target = std::fs::read_link(&entry.place).map_err(Unreadable::at(&entry.place))?;
                linkname = target.to_string_lossy().into_owned();
            }
            let metadata = &entry.metadata;
            let stat = Stat {
                path: entry.path,
                mode: go_mode(metadata.mode()),
                size: if kind.is_file() { i64::try_from(metadata.len()).unwrap_or(i64::MAX) } else { 0 },
                mod_time: metadata
                    .mtime()
                    .saturating_mul(1_000_000_000)
                    .saturating_add(metadata.mtime_nsec()),
                linkname,
                ..Stat::default()
            };
            if kind.is_file() {
                lock(&self.places).insert(number, Content::At(entry.place));
            }
            number += 1;
            Ok(self.tell(stat))
        });
        match done {
            Ok(_) => Ok(()),
            Err(trouble) => Err(self.stop(trouble)),
        }
    }

    fn files(&self, files: &[(String, Vec<u8>)], asked: &Asked) {
        // Asked for `Dockerfile` and `Dockerfile.dockerignore`; patterns are never sent for them.
        let wanted =
            files.iter().filter(|(name, _)| asked.include.is_empty() || asked.include.contains(name));
        for (number, (name, content)) in (0..).zip(wanted) {
            lock(&self.places).insert(number, Content::Bytes(content.clone()));
            let stat = Stat {
                path: name.clone(),
                mode: 0o644,
                size: i64::try_from(content.len()).unwrap_or(i64::MAX),
                // Differs with the content, so that the copy of another build is never taken for this one.
                mod_time: fingerprint(content),
                ..Stat::default()
            };
            if self.tell(stat).is_break() {
                return;
            }
        }
    }

    fn tell(&self, stat: Stat) -> ControlFlow<()> {
        let told = Packet { stat: Some(stat), ..packet(PacketType::PacketStat, 0, Vec::new()) };
        match self.packets.blocking_send(Ok(told)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Keeps what went wrong for the build's error, and tells the engine.
    fn stop(&self, trouble: Unreadable) -> Status {
        let status = Status::internal(format!("{trouble}: {}", trouble.source));
        lock(&self.trouble).get_or_insert(trouble);
        status
    }

    /// Sends the files that are asked for, one after another.
    async fn answer(self, mut requests: Streaming<Packet>) {
        let (queue, numbers) = std::sync::mpsc::channel::<u32>();
        let sending = self.clone();
        let files = tokio::task::spawn_blocking(move || {
            for number in numbers {
                if sending.content(number).is_break() {
                    return;
                }
            }
        });
        while let Ok(Some(request)) = requests.message().await {
            match request.r#type() {
                PacketType::PacketReq if queue.send(request.id).is_ok() => {}
                PacketType::PacketFin => {
                    drop(queue);
                    let _ = files.await;
                    let _ = self.packets.send(Ok(packet(PacketType::PacketFin, 0, Vec::new()))).await;
                    return;
                }
                _ => return,
            }
        }
    }

    fn content(&self, number: u32) -> ControlFlow<()> {
        let Some(content) = lock(&self.places).remove(&number) else {
            let _ = self.packets.blocking_send(Err(Status::invalid_argument("no such file")));
            return ControlFlow::Break(());
        };
        let sent = match content {
            Content::Bytes(bytes) => Ok(self.chunk(number, bytes)),
            Content::At(place) => self.read(number, &place).map_err(Unreadable::at(&place)),
        };
        match sent {
            Ok(ControlFlow::Continue(())) => self.chunk(number, Vec::new()),
            Ok(stopped) => stopped,
            Err(trouble) => {
                let _ = self.packets.blocking_send(Err(self.stop(trouble)));
                ControlFlow::Break(())
            }
        }
    }

    fn read(&self, number: u32, place: &Path) -> std::io::Result<ControlFlow<()>> {
        let mut file = std::fs::File::open(place)?;
        let mut left = usize::try_from(file.metadata()?.len()).unwrap_or(CHUNK);
        loop {
            // One byte more than is left notices the end without a second buffer.
            let mut buffer = vec![0; (left + 1).min(CHUNK)];
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(ControlFlow::Continue(()));
            }
            left = left.saturating_sub(read);
            buffer.truncate(read);
            if self.chunk(number, buffer).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    fn chunk(&self, number: u32, data: Vec<u8>) -> ControlFlow<()> {
        match self.packets.blocking_send(Ok(packet(PacketType::PacketData, number, data))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

fn packet(kind: PacketType, id: u32, data: Vec<u8>) -> Packet {
    Packet { r#type: kind.into(), stat: None, id, data }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fingerprint(content: &[u8]) -> i64 {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(content);
    // A time between 1970 and 2106, whatever the content.
    i64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])) * 1_000_000_000
}

/// Go's `os.FileMode`, which the protocol carries.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        _ => 0,
    };
    let setuid = if mode & 0o4000 == 0 { 0 } else { 1 << 23 };
    let setgid = if mode & 0o2000 == 0 { 0 } else { 1 << 22 };
    let sticky = if mode & 0o1000 == 0 { 0 } else { 1 << 20 };
    kind | setuid | setgid | sticky | (mode & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_go() {
        assert_eq!(go_mode(0o100_755), 0o755);
        assert_eq!(go_mode(0o040_755), (1 << 31) | 0o755);
        assert_eq!(go_mode(0o120_777), (1 << 27) | 0o777);
        assert_eq!(go_mode(0o104_755), (1 << 23) | 0o755);
        assert_eq!(go_mode(0o041_777), (1 << 31) | (1 << 20) | 0o777);
    }

    #[test]
    fn escaped_headers_are_read() {
        assert_eq!(unescape("a%C3%A4+b%2"), "aä b%2");
    }
}
