//! The shape of a compose file: the Compose Specification's schema as a table, and the check against it.
//!
//! The check goes on after the first mistake, so that one run tells them all.

use std::collections::HashMap;

use super::problem::{Outcome, Problem, closest, unless};
use super::tree::{Mapping, Mark, Node, Value};
use super::typed::json;
use crate::base::guess::did_you_mean;

/// What a value may be.
pub(crate) enum Shape {
    /// A scalar of one of these types.
    Scalar(Types),
    /// A text that is one of these.
    OneOf(&'static [&'static str]),
    /// A text that a rule accepts; the rule in words is told otherwise.
    Text(fn(&str) -> bool, &'static str),
    /// A whole number within bounds.
    Int {
        min: i64,
        max: i64,
    },
    List {
        items: &'static Shape,
        unique: bool,
    },
    Map(Members),
    /// The first of these whose kind of value fits.
    Either(&'static [&'static Shape]),
}

/// The members of a mapping.
pub(crate) struct Members {
    /// Known keys, each with its shape.
    pub known: &'static [(&'static str, &'static Shape)],
    pub required: &'static [&'static str],
    /// What any other key may hold, if there may be others, and which names are taken for one.
    pub other: Option<(Names, &'static Shape)>,
    /// Whether keys that nothing else covers are left alone.
    pub open: bool,
    /// Whether `x-` keys are taken.
    pub extensions: bool,
}

/// Which keys a user may choose.
#[derive(Clone, Copy)]
pub(crate) enum Names {
    /// Letters, digits, `.`, `_`, `-`.
    Resource,
    /// Lower-case letters.
    Limit,
    /// Anything but nothing.
    Any,
}

impl Names {
    fn accepts(self, name: &str) -> bool {
        let all = |f: fn(u8) -> bool| !name.is_empty() && name.bytes().all(f);
        match self {
            Self::Resource => all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')),
            Self::Limit => all(|b| b.is_ascii_lowercase()),
            Self::Any => !name.is_empty(),
        }
    }
}

/// A set of scalar types.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Types(u8);

const TEXT: Types = Types(1);
const BOOL: Types = Types(2);
const INT: Types = Types(4);
const NUMBER: Types = Types(4 | 8);
const NULL: Types = Types(16);

impl Types {
    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn accepts(self, value: &Value) -> bool {
        match value {
            Value::Null => self.has(NULL),
            Value::Bool(_) => self.has(BOOL),
            Value::Int(_) | Value::Uint(_) => self.has(INT),
            Value::Float(float) => self.has(NUMBER) || (self.has(INT) && float.fract() == 0.0),
            Value::Text(_) => self.has(TEXT),
            Value::Time(_) | Value::List(_) | Value::Map(_) => false,
        }
    }

    fn names(self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.has(BOOL) {
            names.push("boolean");
        }
        if self.has(NUMBER) {
            names.push("number");
        } else if self.has(INT) {
            names.push("integer");
        }
        if self.has(TEXT) {
            names.push("string");
        }
        if self.has(NULL) {
            names.push("null");
        }
        names
    }
}

// ---- the table ------------------------------------------------------------------------------------------

const STR: Shape = Shape::Scalar(TEXT);
const FLAG: Shape = Shape::Scalar(BOOL.or(TEXT));
const STRICT_FLAG: Shape = Shape::Scalar(BOOL);
const WHOLE: Shape = Shape::Scalar(INT.or(TEXT));
const ONLY_WHOLE: Shape = Shape::Scalar(INT);
const AMOUNT: Shape = Shape::Scalar(NUMBER.or(TEXT));
const ONLY_AMOUNT: Shape = Shape::Scalar(NUMBER);
const STR_OR_NULL: Shape = Shape::Scalar(TEXT.or(NULL));
const OPTION: Shape = Shape::Scalar(TEXT.or(NUMBER));
const NULL_OPTION: Shape = Shape::Scalar(TEXT.or(NUMBER).or(NULL));
const ANY_SCALAR: Shape = Shape::Scalar(TEXT.or(NUMBER).or(BOOL).or(NULL));
const PROVIDER_SCALAR: Shape = Shape::Scalar(TEXT.or(NUMBER).or(BOOL));
const NOTHING: Shape = Shape::Scalar(NULL);

const fn list(items: &'static Shape) -> Shape {
    Shape::List { items, unique: false }
}
const fn set(items: &'static Shape) -> Shape {
    Shape::List { items, unique: true }
}
/// A mapping with these keys and extensions.
const fn map(known: &'static [(&'static str, &'static Shape)]) -> Shape {
    Shape::Map(Members { known, required: &[], other: None, open: false, extensions: true })
}
/// A mapping with these keys, some of them required, and extensions.
const fn map_with(
    required: &'static [&'static str],
    known: &'static [(&'static str, &'static Shape)],
) -> Shape {
    Shape::Map(Members { known, required, other: None, open: false, extensions: true })
}
/// A mapping with exactly these keys.
const fn closed(
    required: &'static [&'static str],
    known: &'static [(&'static str, &'static Shape)],
) -> Shape {
    Shape::Map(Members { known, required, other: None, open: false, extensions: false })
}
/// A mapping whose keys the user chooses.
const fn dict(names: Names, of: &'static Shape, open: bool) -> Shape {
    Shape::Map(Members { known: &[], required: &[], other: Some((names, of)), open, extensions: false })
}

const STRINGS: Shape = list(&STR);
const STRING_SET: Shape = set(&STR);
const STRING_OR_SET: Shape = Shape::Either(&[&STR, &STRING_SET]);
const STRING_OR_LIST: Shape = Shape::Either(&[&STR, &STRINGS]);
const LIST_OR_DICT: Shape = Shape::Either(&[&dict(Names::Any, &ANY_SCALAR, false), &STRING_SET]);
const COMMAND: Shape = Shape::Either(&[&NOTHING, &STR, &STRINGS]);
const OPTIONS: Shape = dict(Names::Any, &OPTION, true);
const EXTRA_HOSTS: Shape = Shape::Either(&[&dict(Names::Any, &STRING_OR_LIST, false), &STRING_SET]);
const ULIMITS: Shape = dict(
    Names::Limit,
    &Shape::Either(&[&WHOLE, &map_with(&["soft", "hard"], &[("hard", &WHOLE), ("soft", &WHOLE)])]),
    true,
);
const REFERENCES: Shape = list(&Shape::Either(&[
    &STR,
    &map(&[("source", &STR), ("target", &STR), ("uid", &STR), ("gid", &STR), ("mode", &AMOUNT)]),
]));
const HOOK: Shape = map_with(
    &["command"],
    &[
        ("command", &COMMAND),
        ("user", &STR),
        ("privileged", &FLAG),
        ("working_dir", &STR),
        ("environment", &LIST_OR_DICT),
    ],
);
const ENV_FILE: Shape = Shape::Either(&[
    &STR,
    &list(&Shape::Either(&[
        &STR,
        &closed(&["path"], &[("path", &STR), ("format", &STR), ("required", &FLAG)]),
    ])),
]);
const BLKIO_LIMIT: Shape = list(&closed(&[], &[("path", &STR), ("rate", &WHOLE)]));
const BLKIO_WEIGHT: Shape = list(&closed(&[], &[("path", &STR), ("weight", &WHOLE)]));
const HEALTHCHECK: Shape = map(&[
    ("disable", &FLAG),
    ("interval", &STR),
    ("retries", &AMOUNT),
    ("test", &STRING_OR_LIST),
    ("timeout", &STR),
    ("start_period", &STR),
    ("start_interval", &STR),
]);
const DEVELOP: Shape = Shape::Either(&[
    &NOTHING,
    &map(&[(
        "watch",
        &list(&map_with(
            &["path", "action"],
            &[
                ("ignore", &STRING_OR_SET),
                ("include", &STRING_OR_SET),
                ("path", &STR),
                ("action", &Shape::OneOf(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
                ("target", &STR),
                ("exec", &HOOK),
                ("initial_sync", &STRICT_FLAG),
            ],
        )),
    )]),
]);
const UPDATE: Shape = map(&[
    ("parallelism", &WHOLE),
    ("delay", &STR),
    ("failure_action", &STR),
    ("monitor", &STR),
    ("max_failure_ratio", &AMOUNT),
    ("order", &Shape::OneOf(&["start-first", "stop-first"])),
]);
const DEVICE_REQUEST: &[(&str, &Shape)] = &[
    ("capabilities", &STRING_SET),
    ("count", &WHOLE),
    ("device_ids", &STRING_SET),
    ("driver", &STR),
    ("options", &LIST_OR_DICT),
];
const DEPLOY: Shape = Shape::Either(&[
    &NOTHING,
    &map(&[
        ("mode", &STR),
        ("endpoint_mode", &STR),
        ("replicas", &WHOLE),
        ("labels", &LIST_OR_DICT),
        ("rollback_config", &UPDATE),
        ("update_config", &UPDATE),
        (
            "resources",
            &map(&[
                ("limits", &map(&[("cpus", &AMOUNT), ("memory", &STR), ("pids", &WHOLE)])),
                (
                    "reservations",
                    &map(&[
                        ("cpus", &AMOUNT),
                        ("memory", &STR),
                        (
                            "generic_resources",
                            &list(&map(&[(
                                "discrete_resource_spec",
                                &map(&[("kind", &STR), ("value", &AMOUNT)]),
                            )])),
                        ),
                        ("devices", &list(&map_with(&["capabilities"], DEVICE_REQUEST))),
                    ]),
                ),
            ]),
        ),
        (
            "restart_policy",
            &map(&[("condition", &STR), ("delay", &STR), ("max_attempts", &WHOLE), ("window", &STR)]),
        ),
        (
            "placement",
            &map(&[
                ("constraints", &STRINGS),
                ("preferences", &list(&map(&[("spread", &STR)]))),
                ("max_replicas_per_node", &WHOLE),
            ]),
        ),
    ]),
]);
const BUILD: Shape = Shape::Either(&[
    &STR,
    &map(&[
        ("context", &STR),
        ("dockerfile", &STR),
        ("dockerfile_inline", &STR),
        ("entitlements", &STRINGS),
        ("args", &LIST_OR_DICT),
        ("ssh", &LIST_OR_DICT),
        ("labels", &LIST_OR_DICT),
        ("cache_from", &STRINGS),
        ("cache_to", &STRINGS),
        ("no_cache", &FLAG),
        ("additional_contexts", &LIST_OR_DICT),
        ("network", &STR),
        ("provenance", &FLAG),
        ("sbom", &FLAG),
        ("pull", &FLAG),
        ("target", &STR),
        ("shm_size", &WHOLE),
        ("extra_hosts", &EXTRA_HOSTS),
        ("isolation", &STR),
        ("privileged", &FLAG),
        ("secrets", &REFERENCES),
        ("tags", &STRINGS),
        ("ulimits", &ULIMITS),
        ("platforms", &STRINGS),
    ]),
]);
const PORTS: Shape = set(&Shape::Either(&[
    &OPTION,
    &map(&[
        ("name", &STR),
        ("mode", &STR),
        ("host_ip", &STR),
        ("target", &WHOLE),
        ("published", &WHOLE),
        ("protocol", &STR),
        ("app_protocol", &STR),
    ]),
]));
const MOUNTS: Shape = set(&Shape::Either(&[
    &STR,
    &map_with(
        &["type"],
        &[
            ("type", &Shape::OneOf(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
            ("source", &STR),
            ("target", &STR),
            ("read_only", &FLAG),
            ("consistency", &STR),
            (
                "bind",
                &map(&[
                    ("propagation", &STR),
                    ("create_host_path", &FLAG),
                    ("recursive", &Shape::OneOf(&["enabled", "disabled", "writable", "readonly"])),
                    ("selinux", &Shape::OneOf(&["z", "Z"])),
                ]),
            ),
            ("volume", &map(&[("labels", &LIST_OR_DICT), ("nocopy", &FLAG), ("subpath", &STR)])),
            (
                "tmpfs",
                &map(&[
                    ("size", &Shape::Either(&[&Shape::Int { min: 0, max: i64::MAX }, &STR])),
                    ("mode", &AMOUNT),
                ]),
            ),
            ("image", &map(&[("subpath", &STR)])),
        ],
    ),
]));
const SERVICE_NETWORKS: Shape = Shape::Either(&[
    &STRING_SET,
    &dict(
        Names::Resource,
        &Shape::Either(&[
            &NOTHING,
            &map(&[
                ("aliases", &STRING_SET),
                ("interface_name", &STR),
                ("ipv4_address", &STR),
                ("ipv6_address", &STR),
                ("link_local_ips", &STRING_SET),
                ("mac_address", &STR),
                ("driver_opts", &OPTIONS),
                ("priority", &ONLY_AMOUNT),
                ("gw_priority", &ONLY_AMOUNT),
            ]),
        ]),
        false,
    ),
]);
const DEPENDS_ON: Shape = Shape::Either(&[
    &STRING_SET,
    &dict(
        Names::Resource,
        &map_with(
            &["condition"],
            &[
                ("restart", &FLAG),
                ("required", &STRICT_FLAG),
                (
                    "condition",
                    &Shape::OneOf(&["service_started", "service_healthy", "service_completed_successfully"]),
                ),
            ],
        ),
        false,
    ),
]);
const SERVICE: Shape = map(&[
    ("develop", &DEVELOP),
    ("deploy", &DEPLOY),
    ("annotations", &LIST_OR_DICT),
    ("attach", &FLAG),
    ("build", &BUILD),
    (
        "blkio_config",
        &closed(
            &[],
            &[
                ("device_read_bps", &BLKIO_LIMIT),
                ("device_read_iops", &BLKIO_LIMIT),
                ("device_write_bps", &BLKIO_LIMIT),
                ("device_write_iops", &BLKIO_LIMIT),
                ("weight", &WHOLE),
                ("weight_device", &BLKIO_WEIGHT),
            ],
        ),
    ),
    ("cap_add", &STRING_SET),
    ("cap_drop", &STRING_SET),
    ("cgroup", &Shape::OneOf(&["host", "private"])),
    ("cgroup_parent", &STR),
    ("command", &COMMAND),
    ("configs", &REFERENCES),
    ("container_name", &Shape::Text(container_name, "[a-zA-Z0-9][a-zA-Z0-9_.-]+")),
    ("cpu_count", &Shape::Either(&[&STR, &Shape::Int { min: 0, max: i64::MAX }])),
    ("cpu_percent", &Shape::Either(&[&STR, &Shape::Int { min: 0, max: 100 }])),
    ("cpu_shares", &AMOUNT),
    ("cpu_quota", &AMOUNT),
    ("cpu_period", &AMOUNT),
    ("cpu_rt_period", &AMOUNT),
    ("cpu_rt_runtime", &AMOUNT),
    ("cpus", &AMOUNT),
    ("cpuset", &STR),
    ("credential_spec", &map(&[("config", &STR), ("file", &STR), ("registry", &STR)])),
    ("depends_on", &DEPENDS_ON),
    ("device_cgroup_rules", &STRING_SET),
    (
        "devices",
        &list(&Shape::Either(&[
            &STR,
            &map_with(&["source"], &[("source", &STR), ("target", &STR), ("permissions", &STR)]),
        ])),
    ),
    ("dns", &STRING_OR_SET),
    ("dns_opt", &STRING_SET),
    ("dns_search", &STRING_OR_SET),
    ("domainname", &STR),
    ("entrypoint", &COMMAND),
    ("env_file", &ENV_FILE),
    ("label_file", &STRING_OR_LIST),
    ("environment", &LIST_OR_DICT),
    ("expose", &set(&OPTION)),
    ("extends", &Shape::Either(&[&STR, &closed(&["service"], &[("service", &STR), ("file", &STR)])])),
    (
        "provider",
        &map_with(
            &["type"],
            &[
                ("type", &STR),
                (
                    "options",
                    &dict(Names::Any, &Shape::Either(&[&PROVIDER_SCALAR, &list(&PROVIDER_SCALAR)]), true),
                ),
            ],
        ),
    ),
    ("external_links", &STRING_SET),
    ("extra_hosts", &EXTRA_HOSTS),
    (
        "gpus",
        &Shape::Either(&[
            &Shape::OneOf(&["all"]),
            &list(&Shape::Map(Members {
                known: DEVICE_REQUEST,
                required: &[],
                other: None,
                open: true,
                extensions: true,
            })),
        ]),
    ),
    ("group_add", &set(&OPTION)),
    ("healthcheck", &HEALTHCHECK),
    ("hostname", &STR),
    ("image", &STR),
    ("init", &FLAG),
    ("ipc", &STR),
    ("isolation", &STR),
    ("labels", &LIST_OR_DICT),
    ("links", &STRING_SET),
    ("logging", &map(&[("driver", &STR), ("options", &dict(Names::Any, &NULL_OPTION, true))])),
    ("mac_address", &STR),
    ("mem_limit", &AMOUNT),
    ("mem_reservation", &WHOLE),
    ("mem_swappiness", &WHOLE),
    ("memswap_limit", &AMOUNT),
    ("network_mode", &STR),
    (
        "models",
        &Shape::Either(&[
            &STRING_SET,
            &dict(
                Names::Resource,
                &Shape::Either(&[&NOTHING, &map(&[("endpoint_var", &STR), ("model_var", &STR)])]),
                true,
            ),
        ]),
    ),
    ("networks", &SERVICE_NETWORKS),
    ("oom_kill_disable", &FLAG),
    ("oom_score_adj", &Shape::Either(&[&STR, &Shape::Int { min: -1000, max: 1000 }])),
    ("pid", &STR_OR_NULL),
    ("pids_limit", &AMOUNT),
    ("platform", &STR),
    ("ports", &PORTS),
    ("post_start", &list(&HOOK)),
    ("pre_stop", &list(&HOOK)),
    ("privileged", &FLAG),
    ("profiles", &STRING_SET),
    (
        "pull_policy",
        &Shape::Text(
            pull_policy,
            "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
        ),
    ),
    ("pull_refresh_after", &STR),
    ("read_only", &FLAG),
    ("restart", &STR),
    ("runtime", &STR),
    ("scale", &WHOLE),
    ("security_opt", &STRING_SET),
    ("shm_size", &AMOUNT),
    ("secrets", &REFERENCES),
    ("sysctls", &LIST_OR_DICT),
    ("stdin_open", &FLAG),
    ("stop_grace_period", &STR),
    ("stop_signal", &STR),
    (
        "storage_opt",
        &Shape::Map(Members { known: &[], required: &[], other: None, open: true, extensions: false }),
    ),
    ("tmpfs", &STRING_OR_SET),
    ("tty", &FLAG),
    ("ulimits", &ULIMITS),
    ("use_api_socket", &STRICT_FLAG),
    ("user", &STR),
    ("uts", &STR),
    ("userns_mode", &STR),
    ("volumes", &MOUNTS),
    ("volumes_from", &STRING_SET),
    ("working_dir", &STR),
]);
const EXTERNAL: Shape = Shape::Either(&[&FLAG, &map(&[("name", &STR)])]);
const OPEN_EXTERNAL: Shape = Shape::Either(&[
    &FLAG,
    &Shape::Map(Members {
        known: &[("name", &STR)],
        required: &[],
        other: None,
        open: true,
        extensions: true,
    }),
]);
const NETWORK: Shape = Shape::Either(&[
    &NOTHING,
    &map(&[
        ("name", &STR),
        ("driver", &STR),
        ("driver_opts", &OPTIONS),
        (
            "ipam",
            &map(&[
                ("driver", &STR),
                (
                    "config",
                    &list(&map(&[
                        ("subnet", &STR),
                        ("ip_range", &STR),
                        ("gateway", &STR),
                        ("aux_addresses", &dict(Names::Any, &STR, false)),
                    ])),
                ),
                ("options", &dict(Names::Any, &STR, false)),
            ]),
        ),
        ("external", &EXTERNAL),
        ("internal", &FLAG),
        ("enable_ipv4", &FLAG),
        ("enable_ipv6", &FLAG),
        ("attachable", &FLAG),
        ("labels", &LIST_OR_DICT),
    ]),
]);
const VOLUME: Shape = Shape::Either(&[
    &NOTHING,
    &map(&[
        ("name", &STR),
        ("driver", &STR),
        ("driver_opts", &OPTIONS),
        ("external", &EXTERNAL),
        ("labels", &LIST_OR_DICT),
    ]),
]);
const SECRET: Shape = map(&[
    ("name", &STR),
    ("environment", &STR),
    ("file", &STR),
    ("external", &OPEN_EXTERNAL),
    ("labels", &LIST_OR_DICT),
    ("driver", &STR),
    ("driver_opts", &OPTIONS),
    ("template_driver", &STR),
]);
const CONFIG: Shape = map(&[
    ("name", &STR),
    ("content", &STR),
    ("environment", &STR),
    ("file", &STR),
    ("external", &OPEN_EXTERNAL),
    ("labels", &LIST_OR_DICT),
    ("template_driver", &STR),
]);
const MODEL: Shape = map_with(
    &["model"],
    &[("name", &STR), ("model", &STR), ("context_size", &ONLY_WHOLE), ("runtime_flags", &STRINGS)],
);
const INCLUDE: Shape = list(&Shape::Either(&[
    &STR,
    &closed(&[], &[("path", &STRING_OR_SET), ("env_file", &STRING_OR_SET), ("project_directory", &STR)]),
]));

/// A whole compose file.
pub(crate) static FILE: Shape = map(&[
    ("version", &STR),
    ("name", &STR),
    ("include", &INCLUDE),
    ("services", &dict(Names::Resource, &SERVICE, false)),
    ("models", &dict(Names::Resource, &MODEL, true)),
    ("networks", &dict(Names::Resource, &NETWORK, true)),
    ("volumes", &dict(Names::Resource, &VOLUME, false)),
    ("secrets", &dict(Names::Resource, &SECRET, false)),
    ("configs", &dict(Names::Resource, &CONFIG, false)),
]);

fn container_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    text.as_bytes().windows(2).any(|pair| pair[0].is_ascii_alphanumeric() && inner(pair[1]))
}

fn pull_policy(text: &str) -> bool {
    let named = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let every = |tail: &str| {
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && tail[digits..].starts_with(['w', 'd', 'h', 'm', 's'])
    };
    named.iter().any(|name| text.contains(name)) || text.split("every_").skip(1).any(every)
}

// ---- the check ------------------------------------------------------------------------------------------

/// Checks a whole file, and takes the values away that the stages to come could not read.
pub(crate) fn check(root: &mut Node) -> Outcome<()> {
    let mut checker = Checker { problems: Vec::new(), at: Vec::new(), unreadable: Vec::new() };
    checker.node(root, &FILE, root.mark);
    for path in checker.unreadable {
        let mut here = Some(&mut *root);
        for step in &path {
            here = here.and_then(|node| match &mut node.value {
                Value::Map(map) => map.get_mut(step),
                Value::List(items) => step.parse::<usize>().ok().and_then(|number| items.get_mut(number)),
                _ => None,
            });
        }
        if let Some(node) = here {
            node.value = Value::Null;
        }
    }
    unless(checker.problems, ())
}

/// After how many mistakes the check ends.
const MAX_PROBLEMS: usize = 100;

struct Checker {
    problems: Vec<Problem>,
    at: Vec<String>,
    /// Where values are of another kind than any stage expects.
    unreadable: Vec<Vec<String>>,
}

impl Checker {
    fn tell(&mut self, mark: Mark, what: impl std::fmt::Display) -> &mut Problem {
        let subject = if self.at.is_empty() { "the file".to_owned() } else { self.at.join(".") };
        self.problems.push(Problem::new(format!("{subject} {what}"), mark));
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    fn inside(&mut self, step: String, work: impl FnOnce(&mut Self)) {
        self.at.push(step);
        work(self);
        self.at.pop();
    }

    fn node(&mut self, node: &Node, shape: &Shape, key: Mark) {
        // What nobody wrote a value for is best shown at its key.
        let mark = if node.mark.width == 0 { key } else { node.mark };
        match shape {
            Shape::Scalar(types) => {
                if !types.accepts(&node.value) {
                    self.wrong_kind(node, shape, mark);
                }
            }
            Shape::OneOf(values) => match node.as_text() {
                Some(text) if values.contains(&text) => {}
                Some(text) => {
                    let listed: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
                    let guess = closest(text, values.iter().copied());
                    let problem = self.tell(mark, format!("value must be one of {}", listed.join(", ")));
                    problem.hint = guess.map(did_you_mean);
                }
                None => self.wrong_kind(node, shape, mark),
            },
            Shape::Text(rule, pattern) => match node.as_text() {
                Some(text) if rule(text) => {}
                Some(text) => {
                    self.tell(mark, format!("'{text}' does not match pattern '{pattern}'"));
                }
                None => self.wrong_kind(node, shape, mark),
            },
            Shape::Int { min, max } => match node.value {
                #[allow(clippy::cast_possible_truncation, reason = "whole and in range by the guard")]
                Value::Float(float) if float.fract() == 0.0 && float.abs() < 1e15 => {
                    self.bounds(float as i64, *min, *max, mark);
                }
                Value::Int(value) => self.bounds(value, *min, *max, mark),
                Value::Uint(_) if *max < i64::MAX => {
                    self.tell(mark, format!("must be less than or equal to {max}"));
                }
                Value::Uint(_) => {}
                _ => self.wrong_kind(node, shape, mark),
            },
            Shape::List { items, unique } => match node.as_list() {
                Some(list) => {
                    for (number, item) in list.iter().enumerate() {
                        self.inside(number.to_string(), |this| this.node(item, items, mark));
                    }
                    if *unique {
                        self.unique(list);
                    }
                }
                None => self.wrong_kind(node, shape, mark),
            },
            Shape::Map(members) => match node.as_map() {
                Some(map) => self.members(map, members, mark),
                None => self.wrong_kind(node, shape, mark),
            },
            Shape::Either(shapes) => match shapes.iter().find(|shape| fits(node, shape)) {
                Some(shape) => self.node(node, shape, key),
                None => self.wrong_kind(node, shape, mark),
            },
        }
    }

    fn bounds(&mut self, value: i64, min: i64, max: i64, mark: Mark) {
        if value < min {
            self.tell(mark, format!("must be greater than or equal to {min}"));
        } else if value > max {
            self.tell(mark, format!("must be less than or equal to {max}"));
        }
    }

    fn wrong_kind(&mut self, node: &Node, shape: &Shape, mark: Mark) {
        let mut wanted = Vec::new();
        kinds(shape, &mut wanted);
        wanted.dedup();
        let wanted = match wanted.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => "something else".to_owned(),
        };
        let found = node.kind();
        self.unreadable.push(self.at.clone());
        let problem = self.tell(mark, format!("must be a {wanted}, this is {found}"));
        if let Value::Time(_) = node.value {
            problem.hint = Some("write the date in quotes".to_owned());
        } else if wanted == "string"
            && let Value::Bool(_) | Value::Int(_) | Value::Float(_) = node.value
        {
            problem.hint = Some("write it in quotes".to_owned());
        }
    }

    fn unique(&mut self, list: &[Node]) {
        // As JSON, where 1 and 1.0 are one number, and the order of keys says nothing.
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (second, item) in list.iter().enumerate() {
            let mut value = json(item);
            value.sort_all_objects();
            let first = *seen.entry(value.to_string()).or_insert(second);
            if first != second {
                let mark = list[first].mark;
                let problem = self.tell(item.mark, format!("items at {first} and {second} are equal"));
                problem.marks.push(mark);
            }
        }
    }

    fn members(&mut self, map: &Mapping, members: &Members, mark: Mark) {
        let known = |key: &str| members.known.iter().find(|(name, _)| *name == key).map(|(_, shape)| *shape);
        for required in members.required {
            if !map.contains(required) {
                self.unreadable.push(self.at.clone());
                self.tell(mark, format!("missing property '{required}'"));
            }
        }
        for (key, node) in map.iter() {
            if self.problems.len() > MAX_PROBLEMS {
                return;
            }
            let key_mark = map.key_mark(key);
            let shape = known(key).or_else(|| match members.other {
                Some((names, shape)) if names.accepts(key) => Some(shape),
                _ => None,
            });
            if let Some(shape) = shape {
                self.inside(key.to_owned(), |this| this.node(node, shape, key_mark));
                continue;
            }
            if members.open || (members.extensions && key.starts_with("x-")) {
                continue;
            }
            if members.other.is_some() {
                let problem = self.tell(key_mark, format!("the name '{key}' is not allowed"));
                problem.hint = Some("a name is made of letters, digits, `.`, `_` and `-`".to_owned());
                continue;
            }
            let guess =
                closest(key, members.known.iter().map(|(name, _)| *name).filter(|name| !map.contains(name)));
            let hint = guess.map(did_you_mean);
            let top = self.at.is_empty();
            let problem = self.tell(key_mark, format!("additional properties '{key}' not allowed"));
            problem.hint = match hint {
                None if top
                    && node.as_map().is_some_and(|map| map.contains("image") || map.contains("build")) =>
                {
                    Some(format!("this looks like a service: move `{key}` under `services:`"))
                }
                hint => hint,
            };
        }
    }
}

/// Whether a value is of the kind that a shape wants, whatever is in it.
fn fits(node: &Node, shape: &Shape) -> bool {
    match shape {
        Shape::Scalar(types) => types.accepts(&node.value),
        Shape::OneOf(_) | Shape::Text(..) => matches!(node.value, Value::Text(_)),
        Shape::Int { .. } => INT.accepts(&node.value),
        Shape::List { .. } => matches!(node.value, Value::List(_)),
        Shape::Map(_) => matches!(node.value, Value::Map(_)),
        Shape::Either(shapes) => shapes.iter().any(|shape| fits(node, shape)),
    }
}

fn kinds(shape: &Shape, found: &mut Vec<&'static str>) {
    match shape {
        Shape::Scalar(types) => found.extend(types.names()),
        Shape::OneOf(_) | Shape::Text(..) => found.push("string"),
        Shape::Int { .. } => found.push("integer"),
        Shape::List { .. } => found.push("list"),
        Shape::Map(_) => found.push("mapping"),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| kinds(shape, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::documents;
    use super::*;

    fn problems(text: &str) -> Vec<(String, Option<String>)> {
        let mut root = documents(text, 0).unwrap().remove(0).root;
        let problems = check(&mut root).err().unwrap_or_default();
        problems.into_iter().map(|p| (format!("{}:{}", p.marks[0].line, p.message), p.hint)).collect()
    }

    #[test]
    fn all_mistakes_are_told_with_their_lines() {
        let found = problems(
            "services:\n  web:\n    imag: x\n    ports: [{target: five, bogus: 1}]\n    privileged: []\nvolume: {}\n",
        );
        let lines: Vec<&str> = found.iter().map(|(message, _)| message.as_str()).collect();
        assert_eq!(
            lines,
            [
                "3:services.web additional properties 'imag' not allowed",
                "4:services.web.ports.0 additional properties 'bogus' not allowed",
                "5:services.web.privileged must be a boolean or string, this is a list",
                "6:the file additional properties 'volume' not allowed",
            ]
        );
        assert_eq!(found[0].1.as_deref(), Some("did you mean `image`?"));
        assert_eq!(found[3].1.as_deref(), Some("did you mean `volumes`?"));
    }

    #[test]
    fn a_service_at_the_top_is_recognised() {
        let found = problems("web:\n  image: x\n");
        assert_eq!(found[0].1.as_deref(), Some("this looks like a service: move `web` under `services:`"));
    }

    #[test]
    fn a_file_with_a_bit_of_everything_passes() {
        let text = "name: x\nx-any: [1]\nservices:\n  a:\n    image: i\n    x-b: {}\n    environment: {A: 1, B: null}\n    \
                    ports: [80, '90:90', {target: 1}]\n    volumes: ['a:/a', {type: bind, source: /, target: /x}]\n    \
                    depends_on: {b: {condition: service_started}}\n    ulimits: {nofile: 1, nproc: {soft: 1, hard: 2}}\n  \
                    b: {build: .}\nvolumes: {a: null}\n";
        assert_eq!(problems(text), []);
    }
}
