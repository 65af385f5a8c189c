//! Attention maps.
//!
//! ```text
//! MSE        mean over all entries of (s − t)²
//! KL         Σ_j t_j (log t_j − log s_j) for each query, mean over batch, heads and queries
//! transfer   a(x) = mean_c x_c² flattened and normalized;  mean of (a(s) − a(t))²
//! ```

use burn::prelude::*;
use potstill_kernels::log_space::at_least_f32;

use super::assert_same_shape;
use super::hidden::normalized;

/// The logarithm of this stands in for that of 0: below it an f32 probability is not normal.
const LEAST_PROBABILITY: f64 = 1e-37;

/// Mean squared difference of all entries, as in TinyBERT, who compare scores before the softmax.
///
/// Jiao et al., *TinyBERT*, arXiv:1909.10351. Their code sets scores of padding to 0 first; pass maps
/// that hold what should be compared.
///
/// # Shapes
///
/// - `student`, `teacher`: `[batch, n_heads, seq, seq]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the shapes differ.
#[must_use]
pub fn attention_mse(student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
    assert_same_shape(&student, &teacher, "attention maps");
    (at_least_f32(student) - at_least_f32(teacher))
        .square()
        .mean()
}

/// Mean KL divergence from the teacher's to the student's attention probabilities, as in MiniLM.
///
/// Wang et al., *MiniLM*, arXiv:2002.10957.
///
/// # Shapes
///
/// - `student`, `teacher`: `[batch, n_heads, seq, seq]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the shapes differ.
#[must_use]
pub fn attention_kl(student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
    attention_kl_per_query(student, teacher).mean()
}

/// [`attention_kl`] of each query, `[batch, n_heads, seq]`.
pub(crate) fn attention_kl_per_query(student: Tensor<4>, teacher: Tensor<4>) -> Tensor<3> {
    assert_same_shape(&student, &teacher, "attention maps");
    let (student, teacher) = (at_least_f32(student), at_least_f32(teacher));
    let log = |probs: Tensor<4>| probs.clamp_min(LEAST_PROBABILITY).log();
    let difference = log(teacher.clone()) - log(student);
    (teacher * difference).sum_dim(3).squeeze_dim::<3>(3)
}

/// Attention transfer between feature maps with the same positions and any number of channels.
///
/// Zagoruyko and Komodakis, *Paying More Attention to Attention*, arXiv:1612.03928.
///
/// # Shapes
///
/// - `student`: `[batch, c_student, height, width]`
/// - `teacher`: `[batch, c_teacher, height, width]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if batch, height or width differ.
#[must_use]
pub fn attention_transfer(student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
    let map = |features: Tensor<4>| -> Tensor<2> {
        let energy = at_least_f32(features).square().mean_dim(1);
        normalized(energy.flatten::<2>(1, 3))
    };
    let (student, teacher) = (map(student), map(teacher));
    assert_eq!(
        student.dims(),
        teacher.dims(),
        "feature maps must have the same positions"
    );
    (student - teacher).square().mean()
}
