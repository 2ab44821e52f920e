//! Files in and out of containers, by the rules of `docker cp`: a source that is a folder becomes the
//! destination, or goes into it when that exists; `/.` at the end of the source means what is in it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::TryStreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};

use super::Engine;
use super::error::{Doing, Error};

/// Go's bit for a folder in `os.FileMode`, which is what the engine reports.
const GO_DIRECTORY: u32 = 1 << 31;

impl Engine {
    /// Copies a file or folder out of a container.
    pub async fn copy_out(
        &self,
        container: &str,
        path: &str,
        to: &Path,
        follow_link: bool,
    ) -> Result<(), Error> {
        let source = if follow_link { self.link_target(container, path).await? } else { path.to_owned() };
        let options = DownloadFromContainerOptionsBuilder::default().path(&source).build();
        let bytes = self.patient.download_from_container(container, Some(options));
        let reader = StreamReader::new(Box::pin(bytes.map_err(io::Error::other)));
        let (into, rename) = destination(&source, to);
        let unpacked =
            tokio::task::spawn_blocking(move || unpack(SyncIoBridge::new(reader), &into, &rename)).await;
        let unpacked = unpacked.unwrap_or_else(|error| Err(io::Error::other(error)));
        unpacked.map_err(|source| {
            match source.get_ref().and_then(|e| e.downcast_ref::<bollard::errors::Error>()) {
                Some(bollard::errors::Error::DockerResponseServerError { status_code, message }) => {
                    Error::Refused { status: *status_code, message: message.clone() }
                }
                _ => Error::File { path: to.display().to_string(), source },
            }
        })
    }

    /// Copies a file or folder into a container.
    pub async fn copy_in(
        &self,
        container: &str,
        from: &Path,
        path: &str,
        follow_link: bool,
    ) -> Result<(), Error> {
        let unreadable = |source| Error::File { path: from.display().to_string(), source };
        let metadata = if follow_link { fs::metadata(from) } else { fs::symlink_metadata(from) };
        let is_directory = metadata.map_err(unreadable)?.is_dir();
        let exists = self.is_directory(container, path).await?;
        let name = from.file_name().map_or_else(|| ".".into(), |name| name.to_string_lossy().into_owned());
        let contents = from.as_os_str().to_string_lossy().ends_with("/.") || name == ".";
        let (base, inside) = match exists {
            Some(true) if contents && is_directory => (path.to_owned(), String::new()),
            Some(true) => (path.to_owned(), name),
            Some(false) if is_directory => {
                return Err(Error::Impossible(format!(
                    "{path} in the container is a file, {} is a folder",
                    from.display()
                )));
            }
            None if path.ends_with('/') && !is_directory => {
                return Err(Error::Impossible(format!("the folder {path} is not there in the container")));
            }
            // The destination takes the source's place under its own name.
            Some(false) | None => split_last(path),
        };
        let (writer, reader) = tokio::io::duplex(64 * 1024);
        let source = from.to_path_buf();
        let packed = tokio::task::spawn_blocking(move || {
            pack(SyncIoBridge::new(writer), &source, &inside, follow_link)
        });
        let options = UploadToContainerOptionsBuilder::default().path(&base).build();
        let body = bollard::body_try_stream(ReaderStream::new(reader));
        let sent = self.patient.upload_to_container(container, Some(options), body).await;
        let packed = packed.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        sent.doing("copy into a container")?;
        packed.map_err(unreadable)
    }

    /// Whether a path in a container is a folder; `None` when it is not there.
    async fn is_directory(&self, container: &str, path: &str) -> Result<Option<bool>, Error> {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        match self
            .docker
            .get_container_archive_info(container, Some(options))
            .await
            .doing("look into a container")
        {
            Ok(found) => Ok(Some(found.file_mode & GO_DIRECTORY != 0)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn link_target(&self, container: &str, path: &str) -> Result<String, Error> {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        let found = self.docker.get_container_archive_info(container, Some(options)).await;
        let target = found.doing("look into a container")?.link_target;
        Ok(if target.is_empty() { path.to_owned() } else { target })
    }
}

impl Engine {
    /// What is below a path of a container, as a tar: `PATH/…` by the last part of the path.
    pub fn download(&self, container: &str, path: &str) -> impl AsyncRead + Send + Unpin + 'static {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let bytes = self.patient.download_from_container(container, Some(options));
        StreamReader::new(Box::pin(bytes.map_err(io::Error::other)))
    }

    /// Unpacks a tar below a path of a container.
    pub async fn upload(
        &self,
        container: &str,
        path: &str,
        tar: impl AsyncRead + Send + 'static,
    ) -> Result<(), Error> {
        let options = UploadToContainerOptionsBuilder::default().path(path).build();
        let body = bollard::body_try_stream(ReaderStream::with_capacity(tar, 64 * 1024));
        let sent = self.patient.upload_to_container(container, Some(options), body).await;
        sent.doing("copy into a container")
    }
}

/// The folder to unpack into, and what becomes of the first component of every path in the archive.
enum Rename {
    /// It stays.
    Keep,
    /// It is left out.
    Strip,
    /// It is this.
    To(String),
}

fn destination(source: &str, to: &Path) -> (PathBuf, Rename) {
    if to.is_dir() {
        let rename = if source.ends_with("/.") { Rename::Strip } else { Rename::Keep };
        return (to.to_path_buf(), rename);
    }
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    let name = to.file_name().map(|name| name.to_string_lossy().into_owned());
    (parent.unwrap_or(Path::new(".")).to_path_buf(), name.map_or(Rename::Keep, Rename::To))
}

fn unpack(reader: impl io::Read, into: &Path, rename: &Rename) -> io::Result<()> {
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(true);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let mut parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
        let first = parts.next();
        let rest: PathBuf = parts.collect();
        let inside = match (rename, first) {
            (Rename::Keep, Some(first)) => Path::new(first.as_os_str()).join(rest),
            (Rename::To(name), Some(_)) => Path::new(name).join(rest),
            (Rename::Strip, _) | (_, None) => rest,
        };
        // `join("")` would leave a slash behind a file's name, which then counts as a folder.
        let target: PathBuf = into.join(inside).components().collect();
        if target == into {
            continue;
        }
        // Whatever the container names, nothing is written outside of `into`: the parts are plain names.
        entry.unpack(target)?;
    }
    Ok(())
}

fn pack(writer: impl io::Write, from: &Path, inside: &str, follow_link: bool) -> io::Result<()> {
    let mut archive = tar::Builder::new(writer);
    archive.follow_symlinks(follow_link);
    if fs::metadata(from)?.is_dir() && (follow_link || !fs::symlink_metadata(from)?.is_symlink()) {
        let inside = if inside.is_empty() { "." } else { inside };
        archive.append_dir_all(inside, from)?;
    } else {
        archive.append_path_with_name(from, inside)?;
    }
    archive.finish()
}

/// The folder and the last part of a path in a container.
fn split_last(path: &str) -> (String, String) {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((base, name)) => (base.to_owned(), name.to_owned()),
        None => ("/".to_owned(), path.to_owned()),
    }
}
