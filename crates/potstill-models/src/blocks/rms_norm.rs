//! Root-mean-square normalization.

use burn::module::Param;
use burn::prelude::*;
use potstill_kernels::rms_norm;

use super::{cast_to, deferred};

/// RMSNorm (Zhang and Sennrich, arXiv:1910.07467).
///
/// ```text
/// y = x / sqrt(mean(x²) + ε) · weight
/// ```
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl RmsNorm {
    pub(crate) fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: deferred([width], device),
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
        rms_norm(x, weight, self.epsilon)
    }
}
