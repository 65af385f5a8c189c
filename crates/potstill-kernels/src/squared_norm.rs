//! The sum of squares.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::prelude::*;

use crate::portable::widened;

#[cfg(feature = "flex")]
mod host;

/// `Σ x²`, in f32 (in f64 for an f64 `x`).
///
/// # Shapes
///
/// - `x`: any, without autodiff
/// - output: `[1]`
///
/// # Panics
///
/// Panics if `x` is on an autodiff device.
///
/// # Examples
///
/// ```
/// use burn::prelude::*;
/// use potstill_kernels::squared_norm;
/// use potstill_testkit::plain_device;
///
/// let x = Tensor::<2>::from_data([[3.0], [4.0]], &plain_device());
/// assert_eq!(squared_norm(x).into_scalar::<f32>(), 25.0);
/// ```
#[must_use]
pub fn squared_norm<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    assert!(!x.is_autodiff(), "a squared norm is not differentiated");
    Tensor::from_dispatch(<Dispatch as SquaredNormBackend>::squared_norm(
        x.into_dispatch(),
    ))
}

/// The operation on tensors of any rank.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote")
)]
pub(crate) trait SquaredNormBackend: Backend {
    /// The sum, `[1]`.
    fn squared_norm(x: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::<Self>(x)
    }
}

crate::bodies::portable_off_host!(SquaredNormBackend);

fn portable<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let x = widened::<B>(x);
    B::float_sum(B::float_mul(x.clone(), x))
}

#[cfg(test)]
mod tests;
