//! What is said between the command line and the gateway: one JSON document a line, each way, as with the keeper of
//! the pool. Several commands may be attached at once, and each picks its answers out by `id`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::memory::{Fixed, Protocol, Span};
use crate::talk;

/// The version of this protocol and of what is remembered; a gateway of an older one is replaced.
pub const VERSION: u32 = 2;

/// One question.
pub type Request = talk::Request<Ask>;

/// Its answer.
pub type Reply = talk::Reply<Answer>;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The current environment of a project is this one from now on.
    Current {
        /// The project, as a label.
        project: String,
        /// The environment, as a label; none to say nothing of it any more.
        environment: Option<String>,
    },
    /// An environment works on this branch of the data from now on.
    Branch {
        /// The project, as a label.
        project: String,
        /// The environment, as a label.
        environment: String,
        /// The branch; none where its data is not in branches.
        branch: Option<String>,
    },
    /// An environment is gone: nothing is remembered of it.
    Forget {
        /// The project, as a label.
        project: String,
        /// The environment, as a label.
        environment: String,
    },
    /// A port of this machine leads to a service of the project's current environment.
    Port {
        /// The port.
        port: u16,
        /// Where it leads; none to give it up.
        leads: Option<Fixed>,
    },
    /// What a project's compose file says of its ports and its idle span, in the place of what it said before.
    Declared {
        /// The project, as a label.
        project: String,
        /// After how long without traffic its environments sleep; none where it says nothing.
        idle: Option<Span>,
        /// Ports of this machine, and where they lead.
        ports: BTreeMap<u16, Fixed>,
    },
    /// Environments sleep after so long without traffic.
    Idle {
        /// Of this project; none for all.
        project: Option<String>,
        /// This one only.
        environment: Option<String>,
        /// After how long; none for what is usual.
        after: Option<Span>,
    },
    /// Puts an environment to sleep now.
    Sleep {
        /// The project, as a label.
        project: String,
        /// The environment, as a label.
        environment: String,
    },
    /// A command is about to start containers of this Compose project: its ports are let go, if it is asleep.
    Release {
        /// The Compose project's name.
        stack: String,
    },
    /// What the gateway does.
    Status,
    /// What leads where.
    Routes,
    /// A certificate for TLS, in PEM; none to go without.
    Certificate {
        /// The certificate and its key.
        pem: Option<Pem>,
    },
}

/// A certificate and its key. Its key is in no log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pem {
    /// The chain, the gateway's own first.
    pub chain: String,
    /// The key.
    pub key: String,
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pem(***)")
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is so from now on, also after a restart.
    Done,
    /// To [`Ask::Status`].
    Status(Box<Status>),
    /// To [`Ask::Routes`].
    Routes(Vec<Route>),
    /// It was not done.
    Failed(String),
}

/// What the gateway does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// The port that serves HTTP; none while none could be had.
    pub http_port: Option<u16>,
    /// The port that serves HTTPS.
    pub https_port: Option<u16>,
    /// Ports that lead to one service.
    pub ports: Vec<Port>,
    /// The current environment of each project.
    pub current: BTreeMap<String, String>,
    /// All environments.
    pub environments: Vec<Environment>,
    /// Requests and connections since it was started.
    pub served: u64,
    /// Connections that are open.
    pub open: usize,
    /// What it holds of memory, in bytes.
    pub memory: u64,
    /// What went wrong lately.
    pub notes: Vec<String>,
}

/// A port of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The port.
    pub port: u16,
    /// The project, as a label.
    pub project: String,
    /// The service.
    pub service: String,
    /// The container's port.
    #[serde(default)]
    pub container_port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Whether the project's compose file says so.
    #[serde(default)]
    pub declared: bool,
    /// Why it is not listened on; none when it is.
    pub trouble: Option<String>,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The project, as a label.
    pub project: String,
    /// Its name, as a label.
    pub environment: String,
    /// Whether it is the project's current one.
    pub current: bool,
    /// Whether devenv made it.
    #[serde(default)]
    pub ours: bool,
    /// `awake`, `asleep`, `waking`, `stopped`.
    pub state: String,
    /// Whether it was said that it never sleeps.
    #[serde(default)]
    pub stays_awake: bool,
    /// Connections that are open.
    pub open: usize,
    /// Seconds since it last had traffic.
    pub quiet: u64,
    /// After how many seconds without traffic it is put to sleep; none for never.
    pub sleeps_after: Option<u64>,
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The project, as a label.
    pub project: String,
    /// The environment, as a label.
    pub environment: String,
    /// The service.
    pub service: String,
    /// The address that always means this environment.
    pub url: String,
    /// The address that means the current environment; none where this is not it.
    pub short: Option<String>,
    /// The container's port.
    pub container_port: Option<u16>,
    /// `up`, `asleep`, `stopped`, `starting`.
    pub state: String,
}
