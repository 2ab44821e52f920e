//! The command line's end: asks the keeper, and picks its own answers out of all that are heard.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::StorageError;
use super::protocol::{Answer, Ask, Item, Outcome, Size, Status};
use crate::talk::{Conversation, TalkError};

/// How long a keeper may say nothing about what it was asked: while it works, it says so twice a second.
pub const SILENCE: Duration = Duration::from_secs(20);

/// A conversation with a keeper.
pub struct Client {
    conversation: Conversation<Answer>,
    silence: Duration,
}

impl Client {
    /// Talks over what the engine's `attach` gave: the keeper's standard output and input.
    pub fn new(
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self { conversation: Conversation::new(read, write), silence: SILENCE }
    }

    /// The same, with another patience.
    #[must_use]
    pub fn patience(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Asks, tells of progress (bytes done, bytes in all), and waits for the end.
    pub async fn ask(
        &self,
        ask: Ask,
        mut on_progress: impl FnMut(u64, u64),
    ) -> Result<Outcome, StorageError> {
        let mut answers = self.conversation.ask(ask).await?;
        loop {
            match answers.next(self.silence).await? {
                Answer::Progress { done, total } => on_progress(done, total),
                Answer::Done(outcome) => return Ok(*outcome),
                Answer::Failed(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// Asks what has no answer but that it was done.
    pub async fn order(&self, ask: Ask, on_progress: impl FnMut(u64, u64)) -> Result<(), StorageError> {
        match self.ask(ask, on_progress).await? {
            Outcome::Nothing => Ok(()),
            _ => Err(StorageError::Unexpected),
        }
    }

    /// What the pool is, and how full.
    pub async fn status(&self) -> Result<Status, StorageError> {
        match self.ask(Ask::Status, |_, _| ()).await? {
            Outcome::Status(status) => Ok(status),
            _ => Err(StorageError::Unexpected),
        }
    }

    /// All data that is there.
    pub async fn list(&self) -> Result<Vec<Item>, StorageError> {
        match self.ask(Ask::List, |_, _| ()).await? {
            Outcome::Items(items) => Ok(items),
            _ => Err(StorageError::Unexpected),
        }
    }

    /// How large data is, by id; what is not there is left out.
    pub async fn sizes(&self, ids: Vec<String>) -> Result<BTreeMap<String, Size>, StorageError> {
        match self.ask(Ask::Sizes { ids }, |_, _| ()).await? {
            Outcome::Sizes(sizes) => Ok(sizes),
            _ => Err(StorageError::Unexpected),
        }
    }

    /// The data that each environment works on.
    pub async fn live(&self) -> Result<BTreeMap<String, String>, StorageError> {
        match self.ask(Ask::Live, |_, _| ()).await? {
            Outcome::Live(live) => Ok(live),
            _ => Err(StorageError::Unexpected),
        }
    }

    /// What is wrong with the pool, as sentences.
    pub async fn check(&self) -> Result<Vec<String>, StorageError> {
        match self.ask(Ask::Check, |_, _| ()).await? {
            Outcome::Problems(problems) => Ok(problems),
            _ => Err(StorageError::Unexpected),
        }
    }
}

impl From<TalkError> for StorageError {
    fn from(error: TalkError) -> Self {
        match error {
            TalkError::Gone => Self::Gone,
            TalkError::Silent { after } => Self::Silent { after },
            TalkError::Unwritable => Self::Unexpected,
            TalkError::NoName(source) => Self::System { doing: "make a random name".to_owned(), source },
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, duplex, split};

    use super::*;

    /// A keeper that answers each question with what `answers` says.
    fn talk(answers: impl Fn(&Request) -> Vec<String> + Send + 'static) -> Client {
        let (near, far) = duplex(1 << 16);
        tokio::spawn(async move {
            let (read, mut write) = split(far);
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                for answer in answers(&serde_json::from_str(&line).unwrap()) {
                    write.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        let (read, write) = split(near);
        Client::new(read, write)
    }

    fn line(id: &str, answer: Answer) -> String {
        serde_json::to_string(&Reply { id: id.to_owned(), answer }).unwrap() + "\n"
    }

    #[tokio::test]
    async fn its_own_answer_among_those_of_others() {
        let client = talk(|request| {
            let others = line("other", Answer::Done(Box::new(Outcome::Nothing)));
            let progress = line(&request.id, Answer::Progress { done: 1, total: 2 });
            let done = line(&request.id, Answer::Done(Box::new(Outcome::Items(Vec::new()))));
            vec![others, "no json\n".to_owned(), progress[..9].to_owned(), progress[9..].to_owned(), done]
        });
        let mut seen = Vec::new();
        let outcome = client.ask(Ask::List, |done, total| seen.push((done, total))).await.unwrap();
        assert_eq!((outcome, seen), (Outcome::Items(Vec::new()), vec![(1, 2)]));
        assert!(matches!(client.status().await, Err(StorageError::Unexpected)));
    }

    #[tokio::test]
    async fn refusals_silence_and_an_end_are_told_apart() {
        let refuses = talk(|request| vec![line(&request.id, Answer::Failed(Refusal::ReadOnly))]);
        assert!(matches!(refuses.list().await, Err(StorageError::Refused(Refusal::ReadOnly))));
        let silent = talk(|_| Vec::new()).patience(Duration::from_millis(20));
        assert!(matches!(silent.list().await, Err(StorageError::Silent { .. })));
        let (near, mut far) = duplex(1 << 16);
        let (read, write) = split(near);
        let client = Client::new(read, write);
        let (answer, ()) = tokio::join!(client.list(), async move {
            far.read_u8().await.unwrap();
            drop(far);
        });
        assert!(matches!(answer, Err(StorageError::Gone)));
        assert!(matches!(client.list().await, Err(StorageError::Gone)));
    }

    use super::super::Refusal;
    use super::super::protocol::{Reply, Request};
}
