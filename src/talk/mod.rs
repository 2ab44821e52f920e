//! How the command line talks to programs of ours that run beside the engine: questions and answers as JSON, one
//! document a line, over the container's standard input and output. Several commands may be attached to one program
//! at once and every one of them hears every answer, so each picks its own out by `id`.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request<Q> {
    /// Chosen by who asks, unique among all that ask.
    pub id: String,
    /// What is asked.
    pub ask: Q,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply<A> {
    /// The id of the question.
    pub id: String,
    /// What is answered.
    pub answer: A,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// The program ended, or its line was cut, before it answered.
    #[error("it ended before it answered")]
    Gone,
    /// It says nothing.
    #[error("it has said nothing for {} s", after.as_secs())]
    Silent {
        /// How long was waited.
        after: Duration,
    },
    /// The question cannot be written.
    #[error("the question cannot be written")]
    Unwritable,
    /// The system gave no random name for the question.
    #[error("there is no random name to be had")]
    NoName(#[source] io::Error),
}

/// Who waits for which answer.
type Waiting<A> = Arc<Mutex<Option<HashMap<String, UnboundedSender<A>>>>>;

/// A conversation with a program of ours.
pub struct Conversation<A> {
    write: tokio::sync::Mutex<Box<dyn AsyncWrite + Send + Unpin>>,
    waiting: Waiting<A>,
    reader: JoinHandle<()>,
}

impl<A: DeserializeOwned + Send + 'static> Conversation<A> {
    /// Talks over what the engine's `attach` gave: the program's standard output and input.
    pub fn new(
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let waiting: Waiting<A> = Arc::new(Mutex::new(Some(HashMap::new())));
        let reader = tokio::spawn(listen(read, Arc::clone(&waiting)));
        Self { write: tokio::sync::Mutex::new(Box::new(write)), waiting, reader }
    }

    /// Asks; the answers come one by one.
    pub async fn ask<Q: Serialize>(&self, ask: Q) -> Result<Answers<A>, TalkError> {
        let id = name()?;
        let (tell, told) = unbounded_channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.as_mut().ok_or(TalkError::Gone)?.insert(id.clone(), tell);
        }
        let answers = Answers { told, id: id.clone(), waiting: Arc::clone(&self.waiting) };
        let mut line = serde_json::to_vec(&Request { id, ask }).map_err(|_| TalkError::Unwritable)?;
        line.push(b'\n');
        let mut write = self.write.lock().await;
        // One piece: the program's input is shared with other commands.
        write.write_all(&line).await.map_err(|_| TalkError::Gone)?;
        write.flush().await.map_err(|_| TalkError::Gone)?;
        Ok(answers)
    }
}

impl<A> Drop for Conversation<A> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The answers to one question, which is forgotten with it.
pub struct Answers<A> {
    told: UnboundedReceiver<A>,
    id: String,
    waiting: Waiting<A>,
}

impl<A> Answers<A> {
    /// The next one, which has to come within `silence`.
    pub async fn next(&mut self, silence: Duration) -> Result<A, TalkError> {
        match tokio::time::timeout(silence, self.told.recv()).await {
            Err(_) => Err(TalkError::Silent { after: silence }),
            Ok(None) => Err(TalkError::Gone),
            Ok(Some(answer)) => Ok(answer),
        }
    }
}

impl<A> Drop for Answers<A> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            waiting.remove(&self.id);
        }
    }
}

/// Hands every answer to who waits for it; those for others, and what is no answer, are not ours.
async fn listen<A: DeserializeOwned>(read: impl AsyncRead + Unpin, waiting: Waiting<A>) {
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    while read.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
        if let Ok(Reply { id, answer }) = serde_json::from_slice(&line)
            && let Some(waiting) = waiting.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
            && let Some(tell) = waiting.get(&id)
        {
            // One that has gone meanwhile needs no answer.
            let _ = tell.send(answer);
        }
        line.clear();
    }
    // Without the senders, everybody who waits hears of the end.
    *waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// A name for a question that no other command gives.
fn name() -> Result<String, TalkError> {
    let mut bytes = [0_u8; 12];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| TalkError::NoName(error.into()))?;
    Ok(hex::encode(bytes))
}
