//! Secrets and configs that have no file on this side (from the environment, or written in the compose
//! file) are copied into the container between its creation and its start; nothing of them stays on disk here.
//! So are files that are given an owner or a mode, which a mount could not give them (the reference ignores it).

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;

use super::Engine;
use super::error::{Doing, Error};
use super::translate::{file_target, is_mounted};
use crate::compose::project::{FileReference, Project, Service};

impl Engine {
    pub(super) async fn copy_secrets_and_configs(
        &self,
        project: &Project,
        service: &Service,
        container: &str,
    ) -> Result<(), Error> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut any = false;
        for reference in &service.secrets {
            let Some(secret) = project.secrets.get(&reference.source) else { continue };
            if is_mounted(service, reference, &secret.file) {
                continue;
            }
            if secret.external {
                return Err(Error::Impossible(format!(
                    "secret `{}` is external, which only a swarm has",
                    reference.source
                )));
            }
            let content = match secret.file.as_str() {
                "" => text_of(secret.resolved.as_ref(), &secret.environment, "", &reference.source)?
                    .into_bytes(),
                file => read(file)?,
            };
            append(&mut archive, reference, "/run/secrets/", &content)?;
            any = true;
        }
        for reference in &service.configs {
            let Some(config) = project.configs.get(&reference.source) else { continue };
            if is_mounted(service, reference, &config.file) {
                continue;
            }
            if config.external {
                return Err(Error::Impossible(format!(
                    "config `{}` is external, which only a swarm has",
                    reference.source
                )));
            }
            let content = match config.file.as_str() {
                "" => {
                    let (resolved, variable) = (config.resolved.as_ref(), &config.environment);
                    text_of(resolved, variable, &config.content, &reference.source)?.into_bytes()
                }
                file => read(file)?,
            };
            append(&mut archive, reference, "/", &content)?;
            any = true;
        }
        if !any {
            return Ok(());
        }
        let bytes = archive.into_inner().map_err(archive_error)?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let body = bollard::body_full(Bytes::from(bytes));
        self.docker
            .upload_to_container(container, Some(options), body)
            .await
            .doing("copy secrets and configs")
    }
}

fn read(path: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn text_of(resolved: Option<&String>, variable: &str, content: &str, name: &str) -> Result<String, Error> {
    match resolved {
        Some(value) => Ok(value.clone()),
        None if variable.is_empty() => Ok(content.to_owned()),
        None => Err(Error::Impossible(format!("`{name}` is the variable {variable}, which is not set"))),
    }
}

/// One file, readable by all unless the reference says otherwise (Compose Specification, secrets long syntax).
fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    reference: &FileReference,
    base: &str,
    content: &[u8],
) -> Result<(), Error> {
    let target = file_target(reference, base);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(reference.mode.map_or(0o444, crate::compose::project::FileMode::bits));
    header.set_uid(reference.uid.parse().unwrap_or(0));
    header.set_gid(reference.gid.parse().unwrap_or(0));
    header.set_entry_type(tar::EntryType::Regular);
    let path = target.trim_start_matches('/');
    archive.append_data(&mut header, path, content).map_err(archive_error)
}

fn archive_error(source: std::io::Error) -> Error {
    Error::File { path: "archive of secrets and configs".to_owned(), source }
}
