//! Nonlinearities composed of burn's operations.
//!
//! Each is `x · s(x)`, so that its slope is `s + x · s′`.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};

use super::Activation;
use crate::portable::{cast, widened};

pub(super) fn activate<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    let dtype = x.dtype();
    let x = widened::<B>(x);
    let share = share::<B>(x.clone(), activation);
    cast::<B>(B::float_mul(x, share), dtype)
}

pub(super) fn activate_backward<B: Backend>(
    x: FloatTensor<B>,
    gradient: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let dtype = gradient.dtype();
    let (_, slope) = value_and_slope::<B>(widened::<B>(x), activation);
    cast::<B>(B::float_mul(widened::<B>(gradient), slope), dtype)
}

pub(super) fn gated<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    B::float_mul(activate::<B>(gate, activation), up)
}

pub(super) fn gated_backward<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    gradient: FloatTensor<B>,
    activation: Activation,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let dtype = gradient.dtype();
    let gradient = widened::<B>(gradient);
    let (value, slope) = value_and_slope::<B>(widened::<B>(gate), activation);
    let gate_gradient = B::float_mul(B::float_mul(gradient.clone(), widened::<B>(up)), slope);
    let up_gradient = B::float_mul(gradient, value);
    (
        cast::<B>(gate_gradient, dtype),
        cast::<B>(up_gradient, dtype),
    )
}

/// `s(x)`.
fn share<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Silu => B::sigmoid(x),
        Activation::Gelu => {
            let scaled = B::float_mul_scalar(x, std::f64::consts::FRAC_1_SQRT_2.into());
            let one_more = B::float_add_scalar(B::float_erf(scaled), 1.0.into());
            B::float_mul_scalar(one_more, 0.5.into())
        }
        Activation::GeluTanh => {
            let square = B::float_mul(x.clone(), x.clone());
            let factor = B::float_add_scalar(
                B::float_mul_scalar(square, (TANH_SCALE * TANH_CUBE).into()),
                TANH_SCALE.into(),
            );
            B::sigmoid(B::float_mul(x, factor))
        }
    }
}

/// `x · s(x)` and `s(x) + x · s′(x)`.
fn value_and_slope<B: Backend>(
    x: FloatTensor<B>,
    activation: Activation,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let share = share::<B>(x.clone(), activation);
    let value = B::float_mul(x.clone(), share.clone());
    // x · s′(x)
    let rise = match activation {
        Activation::Silu => B::float_mul(value.clone(), rest::<B>(share.clone())),
        Activation::Gelu => {
            let half_square =
                B::float_mul_scalar(B::float_mul(x.clone(), x.clone()), (-0.5).into());
            let density = B::float_mul_scalar(B::float_exp(half_square), INVERSE_ROOT_TAU.into());
            B::float_mul(x, density)
        }
        Activation::GeluTanh => {
            let square = B::float_mul(x.clone(), x);
            let inner_slope = B::float_add_scalar(
                B::float_mul_scalar(square, (3.0 * TANH_SCALE * TANH_CUBE).into()),
                TANH_SCALE.into(),
            );
            let rise = B::float_mul(value.clone(), rest::<B>(share.clone()));
            B::float_mul(rise, inner_slope)
        }
    };
    (value, B::float_add(share, rise))
}

/// `1 − x`.
fn rest<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_add_scalar(B::float_neg(x), 1.0.into())
}

/// `2 · sqrt(2/π)`.
pub(super) const TANH_SCALE: f64 = 1.595_769_121_605_730_8;

pub(super) const TANH_CUBE: f64 = 0.044_715;

/// `1 / sqrt(2π)`.
pub(super) const INVERSE_ROOT_TAU: f64 = 0.398_942_280_401_432_7;
