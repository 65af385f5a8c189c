//! Easy examples first.
//!
//! ```text
//! c(t) = min(1, √(t · (1 − c₀²) / T + c₀²))        the share of the examples, easiest first, that batch t is drawn from
//! ```
//!
//! Platanios et al., *Competence-based Curriculum Learning*, arXiv:1903.09848, with its square-root
//! schedule: c grows so that new examples come at a rate that falls with how many there are.

use std::sync::Arc;

use burn::prelude::Device;
use potstill_core::{TokenBatch, TokenRow};
use potstill_data::{Loader, LoaderOptions};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{BatchSource, BoxError, Demands, Error};

mod difficulty;

pub use difficulty::row_losses;

/// Settings of a [`Curriculum`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurriculumOptions {
    /// Rows of a batch.
    pub batch_size: usize,
    /// T, the micro-batches after which all rows are drawn from.
    pub batches: usize,
    /// c₀, the share of the rows that the first batch is drawn from.
    pub initial: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl CurriculumOptions {
    /// Begins with a hundredth of the rows, as the paper does.
    #[must_use]
    pub fn new(batch_size: usize, batches: usize, seed: u64) -> Self {
        Self {
            batch_size,
            batches,
            initial: 0.01,
            seed,
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let refuse = |setting, value: String, expected| {
            Err(Error::Config {
                setting,
                value,
                expected,
            })
        };
        if self.batch_size == 0 {
            return refuse("batch_size", "0".into(), "at least 1");
        }
        if !(0.0..=1.0).contains(&self.initial) {
            return refuse("initial", self.initial.to_string(), "between 0 and 1");
        }
        Ok(())
    }
}

/// Batches of rows that are drawn from ever more of the data, the easy ones first.
///
/// How hard a row is, the caller says, a number for each row: its length
/// ([`TokenRow::len`]), what the teacher or the student makes of it ([`row_losses`]), or something that its
/// records know. Rows should hold one document each: a packed row is as hard as its mixture.
///
/// A batch holds different rows and depends on the seed and its number alone, so a run that was
/// interrupted goes on exactly. There are no epochs: batches are drawn independently.
///
/// # Examples
///
/// ```
/// use potstill_core::TokenRow;
/// use potstill_testkit::plain_device;
/// use potstill_train::{Curriculum, CurriculumOptions};
///
/// let rows: Vec<TokenRow> =
///     (2..50).map(|len| TokenRow::document(&vec![1; len], &vec![1.0; len])).collect();
/// let lengths: Vec<f64> = rows.iter().map(|row| row.len() as f64).collect();
/// let options = CurriculumOptions::new(4, 100, 17);
/// let source = Curriculum::new(rows, &lengths, options, 0, &plain_device())?;
/// assert_eq!(source.competence(), 0.01);
/// # Ok::<(), potstill_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Curriculum {
    rows: Arc<[TokenRow]>,
    easiest_first: Vec<usize>,
    options: CurriculumOptions,
    /// Hash of the rows and their order.
    data: String,
    next: usize,
    pad_token: u32,
    device: Device,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    next: usize,
    options: CurriculumOptions,
    data: String,
}

impl Curriculum {
    /// Batches on `device` (autodiff is switched off), padded with `pad_token`. Of rows that are equally
    /// hard the earlier one counts as easier; one whose difficulty is not a number is the hardest.
    ///
    /// # Errors
    ///
    /// When there are no rows, batches have none, or the initial share is not between 0 and 1.
    ///
    /// # Panics
    ///
    /// Panics if there is not one difficulty for each row.
    pub fn new(
        rows: impl Into<Arc<[TokenRow]>>,
        difficulty: &[f64],
        options: CurriculumOptions,
        pad_token: u32,
        device: &Device,
    ) -> Result<Self, Error> {
        let rows = rows.into();
        assert_eq!(rows.len(), difficulty.len(), "each row needs a difficulty");
        options.validate()?;
        if rows.is_empty() {
            return Err(Error::NoBatches);
        }
        let mut easiest_first: Vec<usize> = (0..rows.len()).collect();
        easiest_first.sort_by(|&a, &b| {
            let (a, b) = (difficulty[a], difficulty[b]);
            // The order of all floats puts a NaN with a sign before everything.
            a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(&b))
        });
        let loader = Loader::new(Arc::clone(&rows), LoaderOptions::in_order(1));
        let loader = loader.map_err(|_| Error::NoBatches)?;
        let mut hasher = Sha256::new();
        hasher.update(loader.state().data);
        for row in &easiest_first {
            hasher.update((*row as u64).to_le_bytes());
        }
        Ok(Self {
            rows,
            easiest_first,
            options,
            data: format!("{:x}", hasher.finalize()),
            next: 0,
            pad_token,
            device: device.clone().without_autodiff(),
        })
    }

    /// The share of the rows that the next batch is drawn from.
    #[must_use]
    pub fn competence(&self) -> f64 {
        let CurriculumOptions {
            batches, initial, ..
        } = self.options;
        if self.next >= batches {
            return 1.0;
        }
        let grown = self.next as f64 / batches as f64 * (1.0 - initial.powi(2));
        (grown + initial.powi(2)).sqrt().min(1.0)
    }

    fn draw(&self) -> Vec<TokenRow> {
        let known = (self.competence() * self.rows.len() as f64).ceil() as usize;
        let known = known.max(self.options.batch_size).min(self.rows.len());
        let mut random = ChaCha8Rng::seed_from_u64(self.options.seed);
        random.set_stream(self.next as u64);
        index::sample(&mut random, known, self.options.batch_size.min(known))
            .into_iter()
            .map(|rank| self.rows[self.easiest_first[rank]].clone())
            .collect()
    }
}

impl<S> BatchSource<S> for Curriculum {
    fn next_batch(&mut self, _: &S) -> Result<Option<TokenBatch>, BoxError> {
        let rows = self.draw();
        self.next += 1;
        Ok(Some(TokenBatch::from_rows(
            &rows,
            self.pad_token,
            &self.device,
        )))
    }

    fn demands(&self) -> Option<Demands> {
        Some(Demands::of_rows(&self.rows, self.pad_token))
    }

    fn state(&self) -> Result<Value, BoxError> {
        Ok(serde_json::to_value(Position {
            next: self.next,
            options: self.options,
            data: self.data.clone(),
        })?)
    }

    fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        let position: Position = serde_json::from_value(state.clone())?;
        if position.data != self.data {
            return Err(
                "the rows, or the order of their difficulties, are not what they were".into(),
            );
        }
        if position.options != self.options {
            let (was, is) = (position.options, self.options);
            return Err(format!("the curriculum was {was:?}, it is {is:?}").into());
        }
        self.next = position.next;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
