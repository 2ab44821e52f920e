//! The canonical model: what every stage before aims at, and what `plan` and `engine` read.
//!
//! Field names are the keys of the Compose Specification. The order of the fields and what is left out when
//! empty are part of the contract: serialised, a service is byte for byte the document that the reference
//! implementation hashes (see [`super::hash`]), and `config` prints. Extensions (`x-*`) are kept beside the
//! keys of the specification under `#extensions`; the printers of [`super::print`] put them where they belong.
#![allow(
    missing_docs,
    reason = "the names are the specification's own; https://compose-spec.io says what each means"
)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::units::{Bytes, DeviceCount, Duration, FileMode, Hosts, Number, SshKeys};

/// A mapping as Go prints it: sorted by key.
pub type Map<T> = BTreeMap<String, T>;
/// `KEY: value`, where a key without value stays without one until the environment gives it.
pub type Environment = Map<Option<String>>;
/// Everything that starts with `x-`, as it was written.
pub type Extensions = Map<serde_json::Value>;

/// Whether a value is left out when it is printed (Go's `omitempty`).
pub(crate) trait Omit {
    fn omit(&self) -> bool;
}

macro_rules! omit_when {
    ($($type:ty: $value:ident => $when:expr),* $(,)?) => {
        $(impl Omit for $type { fn omit(&self) -> bool { let $value = self; $when } })*
    };
}
omit_when! {
    bool: v => !*v,
    i64: v => *v == 0,
    u64: v => *v == 0,
    String: v => v.is_empty(),
    Bytes: v => v.get() == 0,
    Number: v => v.get() == 0.0,
    DeviceCount: v => v.get() == 0,
    Hosts: v => v.is_empty(),
    SshKeys: v => v.is_empty(),
}
impl<T> Omit for Option<T> {
    fn omit(&self) -> bool {
        self.is_none()
    }
}
impl<T> Omit for Vec<T> {
    fn omit(&self) -> bool {
        self.is_empty()
    }
}
impl<T> Omit for Map<T> {
    fn omit(&self) -> bool {
        self.is_empty()
    }
}

/// Declares one section of the model. Every field is left out when empty, except those marked `keep`; every
/// section takes extensions.
macro_rules! section {
    ($(#[$m:meta])* $name:ident { $($body:tt)* }) => {
        section!(@ [$(#[$m])* $name] [] $($body)*);
    };
    (@ [$($head:tt)*] [$($done:tt)*] $(#[$f:meta])* keep $field:ident: $type:ty, $($rest:tt)*) => {
        section!(@ [$($head)*] [$($done)* $(#[$f])* pub $field: $type,] $($rest)*);
    };
    (@ [$($head:tt)*] [$($done:tt)*] $(#[$f:meta])* $field:ident: $type:ty, $($rest:tt)*) => {
        section!(@ [$($head)*]
            [$($done)* #[serde(skip_serializing_if = "Omit::omit")] $(#[$f])* pub $field: $type,] $($rest)*);
    };
    (@ [$(#[$m:meta])* $name:ident] [$($done:tt)*]) => {
        $(#[$m])*
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($done)*
            #[serde(rename = "#extensions", skip_serializing_if = "Omit::omit")]
            pub extensions: Extensions,
        }
    };
}

section! {
    /// The whole of it, after every stage.
    Project {
        name: String,
        keep services: Map<Service>,
        networks: Map<Network>,
        volumes: Map<Volume>,
        secrets: Map<Secret>,
        configs: Map<Config>,
        models: Map<Model>,
        /// Services that no active profile asks for. Not printed, but they can be named on the command line.
        #[serde(skip)]
        disabled_services: Map<Service>,
        /// The profiles that are active.
        #[serde(skip)]
        active_profiles: Vec<String>,
        /// Where relative paths start.
        #[serde(skip)]
        working_dir: std::path::PathBuf,
        /// What variables were looked up in: the caller's environment over `.env`.
        #[serde(skip)]
        environment: Map<String>,
    }
}

section! {
    Service {
        profiles: Vec<String>,
        annotations: Map<String>,
        attach: Option<bool>,
        build: Option<Build>,
        develop: Option<Develop>,
        blkio_config: Option<BlkioConfig>,
        cap_add: Vec<String>,
        cap_drop: Vec<String>,
        cgroup_parent: String,
        cgroup: String,
        cpu_count: i64,
        cpu_percent: Number,
        cpu_period: i64,
        cpu_quota: i64,
        cpu_rt_period: i64,
        cpu_rt_runtime: i64,
        cpus: Number,
        cpuset: String,
        cpu_shares: i64,
        /// `None` keeps the image's, an empty list clears it.
        keep command: Option<Vec<String>>,
        configs: Vec<FileReference>,
        container_name: String,
        credential_spec: Option<CredentialSpec>,
        depends_on: Map<Dependency>,
        deploy: Option<Deploy>,
        device_cgroup_rules: Vec<String>,
        devices: Vec<Device>,
        dns: Vec<String>,
        dns_opt: Vec<String>,
        dns_search: Vec<String>,
        domainname: String,
        /// `None` keeps the image's, an empty list clears it.
        keep entrypoint: Option<Vec<String>>,
        provider: Option<Provider>,
        environment: Environment,
        env_file: Vec<EnvFile>,
        expose: Vec<String>,
        extends: Option<Extends>,
        external_links: Vec<String>,
        extra_hosts: Hosts,
        group_add: Vec<String>,
        gpus: Vec<DeviceRequest>,
        hostname: String,
        healthcheck: Option<Healthcheck>,
        image: String,
        init: Option<bool>,
        ipc: String,
        isolation: String,
        labels: Map<String>,
        label_file: Vec<String>,
        links: Vec<String>,
        logging: Option<Logging>,
        mem_limit: Bytes,
        mem_reservation: Bytes,
        memswap_limit: Bytes,
        mem_swappiness: Bytes,
        mac_address: String,
        models: Map<Option<ServiceModel>>,
        network_mode: String,
        networks: Map<Option<ServiceNetwork>>,
        oom_kill_disable: bool,
        oom_score_adj: i64,
        pid: String,
        pids_limit: i64,
        platform: String,
        ports: Vec<Port>,
        privileged: bool,
        pull_policy: String,
        /// Accepted by the schema and read by nobody, in the reference neither: kept to be warned about.
        #[serde(skip_serializing)]
        pull_refresh_after: String,
        read_only: bool,
        restart: String,
        runtime: String,
        scale: Option<i64>,
        secrets: Vec<FileReference>,
        security_opt: Vec<String>,
        shm_size: Bytes,
        stdin_open: bool,
        stop_grace_period: Option<Duration>,
        stop_signal: String,
        storage_opt: Map<String>,
        sysctls: Map<String>,
        tmpfs: Vec<String>,
        tty: bool,
        ulimits: Map<Ulimit>,
        use_api_socket: bool,
        user: String,
        userns_mode: String,
        uts: String,
        volumes: Vec<Mount>,
        volumes_from: Vec<String>,
        working_dir: String,
        post_start: Vec<Hook>,
        pre_stop: Vec<Hook>,
    }
}

section! {
    Build {
        context: String,
        dockerfile: String,
        dockerfile_inline: String,
        entitlements: Vec<String>,
        args: Environment,
        provenance: String,
        sbom: String,
        ssh: SshKeys,
        labels: Map<String>,
        cache_from: Vec<String>,
        cache_to: Vec<String>,
        no_cache: bool,
        additional_contexts: Map<String>,
        pull: bool,
        extra_hosts: Hosts,
        isolation: String,
        network: String,
        target: String,
        secrets: Vec<FileReference>,
        shm_size: Bytes,
        tags: Vec<String>,
        ulimits: Map<Ulimit>,
        platforms: Vec<String>,
        privileged: bool,
    }
}

section! { BlkioConfig {
    weight: u64,
    weight_device: Vec<WeightDevice>,
    device_read_bps: Vec<ThrottleDevice>,
    device_read_iops: Vec<ThrottleDevice>,
    device_write_bps: Vec<ThrottleDevice>,
    device_write_iops: Vec<ThrottleDevice>,
} }
section! {
    /// The reference prints this one with capital letters; both are read.
    WeightDevice {
        #[serde(rename = "Path", alias = "path")]
        keep path: String,
        #[serde(rename = "Weight", alias = "weight")]
        keep weight: u64,
    }
}
section! {
    /// The reference prints this one with capital letters; both are read.
    ThrottleDevice {
        #[serde(rename = "Path", alias = "path")]
        keep path: String,
        #[serde(rename = "Rate", alias = "rate")]
        keep rate: Bytes,
    }
}
section! {
    /// A device of the host.
    Device { source: String, target: String, permissions: String, }
}
section! {
    /// Devices asked for by what they can do (`gpus`, `deploy.resources.reservations.devices`).
    DeviceRequest {
        capabilities: Vec<String>,
        driver: String,
        count: DeviceCount,
        device_ids: Vec<String>,
        options: Map<String>,
    }
}
section! { CredentialSpec { config: String, file: String, registry: String, } }
section! { Provider { #[serde(rename = "type")] kind: String, options: Map<Vec<String>>, } }
section! { Logging { driver: String, options: Map<String>, } }
section! { Extends { file: String, service: String, } }
section! {
    Dependency {
        /// `service_started`, `service_healthy` or `service_completed_successfully`.
        condition: String,
        restart: bool,
        keep required: bool,
    }
}
section! {
    Healthcheck {
        test: Vec<String>,
        timeout: Option<Duration>,
        interval: Option<Duration>,
        retries: Option<u64>,
        start_period: Option<Duration>,
        start_interval: Option<Duration>,
        disable: bool,
    }
}
section! {
    Hook {
        keep command: Option<Vec<String>>,
        user: String,
        privileged: bool,
        working_dir: String,
        environment: Environment,
    }
}
section! { ServiceModel { endpoint_var: String, model_var: String, } }
section! {
    ServiceNetwork {
        aliases: Vec<String>,
        driver_opts: Map<String>,
        gw_priority: i64,
        interface_name: String,
        ipv4_address: String,
        ipv6_address: String,
        link_local_ips: Vec<String>,
        mac_address: String,
        priority: i64,
    }
}
section! {
    Port {
        name: String,
        mode: String,
        host_ip: String,
        target: u64,
        /// A port, a range (`8000-8010`), or empty: any free one.
        published: String,
        protocol: String,
        app_protocol: String,
    }
}
section! {
    /// One entry of a service's `volumes`.
    Mount {
        /// `bind`, `volume`, `tmpfs`, `image`, `npipe` or `cluster`.
        #[serde(rename = "type")]
        kind: String,
        source: String,
        target: String,
        read_only: bool,
        consistency: String,
        bind: Option<MountBind>,
        volume: Option<MountVolume>,
        tmpfs: Option<MountTmpfs>,
        image: Option<MountImage>,
    }
}
section! { MountBind { selinux: String, propagation: String, create_host_path: bool, recursive: String, } }
section! { MountVolume { labels: Map<String>, nocopy: bool, subpath: String, } }
section! { MountTmpfs { size: Bytes, mode: u64, } }
section! { MountImage { subpath: String, } }
section! {
    /// One entry of a service's `configs` or `secrets`.
    FileReference { source: String, target: String, uid: String, gid: String, mode: Option<FileMode>, }
}

section! { Deploy {
    mode: String,
    replicas: Option<i64>,
    labels: Map<String>,
    update_config: Option<UpdateConfig>,
    rollback_config: Option<UpdateConfig>,
    keep resources: Resources,
    restart_policy: Option<RestartPolicy>,
    keep placement: Placement,
    endpoint_mode: String,
} }
section! { UpdateConfig {
    parallelism: Option<u64>,
    #[serde(skip_serializing_if = "Duration::is_zero")]
    keep delay: Duration,
    failure_action: String,
    #[serde(skip_serializing_if = "Duration::is_zero")]
    keep monitor: Duration,
    max_failure_ratio: Number,
    order: String,
} }
section! { Resources { limits: Option<Resource>, reservations: Option<Resource>, } }
section! { Resource {
    cpus: Number,
    memory: Bytes,
    pids: i64,
    devices: Vec<DeviceRequest>,
    generic_resources: Vec<GenericResource>,
} }
section! { GenericResource { discrete_resource_spec: Option<DiscreteResource>, } }
section! { DiscreteResource { keep kind: String, keep value: i64, } }
section! { RestartPolicy {
    condition: String,
    delay: Option<Duration>,
    max_attempts: Option<u64>,
    window: Option<Duration>,
} }
section! { Placement {
    constraints: Vec<String>,
    preferences: Vec<PlacementPreference>,
    max_replicas_per_node: u64,
} }
section! { PlacementPreference { spread: String, } }

section! { Develop { watch: Vec<WatchRule>, } }
section! { WatchRule {
    keep path: String,
    /// `sync`, `rebuild`, `restart`, `sync+restart` or `sync+exec`.
    keep action: String,
    target: String,
    keep exec: Hook,
    include: Vec<String>,
    ignore: Vec<String>,
    initial_sync: bool,
} }

section! { Network {
    name: String,
    driver: String,
    driver_opts: Map<String>,
    keep ipam: Ipam,
    external: bool,
    internal: bool,
    attachable: bool,
    labels: Map<String>,
    enable_ipv4: Option<bool>,
    enable_ipv6: Option<bool>,
} }
section! { Ipam {
    driver: String,
    config: Vec<IpamPool>,
    /// The reference drops them, so they are no part of what is printed and hashed.
    #[serde(skip_serializing)]
    options: Map<String>,
} }
section! { IpamPool { subnet: String, gateway: String, ip_range: String, aux_addresses: Map<String>, } }
section! { Volume {
    name: String,
    driver: String,
    driver_opts: Map<String>,
    external: bool,
    labels: Map<String>,
} }
section! { Secret {
    name: String,
    file: String,
    environment: String,
    /// What the variable named by `environment` held; never printed.
    #[serde(skip_serializing)]
    resolved: Option<String>,
    external: bool,
    labels: Map<String>,
    driver: String,
    driver_opts: Map<String>,
    template_driver: String,
} }
section! { Config {
    name: String,
    file: String,
    environment: String,
    content: String,
    /// What the variable named by `environment` held; never printed.
    #[serde(skip_serializing)]
    resolved: Option<String>,
    external: bool,
    labels: Map<String>,
    driver: String,
    driver_opts: Map<String>,
    template_driver: String,
} }
section! { Model {
    name: String,
    model: String,
    context_size: i64,
    runtime_flags: Vec<String>,
} }

/// `nofile: 1024` or `nofile: { soft: 1024, hard: 2048 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ulimit {
    Single(i64),
    Pair { soft: i64, hard: i64 },
}

impl Ulimit {
    /// The soft limit.
    pub fn soft(self) -> i64 {
        match self {
            Self::Single(both) => both,
            Self::Pair { soft, .. } => soft,
        }
    }

    /// The hard limit.
    pub fn hard(self) -> i64 {
        match self {
            Self::Single(both) => both,
            Self::Pair { hard, .. } => hard,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct UlimitPair {
    #[serde(default, skip_serializing_if = "Omit::omit")]
    soft: i64,
    #[serde(default, skip_serializing_if = "Omit::omit")]
    hard: i64,
}

impl Serialize for Ulimit {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match *self {
            // The reference prints a single 0 as an empty pair.
            Self::Single(0) => UlimitPair { soft: 0, hard: 0 }.serialize(to),
            Self::Single(both) => to.serialize_i64(both),
            Self::Pair { soft, hard } => UlimitPair { soft, hard }.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Ulimit {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Ulimit;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number, or a mapping with `soft` and `hard`")
            }
            fn visit_i64<E>(self, v: i64) -> Result<Ulimit, E> {
                Ok(Ulimit::Single(v))
            }
            fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Ulimit, E> {
                i64::try_from(v).map(Ulimit::Single).map_err(|_| E::custom("the limit is too large"))
            }
            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Ulimit, E> {
                v.parse().map(Ulimit::Single).map_err(|_| E::custom(format!("`{v}` is not a whole number")))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Ulimit, A::Error> {
                let pair = UlimitPair::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Ulimit::Pair { soft: pair.soft, hard: pair.hard })
            }
        }
        from.deserialize_any(Visitor)
    }
}

/// One entry of `env_file`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EnvFile {
    pub path: String,
    #[serde(default = "yes")]
    pub required: bool,
    #[serde(default)]
    pub format: String,
}

fn yes() -> bool {
    true
}

impl Serialize for EnvFile {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Long<'a> {
            path: &'a str,
            required: bool,
            #[serde(skip_serializing_if = "str::is_empty")]
            format: &'a str,
        }
        if self.required {
            return to.serialize_str(&self.path);
        }
        Long { path: &self.path, required: false, format: &self.format }.serialize(to)
    }
}

impl Service {
    /// How many containers the service asks for.
    pub fn replicas(&self) -> i64 {
        self.scale.or_else(|| self.deploy.as_ref().and_then(|deploy| deploy.replicas)).unwrap_or(1)
    }

    /// Whether it runs when `profiles` are active.
    pub fn has_profile(&self, profiles: &[String]) -> bool {
        self.profiles.is_empty()
            || profiles.iter().any(|active| active == "*" || self.profiles.contains(active))
    }

    /// The networks it joins, the one of highest priority first.
    pub fn networks_by_priority(&self) -> Vec<&str> {
        let priority =
            |name: &str| self.networks.get(name).and_then(Option::as_ref).map_or(0, |n| n.priority);
        let mut names: Vec<&str> = self.networks.keys().map(String::as_str).collect();
        names.sort_by_key(|name| std::cmp::Reverse(priority(name)));
        names
    }
}

impl Project {
    /// Every service, active or not.
    pub fn all_services(&self) -> impl Iterator<Item = (&String, &Service)> {
        self.services.iter().chain(&self.disabled_services)
    }
}
