//! One opinion from several, row by row.
//!
//! ```text
//! probability   p(v) = Σ_k w_k p_k(v)               a mixture: calibrated where its parts are
//! logit         p(v) ∝ exp Σ_k w_k log p_k(v)       a geometric mean: sharper, and any teacher may forbid
//!
//! fixed         w_k                                 the same for every row
//! confidence    w_k ∝ 1 / H(p_k)                    H: entropy, in nats
//! target        w_k ∝ exp(−loss_k) = p_k(y)         y: the token that follows
//! ```
//!
//! The gradient of forward KL to the mixture is the mean of the gradients to its parts. For two
//! teachers the second kind of weights is that of Kwon et al., *Adaptive Knowledge Distillation Based
//! on Entropy*, 2020, and the third that of Zhang et al., *Confidence-Aware Multi-Teacher Knowledge
//! Distillation*, arXiv:2201.00007.

use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use potstill_core::{
    Prediction, Tapped, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary,
};
use serde::{Deserialize, Serialize};

use super::{BoxedTeacher, EnsembleError, common_positions, common_vocabulary};
use crate::prediction::{chunk_rows, logits};

/// Stands in for the log-probability −∞ of a forbidden token: 0 times it is 0, and `exp` of it is 0.
const FLOOR: f64 = -1e5;

/// Keeps the weight of a teacher that is certain finite.
const LEAST_ENTROPY: f64 = 1e-6;

/// In what the average is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AverageSpace {
    /// Probabilities are averaged.
    Probability,
    /// Log-probabilities are averaged and the result is normalised.
    Logit,
}

/// How much each teacher counts; the weights of a row are made to sum to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TeacherWeights {
    /// The same in every row.
    Fixed {
        /// One for each teacher.
        weights: Vec<f64>,
    },
    /// In each row inversely to the entropy: who is certain is heard.
    Confidence,
    /// In each row by the probability of the token that really follows.
    ///
    /// For text that is right. On a student's own rollouts it rewards whoever agrees with the student.
    Target,
}

impl TeacherWeights {
    /// The same weight for each of `teachers`.
    #[must_use]
    pub fn equal(teachers: usize) -> Self {
        Self::Fixed {
            weights: vec![1.0; teachers],
        }
    }

    /// `w_k ∝ exp(−loss_k)` from the loss of each teacher on held-out text, in nats per token.
    #[must_use]
    pub fn by_validation_loss(losses: &[f64]) -> Self {
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        Self::Fixed {
            weights: losses.iter().map(|loss| (least - loss).exp()).collect(),
        }
    }
}

/// Teachers whose distributions are averaged.
///
/// The average is [`Prediction::Dense`], so that a batch takes rows × vocabulary f32 of memory. There
/// is nothing to tap: hidden states of different models have no average.
pub struct WeightedTeachers {
    teachers: Vec<BoxedTeacher>,
    vocabulary: Vocabulary,
    space: AverageSpace,
    weights: TeacherWeights,
}

impl WeightedTeachers {
    /// Averages `teachers`.
    ///
    /// # Errors
    ///
    /// When there is no teacher, their vocabularies differ (names both), or the weights are none.
    pub fn new(
        teachers: Vec<BoxedTeacher>,
        space: AverageSpace,
        weights: TeacherWeights,
    ) -> Result<Self, EnsembleError> {
        let vocabulary = common_vocabulary(&teachers)?;
        if let TeacherWeights::Fixed { weights } = &weights {
            let usable = |&weight: &f64| weight.is_finite() && weight >= 0.0;
            if weights.len() != teachers.len()
                || !weights.iter().all(usable)
                || weights.iter().sum::<f64>() == 0.0
            {
                return Err(EnsembleError::Weights {
                    weights: weights.clone(),
                    teachers: teachers.len(),
                });
            }
        }
        Ok(Self {
            teachers,
            vocabulary,
            space,
            weights,
        })
    }

    /// Log-weights of each teacher, `[rows, teachers]`, of log-probabilities `[rows, vocab]`.
    fn log_weights(&self, log_probs: &[Tensor<2>], targets: &Tensor<1, Int>) -> Tensor<2> {
        let scores: Vec<Tensor<2>> = log_probs
            .iter()
            .enumerate()
            .map(|(k, log_p)| match &self.weights {
                TeacherWeights::Fixed { weights } => {
                    let [rows, _] = log_p.dims();
                    let score = weights[k].ln().max(FLOOR);
                    Tensor::full([rows, 1], score, &log_p.device())
                }
                TeacherWeights::Confidence => {
                    let entropy = -(log_p.clone().exp() * log_p.clone()).sum_dim(1);
                    -entropy.clamp_min(LEAST_ENTROPY).log()
                }
                TeacherWeights::Target => log_p.clone().gather(1, targets.clone().unsqueeze_dim(1)),
            })
            .collect();
        log_softmax(Tensor::cat(scores, 1), 1).clamp_min(FLOOR)
    }

    /// The average of log-probabilities `[rows, vocab]`, as logits.
    fn average(&self, log_probs: Vec<Tensor<2>>, targets: &Tensor<1, Int>) -> Tensor<2> {
        let log_weights = self.log_weights(&log_probs, targets);
        let parts = log_probs
            .into_iter()
            .enumerate()
            .map(|(k, log_p)| (log_weights.clone().narrow(1, k, 1), log_p));
        match self.space {
            AverageSpace::Probability => {
                // log(exp a + exp b), which no difference between them makes overflow.
                let add = |a: Tensor<2>, b: Tensor<2>| {
                    let above = (a.clone() - b.clone()).clamp_min(0.0) + b.clone();
                    let sum = (a - above.clone()).exp() + (b - above.clone()).exp();
                    sum.log() + above
                };
                let parts = parts.map(|(log_weight, log_p)| log_p + log_weight);
                parts.reduce(add)
            }
            AverageSpace::Logit => parts
                .map(|(log_weight, log_p)| log_p * log_weight.exp())
                .reduce(|sum, part| sum + part),
        }
        .expect("an ensemble has a teacher")
    }
}

impl std::fmt::Debug for WeightedTeachers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeightedTeachers")
            .field("teachers", &self.teachers.len())
            .field("vocabulary", &self.vocabulary)
            .field("space", &self.space)
            .field("weights", &self.weights)
            .finish()
    }
}

impl Teacher for WeightedTeachers {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn max_positions(&self) -> Option<usize> {
        common_positions(&self.teachers)
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        for (what, layers) in [
            ("hidden state", taps.hidden_layers()),
            ("attention map", taps.attention_layers()),
        ] {
            if !layers.is_empty() {
                return Err(EnsembleError::NothingToTap {
                    what,
                    instead: "drop the objective that taps it, or route each segment to one teacher",
                }
                .into());
            }
        }
        let vocab = self.vocabulary.head_size;
        let mut predictions = Vec::with_capacity(self.teachers.len());
        for teacher in &mut self.teachers {
            predictions.push(teacher.signal(batch, taps)?.prediction.truncated(vocab));
        }
        let rows = batch.rows.count();
        let targets = batch.row_targets().without_autodiff();
        let mut chunks = Vec::new();
        for start in (0..rows).step_by(chunk_rows(vocab)) {
            let count = chunk_rows(vocab).min(rows - start);
            let log_probs = (1..).zip(&predictions).map(|(number, prediction)| {
                let logits = logits(prediction, start, count);
                logits
                    .map(|logits| log_softmax(logits, 1).clamp_min(FLOOR))
                    .ok_or(EnsembleError::NoDistribution {
                        number,
                        kind: prediction.kind(),
                    })
            });
            let log_probs = log_probs.collect::<Result<Vec<_>, _>>()?;
            chunks.push(self.average(log_probs, &targets.clone().narrow(0, start, count)));
        }
        Ok(TeacherSignal {
            prediction: Prediction::Dense(if chunks.is_empty() {
                Tensor::zeros([0, vocab], &batch.tokens.device().without_autodiff())
            } else {
                Tensor::cat(chunks, 0)
            }),
            tapped: Tapped::default(),
        })
    }
}

#[cfg(test)]
mod tests;
