//! Distances between hidden states, position by position.
//!
//! ```text
//! MSE      Σ_i (s_i − t_i)² / d
//! cosine   1 − s·t / (‖s‖ ‖t‖)
//! PKD      ‖s/‖s‖ − t/‖t‖‖²  = 2 · cosine
//! ```

use burn::prelude::*;
use potstill_kernels::log_space::{at_least_f32, row_sum};

use super::assert_same_shape;

/// Norms below this count as this.
const EPSILON: f64 = 1e-8;

/// Mean squared difference of each row, over the width.
///
/// # Shapes
///
/// - `student`, `teacher`: `[rows, d]`
/// - output: `[rows]`
///
/// # Panics
///
/// Panics if the shapes differ.
#[must_use]
pub fn hidden_mse(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    assert_same_shape(&student, &teacher, "hidden states");
    let difference = at_least_f32(student) - at_least_f32(teacher);
    difference.square().mean_dim(1).squeeze_dim::<1>(1)
}

/// `1 − cos` of each row, between 0 and 2, as in DistilBERT.
///
/// Sanh et al., *DistilBERT*, arXiv:1910.01108.
///
/// # Shapes
///
/// - `student`, `teacher`: `[rows, d]`
/// - output: `[rows]`
///
/// # Panics
///
/// Panics if the shapes differ.
#[must_use]
pub fn hidden_cosine(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    assert_same_shape(&student, &teacher, "hidden states");
    let cosine = row_sum(normalized(student) * normalized(teacher));
    -cosine + 1.0
}

/// Squared distance of the normalized rows, between 0 and 4.
///
/// Sun et al., *Patient Knowledge Distillation*, arXiv:1908.09355, who take the first token's state
/// of chosen layers and sum over the layers.
///
/// # Shapes
///
/// - `student`, `teacher`: `[rows, d]`
/// - output: `[rows]`
///
/// # Panics
///
/// Panics if the shapes differ.
#[must_use]
pub fn hidden_normalized_mse(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    assert_same_shape(&student, &teacher, "hidden states");
    row_sum((normalized(student) - normalized(teacher)).square())
}

/// Vectors of length 1 along the last axis; a vector of zeros stays, with a finite gradient.
pub(super) fn normalized<const D: usize>(vectors: Tensor<D>) -> Tensor<D> {
    let vectors = at_least_f32(vectors);
    let squares = vectors.clone().square().sum_dim(D - 1);
    vectors / squares.clamp_min(EPSILON * EPSILON).sqrt()
}
