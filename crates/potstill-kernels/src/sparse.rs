//! Divergences from a teacher that names only a few tokens of each row.
//!
//! With K the tokens that are named, q the student's full softmax at temperature 1, and nats per
//! token:
//!
//! ```text
//! with tail      D over the buckets K ∪ {rest}         e for k ∈ K,  e_rest · q_v / q_rest elsewhere
//! renormalized   Σ_K p̃ (log p̃ − log q), p̃ = p / Σ_K p  q − p̃
//! truncated      Σ_K p (log p − log q)                 q · Σ_K p − p
//! sampled        1/k Σ_i (log p_i − log q_i), i ~ p    q − counts / k
//! ```
//!
//! On the right is the gradient with respect to the student's logits; e is the gradient that the
//! divergence has for the logits of its buckets.
//!
//! Only the first is a divergence: merging tokens into a bucket can only lower it (data processing),
//! so it bounds the divergence of the whole distributions from below, and equals it where K is the
//! vocabulary. The second is smallest at p̃, which makes the student overconfident; the third is not
//! bounded by 0. The fourth is unbiased: its expectation over draws, value and gradient, is forward
//! KL. Anshumann et al., *Sparse Logit Sampling*, arXiv:2503.16870 (sampling, and what truncation costs).
//!
//! A temperature cannot be applied afterwards: the logits outside K would be needed.

use burn::prelude::*;
use burn::tensor::IndexingUpdateOp;
use potstill_core::{Prediction, Support};
use serde::{Deserialize, Serialize};

use crate::Divergence;
use crate::divergence::{Evaluated, Wanted};
use crate::log_space::{FLOOR, Softmax, at_least_f32, column, log_sum_exp, one_of, row_sum};

/// How a student is compared with a few tokens of the teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SparseDivergence {
    /// A divergence over the named tokens and one bucket for all others.
    WithTail {
        /// What the buckets are compared with.
        divergence: Divergence,
    },
    /// Forward KL from the named tokens, made to sum to 1.
    Renormalized,
    /// The named tokens' part of the forward KL, and nothing for the others.
    Truncated,
    /// Forward KL estimated from tokens drawn from the teacher.
    Sampled,
}

impl SparseDivergence {
    /// The name under which it is logged.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::WithTail { .. } => "top_k_with_tail",
            Self::Renormalized => "top_k_renormalized",
            Self::Truncated => "top_k_truncated",
            Self::Sampled => "sampled_forward_kl",
        }
    }

    /// The loss of each row, differentiable by autodiff.
    ///
    /// # Shapes
    ///
    /// - `student_logits`: `[rows, vocab]`
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the teacher's support is not the one this divergence is about. A token id beyond the
    /// student's vocabulary panics or reads what is not a logit, depending on the backend.
    #[must_use]
    pub fn per_row(&self, student_logits: Tensor<2>, teacher: &SparseRows) -> Tensor<1> {
        self.evaluate(student_logits, teacher, Wanted::Value).value
    }

    /// The loss of each row and its gradient with respect to the student's logits, in closed form.
    ///
    /// # Shapes
    ///
    /// - `student_logits`: `[rows, vocab]`
    /// - output: `[rows]`, `[rows, vocab]`
    ///
    /// # Panics
    ///
    /// Panics if the teacher's support is not the one this divergence is about. A token id beyond the
    /// student's vocabulary panics or reads what is not a logit, depending on the backend.
    #[must_use]
    pub fn value_and_gradient(
        &self,
        student_logits: Tensor<2>,
        teacher: &SparseRows,
    ) -> (Tensor<1>, Tensor<2>) {
        let result = self.evaluate(student_logits, teacher, Wanted::ValueAndGradient);
        (
            result.value,
            result.gradient.expect("the gradient was wanted"),
        )
    }

    fn evaluate(
        &self,
        student_logits: Tensor<2>,
        teacher: &SparseRows,
        wanted: Wanted,
    ) -> Evaluated {
        let q = Softmax::new(student_logits, 1.0);
        let log_p = at_least_f32(teacher.log_probs.clone())
            .cast(q.probs.dtype())
            .clamp_min(FLOOR);
        let ids = teacher.token_ids.clone();
        match (self, &teacher.tail) {
            (Self::WithTail { divergence }, Some(tail)) => {
                let tail = column(tail).cast(log_p.dtype()).clamp_min(FLOOR);
                with_tail(
                    *divergence,
                    ids,
                    Tensor::cat(vec![log_p, tail], 1),
                    q,
                    wanted,
                )
            }
            (Self::Renormalized, Some(_)) => {
                let p = Softmax::new(log_p, 1.0);
                cross(ids, p.log_probs, p.probs, q, wanted)
            }
            (Self::Truncated, Some(_)) => {
                let p = log_p.clone().exp();
                cross(ids, log_p, p, q, wanted)
            }
            (Self::Sampled, None) => {
                let [_, k] = log_p.dims();
                let share = log_p.full_like((k as f64).recip());
                cross(ids, log_p, share, q, wanted)
            }
            (Self::Sampled, Some(_)) => {
                panic!("sampled distillation needs sampled tokens, not the top k")
            }
            (_, None) => panic!("{} needs the top k tokens, not samples", self.name()),
        }
    }
}

/// What a teacher says about a few tokens of each row.
#[derive(Clone, Debug)]
pub struct SparseRows {
    /// The tokens, `[rows, k]`; distinct within a row unless they were sampled.
    ///
    /// Each must be within the student's vocabulary. Check that where they are read from a file: to check
    /// here would be to wait for the device at every step.
    pub token_ids: Tensor<2, Int>,
    /// Their log-probabilities under the whole distribution, `[rows, k]`.
    pub log_probs: Tensor<2>,
    /// Log of the mass of all other tokens, `[rows]`; `None` where the tokens were sampled.
    pub tail: Option<Tensor<1>>,
}

impl SparseRows {
    /// `rows` rows of a prediction from `start`.
    ///
    /// # Panics
    ///
    /// Panics if the prediction is not sparse.
    pub(crate) fn narrowed(prediction: &Prediction, start: usize, rows: usize) -> Self {
        let Prediction::Sparse {
            token_ids,
            log_probs,
            support,
        } = prediction
        else {
            panic!(
                "this loss needs a sparse prediction, and this one is {}",
                prediction.kind()
            );
        };
        let tail = match support {
            Support::TopK { tail } => Some(tail.clone().narrow(0, start, rows)),
            Support::Sampled => None,
            other => panic!("this loss does not know the support {other:?}"),
        };
        Self {
            token_ids: token_ids.clone().narrow(0, start, rows),
            log_probs: log_probs.clone().narrow(0, start, rows),
            tail,
        }
    }
}

/// A distribution over k named tokens and one bucket for all others.
struct Buckets {
    /// Log-probabilities of the tokens, then of the bucket, `[rows, k + 1]`.
    log_probs: Tensor<2>,
    /// Probabilities within the bucket, 0 at the named tokens, `[rows, vocab]`.
    within_rest: Tensor<2>,
}

impl Buckets {
    fn new(log_probs: Tensor<2>, ids: Tensor<2, Int>) -> Self {
        let vocab = log_probs.dims()[1];
        let named = one_of(ids.clone(), vocab);
        let others = log_probs.clone().mask_fill(named.clone(), FLOOR);
        let log_rest = log_sum_exp(others.clone());
        Self {
            log_probs: Tensor::cat(vec![log_probs.gather(1, ids), log_rest.clone()], 1),
            within_rest: (others - log_rest).exp().mask_fill(named, 0.0),
        }
    }
}

/// A divergence over k named tokens and the rest; `log_p` is `[rows, k + 1]`.
fn with_tail(
    divergence: Divergence,
    ids: Tensor<2, Int>,
    log_p: Tensor<2>,
    q: Softmax,
    wanted: Wanted,
) -> Evaluated {
    let [rows, k] = ids.dims();
    let q = Buckets::new(q.log_probs, ids.clone());
    let softmax = |log_probs: Tensor<2>| Softmax {
        probs: log_probs.clone().exp(),
        log_probs,
    };
    let result = divergence.of_distributions(softmax(log_p), softmax(q.log_probs), wanted);
    let gradient = result.gradient.map(|gradient| {
        let of_rest = gradient.clone().slice([0..rows, k..k + 1]);
        let of_named = gradient.slice([0..rows, 0..k]);
        (q.within_rest * of_rest).scatter(1, ids, of_named, IndexingUpdateOp::Add)
    });
    Evaluated {
        value: result.value,
        gradient,
    }
}

/// `Σ_K weight · (log_p − log q)`, its gradient `q · Σ weight − weight`.
fn cross(
    ids: Tensor<2, Int>,
    log_p: Tensor<2>,
    weight: Tensor<2>,
    q: Softmax,
    wanted: Wanted,
) -> Evaluated {
    let value = row_sum((log_p - q.log_probs.gather(1, ids.clone())) * weight.clone());
    let gradient = wanted.gradient(|| {
        let total = weight.clone().sum_dim(1);
        (q.probs * total).scatter(1, ids, -weight, IndexingUpdateOp::Add)
    });
    Evaluated { value, gradient }
}

#[cfg(test)]
mod tests;
