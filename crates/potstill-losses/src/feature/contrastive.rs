//! Telling one's own teacher representation from those of the other examples.
//!
//! ```text
//! c_ij = cos(s_i, t_j) / τ
//! L_i = −½ log softmax_j(c_ij)_i − ½ log softmax_j(c_ji)_i
//! ```
//!
//! InfoNCE with the negatives of the batch, in both directions: van den Oord et al.,
//! arXiv:1807.03748. Tian et al., *Contrastive Representation Distillation*, arXiv:1910.10699, draw
//! 16384 negatives from a memory bank and use noise-contrastive estimation instead; with in-batch
//! negatives no memory has to be kept, and the batch bounds the information that can be transferred
//! at ln n.

use burn::prelude::*;
use burn::tensor::activation::log_softmax;

use super::assert_same_shape;
use super::hidden::normalized;

/// The contrastive loss of each example.
///
/// # Shapes
///
/// - `student`, `teacher`: `[n, d]`, projected to one width
/// - output: `[n]`
///
/// # Panics
///
/// Panics if the shapes differ or the temperature is not positive.
#[must_use]
pub fn contrastive(student: Tensor<2>, teacher: Tensor<2>, temperature: f64) -> Tensor<1> {
    assert_same_shape(&student, &teacher, "representations");
    assert!(
        temperature > 0.0,
        "a temperature is positive, got {temperature}"
    );
    let [n, _] = student.dims();
    let cosines = normalized(student).matmul(normalized(teacher).transpose());
    let scores = cosines * temperature.recip();
    let own = Tensor::<1, Int>::arange(0..n as i64, &scores.device()).unsqueeze_dim::<2>(1);
    let log_own = |scores: Tensor<2>| {
        log_softmax(scores, 1)
            .gather(1, own.clone())
            .squeeze_dim::<1>(1)
    };
    (log_own(scores.clone()) + log_own(scores.transpose())) * -0.5
}
