//! Losses through a head, in their short forms.

use burn::prelude::*;
use potstill_core::{LmHead, Prediction};

use crate::{Blend, CrossEntropy, Divergence, HeadRows};

/// The divergence of a student's head from a teacher, `Σ weight · D` over the rows, differentiable
/// with respect to the hidden states and the head.
///
/// The short form of [`HeadRows`], which has chunks of a given size, values row by row, labels, and
/// losses of other kinds.
///
/// # Shapes
///
/// - `hidden`: `[rows, d_model]`
/// - `weights`: `[rows]`; every row counts once without
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the teacher's prediction has no logits, the heads differ in vocabulary, or `weights` has
/// another length.
///
/// # Examples
///
/// ```
/// use burn::prelude::*;
/// use potstill_core::{LmHead, Prediction};
/// use potstill_kernels::{Divergence, linear_divergence};
/// use potstill_testkit::{autodiff_device, plain_device};
///
/// let (plain, training) = (plain_device(), autodiff_device());
/// let hidden = Tensor::<2>::ones([3, 4], &training).require_grad();
/// let head = LmHead::new(Tensor::<2>::eye(4, &training).require_grad());
/// let teacher = Prediction::Deferred {
///     hidden: Tensor::ones([3, 2], &plain),
///     head: LmHead::new(Tensor::from_floats([[0., 1.], [1., 0.], [2., 0.], [0., 0.]], &plain)),
/// };
/// let loss = linear_divergence(&hidden, &head, &teacher, Divergence::ForwardKl, 2.0, None);
/// let gradients = loss.backward();
/// assert_eq!(head.weight.grad(&gradients).expect("it was asked for").dims(), [4, 4]);
/// ```
#[must_use]
pub fn linear_divergence(
    hidden: &Tensor<2>,
    head: &LmHead,
    teacher: &Prediction,
    divergence: Divergence,
    temperature: f64,
    weights: Option<&Tensor<1>>,
) -> Tensor<1> {
    let rows = HeadRows {
        hidden,
        head,
        teacher,
        targets: None,
        chunk_rows: None,
    };
    rows.weighted_sum(&Blend::soft(divergence, temperature), weights)
}

/// The cross-entropy of a student's head against the tokens that follow, `Σ weight · CE` over the
/// rows, differentiable with respect to the hidden states and the head.
///
/// # Shapes
///
/// - `hidden`: `[rows, d_model]`
/// - `targets`: `[rows]`
/// - `weights`: `[rows]`; every row counts once without
/// - output: `[1]`
///
/// # Panics
///
/// Panics if `weights` has another length. A target beyond the vocabulary panics or reads what is not
/// a logit, depending on the backend.
#[must_use]
pub fn linear_cross_entropy(
    hidden: &Tensor<2>,
    head: &LmHead,
    targets: &Tensor<1, Int>,
    weights: Option<&Tensor<1>>,
) -> Tensor<1> {
    let rows = HeadRows {
        hidden,
        head,
        teacher: &Prediction::None,
        targets: Some(targets),
        chunk_rows: None,
    };
    rows.weighted_sum(&CrossEntropy::default(), weights)
}
