//! Preferences inside a training loop.
//!
//! ```text
//! L = Σ_pairs w · ℓ(h) / Σ_pairs w       h = Σ_chosen (log q − log r) − Σ_rejected (log q − log r)
//! ```
//!
//! with ℓ of DPO or IPO, sums over the tokens of an answer that count, r the teacher, and w the sum of
//! the row weights of both answers. Where these add up to 1 for each pair, every pair counts the same,
//! however long its answers are and however a step is cut into micro-batches.

use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use potstill_core::{LossTerm, Objective, ObjectiveInput, Prediction, TokenBatch};
use potstill_kernels::{CrossEntropy, HeadRows};
use serde::{Deserialize, Serialize};

use super::{PairLogProbs, dpo, ipo};
use crate::Error;
use crate::cross_tokenizer::sum_by_span;
use crate::error::{check, check_chunk_rows, check_weight};

/// What a [`Preference`] minimises for each pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PreferenceLoss {
    /// [`dpo`], with the chance that a label is wrong.
    Dpo {
        /// Between 0 and ½.
        smoothing: f64,
    },
    /// [`ipo`] of summed log-probabilities.
    Ipo,
}

impl PreferenceLoss {
    /// Name under which the loss is logged.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dpo { .. } => "dpo",
            Self::Ipo => "ipo",
        }
    }

    fn per_pair(self, student: PairLogProbs, reference: PairLogProbs, beta: f64) -> Tensor<1> {
        match self {
            Self::Dpo { smoothing } => dpo(student, reference, beta, smoothing),
            Self::Ipo => ipo(student, reference, beta),
        }
    }
}

/// Settings of [`Preference`].
#[derive(Config, Debug)]
pub struct PreferenceConfig {
    /// What is minimised for each pair.
    #[config(default = "PreferenceLoss::Dpo { smoothing: 0.0 }")]
    pub loss: PreferenceLoss,
    /// How strongly the student is held to the reference.
    #[config(default = 0.1)]
    pub beta: f64,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Rows whose logits exist at a time; chosen by the size of the vocabulary unless given.
    pub chunk_rows: Option<usize>,
}

impl PreferenceConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When β is not positive, the smoothing is not between 0 and ½, the weight is negative, or a chunk
    /// has no row.
    pub fn init(&self) -> Result<Preference, Error> {
        if let PreferenceLoss::Dpo { smoothing } = self.loss {
            let valid = (0.0..=0.5).contains(&smoothing);
            check("smoothing", smoothing, valid, "between 0 and 0.5")?;
        }
        let positive = self.beta.is_finite() && self.beta > 0.0;
        Ok(Preference {
            loss: self.loss,
            beta: check("beta", self.beta, positive, "a finite number above 0")?,
            weight: check_weight(self.weight)?,
            chunk_rows: check_chunk_rows(self.chunk_rows)?,
        })
    }
}

/// Prefers the first answer of each pair to the second, as far as the teacher did not do so already.
///
/// A pair is two documents that follow each other in a row: first the chosen answer with its prompt, then
/// the rejected one. A row may hold any number of pairs. Only what counts is compared, so prompts have weight
/// 0.
///
/// The teacher is the reference: a frozen copy of the student as it was (DPO), or a larger model,
/// which is distillation by preference (DPKD).
///
/// Logs the loss under its name, and three values that are only observed: `reward_margin`, `β·h`;
/// `chosen_reward`, `β·(log q_w − log r_w)`, whose fall below 0 says that the chosen answers become
/// less likely as well; `preference_accuracy`, the share of pairs with `h > 0`. Built by
/// [`PreferenceConfig`].
///
/// The teacher has to be a model or to give dense logits: [`terms`](Objective::terms) panics on other
/// predictions.
#[derive(Module, Debug)]
pub struct Preference {
    #[module(skip)]
    loss: PreferenceLoss,
    beta: f64,
    weight: f64,
    chunk_rows: Option<usize>,
}

impl Objective for Preference {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let pairs = Pairs::of(input.batch);
        let targets = input.batch.row_targets();
        let reference = pairs.sums(self.reference(&input.teacher.prediction, &targets));
        let rows = HeadRows {
            hidden: &input.student.hidden,
            head: &input.student.head,
            teacher: &Prediction::None,
            targets: Some(&targets),
            chunk_rows: self.chunk_rows,
        };
        let mut student = None;
        let sum = rows.reduced(&CrossEntropy::default(), |negative| {
            let sums = pairs.sums(-negative);
            student = Some(PairLogProbs {
                chosen: sums.chosen.clone().without_autodiff(),
                rejected: sums.rejected.clone().without_autodiff(),
            });
            let losses = self.loss.per_pair(sums, reference.clone(), self.beta);
            pairs.weighted_sum(losses)
        });
        terms.push(LossTerm {
            name: self.loss.name().into(),
            weight: self.weight,
            sum,
        });
        let Some(student) = student else { return };
        let chosen = (student.chosen.clone() - reference.chosen.clone()) * self.beta;
        let margin = (student.margin() - reference.margin()) * self.beta;
        let preferred = margin.clone().greater_scalar(0.0).float();
        for (name, values) in [
            ("reward_margin", margin),
            ("chosen_reward", chosen),
            ("preference_accuracy", preferred),
        ] {
            terms.push(LossTerm {
                name: name.into(),
                weight: 0.0,
                sum: pairs.weighted_sum(values),
            });
        }
    }
}

impl Preference {
    /// Log-probability that the reference gives each target, `[rows]`.
    fn reference(&self, prediction: &Prediction, targets: &Tensor<1, Int>) -> Tensor<1> {
        match prediction {
            Prediction::Deferred { hidden, head } => {
                let rows = HeadRows {
                    hidden,
                    head,
                    teacher: &Prediction::None,
                    targets: Some(targets),
                    chunk_rows: self.chunk_rows,
                };
                -rows.per_row(&CrossEntropy::default())
            }
            Prediction::Dense(logits) => log_softmax(logits.clone(), 1)
                .gather(1, targets.clone().unsqueeze_dim::<2>(1))
                .squeeze_dim::<1>(1),
            other => panic!(
                "a preference needs the reference's logits, this one is {}",
                other.kind()
            ),
        }
    }
}

/// Where the answers of a batch are.
///
/// Each row of the batch has room for as many answers as positions, an even number of them, because
/// how many there are is known to the device alone. What is empty has weight 0.
struct Pairs {
    /// The answer that each row that counts belongs to, `[rows]`.
    answers: Tensor<1, Int>,
    room: usize,
    /// `[room / 2]`.
    weights: Tensor<1>,
}

impl Pairs {
    fn of(batch: &TokenBatch) -> Self {
        let [lines, seq] = batch.dims();
        let width = seq.next_multiple_of(2);
        let indices = batch.rows.indices.clone();
        let segments = batch.segments.clone().flatten::<1>(0, 1);
        let segments = segments.select(0, indices.clone());
        let answers = indices.div_scalar(seq as i64) * width as i64 + segments - 1;
        let weights =
            batch.rows.weights.clone().unwrap_or_else(|| {
                Tensor::ones([batch.rows.count()], &batch.rows.indices.device())
            });
        let room = lines * width;
        let weights = sum_by_span(weights, answers.clone(), room);
        Self {
            answers,
            room,
            weights: weights.reshape([room / 2, 2]).sum_dim(1).squeeze_dim(1),
        }
    }

    fn sums(&self, log_probs: Tensor<1>) -> PairLogProbs {
        let sums = sum_by_span(log_probs, self.answers.clone(), self.room);
        let sums = sums.reshape([self.room / 2, 2]);
        PairLogProbs {
            chosen: sums.clone().narrow(1, 0, 1).squeeze_dim(1),
            rejected: sums.narrow(1, 1, 1).squeeze_dim(1),
        }
    }

    fn weighted_sum(&self, values: Tensor<1>) -> Tensor<1> {
        let weights = self.weights.clone().cast(values.dtype());
        (values * weights).sum()
    }
}

#[cfg(test)]
mod tests;
