//! A linear map.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::assert_shape;
use potstill_kernels::linear;

use super::{cast_to, deferred};

/// `y = x · weight + bias`.
///
/// The weight is `[d_in, d_out]`, so that gradients come out contiguous; checkpoints hold the
/// transpose (but for GPT-2), which [`crate::weights`] takes care of.
#[derive(Module, Debug)]
pub(crate) struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    pub(crate) fn new(d_in: usize, d_out: usize, bias: bool, device: &Device) -> Self {
        Self {
            weight: deferred([d_in, d_out], device),
            bias: bias.then(|| deferred([d_out], device)),
        }
    }

    /// A map without bias from its weight, `[d_in, d_out]`.
    pub(crate) fn of_weight(weight: Tensor<2>) -> Self {
        Self {
            weight: Param::from_tensor(weight),
            bias: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn parameter(&self) -> &Param<Tensor<2>> {
        &self.weight
    }

    /// The weight itself, `[d_in, d_out]`.
    pub(crate) fn weight(&self) -> Tensor<2> {
        self.weight.val()
    }

    /// Applies the map, in the dtype of `x`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, seq, d_in]`
    /// - output: `[batch, seq, d_out]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `d_in`.
    #[must_use]
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let weight = self.weight.val();
        let d_in = weight.dims()[0];
        assert_shape!(x, [_, _, d_in]);
        let bias = self.bias.as_ref();
        let bias = bias.map(|bias| cast_to(bias.val(), x.dtype()));
        linear(x, weight, bias)
    }
}
