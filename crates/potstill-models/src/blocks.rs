//! The parts that every architecture is wired from.

pub(crate) mod attend;
pub(crate) mod embedding;
pub(crate) mod gated_mlp;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod mask;
pub(crate) mod recomputed;
pub(crate) mod rms_norm;
pub(crate) mod rotary;
pub(crate) mod self_attention;

use burn::module::{Param, ParamId};
use burn::prelude::*;
use burn::tensor::{DType, FloatDType};

/// A parameter that takes no memory until something reads it; loading and initialization replace it.
fn deferred<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::uninitialized(
        ParamId::new(),
        move |device, require_grad| {
            let zeros = Tensor::zeros(shape, device);
            if require_grad {
                zeros.require_grad()
            } else {
                zeros
            }
        },
        device.clone(),
        true,
        shape.into(),
    )
}

/// At least f32: sums and exponentials of half-precision numbers need it.
pub(crate) fn widened<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F32 | DType::F64 => tensor,
        _ => tensor.cast(FloatDType::F32),
    }
}

fn cast_to<const D: usize>(tensor: Tensor<D>, dtype: DType) -> Tensor<D> {
    if tensor.dtype() == dtype {
        tensor
    } else {
        tensor.cast(dtype)
    }
}
