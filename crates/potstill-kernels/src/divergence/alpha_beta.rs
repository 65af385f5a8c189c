//! The α–β divergence and its limits.
//!
//! ```text
//! general   D = −1/(αβ) Σ [p^α q^β − α/(α+β) p^(α+β) − β/(α+β) q^(α+β)]
//! β = 0     D = 1/α² Σ [α p^α (log p − log q) − p^α + q^α]
//! α = 0     D = 1/β² Σ [β q^β (log q − log p) − q^β + p^β]
//! α = −β    D = 1/α² Σ [α (log q − log p) + (p/q)^α − 1]
//! α = β = 0 D = ½ Σ (log p − log q)²
//!
//! g = (q^(α+β) − p^α q^β) / α      and  q^β (log q − log p)  where α = 0
//! ```

use burn::prelude::*;

use super::{Evaluated, Wanted};
use crate::log_space::{Softmax, row_sum, through_softmax};

/// Below this, a limit is closer to the truth than the general formula in f32.
const NEAR_ZERO: f64 = 1e-3;

/// Which formula applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    BothZero,
    AlphaZero,
    BetaZero,
    Opposite,
    General,
}

impl Case {
    pub(crate) fn of(alpha: f64, beta: f64) -> Self {
        let is_zero = |value: f64| value.abs() < NEAR_ZERO;
        match (is_zero(alpha), is_zero(beta)) {
            (true, true) => Self::BothZero,
            (true, false) => Self::AlphaZero,
            (false, true) => Self::BetaZero,
            (false, false) if is_zero(alpha + beta) => Self::Opposite,
            (false, false) => Self::General,
        }
    }
}

pub(super) fn alpha_beta(
    alpha: f64,
    beta: f64,
    p: Softmax,
    q: Softmax,
    wanted: Wanted,
) -> Evaluated {
    let (value, g) = match Case::of(alpha, beta) {
        Case::BothZero => both_zero(p.log_probs, q.log_probs),
        Case::AlphaZero => alpha_zero(beta, p.log_probs, q.log_probs),
        Case::BetaZero => beta_zero(alpha, p.log_probs, q.log_probs),
        Case::Opposite => opposite(alpha, p.log_probs, q.log_probs),
        Case::General => general(alpha, beta, p.log_probs, q.log_probs),
    };
    Evaluated {
        value,
        gradient: wanted.gradient(|| through_softmax(g, q.probs)),
    }
}

fn general(alpha: f64, beta: f64, log_p: Tensor<2>, log_q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
    let sum = alpha + beta;
    let joint = (log_p.clone() * alpha + log_q.clone() * beta).exp();
    let of_p = (log_p * sum).exp();
    let of_q = (log_q * sum).exp();
    let inner = of_p * (alpha / sum) + of_q.clone() * (beta / sum) - joint.clone();
    (
        row_sum(inner) * (alpha * beta).recip(),
        (of_q - joint) * alpha.recip(),
    )
}

fn beta_zero(alpha: f64, log_p: Tensor<2>, log_q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
    let of_p = (log_p.clone() * alpha).exp();
    let of_q = (log_q.clone() * alpha).exp();
    let difference = of_q - of_p.clone();
    let value = row_sum((log_p - log_q) * of_p * alpha + difference.clone());
    (value * alpha.powi(-2), difference * alpha.recip())
}

fn alpha_zero(beta: f64, log_p: Tensor<2>, log_q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
    let of_p = (log_p.clone() * beta).exp();
    let of_q = (log_q.clone() * beta).exp();
    let g = (log_q - log_p) * of_q.clone();
    let value = row_sum(g.clone() * beta - of_q + of_p);
    (value * beta.powi(-2), g)
}

fn opposite(alpha: f64, log_p: Tensor<2>, log_q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
    let scaled = (log_q - log_p) * alpha;
    let excess = (-scaled.clone()).exp() - 1.0;
    let value = row_sum(scaled + excess.clone());
    (value * alpha.powi(-2), excess * -alpha.recip())
}

fn both_zero(log_p: Tensor<2>, log_q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
    let log_ratio = log_q - log_p;
    (row_sum(log_ratio.clone().square()) * 0.5, log_ratio)
}
