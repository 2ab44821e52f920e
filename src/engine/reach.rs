//! Waits until a container is healthy, done, or up, and says why when it will never be.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use super::Engine;
use super::error::{Doing, Error};
use super::stream::Command;
use super::watch::Watch;
use crate::plan::Goal;

/// How many of a container's last lines explain its failure.
const LAST_LINES: usize = 20;

/// What was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Its health check passes.
    Healthy,
    /// It runs and has no health check.
    Running,
    /// It ended with exit code 0.
    Completed,
}

/// Why a goal will not be reached.
#[derive(Debug, Clone)]
pub struct Unreached {
    /// What the container does instead, as a sentence's end: "exited (1)", "is unhealthy".
    pub state: String,
    /// Exit code and output of the last probe of its health check.
    pub last_probe: Option<String>,
    /// Its last lines of output.
    pub last_lines: Vec<String>,
    /// Killed for using more memory than it may.
    pub out_of_memory: bool,
}

enum Verdict {
    Reached(Reached),
    Failed(String),
    NotYet,
}

/// How long after a health check that did not pass it is asked again.
const BETWEEN_PROBES: Duration = Duration::from_millis(20);

impl Engine {
    /// Waits until the container reaches the goal. `Ok(Err(_))` means that it never will.
    pub async fn reach(
        &self,
        watch: &Watch,
        container: &str,
        goal: Goal,
    ) -> Result<Result<Reached, Unreached>, Error> {
        // Listening begins before the first look, so that no change falls between the two.
        let mut listener = watch.listen();
        loop {
            let inspected = self.inspect(container).await?;
            match verdict(&inspected, goal) {
                Verdict::Reached(reached) => return Ok(Ok(reached)),
                Verdict::Failed(state) => return Ok(Err(self.explain(&inspected, state).await)),
                Verdict::NotYet => {}
            }
            let id = inspected.id.as_deref().unwrap_or(container);
            listener.next(id).await?;
        }
    }

    /// The same, sooner: after some patience the container's own health check is asked again and again, instead of
    /// only when the engine's interval is over.
    pub async fn reach_soon(
        &self,
        watch: &Watch,
        container: &str,
        goal: Goal,
        patience: Duration,
    ) -> Result<Result<Reached, Unreached>, Error> {
        if !matches!(goal, Goal::Ready | Goal::Healthy) {
            return self.reach(watch, container, goal).await;
        }
        tokio::select! {
            reached = self.reach(watch, container, goal) => reached,
            () = self.passes(container, patience) => Ok(Ok(Reached::Healthy)),
        }
    }

    /// Ends when a container's health check has passed; never where there is none, or it cannot be run.
    async fn passes(&self, container: &str, patience: Duration) {
        tokio::time::sleep(patience).await;
        let test = match self.inspect(container).await {
            Ok(inspected) => inspected.config.and_then(|config| config.healthcheck?.test).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        // Docker Engine API, `HealthConfig.Test`.
        let argv: Vec<String> = match test.split_first() {
            Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
            Some((kind, rest)) if kind == "CMD-SHELL" => {
                ["/bin/sh".to_owned(), "-c".to_owned()].into_iter().chain(rest.iter().cloned()).collect()
            }
            _ => return std::future::pending().await,
        };
        let command = Command { argv, ..Command::default() };
        loop {
            if self.run(container, &command, |_| ()).await.is_ok_and(|code| code == 0) {
                return;
            }
            tokio::time::sleep(BETWEEN_PROBES).await;
        }
    }

    /// Why a container has not reached its goal yet: for time-outs.
    pub async fn explain_delay(&self, container: &str) -> Result<Unreached, Error> {
        let inspected = self.inspect(container).await?;
        let state = match inspected.state.as_ref().and_then(|state| state.health.as_ref()) {
            Some(health) if health.failing_streak.unwrap_or(0) > 0 => {
                format!("is not healthy after {} probes", health.failing_streak.unwrap_or(0))
            }
            Some(_) => "has not answered its first health probe".to_owned(),
            None => "is not up".to_owned(),
        };
        Ok(self.explain(&inspected, state).await)
    }

    /// All that the engine knows of a container.
    pub(super) async fn inspect(&self, container: &str) -> Result<ContainerInspectResponse, Error> {
        let options = None::<bollard::query_parameters::InspectContainerOptions>;
        self.docker.inspect_container(container, options).await.doing("inspect a container")
    }

    async fn explain(&self, inspected: &ContainerInspectResponse, state: String) -> Unreached {
        let id = inspected.id.as_deref().unwrap_or_default();
        let found = inspected.state.as_ref();
        let probe = found.and_then(|s| s.health.as_ref()).and_then(|health| health.log.as_ref()?.last());
        let last_probe = probe.map(|probe| {
            let output = probe.output.as_deref().unwrap_or_default().trim();
            format!("exit code {}: {output}", probe.exit_code.unwrap_or(-1))
        });
        let out_of_memory = found.and_then(|state| state.oom_killed).unwrap_or(false);
        Unreached { state, last_probe, last_lines: self.last_lines(id, LAST_LINES).await, out_of_memory }
    }

    /// The last lines that a container wrote; none when its logs cannot be read.
    pub async fn last_lines(&self, container: &str, count: usize) -> Vec<String> {
        let options =
            LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&count.to_string()).build();
        let mut logs = Box::pin(self.patient.logs(container, Some(options)));
        let mut text = String::new();
        while let Some(Ok(chunk)) = logs.next().await {
            text.push_str(&chunk.to_string());
        }
        text.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

fn verdict(inspected: &ContainerInspectResponse, goal: Goal) -> Verdict {
    let Some(state) = &inspected.state else { return Verdict::NotYet };
    let status = state.status.unwrap_or(ContainerStateStatusEnum::CREATED);
    let code = state.exit_code.unwrap_or(0);
    let failed_probes = state.health.as_ref().and_then(|health| health.failing_streak).unwrap_or(0);
    let health = state
        .health
        .as_ref()
        .and_then(|health| health.status)
        .filter(|status| !matches!(status, HealthStatusEnum::NONE | HealthStatusEnum::EMPTY));
    match status {
        ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED => match (goal, health) {
            (Goal::Started, _) | (Goal::Ready, None) => Verdict::Reached(Reached::Running),
            (Goal::Completed, _) => Verdict::NotYet,
            (Goal::Healthy, None) => {
                Verdict::Failed("has no health check, so it cannot become healthy".to_owned())
            }
            (_, Some(HealthStatusEnum::HEALTHY)) => Verdict::Reached(Reached::Healthy),
            // Without a failed probe it is only the engine's word for a check that does not run, as that of a
            // container that was paused (moby `container/health.go`, CloseMonitorChannel).
            (_, Some(HealthStatusEnum::UNHEALTHY)) if failed_probes > 0 => {
                Verdict::Failed("is unhealthy".to_owned())
            }
            (_, Some(_)) => Verdict::NotYet,
        },
        ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD => match goal {
            Goal::Started | Goal::Completed | Goal::Ready if code == 0 => {
                Verdict::Reached(Reached::Completed)
            }
            _ => Verdict::Failed(format!("exited ({code})")),
        },
        ContainerStateStatusEnum::RESTARTING if code != 0 && goal != Goal::Completed => {
            // The first restarts of a crash loop come fast; a service that needs one more try gets it.
            if inspected.restart_count.unwrap_or(0) >= 3 {
                Verdict::Failed(format!(
                    "exited ({code}) and was restarted {} times",
                    inspected.restart_count.unwrap_or(0)
                ))
            } else {
                Verdict::NotYet
            }
        }
        _ => Verdict::NotYet,
    }
}
