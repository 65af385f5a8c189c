//! Gradients that are scaled where they lie.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use rayon::prelude::*;

use super::AttachBackend;
use crate::flex::{ValuesMut, is_fused};
use crate::portable::cast;

/// Values that one task scales.
const BLOCK: usize = 1 << 16;

impl AttachBackend for Flex {
    fn scale_gradient(gradient: FlexTensor, slope: FlexTensor) -> FlexTensor {
        if !is_fused([&gradient]) {
            let ones = vec![1; gradient.layout().shape().num_dims()];
            let slope = cast::<Self>(slope, gradient.dtype());
            return Self::float_mul(gradient, Self::float_reshape(slope, ones.into()));
        }
        let slope = cast::<Self>(slope, gradient.dtype());
        let slope = slope.to_contiguous().storage::<f32>()[0];
        if slope == 1.0 {
            return gradient;
        }
        let mut gradient = ValuesMut::of(gradient);
        gradient
            .as_mut_slice()
            .par_chunks_mut(BLOCK)
            .for_each(|values| values.iter_mut().for_each(|value| *value *= slope));
        gradient.into_tensor()
    }
}
