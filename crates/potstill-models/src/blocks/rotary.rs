//! Rotary positions, rotate-half layout.

use burn::prelude::*;
use burn::tensor::DType;
use potstill_kernels::rotate_halves;

use super::cast_to;

/// The rotation of each position of a batch, computed once for all layers.
///
/// RoFormer, arXiv:2104.09864, in the layout of Hugging Face checkpoints.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    /// `[batch · seq, head_dim / 2]`, f32.
    cos: Tensor<2>,
    /// `[batch · seq, head_dim / 2]`, f32.
    sin: Tensor<2>,
}

impl Rotation {
    /// Angles of `positions` at `frequencies`.
    ///
    /// # Shapes
    ///
    /// - `positions`: `[batch, seq]`
    pub(crate) fn new(positions: Tensor<2, Int>, frequencies: &[f64]) -> Self {
        let device = positions.device();
        let [batch, seq] = positions.dims();
        let frequencies: Vec<f32> = frequencies
            .iter()
            .map(|&frequency| frequency as f32)
            .collect();
        let shape = [1, frequencies.len()];
        let data = TensorData::new(frequencies, shape);
        let frequencies = Tensor::<2>::from_data(data, (&device, DType::F32));
        let positions = cast_to(positions.float(), DType::F32).reshape([batch * seq, 1]);
        let angles = positions * frequencies;
        Self {
            cos: angles.clone().cos(),
            sin: angles.sin(),
        }
    }

    /// The same for tensors without autodiff.
    pub(crate) fn without_autodiff(self) -> Self {
        Self {
            cos: self.cos.without_autodiff(),
            sin: self.sin.without_autodiff(),
        }
    }

    /// Rotates queries or keys.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, seq, heads, head_dim]`
    pub(crate) fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        rotate_halves(x, self.cos.clone(), self.sin.clone())
    }
}
