//! Layer normalization composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};

use crate::portable::{cast, widened};

pub(super) fn forward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let dtype = x.dtype();
    let width = weight.shape()[0];
    let row = |values| B::float_reshape(widened::<B>(values), [1, width].into());
    let (normalized, _) = normalize::<B>(widened::<B>(x), epsilon);
    let scaled = B::float_mul(normalized, row(weight));
    cast::<B>(B::float_add(scaled, row(bias)), dtype)
}

pub(super) fn backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f64,
    want_parameters: bool,
) -> (
    FloatTensor<B>,
    Option<FloatTensor<B>>,
    Option<FloatTensor<B>>,
) {
    let (dtype, weight_dtype) = (x.dtype(), weight.dtype());
    let width = weight.shape()[0];
    let (normalized, inverse) = normalize::<B>(widened::<B>(x), epsilon);
    let gradient = widened::<B>(gradient);
    let sum_of_rows = |rows| {
        let sum = B::float_reshape(B::float_sum_dim(rows, 0), [width].into());
        cast::<B>(sum, weight_dtype)
    };
    let weight_gradient =
        want_parameters.then(|| sum_of_rows(B::float_mul(gradient.clone(), normalized.clone())));
    let bias_gradient = want_parameters.then(|| sum_of_rows(gradient.clone()));

    let weight = B::float_reshape(widened::<B>(weight), [1, width].into());
    let weighted = B::float_mul(gradient, weight);
    let mean = B::float_mean_dim(weighted.clone(), 1);
    let along = B::float_mean_dim(B::float_mul(weighted.clone(), normalized.clone()), 1);
    let centered = B::float_sub(weighted, mean);
    let x_gradient = B::float_mul(
        B::float_sub(centered, B::float_mul(normalized, along)),
        inverse,
    );
    (cast::<B>(x_gradient, dtype), weight_gradient, bias_gradient)
}

/// The normalized rows, and the inverse of each one's deviation, `[rows, 1]`.
fn normalize<B: Backend>(x: FloatTensor<B>, epsilon: f64) -> (FloatTensor<B>, FloatTensor<B>) {
    let centered = B::float_sub(x.clone(), B::float_mean_dim(x, 1));
    let variance = B::float_mean_dim(B::float_mul(centered.clone(), centered.clone()), 1);
    let inverse = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())));
    (B::float_mul(centered, inverse.clone()), inverse)
}
