//! RMS normalization of f32 rows in host memory.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use rayon::prelude::*;

use super::{RmsNormBackend, portable};
use crate::host::{HostBackend, Values, ValuesMut, is_fused, sum_of, sum_of_rows, vectorized};

/// Rows of one task. Fixed, so that the order in which the weight's gradient is summed does not
/// depend on the number of threads.
const BLOCK: usize = 32;

impl<B: HostBackend> RmsNormBackend for B {
    fn rms_norm(x: FloatTensor<B>, weight: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
        if !is_fused::<B, _>([&x, &weight]) {
            return portable::forward::<B>(x, weight, epsilon);
        }
        let shape = x.shape();
        let width = shape[1];
        let (x, weight) = (Values::<B>::of(x), Values::<B>::of(weight));
        let (x, weight) = (x.as_slice(), weight.as_slice());
        B::filled(shape, BLOCK * width, |start, y| {
            vectorized(
                #[inline(always)]
                || {
                    let rows = x[start..].chunks_exact(width);
                    for (y, x) in y.chunks_exact_mut(width).zip(rows) {
                        normalize(y, x, weight, epsilon as f32);
                    }
                },
            );
        })
    }

    fn rms_norm_backward(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        gradient: FloatTensor<B>,
        epsilon: f64,
        want_weight: bool,
    ) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
        if !is_fused::<B, _>([&x, &weight, &gradient]) {
            return portable::backward::<B>(x, weight, gradient, epsilon, want_weight);
        }
        let width = weight.shape()[0];
        let block = (BLOCK * width).max(1);
        let (x, weight, mut gradient) = (
            Values::<B>::of(x),
            Values::<B>::of(weight),
            ValuesMut::<B>::of(gradient),
        );
        let (x, weight) = (x.as_slice(), weight.as_slice());
        let mut partial = vec![0.0; x.len().div_ceil(block) * width];
        gradient
            .as_mut_slice()
            .par_chunks_mut(block)
            .zip(x.par_chunks(block))
            .zip(partial.par_chunks_mut(width.max(1)))
            .for_each(|((gradient, x), weight_gradient)| {
                vectorized(
                    #[inline(always)]
                    || {
                        let rows = gradient.chunks_exact_mut(width).zip(x.chunks_exact(width));
                        for (gradient, x) in rows {
                            differentiate(gradient, weight_gradient, x, weight, epsilon as f32);
                        }
                    },
                );
            });
        let weight_gradient =
            want_weight.then(|| B::tensor(sum_of_rows(&partial, width), [width].into()));
        (gradient.into_tensor(), weight_gradient)
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

/// Turns the gradient of the output into that of `x` and adds to the weight's.
#[inline(always)]
fn differentiate(
    gradient: &mut [f32],
    weight_gradient: &mut [f32],
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
) {
    let inverse = inverse_rms(x, epsilon);
    let rows = gradient.iter_mut().zip(weight_gradient).zip(x).zip(weight);
    for (((gradient, sum), x), weight) in rows {
        *sum += *gradient * x * inverse;
        *gradient *= weight;
    }
    let mean = sum_of(
        gradient,
        x,
        #[inline(always)]
        |a, b| a * b,
    ) / x.len() as f32;
    let along = inverse * inverse * mean;
    for (gradient, x) in gradient.iter_mut().zip(x) {
        *gradient = inverse * (*gradient - x * along);
    }
}
