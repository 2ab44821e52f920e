//! Containers, volumes and images of devenv's own, beside those of projects: what works at the engine's side of the
//! connection, such as the keeper of the pool.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, RestartPolicy,
    RestartPolicyNameEnum, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptions, ListContainersOptionsBuilder,
    ListImagesOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::StreamReader;

use super::Engine;
use super::error::{Doing, Error};
use super::stream::{Channel, Output};

/// The label of everything of devenv's own at an engine; its value says what it is for.
pub const LABEL: &str = "dev.devenv.own";

/// The program's own file inside the images made of it.
pub const PROGRAM: &str = "/devenv";

/// A container of devenv's own: its program, with arguments, and what it may touch.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// The container's name.
    pub name: String,
    /// The image, made with [`Engine::import_program`].
    pub image: String,
    /// Arguments of the program.
    pub arguments: Vec<String>,
    /// Variables that it sees.
    pub environment: Vec<(String, String)>,
    /// Labels beside [`LABEL`].
    pub labels: BTreeMap<String, String>,
    /// Volumes by name, and folders of the engine's machine by their path, which have to be there; path inside,
    /// read-only.
    pub volumes: Vec<(String, String, bool)>,
    /// A folder of the engine's machine that the engine makes where it is missing, and its path inside.
    pub folder: Option<(String, String)>,
    /// May attach loop devices (majors 7 and 10:237, Linux `Documentation/admin-guide/devices.txt`) and resize file
    /// systems.
    pub devices: bool,
    /// May read and write files whoever they belong to, and give them away.
    pub files: bool,
    /// Sees the processes of the container with this id, and what they see as their root; ends with it.
    pub beside: Option<String>,
    /// Ends when its caller does, and is taken away by the engine then.
    pub passing: bool,
    /// Works on the network of the engine's machine, low ports included; else on none.
    pub host_network: bool,
    /// Is started again whenever it ends, or the engine is started, until it is taken away.
    pub stays: bool,
    /// How many bytes of memory it may use.
    pub memory: Option<i64>,
}

/// A volume as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnVolume {
    /// Where its content is, as the engine sees paths.
    pub mountpoint: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Options of its driver.
    pub options: BTreeMap<String, String>,
}

/// How a running container of ours is talked to.
pub struct Talk {
    /// What it says on its standard output.
    pub hear: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard input.
    pub say: std::pin::Pin<Box<dyn AsyncWrite + Send>>,
}

impl Engine {
    /// Makes an image that holds nothing but a tree, whose program is [`PROGRAM`].
    pub async fn import_program(
        &self,
        name: &str,
        tree: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), Error> {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            changes: vec![format!("ENTRYPOINT [\"{PROGRAM}\"]"), format!("LABEL {LABEL}=program")],
            ..CreateImageOptions::default()
        };
        let body = bollard::body_try_stream(tree);
        let mut answers = std::pin::pin!(self.patient.create_image(Some(options), Some(body), None));
        while let Some(answer) = answers.next().await {
            answer.doing("make an image")?;
        }
        Ok(())
    }

    /// Takes away images of ours that nobody uses and that were made more than so many seconds before `now`, in
    /// seconds since 1970: an upgrade leaves those of the program before.
    pub async fn forget_old_programs(&self, now: i64, seconds: i64) -> Result<(), Error> {
        let filters = HashMap::from([("label", vec![format!("{LABEL}=program")])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        for image in self.docker.list_images(Some(options)).await.doing("list images")? {
            if now - image.created > seconds {
                // One that a container has, stopped ones too, stays.
                let removed = self.remove_image(&image.id).await;
                removed.or_else(|error| if error.is_conflict() { Ok(()) } else { Err(error) })?;
            }
        }
        Ok(())
    }

    /// Takes away an image that has no name (any more), and that nobody uses.
    pub async fn forget_nameless(&self, id: &str) -> Result<(), Error> {
        let found = self.docker.inspect_image(id).await.doing("inspect an image")?;
        if found.repo_tags.is_none_or(|tags| tags.is_empty()) {
            self.remove_image(id).await?;
        }
        Ok(())
    }

    /// Whether an image is here.
    pub async fn has_image(&self, name: &str) -> Result<bool, Error> {
        match self.image_id(name).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a container of ours, with a read-only root and only the capabilities that it names. Its output is kept nowhere: who wants it is attached before.
    pub async fn create_own(&self, own: &Own) -> Result<String, Error> {
        let mut labels: HashMap<String, String> =
            own.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        labels.entry(LABEL.to_owned()).or_insert_with(|| "container".to_owned());
        let mut capabilities = Vec::new();
        if own.files {
            capabilities.extend(["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"]);
        }
        if own.devices {
            capabilities.extend(["SYS_ADMIN", "MKNOD", "DAC_OVERRIDE"]);
        }
        if own.beside.is_some() {
            capabilities.extend(["SYS_PTRACE", "SYS_CHROOT"]);
        }
        if own.host_network {
            capabilities.push("NET_BIND_SERVICE");
        }
        capabilities.sort_unstable();
        capabilities.dedup();
        let is_folder = |source: &str| source.starts_with('/');
        let mounts = own.volumes.iter().map(|(source, target, read_only)| Mount {
            // Only this form of a bind fails where the folder is missing; the other one makes it.
            typ: Some(if is_folder(source) { MountType::BIND } else { MountType::VOLUME }),
            source: Some(source.clone()),
            target: Some(target.clone()),
            read_only: Some(*read_only),
            ..Mount::default()
        });
        let rules =
            if own.devices { vec!["b 7:* rmw".to_owned(), "c 10:237 rmw".to_owned()] } else { Vec::new() };
        let mut security = vec!["no-new-privileges".to_owned()];
        if own.folder.is_some() || own.volumes.iter().any(|(source, ..)| is_folder(source)) {
            // SELinux lets a container see no folder that was not labelled for it.
            security.push("label=disable".to_owned());
        }
        if own.beside.is_some() {
            security.push("label=disable".to_owned());
        }
        if own.devices || own.beside.is_some() {
            // Docker's profile for AppArmor forbids what the capabilities allow.
            security.push("apparmor=unconfined".to_owned());
        }
        let body = ContainerCreateBody {
            image: Some(own.image.clone()),
            cmd: Some(own.arguments.clone()),
            env: Some(own.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(labels),
            user: Some("0:0".to_owned()),
            attach_stdin: Some(false),
            open_stdin: Some(true),
            stdin_once: Some(own.passing),
            host_config: Some(HostConfig {
                mounts: Some(mounts.collect()),
                binds: own.folder.as_ref().map(|(folder, target)| vec![format!("{folder}:{target}")]),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(capabilities.into_iter().map(str::to_owned).collect()),
                device_cgroup_rules: Some(rules),
                security_opt: Some(security),
                network_mode: Some(if own.host_network { "host" } else { "none" }.to_owned()),
                // An engine that maps users lends its own network to nobody else.
                userns_mode: own.host_network.then(|| "host".to_owned()),
                restart_policy: own.stays.then_some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                    maximum_retry_count: None,
                }),
                memory: own.memory,
                pid_mode: own.beside.as_ref().map(|container| format!("container:{container}")),
                auto_remove: Some(own.passing),
                readonly_rootfs: Some(true),
                log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&own.name).build();
        Ok(self.patient.create_container(Some(options), body).await.doing("create a container")?.id)
    }

    /// Runs a container of ours to its end and takes it away: its exit code and what it said, each line of standard
    /// output also told to `line` as it comes.
    pub async fn run_own(
        &self,
        own: &Own,
        mut line: impl FnMut(&str) + Send,
    ) -> Result<(i64, String, String), Error> {
        let id = self.create_own(own).await?;
        let worked = async {
            let mut attached = self.attach(&id, false).await?;
            self.start(&id).await?;
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut told = 0;
            while let Some(piece) = attached.output.next().await {
                let piece = piece?;
                match piece.channel {
                    Channel::Out => out.extend_from_slice(&piece.bytes),
                    Channel::Err => err.extend_from_slice(&piece.bytes),
                }
                while let Some(end) = out[told..].iter().position(|byte| *byte == b'\n') {
                    line(&String::from_utf8_lossy(&out[told..told + end]));
                    told += end + 1;
                }
            }
            let code = self.exited(&id).await?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            Ok((code, text(out), text(err)))
        };
        let result = worked.await;
        self.remove_container(&id, false).await?;
        result
    }

    /// Talks to a running container of ours.
    pub async fn talk(&self, container: &str) -> Result<Talk, Error> {
        let attached = self.attach(container, true).await?;
        Ok(Talk { hear: Box::new(StreamReader::new(standard_output(attached.output))), say: attached.input })
    }

    /// Where the engine keeps all that is its own, on its machine.
    pub async fn root(&self) -> Result<String, Error> {
        let info = self.docker.info().await.doing("ask the engine about itself")?;
        Ok(info.docker_root_dir.unwrap_or_else(|| "/var/lib/docker".to_owned()))
    }

    /// A volume; none when the engine does not have it.
    pub async fn own_volume(&self, name: &str) -> Result<Option<OwnVolume>, Error> {
        match self.docker.inspect_volume(name).await.doing("inspect a volume") {
            Ok(found) => Ok(Some(OwnVolume {
                mountpoint: found.mountpoint,
                labels: found.labels.into_iter().collect(),
                options: found.options.into_iter().collect(),
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a volume of ours with the engine's own driver.
    pub async fn create_own_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        options: &BTreeMap<String, String>,
    ) -> Result<OwnVolume, Error> {
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<HashMap<_, _>>()
        };
        let mut labels = pairs(labels);
        labels.entry(LABEL.to_owned()).or_insert_with(|| "volume".to_owned());
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: Some("local".to_owned()),
            driver_opts: Some(pairs(options)),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        let made = self.patient.create_volume(request).await.doing("create a volume")?;
        Ok(OwnVolume {
            mountpoint: made.mountpoint,
            labels: made.labels.into_iter().collect(),
            options: made.options.into_iter().collect(),
        })
    }

    /// Removes a volume's record at the engine although its content may be out of reach.
    pub async fn forget_volume(&self, name: &str) -> Result<(), Error> {
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        match self.patient.remove_volume(name, Some(options)).await.doing("remove a volume") {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    /// Names of the volumes that carry a label (`key` or `key=value`).
    pub async fn volumes_with(&self, label: &str) -> Result<Vec<String>, Error> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let found = self.docker.list_volumes(Some(options)).await.doing("list volumes")?;
        Ok(found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
    }

    /// Ids of the containers, running or not, that have a volume mounted.
    pub async fn users_of(&self, volume: &str) -> Result<Vec<String>, Error> {
        let filters = HashMap::from([("volume", vec![volume])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await.doing("list containers")?;
        Ok(found.into_iter().filter_map(|container| container.id).collect())
    }
}

/// Standard output alone, as bytes.
fn standard_output(output: Output) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin {
    Box::pin(output.filter_map(async |piece| match piece {
        Ok(piece) => (piece.channel == Channel::Out).then_some(Ok(piece.bytes)),
        Err(error) => Some(Err(std::io::Error::other(error))),
    }))
}
