//! Centered kernel alignment with a linear kernel.
//!
//! ```text
//! CKA = ‖Sᵀ T‖²_F / (‖Sᵀ S‖_F ‖Tᵀ T‖_F) = Σ K∘L / (‖K‖_F ‖L‖_F),  K = S Sᵀ, L = T Tᵀ, columns centered
//! L = 1 − CKA
//! ```
//!
//! Invariant to rotation and scale of either side, so widths may differ and no projection is needed.
//! Biased for few examples: take at least as many as the width. Kornblith et al., *Similarity of
//! Neural Network Representations Revisited*, arXiv:1905.00414.

use burn::prelude::*;
use potstill_kernels::log_space::at_least_f32;

/// `1 − CKA`, between 0 and 1.
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
pub fn linear_cka(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    assert_eq!(
        student.dims()[0],
        teacher.dims()[0],
        "alignment needs the same examples"
    );
    let kernel = |x: Tensor<2>| {
        let x = at_least_f32(x);
        let centered = x.clone() - x.mean_dim(0);
        centered.clone().matmul(centered.transpose())
    };
    let (k, l) = (kernel(student), kernel(teacher));
    let norm = |kernel: &Tensor<2>| kernel.clone().square().sum().clamp_min(1e-24).sqrt();
    let scale = norm(&k) * norm(&l);
    -(k * l).sum() / scale + 1.0
}
