//! flex keeps all tensors in host memory.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::prelude::*;
use burn::tensor::DType;

use super::HostBackend;
use crate::host::{filled, tensor};

impl HostBackend for Flex {
    fn is_on_host(tensor: &FlexTensor) -> bool {
        tensor.dtype() == DType::F32
    }

    fn in_order(tensor: FlexTensor) -> FlexTensor {
        if tensor.is_contiguous() {
            tensor
        } else {
            tensor.to_contiguous()
        }
    }

    fn values(tensor: &FlexTensor) -> &[f32] {
        tensor.as_slice().expect("f32 values in order")
    }

    fn unshared(tensor: FlexTensor) -> FlexTensor {
        tensor.to_contiguous()
    }

    fn values_mut(tensor: &mut FlexTensor) -> &mut [f32] {
        tensor.storage_mut()
    }

    fn filled(shape: Shape, block: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> FlexTensor {
        tensor(filled(shape.num_elements(), block, fill), shape)
    }

    fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
        tensor(values, shape)
    }
}
