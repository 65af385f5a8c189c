//! Asking a teacher once and keeping what it says.

mod half_precision;
pub(super) mod ownership;

use std::fs::File;
use std::path::Path;

use potstill_core::{
    Prediction, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary,
};
use rayon::prelude::*;

use super::columns::Run;
use super::keep::RowToKeep;
use super::log_probs::LogProbs;
use super::manifest::{MANIFEST, Manifest};
use super::row_code::EncodedRow;
use super::shard::{KeyedRun, Shard, write_shard};
use super::store::{Store, segment_key};
use super::{CacheError, CachedTeacher, Keep, TeacherIdentity};
use crate::prediction::{chunk_rows, logits};
use crate::segments::{HostBatch, Part, Segment};
use half_precision::half_precision;
use ownership::{check_same, lock};

/// What a [`CacheBuilder`] keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// What is kept of the distributions.
    pub keep: Keep,
    /// The teacher's hidden states that are kept, in f16, of the rows that count.
    pub hidden: Vec<usize>,
    /// Size from which on rows are written as a shard; what is not written yet is lost by a kill.
    pub shard_bytes: usize,
}

impl CacheConfig {
    /// Keeps distributions alone, in shards of 64 MiB.
    #[must_use]
    pub fn new(keep: Keep) -> Self {
        Self {
            keep,
            hidden: Vec::new(),
            shard_bytes: 64 << 20,
        }
    }
}

/// A teacher whose answers are kept in a folder.
///
/// It is a [`Teacher`] itself: what was asked before is read from the cache, everything else goes to
/// the teacher and into the cache, and either way the answer is what the cache holds, so that the
/// first epoch of a training run sees the same signal as the others. To fill a cache ahead of
/// training, call [`add`](Self::add) for each batch.
///
/// A builder that was interrupted goes on where it was: shards that are on disk are whole, and the
/// text they speak of is not read again. Only one builder at a time may have a folder.
#[derive(Debug)]
pub struct CacheBuilder<T> {
    teacher: T,
    vocabulary: Vocabulary,
    store: Store,
    pending_runs: Vec<KeyedRun>,
    taps: Taps,
    shard_bytes: usize,
    _lock: File,
}

impl<T: Teacher> CacheBuilder<T> {
    /// Begins a cache in `folder`, or goes on with the one that is there.
    ///
    /// A padded head is cut to the teacher's tokenizer, where that is known.
    ///
    /// # Errors
    ///
    /// When a setting is out of range, the folder cannot be written, another builder has it, or it
    /// holds a cache of another teacher, tokenizer or setting.
    pub fn open(
        folder: impl AsRef<Path>,
        teacher: T,
        identity: TeacherIdentity,
        config: &CacheConfig,
    ) -> Result<Self, CacheError> {
        let folder = folder.as_ref();
        let mut vocabulary = teacher.vocabulary().clone();
        if let Some(tokenizer) = &vocabulary.tokenizer {
            vocabulary.head_size = vocabulary.head_size.min(tokenizer.size);
        }
        let taps = Taps::hidden(config.hidden.iter().copied());
        let layers = taps.hidden_layers().to_vec();
        let manifest = Manifest::new(identity, vocabulary.clone(), config.keep, layers);

        std::fs::create_dir_all(folder).map_err(CacheError::io("create", folder))?;
        let lock = lock(folder)?;
        let store = if folder.join(MANIFEST).exists() {
            let store = Store::open(folder)?;
            check_same(folder, &store.manifest, &manifest)?;
            store
        } else {
            Store::new(folder.to_owned(), manifest)?
        };
        Ok(Self {
            teacher,
            vocabulary,
            store,
            pending_runs: Vec::new(),
            taps,
            shard_bytes: config.shard_bytes,
            _lock: lock,
        })
    }

    /// Keeps what the teacher says about the rows of `batch` that are not there yet, and says how
    /// many these were. The teacher only reads their segments.
    ///
    /// # Errors
    ///
    /// When the teacher fails, gives no whole distribution or one that is none, or a shard cannot be
    /// written. What was kept before still is; rows of a shard that could not be written stay in
    /// memory and are written by the next attempt.
    pub fn add(&mut self, batch: &TokenBatch) -> Result<usize, CacheError> {
        let host = HostBatch::read(batch).map_err(CacheError::device)?;
        self.add_host(batch, &host)
    }

    /// Writes what is in memory and opens the cache for reading.
    ///
    /// # Errors
    ///
    /// When it cannot be written or read back.
    pub fn finish(mut self) -> Result<CachedTeacher, CacheError> {
        self.flush()?;
        if self.store.shards.is_empty() {
            self.store.manifest.write(&self.store.folder)?;
        }
        CachedTeacher::open(&self.store.folder)
    }

    fn add_host(&mut self, batch: &TokenBatch, host: &HostBatch) -> Result<usize, CacheError> {
        let mut wanted: Vec<(usize, u128)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (number, segment) in host.segments().iter().enumerate() {
            let key = segment_key(host.tokens(segment));
            let missing = |&position: &u32| self.store.find(key, position).is_none();
            // The same text twice in a batch counts at the same positions, or is asked twice.
            if segment.positions.iter().any(missing)
                && seen.insert((key, segment.positions.as_slice()))
            {
                wanted.push((number, key));
            }
        }
        let numbers: Vec<usize> = wanted.iter().map(|&(number, _)| number).collect();
        let device = batch.tokens.device().without_autodiff();
        let Some(Part { batch: part, .. }) = host.only(&numbers, &device) else {
            return Ok(0);
        };
        let mut rows = Vec::with_capacity(part.rows.count());
        for &(number, key) in &wanted {
            let segment: &Segment = &host.segments()[number];
            rows.extend(segment.positions.iter().map(|&position| (key, position)));
        }
        let signal = self.teacher.signal(&part, &self.taps)?;
        let prediction = signal.prediction.truncated(self.vocabulary.head_size);
        let predictions = self.encode(&prediction, &rows)?;
        let mut hidden = Vec::with_capacity(self.taps.hidden_layers().len());
        for &layer in self.taps.hidden_layers() {
            let state = part.rows.select(signal.tapped.hidden(layer));
            self.store.set_hidden_width(state.dims()[1]);
            hidden.push(half_precision(state, &rows)?);
        }
        let kept = self.keep(&rows, &predictions, &hidden);
        if self.store.pending.bytes() >= self.shard_bytes {
            self.flush()?;
        }
        Ok(kept)
    }

    /// The rows of a prediction as bytes, a chunk of logits at a time.
    fn encode(
        &self,
        prediction: &Prediction,
        rows: &[(u128, u32)],
    ) -> Result<Vec<EncodedRow>, CacheError> {
        let vocab = self.vocabulary.head_size;
        let code = self.store.layout.code;
        let chunk_rows = chunk_rows(vocab);
        let mut encoded = Vec::with_capacity(rows.len());
        for (chunk, rows) in rows.chunks(chunk_rows).enumerate() {
            let kind = prediction.kind();
            let logits = logits(prediction, chunk * chunk_rows, rows.len())
                .ok_or(CacheError::NoDistribution { kind })?;
            assert_eq!(
                logits.dims()[1],
                vocab,
                "a teacher has the vocabulary that it names"
            );
            let logits = logits
                .try_into_vec_as::<f32>()
                .map_err(CacheError::device)?;
            let part: Result<Vec<EncodedRow>, CacheError> = logits
                .par_chunks(vocab)
                .zip(rows)
                .map(|(logits, &(segment, position))| {
                    let log_probs = LogProbs::of_logits(logits).ok_or(CacheError::NotFinite {
                        what: "prediction",
                        position,
                        reason: "its logits make no distribution",
                    })?;
                    Ok(code.encode(&RowToKeep {
                        log_probs: &log_probs,
                        segment,
                        position,
                    }))
                })
                .collect();
            encoded.extend(part?);
        }
        Ok(encoded)
    }

    /// Appends rows that are not there yet to the shard in memory.
    fn keep(
        &mut self,
        rows: &[(u128, u32)],
        predictions: &[EncodedRow],
        hidden: &[Vec<u8>],
    ) -> usize {
        let before = self.store.pending.rows;
        for (i, (&(segment, position), prediction)) in rows.iter().zip(predictions).enumerate() {
            if self.store.find(segment, position).is_some() {
                continue;
            }
            let pending = &self.store.pending;
            let (first_row, first_id) = (pending.rows, pending.ids(&self.store.layout));
            match self.pending_runs.last_mut() {
                Some(last)
                    if last.segment == segment && last.position + last.run.rows == position =>
                {
                    last.run.rows += 1;
                }
                _ => self.pending_runs.push(KeyedRun {
                    segment,
                    position,
                    run: Run {
                        shard: self.store.shards.len(),
                        first_row,
                        rows: 1,
                        first_id,
                    },
                }),
            }
            self.store.pending.push(prediction);
            let width = self.store.layout.hidden_bytes();
            for (column, layer) in self.store.pending.hidden.iter_mut().zip(hidden) {
                column.extend_from_slice(&layer[i * width..(i + 1) * width]);
            }
            if let Some(&run) = self.pending_runs.last() {
                self.store.insert(run);
            }
        }
        (self.store.pending.rows - before) as usize
    }
}

impl<T> CacheBuilder<T> {
    fn flush(&mut self) -> Result<(), CacheError> {
        let store = &mut self.store;
        if store.pending.rows == 0 {
            return Ok(());
        }
        let number = store.shards.len();
        let file = format!("shard-{number:05}.safetensors");
        let (folder, layout) = (store.folder.clone(), &store.layout);
        let entry = write_shard(&folder, file, &store.pending, &self.pending_runs, layout)?;
        let (shard, _) = Shard::open(&folder, &entry, number, layout)?;
        store.manifest.shards.push(entry);
        if let Err(error) = store.manifest.write(&folder) {
            store.manifest.shards.pop();
            return Err(error);
        }
        store.shards.push(shard);
        store.pending.clear();
        self.pending_runs.clear();
        Ok(())
    }
}

/// Rows in memory are written when a training run that owns the builder is over.
impl<T> Drop for CacheBuilder<T> {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            let rows = self.store.pending.rows;
            tracing::error!(%error, rows, "rows of a teacher cache are lost");
        }
    }
}

impl<T: Teacher> Teacher for CacheBuilder<T> {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn max_positions(&self) -> Option<usize> {
        self.teacher.max_positions()
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        let host = HostBatch::read(batch).map_err(CacheError::device)?;
        self.add_host(batch, &host)?;
        Ok(self.store.signal(batch, &host, taps)?)
    }
}
