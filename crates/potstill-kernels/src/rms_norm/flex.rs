//! RMS normalization of f32 rows on flex.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::DType;
use rayon::prelude::*;

use super::{RmsNormBackend, portable};
use crate::bodies::portable_bodies;
use crate::flex::{Values, sum_of, tensor, vectorized};

/// Rows whose part of the weight's gradient is summed by one task. Fixed, so that the order of
/// additions does not depend on the number of threads.
const BLOCK: usize = 64;

impl RmsNormBackend for Flex {
    fn rms_norm(x: FlexTensor, weight: FlexTensor, epsilon: f64) -> FlexTensor {
        if portable_bodies() || x.dtype() != DType::F32 || weight.dtype() != DType::F32 {
            return portable::forward::<Self>(x, weight, epsilon);
        }
        let shape = x.shape();
        let width = shape[1];
        let (x, weight) = (Values::of(x), Values::of(weight));
        let mut y = vec![0.0; x.as_slice().len()];
        y.par_chunks_mut((BLOCK * width).max(1))
            .zip(x.as_slice().par_chunks((BLOCK * width).max(1)))
            .for_each(|(y, x)| {
                vectorized(
                    #[inline(always)]
                    || {
                        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                            normalize(y, x, weight.as_slice(), epsilon as f32);
                        }
                    },
                );
            });
        tensor(y, shape)
    }

    fn rms_norm_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        epsilon: f64,
    ) -> (FlexTensor, FlexTensor) {
        let dtypes = [x.dtype(), weight.dtype(), gradient.dtype()];
        if portable_bodies() || dtypes != [DType::F32; 3] {
            return portable::backward::<Self>(x, weight, gradient, epsilon);
        }
        let shape = x.shape();
        let width = shape[1];
        let block = (BLOCK * width).max(1);
        let (x, weight, gradient) = (Values::of(x), Values::of(weight), Values::of(gradient));
        let mut x_gradient = vec![0.0; x.as_slice().len()];
        let mut partial = vec![0.0; x.as_slice().len().div_ceil(block) * width];
        x_gradient
            .par_chunks_mut(block)
            .zip(x.as_slice().par_chunks(block))
            .zip(gradient.as_slice().par_chunks(block))
            .zip(partial.par_chunks_mut(width.max(1)))
            .for_each(|(((x_gradient, x), gradient), weight_gradient)| {
                vectorized(
                    #[inline(always)]
                    || {
                        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
                        for (x_gradient, (x, gradient)) in
                            x_gradient.chunks_exact_mut(width).zip(rows)
                        {
                            differentiate(
                                x_gradient,
                                weight_gradient,
                                x,
                                weight.as_slice(),
                                gradient,
                                epsilon as f32,
                            );
                        }
                    },
                );
            });
        let mut weight_gradient = vec![0.0; width];
        for partial in partial.chunks_exact(width.max(1)) {
            for (sum, value) in weight_gradient.iter_mut().zip(partial) {
                *sum += value;
            }
        }
        (tensor(x_gradient, shape), tensor(weight_gradient, [width]))
    }
}

#[inline(always)]
fn inverse_rms(x: &[f32], epsilon: f32) -> f32 {
    let mean_square = sum_of(
        x,
        x,
        #[inline(always)]
        |a, b| a * b,
    ) / x.len() as f32;
    (mean_square + epsilon).sqrt().recip()
}

#[inline(always)]
fn normalize(y: &mut [f32], x: &[f32], weight: &[f32], epsilon: f32) {
    let inverse = inverse_rms(x, epsilon);
    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
        *y = x * inverse * weight;
    }
}

#[inline(always)]
fn differentiate(
    x_gradient: &mut [f32],
    weight_gradient: &mut [f32],
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    epsilon: f32,
) {
    let inverse = inverse_rms(x, epsilon);
    // The gradient's weighted values wait in the place of the result.
    for ((out, g), w) in x_gradient.iter_mut().zip(gradient).zip(weight) {
        *out = g * w;
    }
    let mean = sum_of(
        x_gradient,
        x,
        #[inline(always)]
        |a, b| a * b,
    ) / x.len() as f32;
    let along = inverse * inverse * mean;
    for (out, x) in x_gradient.iter_mut().zip(x) {
        *out = inverse * (*out - x * along);
    }
    for ((sum, g), x) in weight_gradient.iter_mut().zip(gradient).zip(x) {
        *sum += g * x * inverse;
    }
}
