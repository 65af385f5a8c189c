//! Similarities between the examples of a batch, preserved.
//!
//! ```text
//! G(x) = x xᵀ with rows of length 1      L = ‖G(s) − G(t)‖²_F / n²
//! ```
//!
//! Tung and Mori, *Similarity-Preserving Knowledge Distillation*, arXiv:1907.09682.

use burn::prelude::*;
use potstill_kernels::log_space::at_least_f32;

use super::hidden::normalized;

/// Squared difference of the similarity matrices, over n².
///
/// # Shapes
///
/// - `student`: `[n, d_student]`
/// - `teacher`: `[n, d_teacher]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the number of examples differs.
#[must_use]
pub fn similarity_preserving(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    assert_eq!(
        student.dims()[0],
        teacher.dims()[0],
        "similarities need the same examples"
    );
    let similarities = |x: Tensor<2>| {
        let x = at_least_f32(x);
        normalized(x.clone().matmul(x.transpose()))
    };
    (similarities(student) - similarities(teacher))
        .square()
        .mean()
}
