//! Rows that count more or less by what the teacher knows.
//!
//! ```text
//! w'_r = w_r · f_r^γ
//! confidence   f = max_v p_v        certainty   f = 1 − H(p) / ln V        uncertainty   f = H(p) / ln V
//! ```
//!
//! The weights are not made to sum to what they did: the loss of an optimizer step is still divided by
//! the batch's own weights Σ w, so that micro-batches add up to the step whatever each of them holds.
//! No f is above 1, so the loss becomes smaller; the weight of a term can make up for it. γ is the
//! dial of a curriculum: 0 weighs every row alike.
//!
//! Zhou et al., *Rethinking Soft Labels*, arXiv:2102.00650, weigh soft labels by example too, from the
//! losses of both models.

use burn::prelude::*;
use potstill_core::{
    LossTerm, Objective, ObjectiveInput, Prediction, Support, Taps, TokenBatch, Vocabulary,
    VocabularyMismatch,
};
use potstill_kernels::log_space::{FLOOR, Softmax, at_least_f32, column, row_dot};
use potstill_kernels::rows_per_chunk;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check;

/// What makes a row count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RowImportance {
    /// The probability of the teacher's likeliest token.
    Confidence,
    /// How far the teacher's entropy is from that of a uniform distribution.
    Certainty,
    /// The teacher's entropy, as a share of that of a uniform distribution.
    Uncertainty,
}

impl RowImportance {
    /// The importance of each row, between 0 and 1.
    ///
    /// A bucket for the tokens that a sparse prediction leaves out counts as one token.
    ///
    /// # Shapes
    ///
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the teacher gives no distribution, or samples of one.
    #[must_use]
    pub fn of(self, prediction: &Prediction) -> Tensor<1> {
        match prediction {
            Prediction::Dense(logits) => self.of_logits(logits.clone()),
            Prediction::Deferred { hidden, head } => {
                let [rows, _] = hidden.dims();
                if rows == 0 {
                    return Tensor::zeros([0], &hidden.device());
                }
                let size = rows_per_chunk(head.vocab_size());
                let chunks = (0..rows).step_by(size).map(|start| {
                    let hidden = hidden.clone().narrow(0, start, size.min(rows - start));
                    self.of_logits(head.logits(hidden))
                });
                Tensor::cat(chunks.collect(), 0)
            }
            Prediction::Sparse {
                log_probs,
                support: Support::TopK { tail },
                ..
            } => {
                let all = Tensor::cat(vec![log_probs.clone(), column(tail)], 1);
                self.of_logits(at_least_f32(all).clamp_min(FLOOR))
            }
            other => panic!(
                "the importance of a row needs a distribution, and this prediction is {}",
                other.kind()
            ),
        }
    }

    fn of_logits(self, logits: Tensor<2>) -> Tensor<1> {
        let vocab = logits.dims()[1].max(2) as f64;
        let p = Softmax::new(logits.without_autodiff(), 1.0);
        if self == Self::Confidence {
            return p.probs.max_dim(1).squeeze_dim::<1>(1);
        }
        let certainty = row_dot(&p.probs, &p.log_probs) * vocab.ln().recip() + 1.0;
        // Rounding can leave a uniform distribution a little below 0.
        let certainty = certainty.clamp(0.0, 1.0);
        if self == Self::Certainty {
            certainty
        } else {
            -certainty + 1.0
        }
    }
}

/// An objective whose rows count by what the teacher knows about them.
///
/// Wraps any objective, tuples included, and only changes the row weights that it sees. A loss on the
/// batch as a whole, such as [`RelationMatch`](crate::RelationMatch), knows no more than their total
/// and stays as it is.
#[derive(Module, Debug)]
pub struct Reweighted<O: Objective> {
    objective: O,
    #[module(skip)]
    importance: RowImportance,
    exponent: f64,
}

impl<O: Objective> Reweighted<O> {
    /// Multiplies row weights by `importance` to the power of `exponent`.
    ///
    /// # Errors
    ///
    /// When the exponent is negative or not finite.
    pub fn new(objective: O, importance: RowImportance, exponent: f64) -> Result<Self, Error> {
        let valid = exponent.is_finite() && exponent >= 0.0;
        let exponent = check("exponent", exponent, valid, "a finite number, 0 or more")?;
        Ok(Self {
            objective,
            importance,
            exponent,
        })
    }

    fn reweigh(&self, batch: &TokenBatch, prediction: &Prediction) -> TokenBatch {
        let factors = self.importance.of(prediction).powf_scalar(self.exponent);
        let mut batch = batch.clone();
        batch.rows.weights = Some(match batch.rows.weights.take() {
            Some(weights) => factors.cast(weights.dtype()) * weights,
            None => factors,
        });
        batch
    }
}

impl<O: Objective> Objective for Reweighted<O> {
    fn is_separable(&self) -> bool {
        self.objective.is_separable()
    }

    fn taps(&self) -> (Taps, Taps) {
        self.objective.taps()
    }

    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let batch = self.reweigh(input.batch, &input.teacher.prediction);
        self.objective.terms(
            ObjectiveInput {
                batch: &batch,
                ..input
            },
            terms,
        );
    }

    fn shared_vocabulary(
        &self,
        student: &Vocabulary,
        teacher: &Vocabulary,
    ) -> Result<usize, VocabularyMismatch> {
        self.objective.shared_vocabulary(student, teacher)
    }
}

#[cfg(test)]
mod tests;
