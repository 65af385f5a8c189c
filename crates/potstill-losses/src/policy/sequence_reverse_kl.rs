//! Reverse KL of whole sequences by policy gradient (MiniLLM).
//!
//! ```text
//! r_t = log p(y_t) − log q_old(y_t)      F_t = Σ_{t' > t} γ^(t' − t − 1) r_t'     (÷ (T − t) if normalized)
//! ρ_t = q(y_t) / q_old(y_t)              w_t = q_old(y_t) / s(y_t)                 y drawn from s
//!
//! single step    L₁ =  Σ_t KL(q(·|y_<t) ‖ p(·|y_<t))
//! long term      L₂ = −Σ_t w_t · min(ρ_t F_t, clip(ρ_t, 1 ± ε) F_t)
//! ```
//!
//! Without normalization, discount and clip, and with s = q, the expectation of ∂(L₁ + L₂)/∂θ is
//! exactly that of `KL(q‖p)` over sequences: what a token does to those behind it is part of it, as
//! it is not in the reverse KL of tokens. Gu et al., *MiniLLM*, arXiv:2306.08543, equations 3 to 7.
//! Each of the three fixes that the paper adds to the plain policy gradient is a setting.
//!
//! Where the released codes differ from the paper, this follows the paper:
//!
//! - The return in the long term begins *behind* the token and is divided by the number of its terms;
//!   LMOps includes the token itself, which L₁ already has.
//! - There is no discount unless asked for, nor is the reward halved, bounded or whitened (LMOps: γ
//!   0.95, × 2, ± 100, whitening with statistics that include padding).
//! - The clip bounds ρ alone; LMOps clips ρ · w, so that the importance weight is clipped too.
//! - A discount counts from the token. TRL multiplies the advantage by γ^t of the absolute position,
//!   which makes late tokens not count, and with the normalization divides 0 by 0.
//! - Only the rows that count are seen: TRL's mask is always true, so that padding counts; and the
//!   advantage is a constant here, which TRL forgets to detach.
//! - γ = 0 leaves of the long term what the next token earns; TRL's default of 0 has no long term.
//!
//! w_t is one step of the importance weight, the paper's approximation of the product over all tokens
//! before. In L₁ the paper has it too; its authors found the term more stable without.
//! The paper's language-modeling loss on plain text is another source's batch, not a term here.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput};
use potstill_kernels::{Divergence, HeadRows};

use super::returns::Sequences;
use super::sampled_reverse_kl::{clipped_gain, surrogate};
use super::{Scores, product};
use crate::error::{check_chunk_rows, check_clip, check_share, check_weight};
use crate::{Error, SoftTarget};

/// Settings of [`SequenceReverseKl`].
#[derive(Config, Debug)]
pub struct SequenceReverseKlConfig {
    /// Takes what a token earns itself from the whole distribution instead of the one draw. Needs the
    /// teacher's logits; without it, the probabilities of the drawn tokens are enough.
    #[config(default = true)]
    pub single_step: bool,
    /// Divides what follows a token by its number of tokens, so that short answers are not better for
    /// being short.
    #[config(default = true)]
    pub length_normalized: bool,
    /// ε of the clip of ρ; `None` does not clip. The paper's is 0.2.
    pub clip: Option<f64>,
    /// γ, in `[0, 1]`.
    #[config(default = 1.0)]
    pub discount: f64,
    /// Weighs the single-step term by w_t too, as the paper writes it.
    #[config(default = false)]
    pub importance_in_single_step: bool,
    /// Subtracts from each advantage the mean of the other sequences' of the micro-batch at the same
    /// place: less variance, the same expectation. Not in the paper.
    #[config(default = false)]
    pub leave_one_out: bool,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Rows whose logits exist at a time; chosen by the size of the vocabulary unless given.
    pub chunk_rows: Option<usize>,
}

impl SequenceReverseKlConfig {
    /// The paper's settings.
    #[must_use]
    pub fn minillm() -> Self {
        Self::new().with_clip(Some(0.2))
    }

    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When the clip or the discount is not between 0 and 1, the weight is negative, or a chunk has no
    /// row.
    pub fn init(&self) -> Result<SequenceReverseKl, Error> {
        check_clip(self.clip)?;
        check_share("discount", self.discount)?;
        check_weight(self.weight)?;
        check_chunk_rows(self.chunk_rows)?;
        Ok(SequenceReverseKl {
            config: self.clone(),
        })
    }
}

/// A policy gradient that lowers reverse KL of whole sequences.
///
/// The sequences are the segments of the batch, which must be rollouts
/// ([`TokenBatch::drawn`](potstill_core::TokenBatch::drawn)).
///
/// Logs `reverse_kl`, the single-step term, and `long_term`, whose value is what the rest of the
/// sequence costs behind a token, as far as the student's advantage is not clipped. Panics on a batch
/// that nobody drew, and on a teacher without logits (without the single-step term: without
/// probabilities). Built by [`SequenceReverseKlConfig`].
#[derive(Module, Debug)]
pub struct SequenceReverseKl {
    #[module(skip)]
    config: SequenceReverseKlConfig,
}

impl Objective for SequenceReverseKl {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let config = &self.config;
        let rows = &input.batch.rows;
        let Scores {
            reward,
            importance,
            policy,
        } = Scores::of(&input, config.chunk_rows);
        if config.single_step {
            let factor = config.importance_in_single_step.then_some(&importance);
            terms.push(LossTerm {
                name: "reverse_kl".into(),
                weight: config.weight,
                sum: self.single_step(&input, product(rows.weights.as_ref(), factor)),
            });
        }
        let sequences = Sequences::new(input.batch.sequences(), &reward.device());
        let future = sequences.futures(reward.clone(), config.discount, config.length_normalized);
        let mut advantage = if config.single_step {
            future
        } else {
            reward + future
        };
        if config.leave_one_out {
            advantage = advantage.clone() - sequences.others(advantage);
        }
        terms.push(LossTerm {
            name: "long_term".into(),
            weight: config.weight,
            sum: surrogate(&input, config.chunk_rows, |log_q| {
                let gain = importance * clipped_gain(log_q - policy, advantage, config.clip);
                -rows.weighted_sum(gain)
            }),
        });
    }
}

impl SequenceReverseKl {
    fn single_step(&self, input: &ObjectiveInput<'_>, weights: Option<Tensor<1>>) -> Tensor<1> {
        let rows = HeadRows {
            hidden: &input.student.hidden,
            head: &input.student.head,
            teacher: &input.teacher.prediction,
            targets: None,
            chunk_rows: self.config.chunk_rows,
        };
        rows.weighted_sum(&SoftTarget::new(Divergence::ReverseKl), weights.as_ref())
    }
}
