//! From a service of the compose file to the engine's words for a container.
//!
//! Where the engine can be told one thing in two ways (a bind mount as `Binds` or as `Mounts`), the way is
//! that of the reference (docker/compose `pkg/compose/create.go`), since either tool reads what the other made.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, EndpointIpamConfig, EndpointSettings, HealthConfig,
    HostConfig, HostConfigCgroupnsModeEnum, HostConfigIsolationEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountImageOptions, MountTmpfsOptions, MountType, MountVolumeOptions, NetworkingConfig,
    PortBinding, PortMap, ResourcesBlkioWeightDevice, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
    ThrottleDevice,
};

use super::error::Error;
use crate::compose::project::{self as compose, Project, Service};

/// A container to be made: everything that the engine needs to know.
pub(super) struct Made<'a> {
    pub(super) project: &'a Project,
    pub(super) service_name: &'a str,
    /// With `service:x` already replaced by container ids.
    pub(super) service: &'a Service,
    pub(super) image: &'a str,
    pub(super) container_name: &'a str,
    pub(super) labels: HashMap<String, String>,
    /// Anonymous volumes carried over, target → volume.
    pub(super) inherit: &'a [(String, String)],
    /// `container:alias` for each link.
    pub(super) links: Vec<String>,
    /// One-offs are not found under the service's name unless asked for.
    pub(super) use_aliases: bool,
    /// Whether the engine takes all networks at once (API 1.44); before that the others are joined after.
    pub(super) all_networks_at_once: bool,
    /// Attached to, as `run` does.
    pub(super) interactive: bool,
}

/// Some for what says something, so that the engine's default stays where the file is silent.
fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn hash_map(map: &compose::Map<String>) -> HashMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl Made<'_> {
    /// The body of `POST /containers/create`.
    pub(super) fn body(&self) -> Result<ContainerCreateBody, Error> {
        let service = self.service;
        let mut exposed: Vec<String> = service
            .expose
            .iter()
            .map(|port| if port.contains('/') { port.clone() } else { format!("{port}/tcp") })
            .collect();
        exposed.extend(service.ports.iter().map(port_key));
        exposed.sort();
        exposed.dedup();
        let stop_timeout = service.stop_grace_period.map(|grace| grace.as_std().as_secs_f64().ceil());
        #[allow(clippy::cast_possible_truncation, reason = "a grace period of years is no grace period")]
        let stop_timeout = stop_timeout.map(|seconds| seconds as i64);
        Ok(ContainerCreateBody {
            hostname: some(service.hostname.clone()),
            domainname: some(service.domainname.clone()),
            user: some(service.user.clone()),
            attach_stdin: Some(self.interactive && service.stdin_open),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            exposed_ports: some(exposed),
            tty: Some(service.tty),
            open_stdin: Some(service.stdin_open),
            stdin_once: Some(self.interactive && service.stdin_open),
            env: some(environment(&service.environment)),
            cmd: service.command.clone(),
            entrypoint: service.entrypoint.clone(),
            healthcheck: service.healthcheck.as_ref().map(healthcheck),
            image: Some(self.image.to_owned()),
            working_dir: some(service.working_dir.clone()),
            labels: Some(self.labels.clone()),
            stop_signal: some(service.stop_signal.clone()),
            stop_timeout,
            host_config: Some(self.host_config()?),
            networking_config: self.networking(),
            ..ContainerCreateBody::default()
        })
    }

    fn host_config(&self) -> Result<HostConfig, Error> {
        let service = self.service;
        let (binds, mounts) = self.mounts();
        let limits = service.deploy.as_ref().and_then(|deploy| deploy.resources.limits.as_ref());
        let reserved = service.deploy.as_ref().and_then(|deploy| deploy.resources.reservations.as_ref());
        let either =
            |own: i64, deployed: Option<i64>| some(deployed.filter(|value| *value != 0).unwrap_or(own));
        let cpus = limits.map_or(0.0, |limits| f64::from(limits.cpus.get()));
        let cpus = if cpus > 0.0 { cpus } else { f64::from(service.cpus.get()) };
        let blkio = service.blkio_config.as_ref();
        let throttle = |devices: &[compose::ThrottleDevice]| {
            let device = |device: &compose::ThrottleDevice| ThrottleDevice {
                path: Some(device.path.clone()),
                rate: Some(device.rate.get()),
            };
            some(devices.iter().map(device).collect::<Vec<_>>())
        };
        let devices = service.devices.iter().filter(|device| !device.source.contains('=')).map(|device| {
            DeviceMapping {
                path_on_host: Some(device.source.clone()),
                path_in_container: Some(device.target.clone()),
                cgroup_permissions: Some(device.permissions.clone()),
            }
        });
        let mut requests: Vec<DeviceRequest> = service.gpus.iter().map(|gpu| request(gpu, true)).collect();
        requests.extend(reserved.into_iter().flat_map(|r| &r.devices).map(|device| request(device, false)));
        let cdi: Vec<String> =
            service.devices.iter().filter(|d| d.source.contains('=')).map(|d| d.source.clone()).collect();
        if !cdi.is_empty() {
            let driver = Some("cdi".to_owned());
            requests.push(DeviceRequest { driver, device_ids: Some(cdi), ..DeviceRequest::default() });
        }
        let ulimits = service.ulimits.iter().map(|(name, limit)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(limit.soft()),
            hard: Some(limit.hard()),
        });
        #[allow(clippy::cast_possible_truncation, reason = "billionths of a processor")]
        let nano_cpus = (cpus * 1e9).round() as i64;
        #[allow(clippy::cast_possible_truncation, reason = "a percentage")]
        let cpu_percent = service.cpu_percent.get() as i64;
        Ok(HostConfig {
            annotations: some(hash_map(&service.annotations)),
            binds: some(binds),
            mounts: some(mounts),
            cap_add: some(service.cap_add.clone()),
            cap_drop: some(service.cap_drop.clone()),
            cgroup_parent: some(service.cgroup_parent.clone()),
            cgroupns_mode: match service.cgroup.as_str() {
                "host" => Some(HostConfigCgroupnsModeEnum::HOST),
                "private" => Some(HostConfigCgroupnsModeEnum::PRIVATE),
                _ => None,
            },
            dns: some(service.dns.clone()),
            dns_options: some(service.dns_opt.clone()),
            dns_search: some(service.dns_search.clone()),
            extra_hosts: some(service.extra_hosts.list(":")),
            group_add: some(service.group_add.clone()),
            init: service.init,
            ipc_mode: some(service.ipc.clone()),
            isolation: match service.isolation.as_str() {
                "process" => Some(HostConfigIsolationEnum::PROCESS),
                "hyperv" => Some(HostConfigIsolationEnum::HYPERV),
                "default" => Some(HostConfigIsolationEnum::DEFAULT),
                _ => None,
            },
            log_config: service.logging.as_ref().map(|logging| HostConfigLogConfig {
                typ: some(logging.driver.clone()),
                config: some(hash_map(&logging.options)),
            }),
            network_mode: Some(self.network_mode()),
            oom_kill_disable: some(service.oom_kill_disable),
            oom_score_adj: some(service.oom_score_adj),
            pid_mode: some(service.pid.clone()),
            pids_limit: either(service.pids_limit, limits.map(|limits| limits.pids)),
            port_bindings: some(port_bindings(&service.ports)),
            privileged: some(service.privileged),
            readonly_rootfs: some(service.read_only),
            restart_policy: Some(restart_policy(service)),
            runtime: some(service.runtime.clone()),
            security_opt: some(security_options(&service.security_opt, &self.project.working_dir)?),
            shm_size: some(service.shm_size.get()),
            storage_opt: some(hash_map(&service.storage_opt)),
            sysctls: some(hash_map(&service.sysctls)),
            tmpfs: some(tmpfs(&service.tmpfs)),
            ulimits: some(ulimits.collect()),
            userns_mode: some(service.userns_mode.clone()),
            uts_mode: some(service.uts.clone()),
            volumes_from: some(service.volumes_from.iter().map(|from| volume_source(from)).collect()),
            blkio_weight: blkio.and_then(|b| some(u16::try_from(b.weight).unwrap_or(u16::MAX))),
            blkio_weight_device: blkio.and_then(|b| {
                let device = |device: &compose::WeightDevice| ResourcesBlkioWeightDevice {
                    path: Some(device.path.clone()),
                    weight: usize::try_from(device.weight).ok(),
                };
                some(b.weight_device.iter().map(device).collect::<Vec<_>>())
            }),
            blkio_device_read_bps: blkio.and_then(|b| throttle(&b.device_read_bps)),
            blkio_device_write_bps: blkio.and_then(|b| throttle(&b.device_write_bps)),
            blkio_device_read_iops: blkio.and_then(|b| throttle(&b.device_read_iops)),
            blkio_device_write_iops: blkio.and_then(|b| throttle(&b.device_write_iops)),
            cpu_shares: some(service.cpu_shares),
            cpu_period: some(service.cpu_period),
            cpu_quota: some(service.cpu_quota),
            cpu_realtime_period: some(service.cpu_rt_period),
            cpu_realtime_runtime: some(service.cpu_rt_runtime),
            cpu_count: some(service.cpu_count),
            cpu_percent: some(cpu_percent),
            cpuset_cpus: some(service.cpuset.clone()),
            nano_cpus: some(nano_cpus),
            memory: either(service.mem_limit.get(), limits.map(|limits| limits.memory.get())),
            memory_reservation: either(service.mem_reservation.get(), reserved.map(|r| r.memory.get())),
            memory_swap: some(service.memswap_limit.get()),
            memory_swappiness: some(service.mem_swappiness.get()),
            devices: some(devices.collect()),
            device_cgroup_rules: some(service.device_cgroup_rules.clone()),
            device_requests: some(requests),
            ..HostConfig::default()
        })
    }

    // ── mounts ──────────────────────────────────────────────────────────────────────────────────────────

    fn mounts(&self) -> (Vec<String>, Vec<Mount>) {
        let mut binds = Vec::new();
        let mut mounts = Vec::new();
        for wanted in &self.service.volumes {
            match self.as_bind(wanted) {
                Some(bind) => binds.push(bind),
                None => mounts.push(self.mount(wanted)),
            }
        }
        for (target, volume) in self.inherit {
            // A volume without a name stands in the file too: its mount is given the old volume.
            mounts.retain(|mount| mount.target.as_ref() != Some(target));
            mounts.push(Mount {
                typ: Some(MountType::VOLUME),
                source: Some(volume.clone()),
                target: Some(target.clone()),
                ..Mount::default()
            });
        }
        let secrets = self.service.secrets.iter().filter_map(|reference| {
            let file = &self.project.secrets.get(&reference.source)?.file;
            let target = file_target(reference, "/run/secrets/");
            is_mounted(self.service, reference, file).then(|| read_only_file(file, target))
        });
        mounts.extend(secrets);
        let configs = self.service.configs.iter().filter_map(|reference| {
            let file = &self.project.configs.get(&reference.source)?.file;
            let target = file_target(reference, "/");
            is_mounted(self.service, reference, file).then(|| read_only_file(file, target))
        });
        mounts.extend(configs);
        (binds, mounts)
    }

    /// The short form, which is preferred where it says everything: only it makes a missing host path
    /// (moby/moby#43483).
    fn as_bind(&self, wanted: &compose::Mount) -> Option<String> {
        let source = match wanted.kind.as_str() {
            "bind" => {
                let simple = wanted.bind.as_ref().is_none_or(|bind| {
                    bind.create_host_path && bind.propagation.is_empty() && bind.recursive.is_empty()
                });
                simple.then(|| wanted.source.clone())?
            }
            "volume" if !wanted.source.is_empty() => {
                let simple = wanted
                    .volume
                    .as_ref()
                    .is_none_or(|volume| volume.labels.is_empty() && volume.subpath.is_empty());
                simple.then(|| self.volume_name(&wanted.source))?
            }
            _ => return None,
        };
        let mut options = vec![if wanted.read_only { "ro" } else { "rw" }];
        if let Some(bind) = &wanted.bind
            && !bind.selinux.is_empty()
        {
            options.push(&bind.selinux);
        }
        if wanted.volume.as_ref().is_some_and(|volume| volume.nocopy) {
            options.push("nocopy");
        }
        Some(format!("{source}:{}:{}", wanted.target, options.join(",")))
    }

    fn volume_name(&self, key: &str) -> String {
        self.project.volumes.get(key).map_or_else(|| key.to_owned(), |volume| volume.name.clone())
    }

    fn mount(&self, wanted: &compose::Mount) -> Mount {
        let mut mount = Mount {
            target: Some(wanted.target.clone()),
            read_only: some(wanted.read_only),
            consistency: some(wanted.consistency.clone()),
            ..Mount::default()
        };
        match wanted.kind.as_str() {
            "bind" => {
                mount.typ = Some(MountType::BIND);
                mount.source = Some(wanted.source.clone());
                mount.bind_options = wanted.bind.as_ref().map(|bind| MountBindOptions {
                    propagation: bind.propagation.parse().ok().filter(|_| !bind.propagation.is_empty()),
                    create_mountpoint: some(bind.create_host_path),
                    non_recursive: some(bind.recursive == "disabled"),
                    read_only_non_recursive: some(bind.recursive == "writable"),
                    read_only_force_recursive: some(bind.recursive == "readonly"),
                });
            }
            "tmpfs" => {
                mount.typ = Some(MountType::TMPFS);
                mount.tmpfs_options = wanted.tmpfs.as_ref().map(|tmpfs| MountTmpfsOptions {
                    size_bytes: some(tmpfs.size.get()),
                    mode: i64::try_from(tmpfs.mode).ok().filter(|mode| *mode != 0),
                    ..MountTmpfsOptions::default()
                });
            }
            "image" => {
                mount.typ = Some(MountType::IMAGE);
                mount.source = Some(wanted.source.clone());
                mount.image_options = wanted
                    .image
                    .as_ref()
                    .map(|image| MountImageOptions { subpath: some(image.subpath.clone()) });
            }
            "npipe" => {
                mount.typ = Some(MountType::NPIPE);
                mount.source = Some(wanted.source.clone());
            }
            _ => {
                mount.typ = Some(MountType::VOLUME);
                mount.source = some(wanted.source.clone()).map(|key| self.volume_name(&key));
                mount.volume_options = wanted.volume.as_ref().map(|volume| MountVolumeOptions {
                    no_copy: some(volume.nocopy),
                    labels: some(hash_map(&volume.labels)),
                    subpath: some(volume.subpath.clone()),
                    ..MountVolumeOptions::default()
                });
            }
        }
        mount
    }

    // ── networks ────────────────────────────────────────────────────────────────────────────────────────

    fn network_mode(&self) -> String {
        if !self.service.network_mode.is_empty() {
            return self.service.network_mode.clone();
        }
        let first = self.service.networks_by_priority().first().copied();
        first.map_or_else(|| "none".to_owned(), |key| self.network_name(key))
    }

    fn network_name(&self, key: &str) -> String {
        self.project.networks.get(key).map_or_else(|| key.to_owned(), |network| network.name.clone())
    }

    fn networking(&self) -> Option<NetworkingConfig> {
        if !self.service.network_mode.is_empty() {
            return None;
        }
        let networks = self.service.networks_by_priority();
        let first = if self.all_networks_at_once { networks.len() } else { 1 };
        let ends = networks.into_iter().take(first).map(|key| (self.network_name(key), self.endpoint(key)));
        some(ends.collect::<HashMap<_, _>>()).map(|ends| NetworkingConfig { endpoints_config: Some(ends) })
    }

    /// Networks that this engine wants joined after the container is made, with how.
    pub(super) fn later_networks(&self) -> Vec<(String, EndpointSettings)> {
        if self.all_networks_at_once || !self.service.network_mode.is_empty() {
            return Vec::new();
        }
        let networks = self.service.networks_by_priority();
        networks.into_iter().skip(1).map(|key| (self.network_name(key), self.endpoint(key))).collect()
    }

    fn endpoint(&self, key: &str) -> EndpointSettings {
        let wanted = self.service.networks.get(key).and_then(Option::as_ref);
        let mut aliases = vec![self.container_name.to_owned()];
        if self.use_aliases {
            aliases.push(self.service_name.to_owned());
            aliases.extend(wanted.into_iter().flat_map(|network| network.aliases.iter().cloned()));
        }
        let address = wanted.map(|network| EndpointIpamConfig {
            ipv4_address: some(network.ipv4_address.clone()),
            ipv6_address: some(network.ipv6_address.clone()),
            link_local_ips: some(network.link_local_ips.clone()),
        });
        let mut options = wanted.map(|network| hash_map(&network.driver_opts)).unwrap_or_default();
        if let Some(name) = wanted.map(|network| &network.interface_name).filter(|name| !name.is_empty()) {
            options.insert("com.docker.network.endpoint.ifname".to_owned(), name.clone());
        }
        let mac = wanted.map(|network| network.mac_address.clone()).filter(|mac| !mac.is_empty());
        let mac = mac.or_else(|| some(self.service.mac_address.clone()));
        EndpointSettings {
            aliases: Some(aliases),
            links: some(self.links.clone()),
            ipam_config: address.and_then(some),
            driver_opts: some(options),
            mac_address: mac.filter(|_| self.all_networks_at_once),
            gw_priority: wanted.and_then(|network| some(network.gw_priority)),
            ..EndpointSettings::default()
        }
    }
}

fn environment(environment: &compose::Environment) -> Vec<String> {
    // A key without a value was looked up by the loader; one that is still without is not set at all.
    environment.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?))).collect()
}

fn healthcheck(check: &compose::Healthcheck) -> HealthConfig {
    let nanos =
        |span: Option<compose::Duration>| span.and_then(|span| i64::try_from(span.as_std().as_nanos()).ok());
    HealthConfig {
        test: if check.disable { Some(vec!["NONE".to_owned()]) } else { some(check.test.clone()) },
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: check.retries.and_then(|retries| i64::try_from(retries).ok()),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
    }
}

fn port_key(port: &compose::Port) -> String {
    let protocol = if port.protocol.is_empty() { "tcp" } else { &port.protocol };
    format!("{}/{protocol}", port.target)
}

fn port_bindings(ports: &[compose::Port]) -> PortMap {
    let mut bindings = PortMap::new();
    for port in ports {
        let binding =
            PortBinding { host_ip: some(port.host_ip.clone()), host_port: Some(port.published.clone()) };
        if let Some(list) = bindings.entry(port_key(port)).or_insert_with(|| Some(Vec::new())) {
            list.push(binding);
        }
    }
    bindings
}

/// `restart`, or else `deploy.restart_policy`.
fn restart_policy(service: &Service) -> RestartPolicy {
    let (word, attempts) = match service.restart.split_once(':') {
        Some((word, attempts)) => (word, attempts.parse().ok()),
        None => (service.restart.as_str(), None),
    };
    let deployed = service.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
    let (word, attempts) = match deployed {
        Some(policy) if word.is_empty() => {
            let word = match policy.condition.as_str() {
                "none" => "no",
                "on-failure" => "on-failure",
                _ => "unless-stopped",
            };
            (word, policy.max_attempts.and_then(|attempts| i64::try_from(attempts).ok()))
        }
        _ => (word, attempts),
    };
    let name = match word {
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        "no" => RestartPolicyNameEnum::NO,
        _ => RestartPolicyNameEnum::EMPTY,
    };
    RestartPolicy { name: Some(name), maximum_retry_count: attempts }
}

/// `seccomp=FILE` is given to the engine as the file's content.
fn security_options(options: &[String], base: &Path) -> Result<Vec<String>, Error> {
    let one = |option: &String| {
        let Some((key, value)) = option.split_once('=').or_else(|| option.split_once(':')) else {
            return Ok(option.clone());
        };
        if key != "seccomp" || ["unconfined", "builtin"].contains(&value) {
            return Ok(format!("{key}={value}"));
        }
        let path = base.join(value);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| Error::File { path: path.display().to_string(), source })?;
        let profile: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
            Error::Impossible(format!("{}: not a seccomp profile: {error}", path.display()))
        })?;
        Ok(format!("seccomp={profile}"))
    };
    options.iter().map(one).collect()
}

fn tmpfs(entries: &[String]) -> HashMap<String, String> {
    let split = |entry: &String| match entry.split_once(':') {
        Some((path, options)) => (path.to_owned(), options.to_owned()),
        None => (entry.clone(), String::new()),
    };
    entries.iter().map(split).collect()
}

fn volume_source(from: &str) -> String {
    from.strip_prefix("container:").unwrap_or(from).to_owned()
}

fn request(device: &compose::DeviceRequest, gpu: bool) -> DeviceRequest {
    let mut capabilities = device.capabilities.clone();
    if gpu && !capabilities.iter().any(|capability| capability == "gpu") {
        capabilities.push("gpu".to_owned());
    }
    let count = some(device.count.get());
    // Neither a number nor ids: all of them, as the specification says.
    let count = count.or_else(|| device.device_ids.is_empty().then_some(-1));
    DeviceRequest {
        driver: some(device.driver.clone()),
        count,
        device_ids: some(device.device_ids.clone()),
        capabilities: Some(vec![capabilities]),
        options: some(hash_map(&device.options)),
    }
}

fn read_only_file(source: &str, target: String) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(target),
        read_only: Some(true),
        ..Mount::default()
    }
}

/// Whether a secret or config is a file that is mounted. One that is given an owner or a mode is copied in, since
/// a mount has those of the file; nothing can be copied into a container with a read-only root.
pub(super) fn is_mounted(service: &Service, reference: &compose::FileReference, file: &str) -> bool {
    let plain = reference.uid.is_empty() && reference.gid.is_empty() && reference.mode.is_none();
    !file.is_empty() && (plain || service.read_only || Path::new(file).is_dir())
}

/// Where a secret or config appears: its target, below `base` unless it is a path of its own.
pub(super) fn file_target(reference: &compose::FileReference, base: &str) -> String {
    let target = if reference.target.is_empty() { &reference.source } else { &reference.target };
    if target.starts_with('/') { target.clone() } else { format!("{base}{target}") }
}
