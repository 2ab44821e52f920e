//! The command line's end: asks the keeper, and picks its own answers out of all that are heard.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::StorageError;
use super::protocol::{Answer, Ask, Item, Outcome, Reply, Request, Size, Status};

/// How long a keeper may say nothing about what it was asked: while it works, it says so twice a second.
pub const SILENCE: Duration = Duration::from_secs(20);

/// Who waits for which answer.
type Waiting = Arc<Mutex<Option<HashMap<String, UnboundedSender<Answer>>>>>;

/// A conversation with a keeper.
pub struct Client {
    write: tokio::sync::Mutex<Box<dyn AsyncWrite + Send + Unpin>>,
    waiting: Waiting,
    reader: JoinHandle<()>,
    silence: Duration,
}

impl Client {
    /// Talks over what the engine's `attach` gave: the keeper's standard output and input.
    pub fn new(
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let reader = tokio::spawn(listen(read, Arc::clone(&waiting)));
        Self { write: tokio::sync::Mutex::new(Box::new(write)), waiting, reader, silence: SILENCE }
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
        let id = name()?;
        let mut answers = self.expect(&id).ok_or(StorageError::Gone)?;
        let _forget = Forget { waiting: &self.waiting, id: &id };
        self.say(&Request { id: id.clone(), ask }).await?;
        loop {
            match tokio::time::timeout(self.silence, answers.recv()).await {
                Err(_) => return Err(StorageError::Silent { after: self.silence }),
                Ok(None) => return Err(StorageError::Gone),
                Ok(Some(Answer::Progress { done, total })) => on_progress(done, total),
                Ok(Some(Answer::Done(outcome))) => return Ok(*outcome),
                Ok(Some(Answer::Failed(refusal))) => return Err(refusal.into()),
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

    /// Puts a name into the list of those who wait; none when nobody listens any more.
    fn expect(&self, id: &str) -> Option<UnboundedReceiver<Answer>> {
        let (tell, told) = unbounded_channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_mut()?.insert(id.to_owned(), tell);
        Some(told)
    }

    async fn say(&self, request: &Request) -> Result<(), StorageError> {
        let mut line = serde_json::to_vec(request).map_err(|_| StorageError::Unexpected)?;
        line.push(b'\n');
        let mut write = self.write.lock().await;
        // One piece: the keeper's input is shared with other commands.
        write.write_all(&line).await.map_err(|_| StorageError::Gone)?;
        write.flush().await.map_err(|_| StorageError::Gone)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Takes a name off the list, however its question ended.
struct Forget<'a> {
    waiting: &'a Waiting,
    id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            waiting.remove(self.id);
        }
    }
}

/// Hands every answer to who waits for it; those for others, and what is no answer, are not ours.
async fn listen(read: impl AsyncRead + Unpin, waiting: Waiting) {
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
fn name() -> Result<String, StorageError> {
    let mut bytes = [0_u8; 12];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(StorageError::system("make a random name"))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex, split};

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
}
