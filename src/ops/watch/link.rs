//! The line to a container: a program of ours beside it, which makes its files as it is told ([`crate::watch::inside`]).

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};

use crate::base::{Failure, Kind};
use crate::engine::Engine;
use crate::engine::inspect::Within;
use crate::engine::own::{LABEL, Own, Talk};
use crate::ops::{Context, failures, pool};
use crate::plan::observed::{Container, State};
use crate::reload::protocol::{Answer, Ask, Make, Should};
use crate::watch;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Files up to this size are read before they are told of.
const SMALL: u64 = 4 << 20;

/// How much is told at once: bytes, and paths.
const MOST: (usize, usize) = (8 << 20, 2000);

/// A line to one run of one container.
pub(super) struct Link {
    /// The container's name.
    pub(super) name: String,
    /// Which run of it this is, and how old its image.
    pub(super) within: Within,
    hear: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    talk: std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>,
}

/// One path to be made so.
pub(super) struct Piece {
    /// What.
    pub(super) make: Make,
    /// A file's content.
    content: Content,
}

enum Content {
    None,
    Small(Vec<u8>),
    Large(File),
}

impl Piece {
    /// What has no content.
    pub(super) fn plain(make: Make) -> Self {
        Self { make, content: Content::None }
    }

    /// A file of this machine; an error when it is none any more.
    pub(super) fn file(place: &Path, path: String) -> std::io::Result<Self> {
        let (mut file, mode, size, modified) = watch::content(place)?;
        if size > SMALL {
            let make = Make::File { path, mode, size, modified };
            return Ok(Self { make, content: Content::Large(file) });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        // It may be growing; what comes later is told later.
        file.by_ref().take(SMALL).read_to_end(&mut bytes)?;
        let make = Make::File { path, mode, size: bytes.len() as u64, modified };
        Ok(Self { make, content: Content::Small(bytes) })
    }

    fn size(&self) -> usize {
        match &self.content {
            Content::Small(bytes) => bytes.len(),
            Content::None | Content::Large(_) => 0,
        }
    }
}

/// What came of pieces.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// How many were not so before.
    pub(super) changed: usize,
    /// Which could not be made, and why.
    pub(super) failed: Vec<(String, String)>,
}

/// For how long one may be made and not started, in seconds.
const MADE: i64 = 60;

/// Takes away programs that were made and never started, as whoever made them was killed in between. One that was
/// started ends with its caller.
pub(super) async fn sweep(engine: &Engine) -> Result<(), Failure> {
    let found = engine.containers_with(&format!("{LABEL}=watch")).await.map_err(failures::engine)?;
    let left = |it: &Container| it.state == State::Created && it.created < crate::ops::now() - MADE;
    for container in found.into_iter().filter(left) {
        engine.remove_container(&container.id, false).await.map_err(failures::engine)?;
    }
    Ok(())
}

impl Link {
    /// Starts the program beside a container that runs.
    pub(super) async fn open(
        context: &Context,
        engine: &Engine,
        container: &Container,
        within: Within,
    ) -> Result<Self, Failure> {
        let image = pool::program_image(context, engine).await?;
        let id = &container.id;
        let own = Own {
            // Two may watch at once.
            name: format!("devenv-watch-{}-{}", container.short_id(), std::process::id()),
            image,
            arguments: ["__inside", "--container", id, "--user", &within.user].map(str::to_owned).into(),
            labels: [(LABEL.to_owned(), "watch".to_owned())].into(),
            files: true,
            beside: Some(id.clone()),
            passing: true,
            ..Own::default()
        };
        // Of a run that has just ended.
        engine.remove_container(&own.name, false).await.map_err(failures::engine)?;
        // One that was made and not started would stay when the watch is ended here.
        let hold = context.stop.hold().await;
        let program = engine.create_own(&own).await.map_err(failures::engine)?;
        let opened = async {
            let Talk { hear, say } = engine.talk(&program).await.map_err(failures::engine)?;
            engine.start(&program).await.map_err(failures::engine)?;
            drop(hold);
            let hear = BufReader::new(hear);
            let mut link = Self { name: container.name.clone(), within, hear, talk: say };
            link.ask(&Ask::Hello).await?;
            Ok(link)
        };
        let opened = opened.await;
        if opened.is_err() {
            // The engine takes it away when it ends; one that was never started does not.
            let _ = engine.remove_container(&program, false).await;
        }
        opened
    }

    /// Which of these are not so, by number.
    pub(super) async fn compare(&mut self, all: Vec<Should>) -> Result<Vec<usize>, Failure> {
        match self.ask(&Ask::Compare { all }).await? {
            Answer::Differ { numbers } => Ok(numbers),
            _ => Err(self.nonsense()),
        }
    }

    /// Makes these so.
    pub(super) async fn make(&mut self, pieces: Vec<Piece>) -> Result<Came, Failure> {
        let mut came = Came::default();
        let mut pieces = pieces.into_iter().peekable();
        while pieces.peek().is_some() {
            let (mut bytes, mut some) = (0, Vec::new());
            while let Some(piece) = pieces.next_if(|_| bytes < MOST.0 && some.len() < MOST.1) {
                bytes += piece.size();
                some.push(piece);
            }
            let (all, contents): (Vec<Make>, Vec<Content>) =
                some.into_iter().map(|piece| (piece.make, piece.content)).unzip();
            let mut said = line(&Ask::Make { all: all.clone() })?;
            for (make, content) in all.iter().zip(contents) {
                match content {
                    Content::None => {}
                    Content::Small(bytes) => {
                        said.extend_from_slice(&bytes);
                        said.push(1);
                    }
                    Content::Large(file) => {
                        self.say(&std::mem::take(&mut said)).await?;
                        let Make::File { size, .. } = make else { continue };
                        let whole = self.stream(file, *size).await?;
                        said.push(u8::from(whole));
                    }
                }
            }
            self.say(&said).await?;
            match self.hear().await? {
                Answer::Made { changed, failed } => {
                    came.changed += changed;
                    came.failed.extend(failed);
                }
                _ => return Err(self.nonsense()),
            }
        }
        Ok(came)
    }

    /// Sends a large file; false when it became shorter meanwhile, and something else was sent in its place.
    async fn stream(&mut self, file: File, size: u64) -> Result<bool, Failure> {
        use tokio::io::AsyncReadExt;
        let mut file = tokio::fs::File::from_std(file).take(size);
        let mut left = size;
        let mut buffer = vec![0; 1 << 18];
        while let Ok(length @ 1..) = file.read(&mut buffer).await {
            self.say(&buffer[..length]).await?;
            left -= length as u64;
        }
        let whole = left == 0;
        buffer.fill(0);
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            self.say(&buffer[..length]).await?;
            left -= length as u64;
        }
        Ok(whole)
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Answer, Failure> {
        let line = line(ask)?;
        self.say(&line).await?;
        self.hear().await
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let said = async {
            self.talk.write_all(bytes).await?;
            self.talk.flush().await
        };
        said.await.map_err(|error| gone(&self.name).source(error))
    }

    async fn hear(&mut self) -> Result<Answer, Failure> {
        let mut line = Vec::new();
        match tokio::time::timeout(PATIENCE, self.hear.read_until(b'\n', &mut line)).await {
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                let why = format!("nothing was heard from container {} for {seconds} s", self.name);
                Err(Failure::new(Kind::Failed, why))
            }
            Ok(Ok(1..)) if line.ends_with(b"\n") => match serde_json::from_slice(&line) {
                Ok(Answer::No { why }) => Err(Failure::new(
                    Kind::Failed,
                    format!("container {} cannot be written to: {why}", self.name),
                )),
                Ok(answer) => Ok(answer),
                Err(error) => Err(self.nonsense().source(error)),
            },
            Ok(Err(error)) => Err(gone(&self.name).source(error)),
            Ok(Ok(_)) => Err(gone(&self.name)),
        }
    }

    fn nonsense(&self) -> Failure {
        let why = format!("what was heard from container {} was not understood", self.name);
        Failure::new(Kind::Failed, why)
    }
}

fn gone(name: &str) -> Failure {
    Failure::new(Kind::Failed, format!("container {name} went away"))
}

fn line(ask: &Ask) -> Result<Vec<u8>, Failure> {
    let mut line = serde_json::to_vec(ask)
        .map_err(|error| Failure::new(Kind::Failed, "a question cannot be written").source(error))?;
    line.push(b'\n');
    Ok(line)
}
