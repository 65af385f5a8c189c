//! Rollouts that are learned from more than once.

use std::collections::VecDeque;

use potstill_core::Rollout;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::check_share;
use crate::Error;

/// Which part of the student's share is written anew, once the buffer is full; the rest comes from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FreshShare {
    /// The same throughout; the released code's is 0.5.
    Constant(f64),
    /// From 1 to 0 over so many batches: the paper's choice.
    Decreasing(u64),
    /// From 0 to 1 over so many batches.
    Increasing(u64),
}

impl FreshShare {
    /// The part in batch number `batch`, from 0.
    #[must_use]
    pub fn at(&self, batch: u64) -> f64 {
        let progress = |batches: u64| (batch as f64 / batches.max(1) as f64).min(1.0);
        match *self {
            Self::Constant(share) => share,
            Self::Decreasing(batches) => 1.0 - progress(batches),
            Self::Increasing(batches) => progress(batches),
        }
    }
}

/// Settings of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayOptions {
    /// Rollouts that are kept; the oldest leaves first.
    pub capacity: usize,
    /// What is written anew.
    pub fresh: FreshShare,
}

impl ReplayOptions {
    /// The paper's: 1000 rollouts, fewer and fewer new ones over a run of `batches`.
    #[must_use]
    pub fn decreasing(batches: u64) -> Self {
        Self {
            capacity: 1000,
            fresh: FreshShare::Decreasing(batches),
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        super::check("capacity", self.capacity, self.capacity > 0, "at least 1")?;
        if let FreshShare::Constant(share) = self.fresh {
            check_share("fresh share", share)?;
        }
        Ok(())
    }
}

/// A rollout and the number of the batch it was written for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) written: u64,
    pub(super) rollout: Rollout,
}

/// First in, first out.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub(super) capacity: usize,
    pub(super) kept: VecDeque<Kept>,
}

impl Buffer {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            kept: VecDeque::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.kept.len() >= self.capacity
    }

    pub(super) fn push(&mut self, kept: Kept) {
        if self.is_full() {
            self.kept.pop_front();
        }
        self.kept.push_back(kept);
    }

    /// Up to `count` different ones.
    pub(super) fn draw(&self, count: usize, random: &mut impl Rng) -> impl Iterator<Item = &Kept> {
        let count = count.min(self.kept.len());
        let places = rand::seq::index::sample(random, self.kept.len(), count);
        places.into_iter().map(|place| &self.kept[place])
    }
}

#[cfg(test)]
mod tests {
    use potstill_core::{FinishReason, Rollout};

    use super::*;
    use crate::on_policy::stream;

    fn kept(written: u64) -> Kept {
        Kept {
            written,
            rollout: Rollout {
                prompt: vec![1],
                tokens: Vec::new(),
                draws: Vec::new(),
                finish: FinishReason::Length,
            },
        }
    }

    #[test]
    fn the_oldest_leaves_and_nothing_is_drawn_twice() {
        let mut buffer = Buffer::new(4);
        for written in 0..6 {
            assert_eq!(buffer.is_full(), written >= 4);
            buffer.push(kept(written));
        }
        let mut drawn: Vec<u64> = buffer
            .draw(9, &mut stream(1, 1))
            .map(|kept| kept.written)
            .collect();
        drawn.sort_unstable();
        assert_eq!(drawn, [2, 3, 4, 5]);
        assert_eq!(buffer.draw(2, &mut stream(1, 1)).count(), 2);
    }

    #[test]
    fn the_fresh_share_moves_over_the_run() {
        let at = |fresh: FreshShare| [0, 5, 10, 20].map(|batch| fresh.at(batch));
        assert_eq!(at(FreshShare::Decreasing(10)), [1.0, 0.5, 0.0, 0.0]);
        assert_eq!(at(FreshShare::Increasing(10)), [0.0, 0.5, 1.0, 1.0]);
        assert_eq!(at(FreshShare::Constant(0.5)), [0.5; 4]);
        let none = ReplayOptions {
            capacity: 0,
            fresh: FreshShare::Constant(0.5),
        };
        assert!(none.validate().is_err());
    }
}
