//! The gradient of a table of f32 on flex.

use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};

use super::EmbeddingBackend;
use crate::host::{is_fused, tensor};

impl EmbeddingBackend for Flex {
    fn zeros_like(table: &FlexTensor) -> FlexTensor {
        let shape = table.shape();
        if !is_fused::<Self, _>([table]) {
            return Self::float_zeros(shape, &table.device(), table.dtype().into());
        }
        // burn clears the memory of its zeros and copies them to where they are aligned.
        tensor(vec![0.0; shape.num_elements()], shape)
    }
}
