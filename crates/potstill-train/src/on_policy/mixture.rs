//! Which samples of a batch are the student's.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::check_share;
use crate::Error;

/// λ of GKD, the share of samples that the student writes: linear in the number of the batch, then
/// constant.
///
/// It becomes part of a [`Mixture`], and that of [`Rollouts`](crate::Rollouts). A share that follows
/// the validation loss is an [`AdaptiveShare`](crate::AdaptiveShare).
///
/// ```
/// # use potstill_train::{Mixture, StudentShare};
/// // Nothing but data at first, half and half from batch 1000 on.
/// let mixture = Mixture::PerSample(StudentShare::linear(0.0, 0.5, 1000)?);
/// # Ok::<(), potstill_train::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudentShare {
    from: f64,
    to: f64,
    batches: u64,
}

impl StudentShare {
    /// The same share throughout.
    ///
    /// # Errors
    ///
    /// When it is not between 0 and 1.
    pub fn constant(share: f64) -> Result<Self, Error> {
        Self::linear(share, share, 0)
    }

    /// From `from` to `to` over the first `batches` batches.
    ///
    /// # Errors
    ///
    /// When a share is not between 0 and 1.
    pub fn linear(from: f64, to: f64, batches: u64) -> Result<Self, Error> {
        Ok(Self {
            from: check_share("share of the student", from)?,
            to: check_share("share of the student", to)?,
            batches,
        })
    }

    /// The share in batch number `batch`, from 0.
    #[must_use]
    pub fn at(&self, batch: u64) -> f64 {
        if batch >= self.batches {
            return self.to;
        }
        self.from + (self.to - self.from) * batch as f64 / self.batches as f64
    }

    fn needs_data(&self) -> bool {
        self.from < 1.0 || self.to < 1.0
    }
}

/// Which samples the student writes, and which come from the data.
///
/// Agarwal et al., *GKD*, arXiv:2306.13649; their λ is decided for a batch at a time, as is TRL's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mixture {
    /// All are the student's.
    Student,
    /// Each sample is the student's with probability λ: the gradient varies less.
    PerSample(StudentShare),
    /// Each batch is the student's with probability λ: half of the batches cost no generation.
    PerBatch(StudentShare),
}

impl Mixture {
    /// Whether each of `samples` in batch number `batch` is the student's.
    pub(super) fn lots(&self, batch: u64, samples: usize, random: &mut impl Rng) -> Vec<bool> {
        match self {
            Self::Student => vec![true; samples],
            Self::PerSample(share) => (0..samples)
                .map(|_| random.random::<f64>() < share.at(batch))
                .collect(),
            Self::PerBatch(share) => vec![random.random::<f64>() < share.at(batch); samples],
        }
    }

    /// Whether a sample may have to come from the data.
    pub(super) fn needs_data(&self) -> bool {
        match self {
            Self::Student => false,
            Self::PerSample(share) | Self::PerBatch(share) => share.needs_data(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_policy::stream;

    fn shares(mixture: Mixture, batches: u64) -> Vec<f64> {
        (0..batches)
            .map(|batch| {
                let lots = mixture.lots(batch, 10, &mut stream(5, batch));
                lots.iter().filter(|&&own| own).count() as f64 / 10.0
            })
            .collect()
    }

    #[test]
    fn samples_or_whole_batches_are_the_students_as_often_as_asked() {
        let share = StudentShare::constant(0.3).unwrap();
        let per_sample = shares(Mixture::PerSample(share), 500);
        let per_batch = shares(Mixture::PerBatch(share), 500);
        for found in [&per_sample, &per_batch] {
            let mean = found.iter().sum::<f64>() / 500.0;
            assert!((mean - 0.3).abs() < 0.06, "{mean}");
        }
        assert!(per_batch.iter().all(|share| *share == 0.0 || *share == 1.0));
        assert!(per_sample.iter().any(|share| *share > 0.0 && *share < 1.0));
        assert_eq!(shares(Mixture::Student, 2), [1.0, 1.0]);
    }

    #[test]
    fn the_share_moves_and_then_stays() {
        let share = StudentShare::linear(0.0, 0.8, 4).unwrap();
        let found: Vec<f64> = (0..6).map(|batch| share.at(batch)).collect();
        assert_eq!(found, [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 0.8]);
        assert!(StudentShare::constant(1.1).is_err());
        assert!(!Mixture::PerSample(StudentShare::constant(1.0).unwrap()).needs_data());
    }
}
