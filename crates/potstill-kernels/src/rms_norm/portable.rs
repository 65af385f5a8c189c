//! RMS normalization composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};

use crate::portable::{cast, widened};

pub(super) fn forward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let dtype = x.dtype();
    let x = widened::<B>(x);
    let inverse = inverse_rms::<B>(&x, epsilon);
    let normalized = cast::<B>(B::float_mul(x, inverse), dtype);
    let width = weight.shape()[0];
    B::float_mul(normalized, B::float_reshape(weight, [1, width].into()))
}

pub(super) fn backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f64,
    want_weight: bool,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let (dtype, weight_dtype) = (x.dtype(), weight.dtype());
    let width = weight.shape()[0];
    let x = widened::<B>(x);
    let gradient = widened::<B>(gradient);
    let weight = B::float_reshape(widened::<B>(weight), [1, width].into());
    let inverse = inverse_rms::<B>(&x, epsilon);
    let normalized = B::float_mul(x, inverse.clone());
    let weight_gradient = want_weight.then(|| {
        let sum = B::float_sum_dim(B::float_mul(gradient.clone(), normalized.clone()), 0);
        cast::<B>(B::float_reshape(sum, [width].into()), weight_dtype)
    });
    let weighted = B::float_mul(gradient, weight);
    let mean = B::float_mean_dim(B::float_mul(weighted.clone(), normalized.clone()), 1);
    let along = B::float_mul(normalized, mean);
    let x_gradient = B::float_mul(B::float_sub(weighted, along), inverse);
    (cast::<B>(x_gradient, dtype), weight_gradient)
}

/// `[rows, 1]`.
fn inverse_rms<B: Backend>(x: &FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    let mean_square = B::float_mean_dim(B::float_mul(x.clone(), x.clone()), 1);
    B::float_recip(B::float_sqrt(B::float_add_scalar(
        mean_square,
        epsilon.into(),
    )))
}
