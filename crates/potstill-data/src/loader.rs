//! Rows to batches: epochs, a seeded shuffle, and a position that can be saved.

use std::sync::Arc;

use burn::prelude::Device;
use potstill_core::{TokenBatch, TokenRow};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

/// Settings of a [`Loader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderOptions {
    /// Rows of a batch.
    pub batch_size: usize,
    /// Seed of the shuffle; every epoch has its own order. Without it rows come in their own.
    pub shuffle: Option<u64>,
    /// Leaves out the last batch of an epoch when it is not full.
    pub drop_last: bool,
    /// Epochs after which the loader ends; without a number it never does.
    pub epochs: Option<u64>,
}

impl LoaderOptions {
    /// Endless shuffled epochs, with whatever is left at the end of each as a smaller batch.
    #[must_use]
    pub fn shuffled(batch_size: usize, seed: u64) -> Self {
        Self {
            batch_size,
            shuffle: Some(seed),
            drop_last: false,
            epochs: None,
        }
    }

    /// The rows once, in their order.
    #[must_use]
    pub fn in_order(batch_size: usize) -> Self {
        Self {
            batch_size,
            shuffle: None,
            drop_last: false,
            epochs: Some(1),
        }
    }
}

/// A saved position of a [`Loader`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// Epochs that are over.
    pub epoch: u64,
    /// Rows of this epoch that were handed out.
    pub cursor: usize,
    /// Seed of the shuffle.
    pub shuffle: Option<u64>,
    /// Fingerprint of the rows.
    pub data: String,
}

/// Hands out rows batch by batch.
///
/// The order of an epoch depends on the seed and the number of the epoch alone, so a restored loader
/// goes on exactly where it was.
///
/// # Examples
///
/// ```
/// use potstill_core::TokenRow;
/// use potstill_data::{Loader, LoaderOptions};
///
/// let rows: Vec<TokenRow> = (0..5).map(|i| TokenRow::document(&[i, i + 1], &[1.0; 2])).collect();
/// let mut loader = Loader::new(rows, LoaderOptions::shuffled(2, 17))?;
/// loader.next_rows();
/// let position = loader.state();
/// let next = loader.next_rows();
/// loader.restore(&position)?;
/// assert_eq!(loader.next_rows(), next);
/// # Ok::<(), potstill_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Loader {
    rows: Arc<[TokenRow]>,
    options: LoaderOptions,
    fingerprint: String,
    order: Vec<usize>,
    epoch: u64,
    cursor: usize,
}

impl Loader {
    /// A loader at the beginning of its first epoch.
    ///
    /// # Errors
    ///
    /// When no batch could ever come: no rows, batches of no row, or fewer rows than a batch has while
    /// incomplete batches are left out.
    pub fn new(rows: impl Into<Arc<[TokenRow]>>, options: LoaderOptions) -> Result<Self, Error> {
        let rows = rows.into();
        let LoaderOptions {
            batch_size,
            drop_last,
            ..
        } = options;
        let is_short = drop_last && rows.len() < batch_size;
        if rows.is_empty() || batch_size == 0 || is_short {
            return Err(Error::NoBatch {
                rows: rows.len(),
                batch_size,
                drop_last,
            });
        }
        let order = epoch_order(rows.len(), options.shuffle, 0);
        let fingerprint = fingerprint(&rows);
        Ok(Self {
            rows,
            options,
            fingerprint,
            order,
            epoch: 0,
            cursor: 0,
        })
    }

    /// The rows of the next batch, `None` when the epochs are over.
    pub fn next_rows(&mut self) -> Option<Vec<TokenRow>> {
        let left = self.order.len() - self.cursor;
        if left == 0 || (self.options.drop_last && left < self.options.batch_size) {
            self.begin_epoch(self.epoch + 1, 0);
        }
        if self
            .options
            .epochs
            .is_some_and(|epochs| self.epoch >= epochs)
        {
            return None;
        }
        let end = (self.cursor + self.options.batch_size).min(self.order.len());
        let batch = &self.order[self.cursor..end];
        self.cursor = end;
        Some(batch.iter().map(|&row| self.rows[row].clone()).collect())
    }

    /// The next batch, `None` when the epochs are over.
    ///
    /// Give a plain device, never an autodiff one.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, seq]`, `seq` being the longest row of the batch
    pub fn next_batch(&mut self, pad_token: u32, device: &Device) -> Option<TokenBatch> {
        self.next_rows()
            .map(|rows| TokenBatch::from_rows(&rows, pad_token, device))
    }

    /// Where the loader is.
    #[must_use]
    pub fn state(&self) -> LoaderState {
        LoaderState {
            epoch: self.epoch,
            cursor: self.cursor,
            shuffle: self.options.shuffle,
            data: self.fingerprint.clone(),
        }
    }

    /// Goes to a saved position, and takes over its seed.
    ///
    /// # Errors
    ///
    /// When the position belongs to other rows; the loader is then where it was.
    pub fn restore(&mut self, state: &LoaderState) -> Result<(), Error> {
        if state.data != self.fingerprint {
            return Err(Error::OtherData {
                saved: state.data.clone(),
                found: self.fingerprint.clone(),
            });
        }
        if state.cursor > self.rows.len() {
            return Err(Error::CursorBeyondEnd {
                cursor: state.cursor,
                rows: self.rows.len(),
            });
        }
        self.options.shuffle = state.shuffle;
        self.begin_epoch(state.epoch, state.cursor);
        Ok(())
    }

    /// Epochs that are over.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Batches of an epoch.
    #[must_use]
    pub fn batches_per_epoch(&self) -> usize {
        let LoaderOptions {
            batch_size,
            drop_last,
            ..
        } = self.options;
        if drop_last {
            self.rows.len() / batch_size
        } else {
            self.rows.len().div_ceil(batch_size)
        }
    }

    /// The settings, with the seed of the position that was last restored.
    #[must_use]
    pub fn options(&self) -> LoaderOptions {
        self.options
    }

    /// All rows, in their own order.
    #[must_use]
    pub fn rows(&self) -> &[TokenRow] {
        &self.rows
    }

    fn begin_epoch(&mut self, epoch: u64, cursor: usize) {
        self.epoch = epoch;
        self.cursor = cursor;
        self.order = epoch_order(self.rows.len(), self.options.shuffle, epoch);
    }
}

/// Fisher and Yates' shuffle, from a stream of its own for each epoch.
fn epoch_order(rows: usize, seed: Option<u64>, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    if let Some(seed) = seed {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(epoch);
        for last in (1..rows).rev() {
            order.swap(last, random.random_range(0..=last));
        }
    }
    order
}

fn fingerprint(rows: &[TokenRow]) -> String {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::new();
    for row in rows {
        bytes.clear();
        bytes.extend((row.len() as u64).to_le_bytes());
        for values in [row.tokens(), row.segments(), row.targets()] {
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes.extend(row.weights().iter().flat_map(|weight| weight.to_le_bytes()));
        hasher.update(&bytes);
    }
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests;
