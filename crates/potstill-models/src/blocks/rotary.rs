//! Rotary positions, rotate-half layout.

use burn::prelude::*;
use burn::tensor::DType;

use super::cast_to;

/// The rotation of each position of a batch, computed once for all layers.
///
/// ```text
/// channel i is paired with channel i + head_dim/2:
/// y_i            = x_i · cos(m·f_i)            − x_{i + d/2} · sin(m·f_i)
/// y_{i + d/2}    = x_{i + d/2} · cos(m·f_i)    + x_i · sin(m·f_i)
/// ```
///
/// RoFormer, arXiv:2104.09864, in the layout of Hugging Face checkpoints.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    /// `[batch, seq, 1, head_dim / 2]`.
    cos: Tensor<4>,
    /// `[batch, seq, 1, head_dim / 2]`.
    sin: Tensor<4>,
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
        let shape = [1, 1, 1, frequencies.len()];
        let data = TensorData::new(frequencies, shape);
        let frequencies = Tensor::<4>::from_data(data, (&device, DType::F32));
        let positions = cast_to(positions.float(), DType::F32).reshape([batch, seq, 1, 1]);
        let angles = positions * frequencies;
        Self {
            cos: angles.clone().cos(),
            sin: angles.sin(),
        }
    }

    /// In the dtype that the activations have.
    pub(crate) fn cast(self, dtype: DType) -> Self {
        Self {
            cos: cast_to(self.cos, dtype),
            sin: cast_to(self.sin, dtype),
        }
    }

    /// Rotates queries or keys.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, seq, heads, head_dim]`
    pub(crate) fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let first = x.clone().narrow(3, 0, half);
        let second = x.narrow(3, half, half);
        let rotated_first = first.clone() * self.cos.clone() - second.clone() * self.sin.clone();
        let rotated_second = second * self.cos.clone() + first * self.sin.clone();
        Tensor::cat(vec![rotated_first, rotated_second], 3)
    }
}
