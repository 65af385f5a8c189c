//! libtorch keeps the tensors of the CPU in host memory.

#![allow(
    unsafe_code,
    reason = "libtorch hands its memory out as a pointer and a number of elements"
)]

use std::slice;

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::prelude::*;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use super::HostBackend;

impl HostBackend for LibTorch {
    fn is_on_host(tensor: &TchTensor) -> bool {
        tensor.tensor.device() == Device::Cpu && tensor.tensor.kind() == Kind::Float
    }

    fn in_order(tensor: TchTensor) -> TchTensor {
        if tensor.tensor.is_contiguous() {
            tensor
        } else {
            TchTensor::new(tensor.tensor.contiguous())
        }
    }

    fn values(tensor: &TchTensor) -> &[f32] {
        let (start, count) = memory(&tensor.tensor);
        // SAFETY: `count` values lie from `start` on, initialized by whatever computed the tensor.
        // They stay there as long as `tensor` is borrowed, and burn lets nobody write into memory
        // that a second tensor holds.
        unsafe { slice::from_raw_parts(start, count) }
    }

    fn unshared(tensor: TchTensor) -> TchTensor {
        if tensor.can_mut() && tensor.tensor.is_contiguous() {
            tensor
        } else {
            let values = tensor.tensor.contiguous();
            let mut own = values.empty_like();
            own.copy_(&values);
            TchTensor::new(own)
        }
    }

    fn values_mut(tensor: &mut TchTensor) -> &mut [f32] {
        assert!(tensor.can_mut(), "the memory is another tensor's, too");
        let (start, count) = memory(&tensor.tensor);
        // SAFETY: as above; and `tensor`, borrowed exclusively, is all that refers to the memory.
        unsafe { slice::from_raw_parts_mut(start, count) }
    }

    fn filled(shape: Shape, block: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> TchTensor {
        let mut tensor = empty(&shape);
        let (start, count) = memory(&tensor.tensor);
        // Zeroed before anything is made of it that must be initialized.
        // SAFETY: the tensor was allocated for `count` values, which nobody else knows of yet.
        unsafe { start.write_bytes(0, count) };
        Self::values_mut(&mut tensor)
            .par_chunks_mut(block.max(1))
            .enumerate()
            .for_each(|(i, values)| fill(i * block, values));
        tensor
    }

    fn tensor(values: Vec<f32>, shape: Shape) -> TchTensor {
        Self::filled(shape, usize::MAX, |_, out| out.copy_from_slice(&values))
    }
}

fn empty(shape: &Shape) -> TchTensor {
    let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
    TchTensor::new(Tensor::empty(sizes, (Kind::Float, Device::Cpu)))
}

/// Where the values of a contiguous f32 tensor lie, and how many they are.
fn memory(tensor: &Tensor) -> (*mut f32, usize) {
    assert!(
        tensor.is_contiguous() && tensor.kind() == Kind::Float && tensor.device() == Device::Cpu,
        "f32 values in order on the CPU"
    );
    let start = tensor.data_ptr().cast::<f32>();
    if start.is_null() {
        return (std::ptr::NonNull::dangling().as_ptr(), 0);
    }
    (start, tensor.numel())
}
