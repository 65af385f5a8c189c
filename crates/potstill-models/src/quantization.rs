//! Students that are trained in the precision they are used in.

use std::collections::HashSet;

use burn::module::{Module, Param, ParamId, Reparameterization, Reparameterizer};
use burn::prelude::*;
use burn::tensor::FloatDType;
use serde::{Deserialize, Serialize};

use crate::{BlockType, Error, LanguageModel, Matrices};

/// Weights that share a scale.
const BLOCK: usize = 32;

/// Integers in blocks of 32 weights with a half-precision scale.
///
/// ```text
/// 8 bits: d = max|x| / 127             q = round(x / d)
/// 4 bits: d = (x of largest |x|) / −8  q = min(15, ⌊x / d + 8.5⌋) − 8
/// the weight is then f16(d) · q
/// ```
///
/// These are ggml's `Q8_0` and `Q4_0`, and the blocks run along the inputs of a matrix as there: what is
/// trained is what such a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightBlocks {
    /// 8 bits, 8.5 with the scale.
    Int8,
    /// 4 bits, 4.5 with the scale.
    Int4,
}

impl WeightBlocks {
    /// The type of such blocks in a file.
    #[must_use]
    pub fn block_type(self) -> BlockType {
        match self {
            Self::Int8 => BlockType::Q8_0,
            Self::Int4 => BlockType::Q4_0,
        }
    }

    /// The nearest weights that such blocks can hold, with blocks along the first axis.
    ///
    /// Not differentiable: the gradient is 0 almost everywhere.
    ///
    /// # Shapes
    ///
    /// - `weight`, output: `[d_in, d_out]`
    ///
    /// # Panics
    ///
    /// Panics if `d_in` is no multiple of 32.
    #[must_use]
    pub fn round(self, weight: Tensor<2>) -> Tensor<2> {
        let [d_in, d_out] = weight.dims();
        assert!(
            d_in.is_multiple_of(BLOCK),
            "blocks of {BLOCK} do not fill {d_in} inputs"
        );
        let dtype = weight.dtype();
        let x = weight
            .cast(FloatDType::F32)
            .reshape([d_in / BLOCK, BLOCK, d_out]);
        let (scale, quantized) = match self {
            Self::Int8 => {
                let scale = x.clone().abs().max_dim(1) / 127.0;
                let steps = x * reciprocal(scale.clone());
                let away = (steps.clone().abs() + 0.5).floor() * steps.sign();
                (scale, away)
            }
            Self::Int4 => {
                let (most, least) = (x.clone().max_dim(1), x.clone().min_dim(1));
                let negative = (most.clone() + least.clone()).lower_elem(0.0);
                let scale = most.mask_where(negative, least) / -8.0;
                let steps = x * reciprocal(scale.clone());
                (scale, (steps + 8.5).floor().clamp(0.0, 15.0) - 8.0)
            }
        };
        let stored = scale.cast(FloatDType::F16).cast(FloatDType::F32);
        (quantized * stored).reshape([d_in, d_out]).cast(dtype)
    }
}

/// 1/x, and 0 for 0.
fn reciprocal(x: Tensor<3>) -> Tensor<3> {
    let zero = x.clone().equal_elem(0.0);
    x.recip().mask_fill(zero, 0.0)
}

/// Rounds a weight whenever it is read, with a gradient as if it did not.
///
/// ```text
/// W' = W + (round(W) − W)       ∂L/∂W = ∂L/∂W'
/// ```
///
/// The straight-through estimator (Bengio et al., arXiv:1308.3432).
#[derive(Module, Debug)]
struct Rounded {
    #[module(skip)]
    blocks: WeightBlocks,
}

impl Reparameterization for Rounded {
    const NAME: &'static str = "rounded";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let dims = base.dims();
        let [d_in, d_out] = [dims[0], dims[1..].iter().product()];
        let plain = base.clone().without_autodiff();
        let rounded = self.blocks.round(plain.clone().reshape([d_in, d_out]));
        let rounded = rounded.reshape(dims);
        if base.is_autodiff() {
            base + (rounded - plain)
        } else {
            rounded
        }
    }
}

/// Rounds the chosen parameters.
struct RoundWhenRead {
    ids: HashSet<ParamId>,
    blocks: WeightBlocks,
}

impl Reparameterizer for RoundWhenRead {
    type Reparam = Rounded;

    fn reparameterize<const D: usize>(
        &mut self,
        _path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Rounded>) {
        let blocks = self.blocks;
        let chosen = self.ids.contains(&param.id);
        (param, chosen.then_some(Rounded { blocks }))
    }
}

impl LanguageModel {
    /// This model with the weights of the matrices rounded to such blocks whenever they are read,
    /// while the weights themselves are trained in full precision.
    ///
    /// Trained with the KL divergence to the teacher in full precision, that is quantization-aware
    /// distillation (Liu et al., *LLM-QAT*, arXiv:2305.17888). [`save_pretrained`](crate::save_pretrained)
    /// and [`merged`](Self::merged) give the rounded weights, which quantizing to the same blocks does
    /// not change any more. Of an untrained copy of a teacher, those are post-training quantization.
    /// Embeddings and head stay as they are.
    ///
    /// # Errors
    ///
    /// When a matrix that is named does not exist, or the inputs of one are no multiple of 32.
    ///
    /// # Examples
    ///
    /// ```
    /// use burn::prelude::*;
    /// use potstill_models::{Architecture, LanguageModel, Matrices, ModelConfig, WeightBlocks};
    ///
    /// let config = ModelConfig::new(Architecture::Llama, 64, 32, 2, 2);
    /// let model = LanguageModel::init(&config, 1, &Device::default().autodiff());
    /// let student = model.rounded_when_read(WeightBlocks::Int4, &Matrices::All)?;
    /// let for_use = student.merged();
    /// # let _ = for_use;
    /// # Ok::<(), potstill_models::Error>(())
    /// ```
    pub fn rounded_when_read(
        self,
        blocks: WeightBlocks,
        matrices: &Matrices,
    ) -> Result<Self, Error> {
        let matrices = matrices.of(&self)?;
        if let Some(matrix) = matrices
            .iter()
            .find(|matrix| !matrix.shape[0].is_multiple_of(BLOCK))
        {
            return Err(Error::PartialBlocks {
                name: matrix.name.clone(),
                size: matrix.shape[0],
            });
        }
        let ids = matrices.into_iter().map(|matrix| matrix.id).collect();
        Ok(self.apply_reparameterization(RoundWhenRead { ids, blocks }))
    }
}

#[cfg(test)]
mod tests;
