//! Divergences that compare p and q directly.
//!
//! ```text
//! forward KL          ∂/∂z = q − p
//! reverse KL          ∂/∂z = q · (log q − log p − KL(q‖p))
//! total variation     g = ½ q · sign(q − p)
//! squared Hellinger   g = −½ √(pq)
//! ```

use burn::prelude::*;

use super::{Evaluated, Wanted};
use crate::log_space::{Softmax, column, row_dot, row_sum, through_softmax};

pub(super) fn forward_kl(p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
    let value = row_dot(&p.probs, &(p.log_probs - q.log_probs));
    Evaluated {
        value,
        gradient: wanted.gradient(|| q.probs - p.probs),
    }
}

pub(super) fn reverse_kl(p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
    let log_ratio = q.log_probs - p.log_probs;
    let value = row_dot(&q.probs, &log_ratio);
    let gradient = wanted.gradient(|| (log_ratio - column(&value)) * q.probs);
    Evaluated { value, gradient }
}

pub(super) fn symmetric_kl(reverse: f64, p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
    let [rows, _] = p.probs.dims();
    let options = (&p.probs.device(), p.probs.dtype());
    blended_kl(Tensor::full([rows], 1.0 - reverse, options), p, q, wanted)
}

/// `forward · KL(p‖q) + (1 − forward) · KL(q‖p)` with a share for each row, constant for the
/// gradient.
pub(super) fn blended_kl(forward: Tensor<1>, p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
    let reverse = -forward.clone() + 1.0;
    let log_ratio = q.log_probs - p.log_probs;
    let forward_kl = -row_dot(&p.probs, &log_ratio);
    let reverse_kl = row_dot(&q.probs, &log_ratio);
    let value = forward.clone() * forward_kl + reverse.clone() * reverse_kl.clone();
    let gradient = wanted.gradient(|| {
        let towards_reverse = (log_ratio - column(&reverse_kl)) * q.probs.clone();
        (q.probs - p.probs) * column(&forward) + towards_reverse * column(&reverse)
    });
    Evaluated { value, gradient }
}

pub(super) fn total_variation(p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
    let difference = q.probs.clone() - p.probs;
    let value = row_sum(difference.clone().abs()) * 0.5;
    let gradient =
        wanted.gradient(|| through_softmax(difference.sign() * q.probs.clone() * 0.5, q.probs));
    Evaluated { value, gradient }
}

pub(super) fn squared_hellinger(p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
    let root_p = (p.log_probs * 0.5).exp();
    let root_q = (q.log_probs * 0.5).exp();
    let value = row_sum((root_p.clone() - root_q.clone()).square()) * 0.5;
    let gradient = wanted.gradient(|| through_softmax(root_p * root_q * -0.5, q.probs));
    Evaluated { value, gradient }
}
