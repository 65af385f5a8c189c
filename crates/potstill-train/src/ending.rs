//! How a run came to its end, said by its folder alone.
//!
//! `run.json` is there when a run has begun. `ended.json` is written when it ends, by whatever is
//! left of it: at the last step, at an error, at a panic. A run that has begun, holds no lock and has
//! no `ended.json` was killed, and the last line of its log says when it was last heard of.

use std::error::Error as StdError;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::durable::write_json;
use crate::run_folder::{ENDED, RunFolder, STARTED, is_locked};
use crate::{Error, StopReason};

const SCHEMA: &str = "potstill.ended/1";

/// Why a run ended, as far as it could say so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// All steps were taken.
    Completed,
    /// The source had no more batches.
    Exhausted,
    /// Evaluations no longer improved.
    EarlyStop,
    /// A callback asked for it.
    Callback,
    /// An error.
    Failed,
    /// A bug: the program panicked.
    Panicked,
}

impl From<StopReason> for EndReason {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Completed => Self::Completed,
            StopReason::Exhausted => Self::Exhausted,
            StopReason::EarlyStop => Self::EarlyStop,
            StopReason::Callback => Self::Callback,
        }
    }
}

/// The content of `ended.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Ended {
    schema: String,
    /// Why.
    pub reason: EndReason,
    /// Steps finished.
    pub step: usize,
    /// Steps of the whole run.
    pub total_steps: usize,
    /// When, as in RFC 3339.
    pub at: String,
    /// Seconds since the run began or went on.
    pub seconds: f64,
    /// The error and its causes, or what the panic said; empty at a normal end.
    pub error: Vec<String>,
}

impl Ended {
    pub(crate) fn new(
        reason: EndReason,
        [step, total_steps]: [usize; 2],
        seconds: f64,
        error: Vec<String>,
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            reason,
            step,
            total_steps,
            at: now(),
            seconds,
            error,
        }
    }

    pub(crate) fn write(&self, run: &RunFolder) -> Result<(), Error> {
        write_json(&run.ended(), self)
    }
}

/// What has become of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fate {
    /// The folder holds no run.
    NotStarted,
    /// A process is training in it.
    Running,
    /// It ended and said why.
    Ended(Ended),
    /// It ended without a word: killed, out of memory, a power cut.
    Killed {
        /// The last step in its log.
        step: usize,
        /// When that was written, as in RFC 3339; `None` if it came to no line at all.
        heard_of: Option<String>,
    },
}

impl Fate {
    /// What the run folder says.
    ///
    /// # Errors
    ///
    /// When a file of it cannot be read or is not what it should be.
    pub fn of(run_folder: impl AsRef<Path>) -> Result<Self, Error> {
        let root = run_folder.as_ref();
        if !root.join(STARTED).exists() {
            return Ok(Self::NotStarted);
        }
        if is_locked(root)? {
            return Ok(Self::Running);
        }
        let path = root.join(ENDED);
        match fs::read(&path) {
            Ok(bytes) => {
                let ended: Ended = serde_json::from_slice(&bytes).map_err(Error::json(&path))?;
                Ok(Self::Ended(ended))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => last_words(root),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }
}

fn last_words(root: &Path) -> Result<Fate, Error> {
    let path = root.join("metrics.jsonl");
    let log = match fs::read(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("read", &path)(error));
        }
        log => log.unwrap_or_default(),
    };
    let lines = log.split(|byte| *byte == b'\n').rev();
    // What was killed may have cut off its last line.
    let last: Option<Value> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .next();
    let last = last.unwrap_or_default();
    let step = last["step"].as_u64().unwrap_or(0);
    Ok(Fate::Killed {
        step: usize::try_from(step).unwrap_or(usize::MAX),
        heard_of: last["at"].as_str().map(str::to_owned),
    })
}

/// An error and its causes, each in its own words.
pub(crate) fn error_chain(error: &Error) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        chain.push(cause.to_string());
        next = cause.source();
    }
    chain
}

/// The time, as in RFC 3339.
pub(crate) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
