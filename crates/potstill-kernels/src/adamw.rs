//! The update of AdamW (arXiv:1711.05101), as PyTorch computes it.
//!
//! ```text
//! m ← m + (1−β₁)·(g − m)          v ← β₂·v + (1−β₂)·g²
//! θ ← θ·(1 − lr·decay) − lr / (1−β₁ᵗ) · m / (√v / √(1−β₂ᵗ) + ε)
//! ```

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::prelude::*;

#[cfg(feature = "flex")]
mod host;
mod portable;

/// The settings of one update by [`adamw`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWUpdate {
    /// Learning rate.
    pub learning_rate: f64,
    /// β₁, decay of the mean of the gradients.
    pub beta_1: f64,
    /// β₂, decay of the mean of their squares.
    pub beta_2: f64,
    /// ε, added to the root.
    pub epsilon: f64,
    /// Weight decay, before the learning rate is multiplied in.
    pub weight_decay: f64,
    /// t, the number of this update, from 1.
    pub time: usize,
}

/// `parameter` after an update, and the means of the gradients and of their squares.
///
/// The means are 0 before the first update. Memory that nothing else holds is reused.
///
/// # Shapes
///
/// All alike, none with autodiff.
///
/// # Panics
///
/// Panics if the shapes differ, `time` is 0, or a tensor is on an autodiff device.
///
/// # Examples
///
/// ```
/// use burn::prelude::*;
/// use potstill_kernels::{AdamWUpdate, adamw};
/// use potstill_testkit::{plain_device, values};
///
/// let update = AdamWUpdate {
///     learning_rate: 0.1,
///     beta_1: 0.9,
///     beta_2: 0.999,
///     epsilon: 1e-8,
///     weight_decay: 0.01,
///     time: 1,
/// };
/// let device = plain_device();
/// let parameter = Tensor::<1>::from_data([1.0, -1.0], &device);
/// let gradient = Tensor::from_data([3.0, 0.5], &device);
/// let zeros = || Tensor::zeros([2], &device);
/// // The first update moves by the learning rate, whatever the size of the gradient.
/// let (parameter, _means) = adamw(parameter, gradient, [zeros(), zeros()], &update);
/// let moved = [0.999 - 0.1, -0.999 - 0.1];
/// assert!(values(&parameter).iter().zip(moved).all(|(a, b)| (a - b).abs() < 1e-6));
/// ```
#[must_use]
pub fn adamw<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    means: [Tensor<D>; 2],
    update: &AdamWUpdate,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    assert!(update.time > 0, "updates are counted from 1");
    for tensor in [&gradient, &means[0], &means[1]] {
        let (expected, actual) = (parameter.dims(), tensor.dims());
        assert_eq!(expected, actual, "gradient and means are as the parameter");
    }
    for tensor in [&parameter, &gradient, &means[0], &means[1]] {
        assert!(!tensor.is_autodiff(), "an update is not differentiated");
    }
    let [mean, square] = means;
    let (parameter, mean, square) = <Dispatch as AdamWBackend>::adamw(
        parameter.into_dispatch(),
        gradient.into_dispatch(),
        mean.into_dispatch(),
        square.into_dispatch(),
        Coefficients::of(update),
    );
    (
        Tensor::from_dispatch(parameter),
        [Tensor::from_dispatch(mean), Tensor::from_dispatch(square)],
    )
}

/// What the settings amount to for each number.
///
/// ```text
/// m ← m + (g − m)·new_mean        v ← v·kept_square + g²·new_square
/// θ ← θ·kept − m / (√v / root + ε) · step
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients {
    new_mean: f64,
    kept_square: f64,
    new_square: f64,
    kept: f64,
    step: f64,
    root: f64,
    epsilon: f64,
}

impl Coefficients {
    fn of(update: &AdamWUpdate) -> Self {
        let time = update.time as f64;
        Self {
            new_mean: 1.0 - update.beta_1,
            kept_square: update.beta_2,
            new_square: 1.0 - update.beta_2,
            kept: 1.0 - update.learning_rate * update.weight_decay,
            step: update.learning_rate / (1.0 - update.beta_1.powf(time)),
            root: (1.0 - update.beta_2.powf(time)).sqrt(),
            epsilon: update.epsilon,
        }
    }
}

/// The operation on tensors of any rank.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote")
)]
pub(crate) trait AdamWBackend: Backend {
    /// Parameter, mean and mean of squares after the update.
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        square: FloatTensor<Self>,
        coefficients: Coefficients,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        portable::adamw::<Self>(parameter, gradient, mean, square, &coefficients)
    }
}

crate::bodies::portable_off_host!(AdamWBackend);

#[cfg(test)]
mod tests;
