//! The head of a teacher's distribution, for the adaptive KL divergence.

use burn::prelude::*;

use crate::log_space::row_sum;

/// `Σ_head |p − q| / Σ |p − q|`, constant for autodiff; ½ where p = q.
///
/// The head are the likeliest tokens whose probabilities sum to at most `mass`, and the likeliest
/// one in any case.
pub(super) fn head_share(mass: f64, p: &Tensor<2>, q: &Tensor<2>) -> Tensor<1> {
    let (p, q) = (p.clone().detach(), q.clone().detach());
    let [rows, vocab] = p.dims();
    let gap = (p.clone() - q).abs();
    let (sorted, order) = p.sort_descending_with_indices(1);
    let first = Tensor::<1, Int>::arange(0..vocab as i64, &sorted.device())
        .equal_scalar(0)
        .unsqueeze::<2>()
        .expand([rows, vocab]);
    let in_head = sorted.cumsum(1).lower_equal_scalar(mass).bool_or(first);
    let sorted_gap = gap.gather(1, order);
    let total = row_sum(sorted_gap.clone());
    let head = row_sum(sorted_gap.mask_fill(in_head.bool_not(), 0.0));
    let equal = total.clone().equal_scalar(0.0);
    (head / total).mask_fill(equal, 0.5)
}
