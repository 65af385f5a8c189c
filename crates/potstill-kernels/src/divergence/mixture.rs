//! Divergences to a mixture m of teacher and student.
//!
//! ```text
//! generalized JSD   ∂/∂z = (1 − β) · q · (b − Σ q b)            b = log q − log m
//! skew forward      ∂/∂z = (1 − α) · (q · Σ r − r)              r = p q / m
//! skew reverse      ∂/∂z = q · (h − Σ q h)                      h = b − α · q / m
//! ```

use burn::prelude::*;

use super::{Evaluated, Wanted};
use crate::log_space::{Softmax, column, log_mixture, row_dot};

pub(super) fn generalized_jsd(beta: f64, p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
    let log_m = log_mixture(beta, &p.log_probs, 1.0 - beta, &q.log_probs);
    let teacher = row_dot(&p.probs, &(p.log_probs - log_m.clone()));
    let log_ratio = q.log_probs - log_m;
    let student = row_dot(&q.probs, &log_ratio);
    let value = teacher * beta + student.clone() * (1.0 - beta);
    let gradient = wanted.gradient(|| (log_ratio - column(&student)) * q.probs * (1.0 - beta));
    Evaluated { value, gradient }
}

pub(super) fn skew_forward_kl(alpha: f64, p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
    let log_m = log_mixture(alpha, &p.log_probs, 1.0 - alpha, &q.log_probs);
    let value = row_dot(&p.probs, &(p.log_probs - log_m.clone()));
    let gradient = wanted.gradient(|| {
        let r = (q.log_probs - log_m).exp() * p.probs;
        let total = r.clone().sum_dim(1);
        (q.probs * total - r) * (1.0 - alpha)
    });
    Evaluated { value, gradient }
}

pub(super) fn skew_reverse_kl(alpha: f64, p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
    let log_m = log_mixture(1.0 - alpha, &p.log_probs, alpha, &q.log_probs);
    let log_ratio = q.log_probs - log_m;
    let value = row_dot(&q.probs, &log_ratio);
    let gradient =
        wanted.gradient(|| centered(log_ratio.clone() - log_ratio.exp() * alpha, q.probs));
    Evaluated { value, gradient }
}

/// `q · (h − Σ q h)`.
fn centered(h: Tensor<2>, q: Tensor<2>) -> Tensor<2> {
    let mean = row_dot(&q, &h);
    (h - column(&mean)) * q
}
