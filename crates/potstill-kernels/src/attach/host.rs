//! Gradients that are scaled where they lie.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use rayon::prelude::*;

use super::AttachBackend;
use crate::host::{HostBackend, Values, ValuesMut, is_fused};
use crate::portable::cast;

/// Values that one task scales.
const BLOCK: usize = 1 << 16;

impl<B: HostBackend> AttachBackend for B {
    fn scale_gradient(gradient: FloatTensor<B>, slope: FloatTensor<B>) -> FloatTensor<B> {
        if !is_fused::<B, _>([&gradient]) {
            let ones = vec![1; gradient.shape().num_dims()];
            let slope = cast::<B>(slope, gradient.dtype());
            return Self::float_mul(gradient, Self::float_reshape(slope, ones.into()));
        }
        let slope = cast::<B>(slope, gradient.dtype());
        let slope = Values::<B>::of(slope).as_slice()[0];
        if slope == 1.0 {
            return gradient;
        }
        let mut gradient = ValuesMut::<B>::of(gradient);
        gradient
            .as_mut_slice()
            .par_chunks_mut(BLOCK)
            .for_each(|values| values.iter_mut().for_each(|value| *value *= slope));
        gradient.into_tensor()
    }
}
