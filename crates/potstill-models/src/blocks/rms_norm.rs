//! Root-mean-square normalization.

use burn::module::Param;
use burn::prelude::*;

use super::{cast_to, deferred, widened};

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
        let dtype = x.dtype();
        let x = widened(x);
        let mean_square = x.clone().square().mean_dim(D - 1);
        let inverse = (mean_square + self.epsilon).sqrt().recip();
        cast_to(x * inverse, dtype) * self.weight.val().unsqueeze()
    }
}
