//! Learning from text that the student wrote: what the objectives on rollouts share.

pub(crate) mod returns;
pub(crate) mod sampled_reverse_kl;
pub(crate) mod sequence_reverse_kl;

use burn::prelude::*;
use potstill_core::{Drawn, ObjectiveInput, Prediction, Support};
use potstill_kernels::log_space::{FLOOR, Softmax, at_least_f32, column, row_sum};
use potstill_kernels::{CrossEntropy, HeadRows};

/// Ratios of probabilities stop at `e^±` this, so that none is infinite.
const LARGEST_LOG_RATIO: f64 = 20.0;

/// What a rollout says about the rows of a batch, constants all of them, `[rows]` each.
pub(crate) struct Scores {
    /// `log p − log q_old`: what the teacher thinks of a token more than the student did.
    pub(crate) reward: Tensor<1>,
    /// `q_old / s`: corrects for who drew the token.
    pub(crate) importance: Tensor<1>,
    /// `log q_old`.
    pub(crate) policy: Tensor<1>,
}

impl Scores {
    pub(crate) fn of(input: &ObjectiveInput<'_>, chunk_rows: Option<usize>) -> Self {
        let Drawn { policy, sampler } = input.batch.drawn.as_ref().expect(
            "this objective learns from rollouts: every row that counts needs the log-probability \
             that its target was drawn with",
        );
        let log_p = target_log_probs(
            &input.teacher.prediction,
            &input.batch.row_targets(),
            input.student.head.vocab_size(),
            chunk_rows,
        );
        let policy = policy.clone().cast(log_p.dtype());
        Self {
            reward: log_p - policy.clone(),
            importance: ratio(policy.clone() - sampler.clone().cast(policy.dtype())),
            policy,
        }
    }
}

/// `e^log_ratio`, finite.
pub(crate) fn ratio(log_ratio: Tensor<1>) -> Tensor<1> {
    log_ratio.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()
}

/// The product of what is there, `[rows]`.
fn product(a: Option<&Tensor<1>>, b: Option<&Tensor<1>>) -> Option<Tensor<1>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.clone().cast(b.dtype()) * b.clone()),
        (one, other) => one.or(other).cloned(),
    }
}

/// `log p(target)` of each row, `[rows]`.
///
/// Where a sparse prediction does not name the target, the mass it leaves out is shared by all
/// tokens that it does not name.
fn target_log_probs(
    prediction: &Prediction,
    targets: &Tensor<1, Int>,
    vocab: usize,
    chunk_rows: Option<usize>,
) -> Tensor<1> {
    let ids = targets.clone().unsqueeze_dim::<2>(1);
    match prediction {
        Prediction::Deferred { hidden, head } => {
            let rows = HeadRows {
                hidden,
                head,
                teacher: &Prediction::None,
                targets: Some(targets),
                chunk_rows,
            };
            -rows.per_row(&CrossEntropy::default())
        }
        Prediction::Dense(logits) => {
            let log_p = Softmax::new(logits.clone(), 1.0).log_probs;
            log_p.gather(1, ids).squeeze_dim::<1>(1)
        }
        Prediction::Sparse {
            token_ids,
            log_probs,
            support: Support::TopK { tail },
        } => {
            let [_, k] = token_ids.dims();
            let other = token_ids.clone().not_equal(ids.expand(token_ids.dims()));
            let log_probs = at_least_f32(log_probs.clone()).clamp_min(FLOOR);
            let named = row_sum(log_probs.mask_fill(other.clone(), 0.0));
            let unnamed = vocab.saturating_sub(k).max(1) as f64;
            let rest = at_least_f32(tail.clone()).clamp_min(FLOOR) - unnamed.ln();
            let missing = other.all_dim(1);
            column(&named)
                .mask_where(missing, column(&rest))
                .squeeze_dim::<1>(1)
        }
        other => panic!(
            "this objective needs the teacher's probability of each token, and its prediction is {}",
            other.kind()
        ),
    }
}

#[cfg(test)]
mod tests;
