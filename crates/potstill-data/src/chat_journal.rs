//! Answers of a model on disk, so that none is asked for twice.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use potstill_core::{ChatError, ChatModel, ChatReply, ChatRequest};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::Error;

/// A model whose answers are kept in a file.
///
/// An answer is on disk before anyone sees it, and a request that was answered before gets the same
/// answer without the model: a run that is killed and started again pays for nothing twice, nor does
/// one that reads the answers in another way. What fails is not kept, and is asked again.
///
/// Two requests are the same if the name of the model and everything in them is; requests that shall
/// have different answers need different seeds. The file is JSONL, one answer a line. Memory: about
/// 60 bytes an answer.
///
/// # Examples
///
/// ```
/// use potstill_core::{ChatModel, ChatRequest, Message};
/// use potstill_data::ChatJournal;
/// use potstill_testkit::ScriptedChat;
///
/// let folder = tempfile::tempdir()?;
/// let request = ChatRequest::new(vec![Message::user("2 + 2?")], 8);
/// for _ in 0..2 {
///     let teacher = ScriptedChat::new("teacher", |_| "4".into());
///     let journal = ChatJournal::open(folder.path().join("answers.jsonl"), teacher)?;
///     let reply = journal.chat(&[request.clone()]).remove(0)?;
///     assert_eq!(reply.text, "4");
/// }
/// // The second teacher was not asked.
/// let answers = std::fs::read_to_string(folder.path().join("answers.jsonl"))?;
/// assert_eq!(answers.lines().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ChatJournal<M> {
    model: M,
    path: PathBuf,
    at_a_time: usize,
    answers: Mutex<Answers>,
}

impl<M: fmt::Debug> fmt::Debug for ChatJournal<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatJournal")
            .field("model", &self.model)
            .field("path", &self.path)
            .field("answers", &self.answers().places.len())
            .finish_non_exhaustive()
    }
}

/// Hash of a request.
type Key = [u8; 32];

/// Where the answers are.
#[derive(Debug)]
struct Answers {
    file: File,
    /// Begin and length of a line.
    places: HashMap<Key, (u64, u32)>,
    /// Where the next line begins.
    end: u64,
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    request: String,
    reply: T,
}

impl<M> ChatJournal<M> {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: ChatModel> ChatJournal<M> {
    /// Opens the file, or begins it. A line that a killed run did not finish is removed.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or read, or another process has it.
    pub fn open(path: impl AsRef<Path>, model: M) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(Error::io("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::JournalInUse { path: path.into() }),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", path)(source)),
        }
        let answers = Answers::read(file).map_err(Error::io("read", path))?;
        Ok(Self {
            model,
            path: path.into(),
            at_a_time: 16,
            answers: Mutex::new(answers),
        })
    }

    /// How many requests the model gets at a time, 16 by default; so many answers are lost at most
    /// when the process is killed.
    ///
    /// # Panics
    ///
    /// Panics if it is 0.
    #[must_use]
    pub fn with_requests_at_a_time(mut self, requests: usize) -> Self {
        assert!(requests > 0, "the model needs at least one request");
        self.at_a_time = requests;
        self
    }

    fn key(&self, request: &ChatRequest) -> Key {
        let sampling = &request.sampling;
        let content = json!({
            "model": self.model.name(),
            "messages": request.messages,
            "max_tokens": request.max_tokens,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
            "stop": request.stop,
            "seed": request.seed,
            "top_log_probs": request.top_log_probs,
            "schema": request.schema,
        });
        Sha256::digest(content.to_string()).into()
    }

    /// Asks what is not known and writes it down before it is returned.
    fn ask(&self, requests: &[ChatRequest], keys: &[Key]) -> Vec<Result<ChatReply, ChatError>> {
        let mut replies: Vec<Option<Result<ChatReply, ChatError>>> = keys
            .iter()
            .map(|key| self.recall(key).transpose())
            .collect();
        let unknown: Vec<usize> = (0..keys.len()).filter(|&i| replies[i].is_none()).collect();
        let asked: Vec<ChatRequest> = unknown.iter().map(|&i| requests[i].clone()).collect();
        if !asked.is_empty() {
            let mut answers = self.model.chat(&asked);
            answers.resize_with(asked.len(), || {
                Err(ChatError::BadRequest {
                    model: self.model.name().to_owned(),
                    reason: "it returned fewer replies than it was given requests".into(),
                })
            });
            let keys: Vec<Key> = unknown.iter().map(|&i| keys[i]).collect();
            let kept = self.answers().keep(&keys, &answers);
            let kept = kept.map_err(Error::io("write", &self.path));
            let problem = kept.err().map(|error| error.to_string());
            for (place, answer) in unknown.into_iter().zip(answers) {
                // An answer that is not on disk would be paid for again.
                replies[place] = Some(match &problem {
                    Some(problem) => Err(self.failed(problem.clone())),
                    None => answer,
                });
            }
        }
        replies.into_iter().flatten().collect()
    }

    fn recall(&self, key: &Key) -> Result<Option<ChatReply>, ChatError> {
        let reply = self
            .answers()
            .recall(key)
            .map_err(Error::io("read", &self.path));
        reply.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ChatError {
        ChatError::Source {
            model: self.model.name().to_owned(),
            source: source.into(),
        }
    }
}

impl<M: ChatModel> ChatModel for ChatJournal<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        let keys: Vec<Key> = requests.iter().map(|request| self.key(request)).collect();
        requests
            .chunks(self.at_a_time)
            .zip(keys.chunks(self.at_a_time))
            .flat_map(|(requests, keys)| self.ask(requests, keys))
            .collect()
    }
}

impl Answers {
    fn read(file: File) -> std::io::Result<Self> {
        let mut places = HashMap::new();
        let mut end = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            let parsed = serde_json::from_slice::<Line<IgnoredAny>>(&line).ok();
            match parsed.and_then(|line| key_of(&line.request)) {
                Some(key) => {
                    places.insert(key, (end, line.len() as u32));
                }
                None => tracing::warn!(position = end, "a line of the journal is no answer"),
            }
            end += line.len() as u64;
            line.clear();
        }
        drop(reader);
        file.set_len(end)?;
        Ok(Self { file, places, end })
    }

    fn keep(
        &mut self,
        keys: &[Key],
        replies: &[Result<ChatReply, ChatError>],
    ) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for (key, reply) in keys.iter().zip(replies) {
            let Ok(reply) = reply else { continue };
            let begin = bytes.len();
            let request = key.iter().map(|byte| format!("{byte:02x}")).collect();
            serde_json::to_writer(&mut bytes, &Line { request, reply })?;
            bytes.push(b'\n');
            places.push((*key, self.end + begin as u64, (bytes.len() - begin) as u32));
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        self.places.extend(
            places
                .into_iter()
                .map(|(key, begin, length)| (key, (begin, length))),
        );
        Ok(())
    }

    fn recall(&mut self, key: &Key) -> std::io::Result<Option<ChatReply>> {
        let Some(&(begin, length)) = self.places.get(key) else {
            return Ok(None);
        };
        let mut line = vec![0; length as usize];
        self.file.seek(SeekFrom::Start(begin))?;
        self.file.read_exact(&mut line)?;
        let line: Line<ChatReply> = serde_json::from_slice(&line)?;
        Ok(Some(line.reply))
    }
}

fn key_of(hexadecimal: &str) -> Option<Key> {
    let digits = hexadecimal.as_bytes();
    let mut key = [0; 32];
    if digits.len() != 2 * key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests;
