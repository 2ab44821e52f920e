//! Turns what `BuildKit` tells of its steps into events, and remembers what explains a failure.

use std::collections::{HashMap, HashSet, VecDeque};

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexWarning};

use crate::base::{Event, Events};

/// How many lines of a failed step are shown.
const LAST_LINES: usize = 20;

/// Everything that was told of one build.
#[derive(Debug)]
pub(super) struct Progress {
    subject: String,
    events: Events,
    steps: HashMap<String, Step>,
    warned: HashSet<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    started: bool,
    completed: bool,
    error: String,
    last: Lines,
    /// Of the transfers that belong to it: done and total.
    bytes: HashMap<String, (i64, i64)>,
}

/// The step that broke a build.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) name: String,
    pub(super) error: String,
    pub(super) log: Vec<String>,
}

impl Progress {
    pub(super) fn new(subject: &str, events: &Events) -> Self {
        Self {
            subject: subject.to_owned(),
            events: events.clone(),
            steps: HashMap::new(),
            warned: HashSet::new(),
        }
    }

    pub(super) fn take(&mut self, status: StatusResponse) {
        for vertex in status.vertexes {
            self.vertex(vertex);
        }
        for transfer in status.statuses {
            let Some(step) = self.steps.get_mut(&transfer.vertex) else { continue };
            if transfer.total > 0 {
                step.bytes.insert(transfer.id, (transfer.current, transfer.total));
                let (done, total) =
                    step.bytes.values().fold((0, 0), |sum, bytes| (sum.0 + bytes.0, sum.1 + bytes.1));
                self.events.tell(Event::Progress {
                    subject: self.subject.clone(),
                    detail: step.name.clone(),
                    done: u64::try_from(done).ok(),
                    total: u64::try_from(total).ok(),
                });
            }
        }
        for log in status.logs {
            self.log(&log);
        }
        for warning in status.warnings {
            self.warning(&warning);
        }
    }

    fn vertex(&mut self, vertex: Vertex) {
        let step = self.steps.entry(vertex.digest).or_default();
        step.name = vertex.name;
        if !vertex.error.is_empty() {
            step.error = vertex.error;
        }
        let started = !step.started && vertex.started.is_some();
        let completed = !step.completed && vertex.completed.is_some();
        step.started |= started;
        step.completed |= completed;
        let outcome = match (completed, vertex.cached, step.error.is_empty()) {
            (true, true, _) => " (cached)",
            (true, false, true) => " (done)",
            (true, false, false) => " (failed)",
            (false, ..) if started => "",
            _ => return,
        };
        let detail = format!("{}{outcome}", step.name);
        let (done, total) = self.count();
        self.events.tell(Event::Progress {
            subject: self.subject.clone(),
            detail,
            done: Some(done),
            total: Some(total),
        });
        if completed {
            self.flush();
        }
    }

    /// Steps done and known, without the builder's own.
    fn count(&self) -> (u64, u64) {
        let own = self.steps.values().filter(|step| !step.name.starts_with("[internal]"));
        own.fold((0, 0), |(done, total), step| (done + u64::from(step.completed), total + 1))
    }

    fn log(&mut self, log: &VertexLog) {
        let Some(step) = self.steps.get_mut(&log.vertex) else { return };
        for line in step.last.push(&log.msg) {
            self.events.tell(Event::Output { subject: self.subject.clone(), line });
        }
    }

    fn flush(&mut self) {
        for step in self.steps.values_mut().filter(|step| step.completed) {
            if let Some(line) = step.last.finish() {
                self.events.tell(Event::Output { subject: self.subject.clone(), line });
            }
        }
    }

    fn warning(&mut self, warning: &VertexWarning) {
        if !self.warned.insert(warning.short.clone()) {
            return;
        }
        let line = warning.ranges.first().and_then(|range| range.start).map(|start| start.line);
        let file = warning.info.as_ref().map(|info| info.filename.clone());
        self.events.tell(Event::Warning {
            message: String::from_utf8_lossy(&warning.short).into_owned(),
            place: file.map(|file| line.map_or(file.clone(), |line| format!("{file}:{line}"))),
            hint: Some(warning.url.clone()).filter(|url| !url.is_empty()).map(|url| format!("see {url}")),
        });
    }

    /// The step that failed by itself rather than because another did.
    pub(super) fn broken(&self) -> Option<Broken> {
        let failed = self.steps.values().filter(|step| !step.error.is_empty());
        let step = failed.min_by_key(|step| is_cancelled(&step.error))?;
        let log = step.last.last();
        Some(Broken { name: step.name.clone(), error: step.error.clone(), log })
    }

    /// Names of steps that began and did not end.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &str> {
        self.steps
            .values()
            .filter(|step| !step.completed || !step.error.is_empty())
            .map(|step| step.name.as_str())
    }
}

fn is_cancelled(error: &str) -> bool {
    error.contains("context canceled")
}

/// The last lines of a text that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    kept: VecDeque<String>,
    begun: Vec<u8>,
}

impl Lines {
    /// Takes a piece; gives the lines that it completed.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                complete.extend(self.finish());
            }
        }
        complete
    }

    /// Ends a line that has no end.
    pub(super) fn finish(&mut self) -> Option<String> {
        if self.begun.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.begun);
        let text = String::from_utf8_lossy(&bytes);
        // A bar that redraws itself counts as its last state.
        let text = text.trim_end_matches(['\n', '\r']);
        let line = text.rsplit('\r').next().unwrap_or(text).to_owned();
        if self.kept.len() == LAST_LINES {
            self.kept.pop_front();
        }
        self.kept.push_back(line.clone());
        Some(line)
    }

    pub(super) fn last(&self) -> Vec<String> {
        let begun = (!self.begun.is_empty()).then(|| String::from_utf8_lossy(&self.begun).into_owned());
        self.kept.iter().cloned().chain(begun).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_only_the_last_are_kept() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\nb"), ["a"]);
        assert_eq!(lines.push(b"c\r\n10%\r20%\n"), ["bc", "20%"]);
        assert!(lines.push(b"end").is_empty());
        assert_eq!(lines.finish().as_deref(), Some("end"));
        for number in 0..30 {
            lines.push(format!("{number}\n").as_bytes());
        }
        let last = lines.last();
        assert_eq!((last.len(), last[0].as_str(), last[19].as_str()), (20, "10", "29"));
    }

    fn vertex(name: &str, error: &str) -> Vertex {
        let time = Some(bollard_buildkit_proto::google::protobuf::Timestamp::default());
        Vertex {
            digest: name.into(),
            name: name.into(),
            error: error.into(),
            started: time,
            completed: time,
            ..Vertex::default()
        }
    }

    #[test]
    fn the_culprit_is_not_the_one_that_was_stopped() {
        let mut progress = Progress::new("x", &Events::nowhere());
        let vertexes =
            vec![vertex("[a 1/2] RUN x", "context canceled"), vertex("[b 1/2] RUN y", "exit code: 3")];
        progress.take(StatusResponse { vertexes, ..StatusResponse::default() });
        assert_eq!(progress.broken().unwrap().name, "[b 1/2] RUN y");
    }
}
