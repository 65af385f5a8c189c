//! Layer normalization of f32 rows in host memory.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use rayon::prelude::*;

use super::{LayerNormBackend, portable};
use crate::host::{HostBackend, Values, ValuesMut, is_fused, sum_of, sum_of_rows, vectorized};

/// Rows of one task. Fixed, so that the order in which the parameters' gradients are summed does not
/// depend on the number of threads.
const BLOCK: usize = 32;

impl<B: HostBackend> LayerNormBackend for B {
    fn normalize_rows(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
        epsilon: f64,
    ) -> FloatTensor<B> {
        if !is_fused::<B, _>([&x, &weight, &bias]) {
            return portable::forward::<B>(x, weight, bias, epsilon);
        }
        let shape = x.shape();
        let width = shape[1];
        let (x, weight, bias) = (
            Values::<B>::of(x),
            Values::<B>::of(weight),
            Values::<B>::of(bias),
        );
        let (x, weight, bias) = (x.as_slice(), weight.as_slice(), bias.as_slice());
        B::filled(shape, BLOCK * width, |start, y| {
            vectorized(
                #[inline(always)]
                || {
                    let rows = x[start..].chunks_exact(width);
                    for (y, x) in y.chunks_exact_mut(width).zip(rows) {
                        normalize(y, x, weight, bias, epsilon as f32);
                    }
                },
            );
        })
    }

    fn normalize_rows_backward(
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
        if !is_fused::<B, _>([&x, &weight, &gradient]) {
            return portable::backward::<B>(x, weight, gradient, epsilon, want_parameters);
        }
        let width = weight.shape()[0];
        let block = (BLOCK * width).max(1);
        let (x, weight, mut gradient) = (
            Values::<B>::of(x),
            Values::<B>::of(weight),
            ValuesMut::<B>::of(gradient),
        );
        let (x, weight) = (x.as_slice(), weight.as_slice());
        // One row for the weight, one for the bias.
        let mut partial = vec![0.0; x.len().div_ceil(block) * 2 * width];
        gradient
            .as_mut_slice()
            .par_chunks_mut(block)
            .zip(x.par_chunks(block))
            .zip(partial.par_chunks_mut((2 * width).max(1)))
            .for_each(|((gradient, x), partial)| {
                let (weight_gradient, bias_gradient) = partial.split_at_mut(width);
                vectorized(
                    #[inline(always)]
                    || {
                        let rows = gradient.chunks_exact_mut(width).zip(x.chunks_exact(width));
                        for (gradient, x) in rows {
                            differentiate(
                                gradient,
                                [weight_gradient, bias_gradient],
                                x,
                                weight,
                                epsilon as f32,
                            );
                        }
                    },
                );
            });
        let [weight_gradient, bias_gradient] = if want_parameters {
            let mut sums = sum_of_rows(&partial, 2 * width);
            let bias = sums.split_off(width);
            [sums, bias].map(|sums| Some(B::tensor(sums, [width].into())))
        } else {
            [None, None]
        };
        (gradient.into_tensor(), weight_gradient, bias_gradient)
    }
}

/// The mean of a row and the inverse of its deviation.
#[inline(always)]
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let width = x.len() as f32;
    let mean = sum_of(
        x,
        x,
        #[inline(always)]
        |a, _| a,
    ) / width;
    let variance = sum_of(
        x,
        x,
        #[inline(always)]
        |a, _| (a - mean) * (a - mean),
    ) / width;
    (mean, (variance + epsilon).sqrt().recip())
}

#[inline(always)]
fn normalize(y: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let (mean, inverse) = moments(x, epsilon);
    for (((y, x), weight), bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
        *y = (x - mean) * inverse * weight + bias;
    }
}

/// Turns the gradient of the output into that of `x` and adds to those of weight and bias.
#[inline(always)]
fn differentiate(
    gradient: &mut [f32],
    [weight_gradient, bias_gradient]: [&mut [f32]; 2],
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
) {
    let (mean, inverse) = moments(x, epsilon);
    let sums = weight_gradient.iter_mut().zip(bias_gradient);
    let row = gradient.iter_mut().zip(x).zip(weight);
    for (((gradient, x), weight), (weight_sum, bias_sum)) in row.zip(sums) {
        *weight_sum += *gradient * (x - mean) * inverse;
        *bias_sum += *gradient;
        *gradient *= weight;
    }
    let width = x.len() as f32;
    let gradient_mean = sum_of(
        gradient,
        x,
        #[inline(always)]
        |gradient, _| gradient,
    ) / width;
    let along = sum_of(
        gradient,
        x,
        #[inline(always)]
        |gradient, x| gradient * (x - mean),
    ) * inverse
        / width;
    for (gradient, x) in gradient.iter_mut().zip(x) {
        *gradient = inverse * (*gradient - gradient_mean - (x - mean) * inverse * along);
    }
}
