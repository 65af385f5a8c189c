//! Rows on disk and in memory, found by what they are about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::prelude::*;
use half::f16;
use potstill_core::{Prediction, Support, Tapped, Taps, TeacherSignal, TokenBatch};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::CacheError;
use super::columns::{Columns, Layout, Run};
use super::manifest::Manifest;
use super::row_code::{RowCode, RowOut};
use super::shard::{KeyedRun, Shard};
use crate::segments::HostBatch;

/// Rows that are worth a task of their own.
const ROWS_PER_TASK: usize = 64;

/// The rows of a cache.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) layout: Layout,
    pub(super) shards: Vec<Shard>,
    /// Rows that are not on disk yet; none in a cache that is only read.
    pub(super) pending: Columns,
    index: BTreeMap<(u128, u32), Run>,
}

/// Rows of a batch that lie in one run; in order, they are all of its rows.
struct Found {
    run: Run,
    /// Where its segment begins in the batch.
    segment: usize,
    /// The first position of the run in the segment.
    position: u32,
    /// Flat positions of these rows in the batch.
    places: Vec<usize>,
    /// Where they are in the run.
    in_run: Vec<usize>,
}

impl Store {
    /// An empty store.
    pub(super) fn new(folder: PathBuf, manifest: Manifest) -> Result<Self, CacheError> {
        let code = manifest.keep.code(manifest.vocabulary.head_size)?;
        let layout = Layout {
            code,
            hidden: manifest.hidden.layers.len(),
            d_model: manifest.hidden.d_model,
        };
        Ok(Self {
            pending: Columns {
                hidden: vec![Vec::new(); layout.hidden],
                ..Columns::default()
            },
            folder,
            manifest,
            layout,
            shards: Vec::new(),
            index: BTreeMap::new(),
        })
    }

    /// Opens the cache in `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, CacheError> {
        let mut store = Self::new(folder.to_owned(), Manifest::read(folder)?)?;
        for (number, entry) in store.manifest.shards.iter().enumerate() {
            let (shard, runs) = Shard::open(folder, entry, number, &store.layout)?;
            store.shards.push(shard);
            let runs = runs
                .iter()
                .map(|run| ((run.segment, run.position), run.run));
            store.index.extend(runs);
        }
        Ok(store)
    }

    pub(super) fn insert(&mut self, run: KeyedRun) {
        self.index.insert((run.segment, run.position), run.run);
    }

    /// The width of the hidden states, known from the first shard on.
    pub(super) fn set_hidden_width(&mut self, d_model: usize) {
        self.layout.d_model = d_model;
        self.manifest.hidden.d_model = d_model;
    }

    /// Whether `other` shares rows with a run that begins or ends elsewhere: one of the two would hide
    /// rows of the other.
    pub(super) fn crosses(&self, other: &KeyedRun) -> bool {
        let end = other.position.saturating_add(other.run.rows);
        let mut of_segment = self.index.range((other.segment, 0)..(other.segment, end));
        of_segment.any(|(&(_, first), run)| {
            let same = first == other.position && run.rows == other.run.rows;
            first + run.rows > other.position && !same
        })
    }

    /// The run that a row lies in, and where.
    pub(super) fn find(&self, segment: u128, position: u32) -> Option<(Run, usize)> {
        let (&(_, first), &run) = self
            .index
            .range((segment, 0)..=(segment, position))
            .next_back()?;
        (position - first < run.rows).then_some((run, (position - first) as usize))
    }

    /// Verifies every shard that was not.
    pub(super) fn verify(&mut self) -> Result<(), CacheError> {
        self.shards.iter_mut().try_for_each(Shard::verify)
    }

    /// What is kept about `batch`.
    pub(super) fn signal(
        &mut self,
        batch: &TokenBatch,
        host: &HostBatch,
        taps: &Taps,
    ) -> Result<TeacherSignal, CacheError> {
        let layers = self.kept_layers(taps)?;
        let found = self.look_up(host)?;
        let mut parts = Vec::with_capacity(found.len());
        for part in &found {
            parts.push(match self.shards.get_mut(part.run.shard) {
                Some(shard) => shard.rows(part.run, &self.layout)?,
                None => self.pending.of_run(part.run, &self.layout),
            });
        }
        let device = batch.tokens.device().without_autodiff();
        let hidden = taps
            .hidden_layers()
            .iter()
            .zip(layers)
            .map(|(&layer, kept)| {
                (
                    layer,
                    self.hidden(host.shape(), kept, &found, &parts, &device),
                )
            });
        Ok(TeacherSignal {
            tapped: Tapped {
                hidden: hidden.collect(),
                attention: Vec::new(),
            },
            prediction: self.prediction(host.rows(), &found, &parts, &device)?,
        })
    }

    /// Where the tapped layers are among those that were kept.
    fn kept_layers(&self, taps: &Taps) -> Result<Vec<usize>, CacheError> {
        let kept = &self.manifest.hidden.layers;
        let missing = |wanted: String| CacheError::NotKept {
            path: self.folder.clone(),
            kept: kept.clone(),
            wanted,
        };
        if let Some(layer) = taps.attention_layers().first() {
            return Err(missing(format!("attention map {layer}")));
        }
        let place = |layer: &usize| {
            let found = kept.iter().position(|kept| kept == layer);
            found.ok_or_else(|| missing(format!("hidden state {layer}")))
        };
        taps.hidden_layers().iter().map(place).collect()
    }

    fn look_up(&mut self, host: &HostBatch) -> Result<Vec<Found>, CacheError> {
        let mut found: Vec<Found> = Vec::new();
        let mut missing = 0;
        for segment in host
            .segments()
            .iter()
            .filter(|segment| !segment.rows.is_empty())
        {
            let key = segment_key(host.tokens(segment));
            for &position in &segment.positions {
                let place = segment.span.start + position as usize;
                // Most rows lie in the run of the row before.
                let last = found
                    .last_mut()
                    .filter(|last| last.segment == segment.span.start);
                let last = last.and_then(|last| {
                    let in_run = position.checked_sub(last.position)?;
                    (in_run < last.run.rows).then_some((last, in_run))
                });
                if let Some((last, in_run)) = last {
                    last.places.push(place);
                    last.in_run.push(in_run as usize);
                } else if let Some((run, in_run)) = self.find(key, position) {
                    found.push(Found {
                        run,
                        segment: segment.span.start,
                        position: position - in_run as u32,
                        places: vec![place],
                        in_run: vec![in_run],
                    });
                } else {
                    missing += 1;
                }
            }
        }
        if missing > 0 {
            // An index that was damaged must not be taken for a row that was never kept.
            self.verify()?;
            return Err(CacheError::NotCached {
                path: self.folder.clone(),
                missing,
                rows: host.rows(),
            });
        }
        Ok(found)
    }

    fn hidden(
        &self,
        [batch, seq]: [usize; 2],
        layer: usize,
        found: &[Found],
        parts: &[Columns],
        device: &Device,
    ) -> Tensor<3> {
        let d_model = self.layout.d_model;
        let mut values = vec![0f32; batch * seq * d_model];
        for (part, columns) in found.iter().zip(parts) {
            for (&place, &row) in part.places.iter().zip(&part.in_run) {
                let bytes = &columns.hidden[layer][row * 2 * d_model..(row + 1) * 2 * d_model];
                let out = &mut values[place * d_model..(place + 1) * d_model];
                for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f16::from_le_bytes(*bytes).to_f32();
                }
            }
        }
        Tensor::from_data(TensorData::new(values, [batch, seq, d_model]), device)
    }

    fn prediction(
        &self,
        rows: usize,
        found: &[Found],
        parts: &[Columns],
        device: &Device,
    ) -> Result<Prediction, CacheError> {
        let code = self.layout.code;
        let (width, [ids, tails]) = (code.width(), code.named());
        let mut token_ids = vec![0i32; rows * ids];
        let mut log_probs = vec![0f32; rows * width];
        let mut tail = vec![0f32; rows * tails];

        let mut tasks = Vec::with_capacity(rows);
        let mut out = RowOut {
            token_ids: &mut token_ids,
            log_probs: &mut log_probs,
            tail: &mut tail,
        };
        for (part, columns) in found.iter().zip(parts) {
            let rows: Vec<_> = columns.predictions(&self.layout).collect();
            for &row in &part.in_run {
                let (first, rest) = out.split([ids, width, tails]);
                out = rest;
                tasks.push((part.run.shard, rows[row], first));
            }
        }
        tasks
            .par_iter_mut()
            .with_min_len(ROWS_PER_TASK)
            .try_for_each_init(Vec::new, |scratch, (shard, (fixed, ids), out)| {
                code.decode(fixed, ids, out, scratch)
                    .map_err(|reason| (*shard, reason))
            })
            .map_err(|(shard, reason)| match self.shards.get(shard) {
                Some(shard) => shard.wrong(reason),
                None => unreachable!("rows of this process are whole: {reason}"),
            })?;

        let wide = |values| Tensor::from_data(TensorData::new(values, [rows, width]), device);
        let named = || Tensor::from_data(TensorData::new(token_ids, [rows, ids]), device);
        Ok(match code {
            RowCode::Dense { .. } => Prediction::Dense(wide(log_probs)),
            RowCode::TopK(_) => Prediction::Sparse {
                token_ids: named(),
                log_probs: wide(log_probs),
                support: Support::TopK {
                    tail: Tensor::from_data(TensorData::new(tail, [rows]), device),
                },
            },
            RowCode::Sampled(_) => Prediction::Sparse {
                token_ids: named(),
                log_probs: wide(log_probs),
                support: Support::Sampled,
            },
        })
    }
}

/// What a segment is found by: a hash of the tokens that a model reads of it.
pub(super) fn segment_key(tokens: &[u32]) -> u128 {
    let mut hasher = Sha256::new();
    for token in tokens {
        hasher.update(token.to_le_bytes());
    }
    let digest = hasher.finalize();
    u128::from_le_bytes(*digest.first_chunk().expect("SHA-256 has 32 bytes"))
}
