//! Distributions in log space, so that nothing that a loss is made of overflows or is 0 · ∞.
//!
//! The building blocks of the portable bodies, for a [`RowLoss`](crate::RowLoss) of your own.

use burn::prelude::*;
use burn::tensor::{DType, FloatDType, IndexingUpdateOp};

/// Log-probabilities this far below the likeliest token count as this.
///
/// It stands in for the −∞ of a forbidden token: `exp` of it is 0 in f32 and f64, and 0 times it is
/// 0 and not NaN. It lies beyond the largest gap of logits within ±10⁴.
pub const FLOOR: f64 = -1e5;

/// A row-wise softmax, as log-probabilities and as probabilities.
#[derive(Clone, Debug)]
pub struct Softmax {
    /// Finite, `[rows, vocab]`.
    pub log_probs: Tensor<2>,
    /// `[rows, vocab]`.
    pub probs: Tensor<2>,
}

impl Softmax {
    /// `softmax(logits / temperature)` in f32, or f64 if that is what comes in.
    ///
    /// # Shapes
    ///
    /// - `logits`: `[rows, vocab]`
    #[must_use]
    pub fn new(logits: Tensor<2>, temperature: f64) -> Self {
        let logits = at_least_f32(logits);
        // Not a division: autodiff's derivative of one has only the precision of f32.
        let scaled = if temperature == 1.0 {
            logits
        } else {
            logits * temperature.recip()
        };
        // Shifting a row changes nothing, so no gradient has to pass through its maximum.
        let max = scaled.clone().detach().max_dim(1);
        let shifted = (scaled - max).clamp_min(FLOOR);
        let exps = shifted.clone().exp();
        let total = exps.clone().sum_dim(1);
        Self {
            log_probs: shifted - total.clone().log(),
            probs: exps * total.recip(),
        }
    }
}

/// `log(weight_p · p + weight_q · q)` from log-probabilities.
///
/// # Shapes
///
/// - `log_p`, `log_q`, output: `[rows, vocab]`
#[must_use]
pub fn log_mixture(
    weight_p: f64,
    log_p: &Tensor<2>,
    weight_q: f64,
    log_q: &Tensor<2>,
) -> Tensor<2> {
    let larger = (log_p.clone() - log_q.clone()).clamp_min(0.0) + log_q.clone();
    let larger = larger.detach();
    let p = (log_p.clone() - larger.clone()).exp() * weight_p;
    let q = (log_q.clone() - larger.clone()).exp() * weight_q;
    (p + q).log() + larger
}

/// `Σ_v a_v · b_v` of each row, without a product of that size in between.
///
/// # Shapes
///
/// - `a`, `b`: `[rows, vocab]`
/// - output: `[rows]`
#[must_use]
pub fn row_dot(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<1> {
    let [rows, _] = a.dims();
    let row = a.clone().unsqueeze_dim::<3>(1);
    let column = b.clone().unsqueeze_dim::<3>(2);
    row.matmul(column).reshape([rows])
}

/// `Σ_v a_v` of each row.
///
/// # Shapes
///
/// - `a`: `[rows, vocab]`
/// - output: `[rows]`
#[must_use]
pub fn row_sum(a: Tensor<2>) -> Tensor<1> {
    a.sum_dim(1).squeeze_dim::<1>(1)
}

/// A column that broadcasts over the vocabulary.
///
/// # Shapes
///
/// - `values`: `[rows]`
/// - output: `[rows, 1]`
#[must_use]
pub fn column(values: &Tensor<1>) -> Tensor<2> {
    values.clone().unsqueeze_dim::<2>(1)
}

/// `log Σ_v exp(a_v)` of each row, as a column.
///
/// # Shapes
///
/// - `a`: `[rows, vocab]`
/// - output: `[rows, 1]`
#[must_use]
pub fn log_sum_exp(a: Tensor<2>) -> Tensor<2> {
    let max = a.clone().detach().max_dim(1);
    let shifted = (a - max.clone()).clamp_min(FLOOR);
    shifted.exp().sum_dim(1).log() + max
}

/// True at the tokens that each row names.
///
/// # Shapes
///
/// - `token_ids`: `[rows, k]`
/// - output: `[rows, vocab]`
#[must_use]
pub fn one_of(token_ids: Tensor<2, Int>, vocab: usize) -> Tensor<2, Bool> {
    let [rows, _] = token_ids.dims();
    let zeros = Tensor::<2>::zeros([rows, vocab], &token_ids.device());
    let ones = Tensor::ones(token_ids.dims(), &token_ids.device());
    zeros
        .scatter(1, token_ids, ones, IndexingUpdateOp::Add)
        .greater_scalar(0.5)
}

/// `g − q · Σ g`: the gradient for the logits from `g = q · ∂f/∂q`.
///
/// # Shapes
///
/// - `g`, `q`, output: `[rows, vocab]`
#[must_use]
pub fn through_softmax(g: Tensor<2>, q: Tensor<2>) -> Tensor<2> {
    let total = g.clone().sum_dim(1);
    g - q * total
}

/// f64 stays, everything else becomes f32.
///
/// # Shapes
///
/// - `values`, output: the same
#[must_use]
pub fn at_least_f32<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if values.dtype() == DType::F64 {
        values
    } else {
        values.cast(FloatDType::F32)
    }
}
