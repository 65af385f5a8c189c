//! A linear map.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::assert_shape;

use super::deferred;

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

    /// Applies the map.
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
        let [d_in, d_out] = weight.dims();
        assert_shape!(x, [_, _, d_in]);
        let [batch, seq, _] = x.dims();
        // One product of two matrices: a batched one would run the weight once for each sequence.
        let y = x.reshape([batch * seq, d_in]).matmul(weight);
        let y = match &self.bias {
            Some(bias) => y + bias.val().unsqueeze::<2>(),
            None => y,
        };
        y.reshape([batch, seq, d_out])
    }
}
