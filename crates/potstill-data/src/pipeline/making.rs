//! What stages make of a chunk.

use super::chunks::{ChunkStore, KeyParts, Receipt, lines, sha256};
use super::segment::{Account, Finished};
use super::{PipelineError, PipelineOptions, Stage};
use crate::Record;

/// The records of a chunk, and where they are.
#[derive(Debug)]
pub(super) enum Given {
    /// Just read.
    Read(Vec<Record>),
    /// On disk.
    Stored(Chunk),
}

/// A chunk on disk.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) key: String,
    /// Hash of its records.
    pub(super) content: String,
}

/// A chunk that is there, and its account.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) chunk: Chunk,
    pub(super) receipt: Receipt,
    /// Whether it was there before.
    pub(super) reused: bool,
}

impl Made {
    pub(super) fn new(key: String, receipt: Receipt, reused: bool) -> Self {
        Self {
            chunk: Chunk {
                key,
                content: receipt.records_sha256.clone(),
            },
            receipt,
            reused,
        }
    }
}

/// Stages that follow each other, and where what they make is kept.
#[derive(Clone, Copy)]
pub(super) struct Workshop<'a> {
    pub(super) store: &'a ChunkStore,
    pub(super) options: &'a PipelineOptions,
    pub(super) stages: &'a [&'a dyn Stage],
    /// Name of each stage and the hash of its configuration.
    pub(super) names: &'a [(String, String)],
}

impl Workshop<'_> {
    /// How many chunks it has in hand at a time: a model gets one after the other.
    pub(super) fn width(&self) -> usize {
        if self.stages.iter().any(|stage| stage.is_costly()) {
            1
        } else {
            rayon::current_num_threads()
        }
    }

    /// Finds what the stages made of a chunk, or makes it.
    pub(super) fn make(&self, given: Given) -> Result<Made, PipelineError> {
        let content = match &given {
            Given::Read(records) => sha256(&lines(records)),
            Given::Stored(chunk) => chunk.content.clone(),
        };
        let key = KeyParts {
            seed: self.options.seed,
            stages: self.names,
            surroundings: "",
            content: &content,
        }
        .key();
        if let Some(receipt) = self.store.find(&key) {
            return Ok(Made::new(key, receipt, true));
        }
        let records = match given {
            Given::Read(records) => records,
            Given::Stored(chunk) => self.store.read(&chunk.key)?,
        };
        let mut account = Account::of(records);
        for &stage in self.stages {
            account.pass(stage, self.options, &key)?;
        }
        let receipt = keep(self.store, &key, account.finish())?;
        Ok(Made::new(key, receipt, false))
    }
}

/// Writes down what a chunk has become.
pub(super) fn keep(
    store: &ChunkStore,
    key: &str,
    finished: Finished,
) -> Result<Receipt, PipelineError> {
    store.write(
        key,
        &finished.records,
        &finished.rejected,
        &finished.receipt,
    )?;
    Ok(finished.receipt)
}
