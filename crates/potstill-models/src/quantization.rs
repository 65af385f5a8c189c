//! Students of fewer bits: trained in the precision they are used in, and used in it.

use std::collections::HashSet;

use burn::module::{Module, ModuleMapper, Param, ParamId, Reparameterization, Reparameterizer};
use burn::prelude::*;
use burn::tensor::quantization::{
    QuantScheme, QuantStore, QuantValue, QuantizationParameters, ScaleDtype,
};
use burn::tensor::{DType, FloatDType};
use serde::{Deserialize, Serialize};

use crate::matrices::Matrix;
use crate::{BlockType, Error, LanguageModel, Matrices};

/// Weights that share a scale.
pub(crate) const BLOCK: usize = 32;

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
        let (codes, scales) = self.encode(weight);
        (codes * scales).reshape([d_in, d_out]).cast(dtype)
    }

    /// The integers, `[blocks, 32, d_out]`, and the scales as they are stored, `[blocks, 1, d_out]`.
    fn encode(self, weight: Tensor<2>) -> (Tensor<3>, Tensor<3>) {
        let [d_in, d_out] = weight.dims();
        let x = weight
            .cast(FloatDType::F32)
            .reshape([d_in / BLOCK, BLOCK, d_out]);
        let (codes, scale) = match self {
            Self::Int8 => {
                let scale = x.clone().abs().max_dim(1) / 127.0;
                let steps = x * reciprocal(scale.clone());
                let away = (steps.clone().abs() + 0.5).floor() * steps.sign();
                (away, scale)
            }
            Self::Int4 => {
                let (most, least) = (x.clone().max_dim(1), x.clone().min_dim(1));
                let negative = (most.clone() + least.clone()).lower_elem(0.0);
                let scale = most.mask_where(negative, least) / -8.0;
                let steps = x * reciprocal(scale.clone());
                ((steps + 8.5).floor().clamp(0.0, 15.0) - 8.0, scale)
            }
        };
        let stored = scale.cast(FloatDType::F16).cast(FloatDType::F32);
        (codes, stored)
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

/// Keeps the chosen parameters as integers.
pub(crate) struct Quantize {
    ids: HashSet<ParamId>,
    blocks: WeightBlocks,
    scheme: QuantScheme,
}

impl Quantize {
    /// For these matrices of `model`, whose parameters are on `device` or still have to be read.
    pub(crate) fn new(
        model: &LanguageModel,
        blocks: WeightBlocks,
        matrices: &Matrices,
        device: &Device,
    ) -> Result<Self, Error> {
        Ok(Self {
            ids: whole_blocks(model, matrices)?,
            blocks,
            scheme: block_scheme(device, QuantValue::Q8S)?,
        })
    }

    /// Whether a parameter is one of them.
    pub(crate) fn chooses(&self, id: ParamId) -> bool {
        self.ids.contains(&id)
    }

    /// The integers of a weight.
    pub(crate) fn apply<const D: usize>(&self, weight: Tensor<D>) -> Tensor<D> {
        let dims = weight.dims();
        let weight = weight.reshape([dims[0], dims[1..].iter().product()]);
        let (codes, scales) = self.blocks.encode(weight);
        // burn wants positive scales, and finds the codes again, as often with the other sign.
        let rounded = (codes * scales.clone()).reshape(dims);
        let scales = scales.abs().flatten(0, 2);
        let global = None;
        rounded.quantize(&self.scheme, QuantizationParameters { scales, global })
    }
}

impl ModuleMapper for Quantize {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.chooses(param.id) {
            param
                .set_require_grad(false)
                .map(|weight| self.apply(weight))
        } else {
            param
        }
    }
}

/// Makes floats of integers.
pub(crate) struct Dequantize;

impl ModuleMapper for Dequantize {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| match weight.dtype() {
            DType::QFloat(_) => weight.dequantize(),
            _ => weight,
        })
    }
}

/// Blocks along the inputs, as in the formats of ggml.
pub(crate) fn block_scheme(device: &Device, value: QuantValue) -> Result<QuantScheme, Error> {
    let scheme = device.settings().quantization.scheme;
    // Others pack consecutive outputs into a word and give them one scale, or panic (libtorch).
    if scheme.store != QuantStore::Native {
        return Err(Error::NoIntegers);
    }
    Ok(scheme
        .with_value(value)
        .per_block([BLOCK as u8, 1], ScaleDtype::F32))
}

/// The parameters of the matrices, if blocks fill them.
fn whole_blocks(model: &LanguageModel, matrices: &Matrices) -> Result<HashSet<ParamId>, Error> {
    let matrices = matrices.of(model)?;
    let partial = |matrix: &&Matrix| !matrix.shape[0].is_multiple_of(BLOCK);
    match matrices.iter().find(partial) {
        Some(matrix) => Err(Error::PartialBlocks {
            name: matrix.name.clone(),
            size: matrix.shape[0],
        }),
        None => Ok(matrices.into_iter().map(|matrix| matrix.id).collect()),
    }
}

impl LanguageModel {
    /// This model for use, with the weights of the matrices kept as integers of such blocks.
    ///
    /// It answers as a GGUF file of the same blocks does, and as a student that was trained with
    /// [`rounded_when_read`](Self::rounded_when_read). On flex a weight then takes one byte and an
    /// eighth with its scale, in 4 bits as well, and so much is read for each token; passes over many
    /// rows make floats of one matrix at a time.
    /// [`Checkpoint::quantized_language_model`](crate::Checkpoint::quantized_language_model) reads a
    /// model in this form, which never holds all of it in floats. Nothing of it can be trained, and
    /// [`save_pretrained`](crate::save_pretrained) writes what the integers stand for. Embeddings and
    /// head stay as they are.
    ///
    /// # Errors
    ///
    /// When a matrix that is named does not exist, the inputs of one are no multiple of 32, or the
    /// device holds no such integers: burn has them on flex only.
    ///
    /// # Examples
    ///
    /// ```
    /// use burn::prelude::*;
    /// use potstill_models::{Architecture, LanguageModel, Matrices, ModelConfig, WeightBlocks};
    ///
    /// let config = ModelConfig::new(Architecture::Llama, 64, 32, 2, 2);
    /// let model = LanguageModel::init(&config, 1, &Device::default());
    /// let small = model.quantized(WeightBlocks::Int8, &Matrices::All)?;
    /// # let _ = small;
    /// # Ok::<(), potstill_models::Error>(())
    /// ```
    pub fn quantized(&self, blocks: WeightBlocks, matrices: &Matrices) -> Result<Self, Error> {
        let model = self.merged();
        let mut quantize = Quantize::new(&model, blocks, matrices, &model.devices()[0])?;
        Ok(model.map(&mut quantize))
    }

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
        let ids = whole_blocks(&self, matrices)?;
        Ok(self.apply_reparameterization(RoundWhenRead { ids, blocks }))
    }
}

#[cfg(test)]
mod tests;
