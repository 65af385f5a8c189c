//! Host values to tensors and back.

use burn::prelude::*;
use burn::tensor::FloatDType;

/// A tensor of `dtype` from row-major values.
///
/// # Panics
///
/// Panics if `values` does not fill `shape`.
#[must_use]
pub fn tensor<const D: usize>(
    values: &[f64],
    shape: [usize; D],
    dtype: FloatDType,
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), shape),
        (device, dtype.into()),
    )
}

/// An f64 tensor without autodiff, from row-major values.
///
/// # Panics
///
/// Panics if `values` does not fill `shape`.
#[must_use]
pub fn tensor_f64<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<D> {
    tensor(values, shape, FloatDType::F64, &crate::plain_device())
}

/// The values of a tensor of any float dtype, row-major.
///
/// # Shapes
///
/// - `tensor`: any
///
/// # Panics
///
/// Panics if the device cannot be read.
#[must_use]
pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor
        .try_to_vec_as::<f64>()
        .expect("a float tensor can be read as f64")
}
