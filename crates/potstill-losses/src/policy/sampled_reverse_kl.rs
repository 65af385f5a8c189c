//! Reverse KL from the tokens that were drawn, one probability of the teacher each.
//!
//! ```text
//! A_t = log p(y_t) − log q_old(y_t)          ρ_t = q(y_t) / q_old(y_t)          w_t = q_old(y_t) / s(y_t)
//! ∂L/∂θ = −Σ_t w_t ρ_t A_t ∂log q(y_t)/∂θ                          y_t drawn from s
//! L     =  Σ_t w_t (log q_old(y_t) − log p(y_t))                   what is logged
//! ```
//!
//! The advantage is a constant and only that of its own token (no return, γ = 0), which is
//! "on-policy distillation" as Thinking Machines describe it (their cookbook's
//! `incorporate_kl_penalty`, where `p` names the student). Where y_t was drawn from q_old = q, the
//! expectation of the gradient is that of `KL(q‖p)` at each token, for the prefixes that were drawn.
//!
//! The estimator is k1 = log q − log p *as a reward*. As a loss to be differentiated it would be
//! useless: the expectation of its gradient is 0. Neither is k3 = p/q − 1 − log(p/q) a substitute: it
//! is a good value, but its derivative pulls towards forward KL.
//!
//! Its variance is larger than that of the whole distribution's reverse KL
//! ([`SoftTarget`](crate::SoftTarget) with [`Divergence::ReverseKl`](crate::Divergence::ReverseKl) on
//! the same rollouts); take it where the teacher's whole distribution is not to be had.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput};
use potstill_kernels::{CrossEntropy, HeadRows};

use super::{Scores, ratio};
use crate::Error;
use crate::error::{check_chunk_rows, check_clip, check_weight};

/// Settings of [`SampledReverseKl`].
#[derive(Config, Debug)]
pub struct SampledReverseKlConfig {
    /// ε: a ratio ρ beyond 1 ± ε earns nothing more (PPO, arXiv:1707.06347). Only matters where the
    /// rollouts are older than the student.
    pub clip: Option<f64>,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Rows whose logits exist at a time; chosen by the size of the vocabulary unless given.
    pub chunk_rows: Option<usize>,
}

impl SampledReverseKlConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When the clip is not between 0 and 1, the weight is negative, or a chunk has no row.
    pub fn init(&self) -> Result<SampledReverseKl, Error> {
        Ok(SampledReverseKl {
            clip: check_clip(self.clip)?,
            weight: check_weight(self.weight)?,
            chunk_rows: check_chunk_rows(self.chunk_rows)?,
        })
    }
}

/// A policy gradient that lowers reverse KL at the tokens that were drawn.
///
/// Needs rollouts ([`TokenBatch::drawn`](potstill_core::TokenBatch::drawn)) and of the teacher only
/// the probability of each drawn token: an endpoint that names a few tokens will do. A token that it
/// does not name gets its share of the mass that is left out, as if all unnamed tokens were alike.
///
/// Logs one term, `sampled_reverse_kl`, whose value is the estimate of the divergence in nats per
/// token. Panics on a batch that nobody drew and on a teacher without probabilities. Built by
/// [`SampledReverseKlConfig`].
#[derive(Module, Debug)]
pub struct SampledReverseKl {
    clip: Option<f64>,
    weight: f64,
    chunk_rows: Option<usize>,
}

impl Objective for SampledReverseKl {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let Scores {
            reward,
            importance,
            policy,
        } = Scores::of(&input, self.chunk_rows);
        let rows = &input.batch.rows;
        let estimate = rows.weighted_sum(importance.clone() * -reward.clone());
        let sum = surrogate(&input, self.chunk_rows, |log_q| {
            let gain = importance * clipped_gain(log_q - policy, reward, self.clip);
            -rows.weighted_sum(gain)
        });
        terms.push(LossTerm {
            name: "sampled_reverse_kl".into(),
            weight: self.weight,
            // The value of the one, the gradient of the other.
            sum: sum.clone() - sum.detach() + estimate,
        });
    }
}

/// `min(ρ A, clip(ρ, 1 ± ε) A)` of each row. The importance weight stays outside the clip.
///
/// # Shapes
///
/// - all: `[rows]`
pub(super) fn clipped_gain(
    log_ratio: Tensor<1>,
    advantage: Tensor<1>,
    clip: Option<f64>,
) -> Tensor<1> {
    let ratio = ratio(log_ratio);
    let gain = ratio.clone() * advantage.clone();
    match clip {
        None => gain,
        Some(clip) => gain.min_pair(ratio.clamp(1.0 - clip, 1.0 + clip) * advantage),
    }
}

/// `reduce` of the student's log-probability of each target, differentiable.
pub(super) fn surrogate(
    input: &ObjectiveInput<'_>,
    chunk_rows: Option<usize>,
    reduce: impl FnOnce(Tensor<1>) -> Tensor<1>,
) -> Tensor<1> {
    let targets = input.batch.row_targets();
    let rows = HeadRows {
        hidden: &input.student.hidden,
        head: &input.student.head,
        teacher: &input.teacher.prediction,
        targets: Some(&targets),
        chunk_rows,
    };
    rows.reduced(&CrossEntropy::default(), |losses| reduce(-losses))
}
