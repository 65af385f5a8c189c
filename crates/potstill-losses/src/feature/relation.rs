//! Relations between the positions of a sequence, as MiniLM has them.
//!
//! ```text
//! R(x) = softmax(x xᵀ / √d_r) for each relation head      L = mean KL(R(t) ‖ R(s))
//! ```
//!
//! The mean is over batch, heads and positions. With x the values and as many relation heads as
//! attention heads, this is MiniLM's value relation (Wang et al., arXiv:2002.10957); with x the
//! queries, keys and values in turn and any number of relation heads, it is MiniLMv2 (Wang et al.,
//! arXiv:2012.15828), whose loss is the mean of the three. Widths may differ: only d_r, the width of
//! a relation head, enters.

use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use potstill_kernels::log_space::at_least_f32;

/// Mean KL divergence between the self-relations of two sequences of vectors.
///
/// # Shapes
///
/// - `student`: `[batch, seq, d_student]`
/// - `teacher`: `[batch, seq, d_teacher]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if batch or sequence differ, or a width is not divisible by `relation_heads`.
#[must_use]
pub fn self_relation_kl(
    student: Tensor<3>,
    teacher: Tensor<3>,
    relation_heads: usize,
) -> Tensor<1> {
    assert_eq!(
        student.dims()[..2],
        teacher.dims()[..2],
        "student and teacher must have the same positions"
    );
    let log_p = log_relation(teacher, relation_heads);
    let log_q = log_relation(student, relation_heads);
    (log_p.clone().exp() * (log_p - log_q)).sum_dim(3).mean()
}

fn log_relation(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, seq, width] = x.dims();
    assert!(
        heads > 0 && width % heads == 0,
        "a width of {width} cannot be split into {heads} relation heads"
    );
    let d_relation = width / heads;
    let x = at_least_f32(x)
        .reshape([batch, seq, heads, d_relation])
        .swap_dims(1, 2);
    let scores = x.clone().matmul(x.transpose()) * (d_relation as f64).powf(-0.5);
    log_softmax(scores, 3)
}
