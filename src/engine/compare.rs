//! What a container was made from, beside what it would be made from now. The hash in its label says only that
//! something differs, and one that another version of Compose wrote says not even that.
//!
//! Both sides become a flat list of settings, named as a compose file names them, with what an image and the
//! engine fill in by themselves; then the lists are compared. Where the engine's answer is not clear, a
//! difference is assumed: a needless replacement is the lesser harm.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::EndpointSettings;
use serde_json::{Value, json};

use super::error::{Doing, Error};
use super::translate::Made;
use super::{Deployment, Engine};
use crate::compose::project::{self as compose, Service};
use crate::plan::observed::{Container, Difference};
use crate::plan::{labels, names};

impl Engine {
    /// How a container would be another one if it were made now from `service`, in which `service:x` has
    /// been replaced by container ids.
    pub async fn differences(
        &self,
        deployment: &Deployment,
        service_name: &str,
        service: &Service,
        container: &Container,
    ) -> Result<Vec<Difference>, Error> {
        let project = &deployment.project;
        let image = names::image(&project.name, service_name, service);
        let container_name = names::container(&project.name, service_name, service, container.number());
        let made = Made {
            project,
            service_name,
            service,
            image: &image,
            container_name: &container_name,
            labels: service.labels.clone().into_iter().collect(),
            inherit: &[],
            links: deployment.links(service, container.number()),
            use_aliases: true,
            all_networks_at_once: self.speaks(1, 44),
            interactive: false,
        };
        let body = made.body()?;
        let found = self.docker.inspect_container(&container.id, None).await.doing("inspect a container")?;
        let origin = match self.docker.inspect_image(&container.image_id).await.doing("inspect an image") {
            Ok(inspected) => to_json(&inspected.config),
            Err(error) if error.is_not_found() => Value::Null,
            Err(error) => return Err(error),
        };
        let mut wanted = to_json(&body);
        let ends = wanted["NetworkingConfig"]["EndpointsConfig"].take();
        let mut ends = if ends.is_object() { ends } else { json!({}) };
        for (network, end) in made.later_networks() {
            ends[network] = to_json::<EndpointSettings>(&end);
        }
        let mut host = wanted["HostConfig"].take();
        // What the engine is too old for it never kept.
        if !self.speaks(1, 43) {
            host["Annotations"] = Value::Null;
        }
        if !self.speaks(1, 44) && wanted["Healthcheck"].is_object() {
            wanted["Healthcheck"]["StartInterval"] = Value::Null;
        }
        if !self.speaks(1, 48) {
            for end in ends.as_object_mut().into_iter().flat_map(|ends| ends.values_mut()) {
                end["GwPriority"] = Value::Null;
            }
        }
        let wanted = Sides { config: &wanted, host: &host, networks: &ends, mounts: &Value::Null };
        let found = to_json(&found);
        let found = Sides {
            config: &found["Config"],
            host: &found["HostConfig"],
            networks: &found["NetworkSettings"]["Networks"],
            mounts: &found["Mounts"],
        };
        Ok(compare(&wanted, &found, &origin, &container.id, &container_name))
    }
}

impl Engine {
    /// How a network would be another one if it were made now.
    pub async fn network_differences(
        &self,
        wanted: &compose::Network,
        id: &str,
    ) -> Result<Vec<Difference>, Error> {
        let found = self.docker.inspect_network(id, None).await.doing("inspect a network")?;
        Ok(compare_networks(wanted, &to_json(&found)))
    }
}

fn compare_networks(wanted: &compose::Network, found: &Value) -> Vec<Difference> {
    let (mut now, mut then) = (Settings::new(), Settings::new());
    let driver = if wanted.driver.is_empty() { "bridge" } else { &wanted.driver };
    put(&mut now, "driver", &json!(driver));
    put(&mut now, "internal", &json!(wanted.internal));
    put(&mut now, "attachable", &json!(wanted.attachable));
    put(&mut now, "enable_ipv6", &json!(wanted.enable_ipv6));
    put(&mut now, "driver_opts", &json!(wanted.driver_opts));
    put(&mut now, "labels", &json!(wanted.labels));
    put(&mut now, "ipam.options", &json!(wanted.ipam.options));
    for (key, field) in [
        ("Driver", "driver"),
        ("Internal", "internal"),
        ("Attachable", "attachable"),
        ("EnableIPv6", "enable_ipv6"),
        ("Options", "driver_opts"),
    ] {
        put(&mut then, field, &found[key]);
    }
    put(&mut then, "ipam.options", &found["IPAM"]["Options"]);
    let mut labels = found["Labels"].clone();
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|key, _| !key.starts_with("com.docker.compose."));
    }
    put(&mut then, "labels", &labels);
    // Where the file gives no addresses the engine chose them.
    if !wanted.ipam.config.is_empty() {
        let pool = |pool: &compose::IpamPool| {
            clean(&json!({
                "Subnet": pool.subnet, "Gateway": pool.gateway, "IPRange": pool.ip_range,
                "AuxiliaryAddresses": pool.aux_addresses,
            }))
        };
        let pools: Vec<Value> = wanted.ipam.config.iter().map(pool).collect();
        put(&mut now, "ipam.config", &json!(pools));
        put(&mut then, "ipam.config", &found["IPAM"]["Config"]);
    }
    let fields: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let differ = fields.into_iter().filter(|field| now.get(*field) != then.get(*field));
    differ.map(|field| Difference::new(field, then.get(field), now.get(field))).collect()
}

fn to_json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The parts of a container, in the engine's words.
struct Sides<'a> {
    config: &'a Value,
    host: &'a Value,
    networks: &'a Value,
    /// What is mounted in the end; only an existing container has it.
    mounts: &'a Value,
}

type Settings = BTreeMap<String, Value>;

fn compare(
    wanted: &Sides<'_>,
    found: &Sides<'_>,
    image: &Value,
    id: &str,
    container_name: &str,
) -> Vec<Difference> {
    let now = settings(wanted, image, id, container_name);
    let mut then = settings(found, image, id, container_name);
    fill_in(&now, &mut then);
    let mut now = now;
    anonymous_volumes(&mut now, &mut then, found.mounts);
    let fields: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let differ = fields.into_iter().filter(|field| now.get(*field) != then.get(*field));
    differ.map(|field| Difference::new(field, then.get(field), now.get(field))).collect()
}

/// Takes away what the engine fills in where nothing was said.
fn fill_in(now: &Settings, then: &mut Settings) {
    let twice = now.get("mem_limit").and_then(Value::as_i64).map(|memory| json!(memory.saturating_mul(2)));
    then.retain(|field, value| {
        if now.contains_key(field) {
            return true;
        }
        let text = value.as_str().unwrap_or_default();
        !match field.as_str() {
            "shm_size" => *value == json!(67_108_864),
            "ipc" => matches!(text, "private" | "shareable"),
            "cgroup" => matches!(text, "private" | "host"),
            "runtime" => matches!(text, "runc" | "io.containerd.runc.v2"),
            "isolation" => text == "default",
            "logging.driver" => true,
            "memswap_limit" => Some(&*value) == twice.as_ref() || *value == json!(-1),
            "mem_swappiness" | "pids_limit" => *value == json!(-1),
            "stop_signal" => text == "SIGTERM",
            "stop_grace_period" => *value == json!(10),
            "working_dir" => text == "/",
            // The engine gives every end an address of its own.
            other => other.starts_with("networks.") && other.ends_with(".mac_address"),
        }
    });
}

/// Anonymous volumes move along with the container: it is enough that there is one where one is wanted.
fn anonymous_volumes(now: &mut Settings, then: &mut Settings, mounts: &Value) {
    let is_anonymous = |value: &Value| *value == json!("anonymous volume");
    then.retain(|_, value| !is_anonymous(value));
    let targets: BTreeSet<String> = mounts
        .as_array()
        .into_iter()
        .flatten()
        .filter(|mount| mount["Type"] == "volume")
        .filter_map(|mount| Some(format!("volumes.{}", mount["Destination"].as_str()?)))
        .collect();
    now.retain(|field, value| !(is_anonymous(value) && targets.contains(field)));
}

fn settings(sides: &Sides<'_>, image: &Value, id: &str, container_name: &str) -> Settings {
    let mut all = Settings::new();
    of_config(&mut all, sides, image, id);
    of_host(&mut all, sides.host);
    of_networks(&mut all, sides, id, container_name);
    all
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Without what says nothing.
fn clean(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), clean(value)))
                .filter(|(_, value)| !is_empty(value))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(clean).collect()),
        other => other.clone(),
    }
}

fn put(all: &mut Settings, field: impl Into<String>, value: &Value) {
    let value = clean(value);
    if !is_empty(&value) {
        all.insert(field.into(), value);
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn sorted(value: &Value, normal: impl Fn(&str) -> String) -> Value {
    let items: BTreeSet<String> = texts(value).map(normal).collect();
    json!(items)
}

fn of_config(all: &mut Settings, sides: &Sides<'_>, image: &Value, id: &str) {
    let config = sides.config;
    for (key, field) in [
        ("Image", "image"),
        ("Domainname", "domainname"),
        ("Tty", "tty"),
        ("OpenStdin", "stdin_open"),
        ("StopTimeout", "stop_grace_period"),
    ] {
        put(all, field, &config[key]);
    }
    for (key, field) in [("User", "user"), ("WorkingDir", "working_dir"), ("StopSignal", "stop_signal")] {
        put(all, field, if is_empty(&config[key]) { &image[key] } else { &config[key] });
    }
    let mode = sides.host["NetworkMode"].as_str().unwrap_or_default();
    let own_name = config["Hostname"].as_str().filter(|name| !id.starts_with(name));
    // In the network of another, the name is the other's.
    if let Some(name) = own_name.filter(|_| mode != "host" && !mode.starts_with("container:")) {
        put(all, "hostname", &json!(name));
    }
    for pair in texts(&image["Env"]).chain(texts(&config["Env"])) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        all.insert(format!("environment.{key}"), json!(value));
    }
    for worn in [&image["Labels"], &config["Labels"]] {
        for (key, value) in worn.as_object().into_iter().flatten() {
            let ours = [labels::GATEWAY_PROJECT, labels::ENVIRONMENT].contains(&key.as_str());
            if !ours && !key.starts_with("com.docker.compose.") && !key.starts_with("desktop.docker.io/") {
                all.insert(format!("labels.{key}"), value.clone());
            }
        }
    }
    // As the engine does it (moby `daemon/commit.go`, `merge`).
    let (mut entrypoint, mut command) = (&config["Entrypoint"], &config["Cmd"]);
    if is_empty(entrypoint) {
        command = if is_empty(command) { &image["Cmd"] } else { command };
        entrypoint = if entrypoint.is_null() { &image["Entrypoint"] } else { entrypoint };
    }
    put(all, "entrypoint", entrypoint);
    put(all, "command", command);
    for (key, field) in [
        ("Test", "test"),
        ("Interval", "interval"),
        ("Timeout", "timeout"),
        ("Retries", "retries"),
        ("StartPeriod", "start_period"),
        ("StartInterval", "start_interval"),
    ] {
        let own = &config["Healthcheck"][key];
        put(
            all,
            format!("healthcheck.{field}"),
            if is_empty(own) { &image["Healthcheck"][key] } else { own },
        );
    }
    let bound = sides.host["PortBindings"].as_object().into_iter().flatten().map(|(port, _)| port);
    for port in
        ports(&image["ExposedPorts"]).into_iter().chain(ports(&config["ExposedPorts"])).chain(bound.cloned())
    {
        let protocol = if port.contains('/') { "" } else { "/tcp" };
        all.insert(format!("expose.{port}{protocol}"), json!(true));
    }
}

/// A list, or the keys of a mapping: both are in use.
fn ports(value: &Value) -> Vec<String> {
    let keys = value.as_object().into_iter().flatten().map(|(key, _)| key.clone());
    texts(value).map(str::to_owned).chain(keys).collect()
}

/// The engine's word for a limit or a namespace, and that of a compose file.
const HOST: &[(&str, &str)] = &[
    ("Annotations", "annotations"),
    ("BlkioDeviceReadBps", "blkio_config.device_read_bps"),
    ("BlkioDeviceReadIOps", "blkio_config.device_read_iops"),
    ("BlkioDeviceWriteBps", "blkio_config.device_write_bps"),
    ("BlkioDeviceWriteIOps", "blkio_config.device_write_iops"),
    ("BlkioWeight", "blkio_config.weight"),
    ("BlkioWeightDevice", "blkio_config.weight_device"),
    ("CgroupParent", "cgroup_parent"),
    ("CgroupnsMode", "cgroup"),
    ("CpuCount", "cpu_count"),
    ("CpuPercent", "cpu_percent"),
    ("CpuPeriod", "cpu_period"),
    ("CpuQuota", "cpu_quota"),
    ("CpuRealtimePeriod", "cpu_rt_period"),
    ("CpuRealtimeRuntime", "cpu_rt_runtime"),
    ("CpuShares", "cpu_shares"),
    ("CpusetCpus", "cpuset"),
    ("DeviceCgroupRules", "device_cgroup_rules"),
    ("DeviceRequests", "gpus"),
    ("Devices", "devices"),
    ("Dns", "dns"),
    ("DnsOptions", "dns_opt"),
    ("DnsSearch", "dns_search"),
    ("GroupAdd", "group_add"),
    ("Init", "init"),
    ("IpcMode", "ipc"),
    ("Isolation", "isolation"),
    ("Memory", "mem_limit"),
    ("MemoryReservation", "mem_reservation"),
    ("MemorySwap", "memswap_limit"),
    ("MemorySwappiness", "mem_swappiness"),
    ("NanoCpus", "cpus"),
    ("OomKillDisable", "oom_kill_disable"),
    ("OomScoreAdj", "oom_score_adj"),
    ("PidMode", "pid"),
    ("PidsLimit", "pids_limit"),
    ("Privileged", "privileged"),
    ("ReadonlyRootfs", "read_only"),
    ("Runtime", "runtime"),
    ("SecurityOpt", "security_opt"),
    ("ShmSize", "shm_size"),
    ("StorageOpt", "storage_opt"),
    ("Sysctls", "sysctls"),
    ("Tmpfs", "tmpfs"),
    ("UTSMode", "uts"),
    ("UsernsMode", "userns_mode"),
];

fn of_host(all: &mut Settings, host: &Value) {
    for (key, field) in HOST {
        put(all, *field, &host[*key]);
    }
    // Paths of tmpfs without options are values without text.
    if let Some(paths) = host["Tmpfs"].as_object().filter(|paths| !paths.is_empty()) {
        all.insert("tmpfs".to_owned(), json!(paths));
    }
    // No hash knows how they are mounted, and older versions of Compose lose it.
    let source = |from: &str| from.trim_end_matches(":ro").trim_end_matches(":rw").to_owned();
    put(all, "volumes_from", &sorted(&host["VolumesFrom"], source));
    let capability = |name: &str| name.to_uppercase().trim_start_matches("CAP_").to_owned();
    put(all, "cap_add", &sorted(&host["CapAdd"], capability));
    put(all, "cap_drop", &sorted(&host["CapDrop"], capability));
    put(all, "extra_hosts", &sorted(&host["ExtraHosts"], str::to_owned));
    for limit in host["Ulimits"].as_array().into_iter().flatten() {
        if let Some(name) = limit["Name"].as_str() {
            all.insert(format!("ulimits.{name}"), json!({ "soft": limit["Soft"], "hard": limit["Hard"] }));
        }
    }
    put(all, "logging.driver", &host["LogConfig"]["Type"]);
    put(all, "logging.options", &host["LogConfig"]["Config"]);
    let restart = &host["RestartPolicy"];
    if let Some(word) = restart["Name"].as_str().filter(|word| !word.is_empty() && *word != "no") {
        let attempts = restart["MaximumRetryCount"].as_i64().filter(|attempts| *attempts > 0);
        let attempts = attempts.map_or_else(String::new, |attempts| format!(":{attempts}"));
        put(all, "restart", &json!(format!("{word}{attempts}")));
    }
    let mode = host["NetworkMode"].as_str().unwrap_or_default();
    put(all, "network_mode", &json!(if mode == "default" { "bridge" } else { mode }));
    for (port, bindings) in host["PortBindings"].as_object().into_iter().flatten() {
        let binding = |binding: &Value| {
            let text = |key: &str| binding[key].as_str().unwrap_or_default().to_owned();
            let published = text("HostPort");
            format!("{}:{}", text("HostIp"), if published == "0" { "" } else { &published })
        };
        let bindings: BTreeSet<String> = bindings.as_array().into_iter().flatten().map(binding).collect();
        put(all, format!("ports.{port}"), &json!(bindings));
    }
    for bind in texts(&host["Binds"]) {
        let mut parts = bind.splitn(3, ':');
        let (Some(source), Some(target)) = (parts.next(), parts.next()) else { continue };
        let mut options: BTreeSet<&str> = parts.next().unwrap_or_default().split(',').collect();
        options.retain(|option| !["", "rw", "rprivate"].contains(option));
        let options: Vec<&str> = options.into_iter().collect();
        let shown = format!("{source} {}", options.join(","));
        all.insert(format!("volumes.{target}"), json!(shown.trim_end()));
    }
    for mount in host["Mounts"].as_array().into_iter().flatten() {
        let text = |key: &str| mount[key].as_str().unwrap_or_default();
        let source = text("Source");
        // The engine names a volume without a name with 64 digits.
        let nameless =
            source.is_empty() || source.len() == 64 && source.bytes().all(|byte| byte.is_ascii_hexdigit());
        let shown = if text("Type") == "volume" && nameless {
            json!("anonymous volume")
        } else {
            let mut details = mount.clone();
            for made_by_default in ["CreateMountpoint", "Propagation"] {
                if let Some(options) = details["BindOptions"].as_object_mut()
                    && (made_by_default != "Propagation"
                        || options.get("Propagation") == Some(&json!("rprivate")))
                {
                    options.remove(made_by_default);
                }
            }
            let details = clean(&details);
            let plain = ["Type", "Source", "Target", "ReadOnly"];
            let is_plain =
                details.as_object().is_some_and(|map| map.keys().all(|key| plain.contains(&key.as_str())));
            if is_plain && ["bind", "volume"].contains(&text("Type")) {
                let mode = if mount["ReadOnly"] == true { " ro" } else { "" };
                json!(format!("{source}{mode}"))
            } else {
                details
            }
        };
        all.insert(format!("volumes.{}", text("Target")), shown);
    }
}

fn of_networks(all: &mut Settings, sides: &Sides<'_>, id: &str, container_name: &str) {
    let mode = sides.host["NetworkMode"].as_str().unwrap_or_default();
    // Without a network of its own there is nothing to choose.
    if ["host", "none", "bridge", "default"].contains(&mode) || mode.starts_with("container:") {
        return;
    }
    for (network, end) in sides.networks.as_object().into_iter().flatten() {
        all.insert(format!("networks.{network}"), json!(true));
        let temporary = format!("_{container_name}");
        let aliases: BTreeSet<&str> = texts(&end["Aliases"])
            .filter(|alias| {
                *alias != container_name && !alias.ends_with(&temporary) && !id.starts_with(alias)
            })
            .collect();
        put(all, format!("networks.{network}.aliases"), &json!(aliases));
        put(all, format!("networks.{network}.links"), &sorted(&end["Links"], str::to_owned));
        for (key, field) in
            [("DriverOpts", "driver_opts"), ("GwPriority", "gw_priority"), ("MacAddress", "mac_address")]
        {
            put(all, format!("networks.{network}.{field}"), &end[key]);
        }
        for (key, field) in [
            ("IPv4Address", "ipv4_address"),
            ("IPv6Address", "ipv6_address"),
            ("LinkLocalIPs", "link_local_ips"),
        ] {
            put(all, format!("networks.{network}.{field}"), &end["IPAMConfig"][key]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn told(wanted: &(Value, Value, Value), found: &(Value, Value, Value, Value)) -> Vec<String> {
        let image = json!({
            "Env": ["PATH=/bin", "V=1"], "Cmd": ["serve"], "Entrypoint": ["/run"], "WorkingDir": "/app",
            "ExposedPorts": {"80/tcp": {}}, "Labels": {"by": "me"},
        });
        let wanted = Sides { config: &wanted.0, host: &wanted.1, networks: &wanted.2, mounts: &Value::Null };
        let found = Sides { config: &found.0, host: &found.1, networks: &found.2, mounts: &found.3 };
        compare(&wanted, &found, &image, ID, "shop-web-1").iter().map(ToString::to_string).collect()
    }

    fn found() -> (Value, Value, Value, Value) {
        (
            json!({
                "Hostname": "0123456789ab", "Image": "i", "Env": ["A=1", "PATH=/bin", "V=1"], "Cmd": ["serve"],
                "Entrypoint": ["/run"], "WorkingDir": "/app", "ExposedPorts": {"80/tcp": {}},
                "Labels": {"by": "me", "com.docker.compose.version": "2.26.1"}, "Tty": false, "User": "",
            }),
            json!({
                "Memory": 100, "MemorySwap": 200, "ShmSize": 67_108_864, "IpcMode": "private", "CgroupnsMode": "host",
                "LogConfig": {"Type": "json-file", "Config": {}}, "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
                "NetworkMode": "shop_default", "Runtime": "runc", "MaskedPaths": ["/proc/x"], "CapAdd": ["NET_ADMIN"],
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "Binds": ["/s:/t:rw", "shop_v:/v:ro"],
                "Mounts": [{"Type": "volume", "Target": "/anon"}],
            }),
            json!({"shop_default": {"Aliases": ["shop-web-1", "web", "0123456789ab"], "MacAddress": "02:42", "IPAMConfig": null}}),
            json!([{"Type": "volume", "Destination": "/anon", "Name": "x"}]),
        )
    }

    fn wanted() -> (Value, Value, Value) {
        (
            json!({"Image": "i", "Env": ["A=1"], "ExposedPorts": {"80/tcp": {}}, "Labels": {}, "Tty": false}),
            json!({
                "Memory": 100, "NetworkMode": "shop_default", "RestartPolicy": {"Name": "no"}, "CapAdd": ["CAP_NET_ADMIN"],
                "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}, "Binds": ["/s:/t:rw"],
                "Mounts": [
                    {"Type": "volume", "Target": "/anon"},
                    {"Type": "volume", "Source": "shop_v", "Target": "/v", "ReadOnly": true},
                ],
            }),
            json!({"shop_default": {"Aliases": ["shop-web-1", "web"]}}),
        )
    }

    #[test]
    fn what_the_engine_and_the_image_fill_in_is_no_difference() {
        assert_eq!(told(&wanted(), &found()), [""; 0]);
    }

    #[test]
    fn networks_are_compared_by_what_they_are() {
        let found = json!({
            "Driver": "bridge", "Internal": false, "Options": {}, "Labels": {"com.docker.compose.network": "default"},
            "IPAM": {"Driver": "default", "Options": null, "Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"}]},
        });
        let mut wanted = compose::Network::default();
        assert_eq!(compare_networks(&wanted, &found), []);
        wanted.internal = true;
        wanted.ipam.config =
            vec![compose::IpamPool { subnet: "10.2.0.0/24".into(), ..compose::IpamPool::default() }];
        let fields: Vec<String> =
            compare_networks(&wanted, &found).into_iter().map(|one| one.field).collect();
        assert_eq!(fields, ["internal", "ipam.config"]);
    }

    #[test]
    fn what_changed_is_named_as_the_file_names_it() {
        let (mut config, mut host, mut networks) = wanted();
        config["Env"] = json!(["A=2", "API_TOKEN=abc", "DB=postgres://u:p@db"]);
        config["Cmd"] = json!(["work"]);
        host["Memory"] = json!(300);
        host["PortBindings"] = json!({"80/tcp": [{"HostPort": "8081"}]});
        networks["shop_back"] = json!({});
        assert_eq!(
            told(&(config, host, networks), &found()),
            [
                r#"command: ["serve"] → ["work"]"#,
                r#"environment.A: "1" → "2""#,
                "environment.API_TOKEN: unset → ***",
                "environment.DB: unset → ***",
                "mem_limit: 100 → 300",
                "memswap_limit: 200 → unset",
                "networks.shop_back: unset → true",
                r#"ports.80/tcp: [":8080"] → [":8081"]"#,
            ]
        );
    }
}
