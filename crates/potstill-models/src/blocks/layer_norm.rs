//! Layer normalization.

use burn::module::Param;
use burn::prelude::*;
use potstill_kernels::layer_norm;

use super::{cast_to, deferred};

/// LayerNorm (Ba et al., arXiv:1607.06450).
///
/// ```text
/// y = (x − mean(x)) / sqrt(var(x) + ε) · weight + bias
/// ```
#[derive(Module, Debug)]
pub(crate) struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    pub(crate) fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: deferred([width], device),
            bias: deferred([width], device),
            epsilon,
        }
    }

    /// Normalizes the last axis, in f32.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[..., width]`
    #[must_use]
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let weight = cast_to(self.weight.val(), x.dtype());
        let bias = cast_to(self.bias.val(), x.dtype());
        layer_norm(x, weight, bias, self.epsilon)
    }
}
