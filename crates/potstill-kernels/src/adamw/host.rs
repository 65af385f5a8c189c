//! The update in one pass over memory.

use burn::backend::tensor::FloatTensor;
use rayon::prelude::*;

use super::{AdamWBackend, Coefficients, portable};
use crate::host::{HostBackend, Values, ValuesMut, is_fused, vectorized};

/// Numbers that one task updates: their four parts fit into the second-level cache.
const BLOCK: usize = 16 * 1024;

impl<B: HostBackend> AdamWBackend for B {
    fn adamw(
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
        mean: FloatTensor<B>,
        square: FloatTensor<B>,
        coefficients: Coefficients,
    ) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
        if !is_fused::<B, _>([&parameter, &gradient, &mean, &square]) {
            return portable::adamw::<B>(parameter, gradient, mean, square, &coefficients);
        }
        let gradient = Values::<B>::of(gradient);
        let (mut parameter, mut mean, mut square) = (
            ValuesMut::<B>::of(parameter),
            ValuesMut::<B>::of(mean),
            ValuesMut::<B>::of(square),
        );
        let rounded = Rounded::of(&coefficients);
        parameter
            .as_mut_slice()
            .par_chunks_mut(BLOCK)
            .zip(gradient.as_slice().par_chunks(BLOCK))
            .zip(mean.as_mut_slice().par_chunks_mut(BLOCK))
            .zip(square.as_mut_slice().par_chunks_mut(BLOCK))
            .for_each(|(((parameter, gradient), mean), square)| {
                vectorized(
                    #[inline(always)]
                    || rounded.update(parameter, gradient, mean, square),
                );
            });
        (
            parameter.into_tensor(),
            mean.into_tensor(),
            square.into_tensor(),
        )
    }
}

/// The coefficients in f32.
#[derive(Clone, Copy)]
struct Rounded {
    new_mean: f32,
    kept_square: f32,
    new_square: f32,
    kept: f32,
    step: f32,
    root: f32,
    epsilon: f32,
}

impl Rounded {
    fn of(coefficients: &Coefficients) -> Self {
        Self {
            new_mean: coefficients.new_mean as f32,
            kept_square: coefficients.kept_square as f32,
            new_square: coefficients.new_square as f32,
            kept: coefficients.kept as f32,
            step: coefficients.step as f32,
            root: coefficients.root as f32,
            epsilon: coefficients.epsilon as f32,
        }
    }

    #[inline(always)]
    fn update(self, parameter: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32]) {
        let means = mean.iter_mut().zip(square);
        for ((parameter, &gradient), (mean, square)) in
            parameter.iter_mut().zip(gradient).zip(means)
        {
            *mean += (gradient - *mean) * self.new_mean;
            *square = *square * self.kept_square + gradient * gradient * self.new_square;
            let root = square.sqrt() / self.root + self.epsilon;
            *parameter = *parameter * self.kept - *mean / root * self.step;
        }
    }
}
