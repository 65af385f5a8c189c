//! The account of a run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Tally;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// Every record went as far as it could.
    Complete,
    /// The run gave up; the reason.
    Stopped(String),
}

/// The account of one stage.
///
/// `records_in = records_kept + Σ rejected + Σ failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// What it said changes what it does.
    pub configuration: Value,
    /// SHA-256 of the configuration, in hexadecimal.
    pub configuration_hash: String,
    /// Records that came in.
    pub records_in: u64,
    /// Bytes of text that they say.
    pub text_bytes_in: u64,
    /// Records that came in and went on.
    pub records_kept: u64,
    /// Records that went out: more than were kept where one became several.
    pub records_out: u64,
    /// Records that were not wanted, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Records that could not be handled, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Requests and tokens, those of earlier runs included.
    pub tally: Tally,
    /// Seconds of work, added up over the threads, those of earlier runs included.
    pub seconds: f64,
}

impl StageReport {
    pub(super) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Adds the account of a chunk.
    pub(super) fn add(&mut self, chunk: &Self) {
        self.records_in += chunk.records_in;
        self.text_bytes_in += chunk.text_bytes_in;
        self.records_kept += chunk.records_kept;
        self.records_out += chunk.records_out;
        for (reason, count) in &chunk.rejected {
            *self.rejected.entry(reason.clone()).or_default() += count;
        }
        for (reason, count) in &chunk.failed {
            *self.failed.entry(reason.clone()).or_default() += count;
        }
        self.tally.add(chunk.tally);
        self.seconds += chunk.seconds;
    }
}

/// The account of a run, `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `potstill.pipeline/1`.
    pub schema: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// The seed.
    pub seed: u64,
    /// Records that came in, those that could not be read included.
    pub input_records: u64,
    /// Records that could not be read.
    pub unreadable: u64,
    /// Each stage.
    pub stages: Vec<StageReport>,
    /// Records that came out.
    pub output_records: u64,
    /// SHA-256 of `output.jsonl`, in hexadecimal.
    pub output_sha256: String,
    /// Chunks that were found on disk.
    pub chunks_reused: u64,
    /// Chunks that were made.
    pub chunks_made: u64,
    /// What all requests cost, where prices are known.
    pub cost: Option<f64>,
}

pub(super) const SCHEMA: &str = "potstill.pipeline/1";
