//! Why an image could not be built.

use std::io;
use std::path::PathBuf;

use crate::engine::build::dial::Endpoint;
use crate::engine::credentials::CredentialError;
use crate::engine::pull::Missing;

/// A line of a Dockerfile, as the engine names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file, as the caller gave it; `Dockerfile` for inline text.
    pub file: PathBuf,
    /// From 1.
    pub number: u32,
    /// Its text.
    pub text: String,
}

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No connection to the engine.
    #[error("cannot reach the engine to build {image}")]
    Connect {
        /// What was to be built.
        image: String,
        /// Where the engine should be.
        endpoint: Endpoint,
        /// Why not.
        source: io::Error,
    },
    /// The engine broke the conversation off.
    #[error("the engine broke off the build of {image}: {reason}")]
    BrokenOff {
        /// What was to be built.
        image: String,
        /// The engine's or the transport's words.
        reason: String,
    },
    /// Something of the context cannot be read.
    #[error("cannot read {} for the build of {image}", path.display())]
    Unreadable {
        /// What was to be built.
        image: String,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An ignore file holds a pattern that means nothing.
    #[error("{} holds a bad pattern", path.display())]
    Ignore {
        /// The ignore file.
        path: PathBuf,
        /// The pattern.
        source: crate::base::ignore::BadPattern,
    },
    /// The Dockerfile is not there.
    #[error("there is no {} for the build of {image}", path.display())]
    NoDockerfile {
        /// What was to be built.
        image: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// The Dockerfile is not understood.
    #[error("{image}: {message}")]
    Dockerfile {
        /// What was to be built.
        image: String,
        /// Where, as far as the engine says.
        line: Option<Box<Line>>,
        /// What is wrong.
        message: String,
    },
    /// A name given to the image is none.
    #[error(transparent)]
    Name(#[from] crate::engine::image_name::BadImageName),
    /// A base image is neither here nor to be had.
    #[error("{image} needs the image {base}, which {why}")]
    Base {
        /// What was to be built.
        image: String,
        /// The image that is missing.
        base: String,
        /// Why it cannot be had.
        why: Missing,
        /// The line that asks for it, as far as the engine says.
        line: Option<Box<Line>>,
        /// The engine's words.
        reason: String,
    },
    /// A step failed.
    #[error("{image}: {step} failed{}", exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default())]
    Step {
        /// What was to be built.
        image: String,
        /// The step with its stage and number: `[build 3/7] RUN make`.
        step: String,
        /// Its line in the Dockerfile, as far as the engine says.
        line: Option<Box<Line>>,
        /// The exit code of a command.
        exit_code: Option<i64>,
        /// What the engine says, when it is not an exit code.
        reason: String,
        /// The last lines it wrote.
        log: Vec<String>,
    },
    /// A secret cannot be read.
    #[error("cannot read the secret {id} from {}", path.display())]
    Secret {
        /// Its id.
        id: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A login that the build needs cannot be had.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The engine cannot do what the build asks for.
    #[error("{image} needs {what}, which this engine's builder does not know")]
    Unsupported {
        /// What was to be built.
        image: String,
        /// The feature.
        what: String,
    },
    /// The engine refused for another reason.
    #[error("{image} could not be built: {reason}")]
    Refused {
        /// What was to be built.
        image: String,
        /// Its words.
        reason: String,
    },
}
