//! A teacher that answers from disk.

use std::path::Path;

use potstill_core::{
    Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, TokenizerIdentity, Vocabulary,
};

use super::store::Store;
use super::{CacheError, Keep, TeacherIdentity};
use crate::prediction::tokenizer_name;
use crate::segments::HostBatch;

/// What a [`CacheBuilder`](super::CacheBuilder) has kept, as a teacher.
///
/// Rows are found by the text that they are about, so that batches may be shuffled, packed and cut
/// otherwise than when the teacher was asked, as long as their documents are the same. A batch with a
/// row that is not there is an error.
///
/// A shard is compared with its checksum before the first row of it is used, or all of them at once
/// by [`verify`](Self::verify). Hidden states are those of the rows that count and zero elsewhere.
#[derive(Debug)]
pub struct CachedTeacher {
    store: Store,
    vocabulary: Vocabulary,
}

impl CachedTeacher {
    /// Opens the cache in `folder`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, is not what the format says, or has another size than was written.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, CacheError> {
        let store = Store::open(folder.as_ref())?;
        Ok(Self {
            vocabulary: store.manifest.vocabulary.clone(),
            store,
        })
    }

    /// Refuses the cache of another teacher.
    ///
    /// # Errors
    ///
    /// When it is of another; names both.
    pub fn expect_teacher(self, teacher: &TeacherIdentity) -> Result<Self, CacheError> {
        let cached = &self.store.manifest.teacher;
        if cached == teacher {
            return Ok(self);
        }
        Err(self.other("teacher", cached.to_string(), teacher.to_string()))
    }

    /// Refuses the cache of another tokenizer.
    ///
    /// A trainer compares tokenizers as well, but does not know that the teacher is a cache.
    ///
    /// # Errors
    ///
    /// When it is of another, or of an unknown one; names both.
    pub fn expect_tokenizer(self, tokenizer: &TokenizerIdentity) -> Result<Self, CacheError> {
        let cached = self.vocabulary.tokenizer.as_ref();
        if cached == Some(tokenizer) {
            return Ok(self);
        }
        let cached = cached.map_or("none that is known".to_owned(), tokenizer_name);
        Err(self.other("tokenizer", cached, tokenizer_name(tokenizer)))
    }

    /// Compares every shard with its checksum now.
    ///
    /// # Errors
    ///
    /// When one is not what was written.
    pub fn verify(&mut self) -> Result<(), CacheError> {
        self.store.verify()
    }

    /// Whose answers these are.
    #[must_use]
    pub fn teacher(&self) -> &TeacherIdentity {
        &self.store.manifest.teacher
    }

    /// What is kept of each row.
    #[must_use]
    pub fn keep(&self) -> Keep {
        self.store.manifest.keep
    }

    /// Rows that are kept.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.store
            .manifest
            .shards
            .iter()
            .map(|shard| shard.rows)
            .sum()
    }

    /// Bytes of the shards, what finds their rows included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.store
            .manifest
            .shards
            .iter()
            .map(|shard| shard.bytes)
            .sum()
    }

    fn other(&self, what: &'static str, cached: String, wanted: String) -> CacheError {
        CacheError::Other {
            path: self.store.folder.clone(),
            what,
            cached,
            wanted,
        }
    }
}

impl Teacher for CachedTeacher {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        let host = HostBatch::read(batch).map_err(CacheError::device)?;
        Ok(self.store.signal(batch, &host, taps)?)
    }
}
