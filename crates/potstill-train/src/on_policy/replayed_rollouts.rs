//! Data, rollouts and old rollouts by an adaptive schedule (DistiLLM).
//!
//! ```text
//! u ~ U(0, 1) for each batch, φ the adaptive share, f the fresh share
//! u < φ · f, or u < φ and the buffer is not full    the student writes; the buffer keeps it
//! u < φ                                             from the buffer
//! else                                              from the data
//! ```
//!
//! Ko et al., *DistiLLM*, arXiv:2402.03898, section 3.2. In the released code the schedule is evaluated
//! for every loss and fails for those that do not use it; and its losses are not comparable in logs,
//! since some leave out the teacher's entropy. Neither happens here.

use std::collections::VecDeque;
use std::fmt;

use burn::prelude::Device;
use potstill_core::{CausalLm, Generate, GenerateOptions, Rollout, TokenBatch, TokenRow};
use potstill_data::{Loader, LoaderState};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::adaptive_share::AdaptiveShare;
use super::health::HealthLimits;
use super::passage::{Passage, check_prompts};
use super::replay::{Buffer, Kept, ReplayOptions};
use super::stream;
use super::writer::Writer;
use crate::{BatchSource, BoxError, Demands, Error};

/// Batches of data, of what the student writes behind their prompts, or of what it wrote before.
///
/// The source of DistiLLM; its objective is a skew divergence, and [`AdaptiveShare`] shows how both
/// come together.
///
/// The data are as for [`Rollouts`](crate::Rollouts); each batch takes the next ones, wherever its
/// samples come from.
///
/// Logs what [`Rollouts`](crate::Rollouts) does, `source/adaptive_share` (φ) and `source/buffered`, the
/// number of rollouts in the buffer.
pub struct ReplayedRollouts<S> {
    loader: Loader,
    writer: Writer<S>,
    share: AdaptiveShare,
    replay: ReplayOptions,
    buffer: Buffer,
    /// Batches handed out.
    batch: u64,
}

/// Where a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    Data,
    Fresh,
    Buffer,
}

impl Origin {
    fn of(lot: f64, share: f64, fresh: f64, buffer_is_full: bool) -> Self {
        if lot >= share {
            Self::Data
        } else if lot < share * fresh || !buffer_is_full {
            Self::Fresh
        } else {
            Self::Buffer
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    loader: LoaderState,
    batch: u64,
    buffer: VecDeque<Kept>,
    share: Value,
    health: Value,
}

impl<S: CausalLm + Generate> ReplayedRollouts<S> {
    /// Batches on `device` (autodiff is switched off), padded with `pad_token`.
    ///
    /// `share` must also be a callback of the trainer, or it never moves.
    ///
    /// # Errors
    ///
    /// When a setting makes no sense, a document of the data has no completion, or a row no document.
    pub fn new(
        loader: Loader,
        options: GenerateOptions,
        pad_token: u32,
        device: &Device,
        share: AdaptiveShare,
        replay: ReplayOptions,
    ) -> Result<Self, Error> {
        replay.validate()?;
        check_prompts(loader.rows())?;
        let mut passages = loader.rows().iter().flat_map(Passage::of_row);
        if passages.any(|passage| !passage.has_completion()) {
            return Err(Error::Config {
                setting: "data",
                value: "a document without a token that counts".into(),
                expected: "prompts with completions",
            });
        }
        drop(passages);
        Ok(Self {
            writer: Writer::new(options, pad_token, device)?,
            loader,
            share,
            buffer: Buffer::new(replay.capacity),
            replay,
            batch: 0,
        })
    }
}

impl<S> ReplayedRollouts<S> {
    /// As [`Rollouts::written_by`](crate::Rollouts::written_by).
    #[must_use]
    pub fn written_by(
        mut self,
        write: impl FnMut(&S, &[Vec<u32>], &GenerateOptions) -> Result<Vec<Rollout>, BoxError> + 'static,
    ) -> Self {
        self.writer.written_by(write);
        self
    }

    /// As [`Rollouts::watched`](crate::Rollouts::watched).
    #[must_use]
    pub fn watched(mut self, limits: HealthLimits) -> Self {
        self.writer.watched(limits);
        self
    }

    fn data(&mut self, passages: &[Passage]) -> Vec<TokenRow> {
        passages
            .iter()
            .map(|passage| {
                self.writer.tally.data();
                passage.row()
            })
            .collect()
    }

    fn fresh(
        &mut self,
        student: &S,
        passages: &[Passage],
        seed: u64,
    ) -> Result<Vec<TokenRow>, BoxError> {
        let prompts: Vec<Vec<u32>> = passages
            .iter()
            .map(|passage| passage.prompt().to_vec())
            .collect();
        let rollouts = self.writer.write(student, &prompts, seed)?;
        let written = self.batch;
        Ok(rollouts
            .into_iter()
            .map(|rollout| {
                let row = rollout.row();
                self.buffer.push(Kept { written, rollout });
                self.writer.tally.own(0);
                row
            })
            .collect())
    }

    fn replayed(&mut self, count: usize, random: &mut ChaCha8Rng) -> Vec<TokenRow> {
        let (tally, now) = (&mut self.writer.tally, self.batch);
        self.buffer
            .draw(count, random)
            .map(|kept| {
                tally.own(now - kept.written);
                kept.rollout.row()
            })
            .collect()
    }
}

impl<S> BatchSource<S> for ReplayedRollouts<S> {
    fn next_batch(&mut self, student: &S) -> Result<Option<TokenBatch>, BoxError> {
        let Some(rows) = self.loader.next_rows() else {
            return Ok(None);
        };
        let passages: Vec<Passage> = rows.iter().flat_map(Passage::of_row).collect();
        let mut random = stream(self.writer.seed(), self.batch);
        let (seed, lot) = (random.random(), random.random());
        let fresh = self.replay.fresh.at(self.batch);
        let rows = match Origin::of(lot, self.share.value(), fresh, self.buffer.is_full()) {
            Origin::Data => self.data(&passages),
            Origin::Fresh => self.fresh(student, &passages, seed)?,
            Origin::Buffer => self.replayed(passages.len(), &mut random),
        };
        self.batch += 1;
        Ok(Some(self.writer.batch(&rows)))
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.loader.batches_per_epoch())
    }

    fn demands(&self) -> Option<Demands> {
        Some(self.writer.demands(&self.loader))
    }

    fn observations(&mut self) -> Vec<(String, f64)> {
        let mut observations = self.writer.observations();
        observations.push(("adaptive_share".into(), self.share.value()));
        observations.push(("buffered".into(), self.buffer.kept.len() as f64));
        observations
    }

    fn state(&self) -> Result<Value, BoxError> {
        Ok(serde_json::to_value(State {
            loader: self.loader.state(),
            batch: self.batch,
            buffer: self.buffer.kept.clone(),
            share: self.share.state()?,
            health: self.writer.state()?,
        })?)
    }

    fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        let State {
            loader,
            batch,
            buffer,
            share,
            health,
        } = serde_json::from_value(state.clone())?;
        if buffer.len() > self.buffer.capacity {
            return Err(format!(
                "{} rollouts were saved, but the buffer now holds {}",
                buffer.len(),
                self.buffer.capacity
            )
            .into());
        }
        self.loader.restore(&loader)?;
        self.share.restore(&share)?;
        self.writer.restore(&health)?;
        self.buffer.kept = buffer;
        self.batch = batch;
        Ok(())
    }
}

impl<S> fmt::Debug for ReplayedRollouts<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayedRollouts")
            .field("writer", &self.writer)
            .field("share", &self.share)
            .field("replay", &self.replay)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lot_decides_between_data_new_and_old_rollouts() {
        let origin = |lot, full| Origin::of(lot, 0.8, 0.5, full);
        assert_eq!(origin(0.9, true), Origin::Data);
        assert_eq!(origin(0.5, true), Origin::Buffer);
        assert_eq!(origin(0.5, false), Origin::Fresh);
        assert_eq!(origin(0.3, true), Origin::Fresh);
        assert_eq!(Origin::of(0.0, 0.0, 1.0, false), Origin::Data);
    }
}
