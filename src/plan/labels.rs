//! The labels by which Docker Compose and devenv find what belongs to a project
//! (docker/compose `pkg/api/labels.go`). Both tools read and write the same ones.

/// The project's name.
pub const PROJECT: &str = "com.docker.compose.project";
/// The service's name.
pub const SERVICE: &str = "com.docker.compose.service";
/// The key of a network in the compose file.
pub const NETWORK: &str = "com.docker.compose.network";
/// The key of a volume in the compose file.
pub const VOLUME: &str = "com.docker.compose.volume";
/// The version of Compose whose hash was written.
pub const VERSION: &str = "com.docker.compose.version";
/// The hash of the configuration.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// The number of a container among its service's, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// `True` for a container of `run`, else `False`.
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
/// The random part of a one-off's name.
pub const SLUG: &str = "com.docker.compose.slug";
/// The id of the image that the container was made from.
pub const IMAGE: &str = "com.docker.compose.image";
/// `service:condition:restart`, separated by commas.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// The project's folder.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// The compose files, absolute, separated by commas.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// The files given with `--env-file`.
pub const ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";
/// The name of the container that this one takes the place of.
pub const REPLACE: &str = "com.docker.compose.replace";

/// The version of Compose whose labels and hashes we write, so that it sees no change to make.
pub const COMPOSE_VERSION: &str = "2.40.3";

/// devenv's own, on a volume whose content is data of a branch.
pub const BOUND: &str = "dev.devenv.bound";
/// devenv's own, on containers: the project that an environment is of, as a label of a host name.
pub const GATEWAY_PROJECT: &str = "dev.devenv.project";
/// devenv's own, on containers: the environment, as a label of a host name.
pub const ENVIRONMENT: &str = "dev.devenv.environment";
/// devenv's own, on containers: the port that speaks HTTP.
pub const HTTP: &str = "dev.devenv.http";
