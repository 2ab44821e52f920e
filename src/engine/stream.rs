//! Bytes between a person and a container: commands run in it, its logs, and being attached to it.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, LogsOptionsBuilder, ResizeContainerTTYOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::Engine;
use super::error::{Doing, Error};
use crate::compose::project::Hook;

/// A command to run in a container.
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// Program and arguments; never a shell string.
    pub argv: Vec<String>,
    /// `KEY=value` beside the container's own.
    pub environment: Vec<String>,
    /// `user[:group]` instead of the container's own.
    pub user: Option<String>,
    /// Directory instead of the container's own.
    pub directory: Option<String>,
    /// With all capabilities.
    pub privileged: bool,
    /// With a terminal.
    pub tty: bool,
    /// With the caller's input.
    pub stdin: bool,
    /// Not waited for.
    pub detach: bool,
}

impl From<&Hook> for Command {
    fn from(hook: &Hook) -> Self {
        Self {
            argv: hook.command.clone().unwrap_or_default(),
            environment: hook
                .environment
                .iter()
                .filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?)))
                .collect(),
            user: Some(hook.user.clone()).filter(|user| !user.is_empty()),
            directory: Some(hook.working_dir.clone()).filter(|directory| !directory.is_empty()),
            privileged: hook.privileged,
            ..Self::default()
        }
    }
}

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output, or the terminal.
    Out,
    /// Standard error.
    Err,
}

/// A piece of output.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Where from.
    pub channel: Channel,
    /// What.
    pub bytes: Bytes,
}

/// Output as it comes.
pub type Output = Pin<Box<dyn Stream<Item = Result<Piece, Error>> + Send>>;

/// Both directions of a running command or container.
pub struct Attached {
    /// What it says.
    pub output: Output,
    /// What is said to it; shut it down to end its input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it is: for resizing and for its exit code.
    pub what: What,
}

/// Whom one is attached to.
#[derive(Debug, Clone)]
pub enum What {
    /// A command run in a container, by its id.
    Exec(String),
    /// A container's first process, by the container's id.
    Container(String),
}

fn pieces(
    output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send + 'static,
    doing: &'static str,
) -> Output {
    Box::pin(output.map(move |item| {
        item.doing(doing).map(|log| {
            let channel = if matches!(log, LogOutput::StdErr { .. }) { Channel::Err } else { Channel::Out };
            Piece { channel, bytes: log.into_bytes() }
        })
    }))
}

/// Which part of a container's logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logs {
    /// Go on with what is written from now on.
    pub follow: bool,
    /// Only so many lines from the end.
    pub tail: Option<usize>,
    /// Only what was written since, in seconds since 1970.
    pub since: i32,
    /// Only what was written until then, in seconds since 1970.
    pub until: i32,
    /// Each line begins with its time.
    pub timestamps: bool,
}

impl Engine {
    /// Starts a command in a running container.
    pub async fn exec(&self, container: &str, command: &Command) -> Result<Option<Attached>, Error> {
        let config = ExecConfig {
            attach_stdin: Some(command.stdin && !command.detach),
            attach_stdout: Some(!command.detach),
            attach_stderr: Some(!command.detach),
            tty: Some(command.tty),
            env: Some(command.environment.clone()),
            cmd: Some(command.argv.clone()),
            privileged: Some(command.privileged),
            user: command.user.clone(),
            working_dir: command.directory.clone(),
            ..ExecConfig::default()
        };
        let id = self.patient.create_exec(container, config).await.doing("run a command")?.id;
        let options = StartExecOptions { detach: command.detach, tty: command.tty, output_capacity: None };
        match self.patient.start_exec(&id, Some(options)).await.doing("run a command")? {
            StartExecResults::Attached { output, input } => Ok(Some(Attached {
                output: pieces(output, "read a command's output"),
                input,
                what: What::Exec(id),
            })),
            StartExecResults::Detached => Ok(None),
        }
    }

    /// Runs a command in a running container to its end, giving what it writes piece by piece; says its exit code.
    pub async fn run(
        &self,
        container: &str,
        command: &Command,
        mut each: impl FnMut(Piece) + Send,
    ) -> Result<i64, Error> {
        let Some(mut attached) = self.exec(container, command).await? else { return Ok(0) };
        while let Some(piece) = attached.output.next().await {
            each(piece?);
        }
        self.exit_code(&attached.what).await
    }

    /// The same, with something to read; a command that ends before it has read all of it is no error.
    pub async fn run_fed(
        &self,
        container: &str,
        command: &Command,
        input: impl AsyncRead + Send,
        mut each: impl FnMut(Piece) + Send,
    ) -> Result<i64, Error> {
        let command = Command { stdin: true, ..command.clone() };
        let Some(attached) = self.exec(container, &command).await? else { return Ok(0) };
        let Attached { mut output, input: mut to, what } = attached;
        let feed = async {
            let mut input = std::pin::pin!(tokio::io::BufReader::with_capacity(1 << 18, input));
            if tokio::io::copy_buf(&mut input, &mut to).await.is_ok() {
                let _ = to.shutdown().await;
            }
            std::future::pending::<()>().await;
        };
        let read = async {
            while let Some(piece) = output.next().await {
                each(piece?);
            }
            Ok::<(), Error>(())
        };
        tokio::select! {
            ended = read => ended?,
            () = feed => {}
        }
        self.exit_code(&what).await
    }

    /// Attaches to a container that has not been started yet, so that nothing it says is missed.
    pub async fn attach(&self, container: &str, stdin: bool) -> Result<Attached, Error> {
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(stdin)
            .stdout(true)
            .stderr(true)
            .logs(false)
            .build();
        let results = self.patient.attach_container(container, Some(options)).await;
        let results = results.doing("attach to a container")?;
        Ok(Attached {
            output: pieces(results.output, "read a container's output"),
            input: results.input,
            what: What::Container(container.to_owned()),
        })
    }

    /// Tells the terminal's size, in characters.
    pub async fn resize(&self, what: &What, width: u16, height: u16) -> Result<(), Error> {
        match what {
            What::Exec(id) => self
                .docker
                .resize_exec(id, ResizeExecOptions { height, width })
                .await
                .doing("resize a terminal"),
            What::Container(id) => {
                let options = ResizeContainerTTYOptionsBuilder::default();
                let options = options.h(i32::from(height)).w(i32::from(width)).build();
                self.docker.resize_container_tty(id, options).await.doing("resize a terminal")
            }
        }
    }

    /// The exit code of a command whose output has ended, or of a container once it ends.
    pub async fn exit_code(&self, what: &What) -> Result<i64, Error> {
        match what {
            What::Exec(id) => {
                let inspected = self.docker.inspect_exec(id).await.doing("ask for an exit code")?;
                Ok(inspected.exit_code.unwrap_or(0))
            }
            What::Container(id) => self.exited(id).await,
        }
    }

    /// Waits until a container has ended; says its exit code.
    pub async fn exited(&self, container: &str) -> Result<i64, Error> {
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut ended = Box::pin(self.patient.wait_container(container, Some(options)));
        match ended.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // bollard makes an error of every code that is not 0.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(Error::from_bollard("wait for a container", error)),
            None => Err(Error::EventsEnded),
        }
    }

    /// What a container wrote.
    #[must_use]
    pub fn logs(&self, container: &str, which: Logs) -> Output {
        let tail = which.tail.map_or_else(|| "all".to_owned(), |count| count.to_string());
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .follow(which.follow)
            .tail(&tail)
            .since(which.since)
            .until(which.until)
            .timestamps(which.timestamps)
            .build();
        pieces(self.patient.clone().logs(container, Some(options)), "read a container's logs")
    }

    /// Runs a lifecycle hook to its end; a non-zero exit code is an error.
    pub async fn hook(&self, container: &str, hook: &Hook) -> Result<(), Error> {
        let command = Command::from(hook);
        let mut said = Vec::new();
        match self.run(container, &command, |piece| said.extend_from_slice(&piece.bytes)).await? {
            0 => Ok(()),
            code => Err(Error::Hook {
                command: command.argv.join(" "),
                code,
                said: String::from_utf8_lossy(&said).trim().to_owned(),
            }),
        }
    }
}
