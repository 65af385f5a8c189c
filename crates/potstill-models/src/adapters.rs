//! Low-rank adapters: LoRA and QLoRA.

use std::collections::HashMap;

use burn::module::{LoraAdapter, Module, Param, ParamId, Reparameterizer};
use burn::prelude::*;
use burn::tensor::quantization::{QuantScheme, QuantValue};
use serde::{Deserialize, Serialize};

use crate::matrices::Matrix;
use crate::quantization::{BLOCK, block_scheme};
use crate::weights::normal_values;
use crate::{Error, LanguageModel, Matrices};

/// How the weights below the adapters are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterBase {
    /// As they are: LoRA.
    #[default]
    Unchanged,
    /// In 8 bits, 32 weights of a column to a scale: QLoRA.
    Int8,
    /// In 4 bits, 32 weights of a column to a scale: QLoRA.
    Int4,
}

/// A model of which only a small addition to some matrices is trained.
///
/// ```text
/// W' = W + alpha/rank · A · B        A [d_in, rank] normal of variance 1/(3·d_in), B [rank, d_out] zero
/// ```
///
/// Hu et al., *LoRA*, arXiv:2106.09685; Dettmers et al., *QLoRA*, arXiv:2305.14314, whose base is
/// quantized (here to symmetric integers instead of NF4). The adapters are burn's own: the optimizer
/// keeps moments for them alone, checkpoints hold them beside the base, and
/// [`save_pretrained`](crate::save_pretrained) merges them.
///
/// The sum W' exists while it is used, and autodiff forms its full gradient on the way to A and B; what
/// is saved is the optimizer's memory, not the arithmetic. A quantized base is kept as burn's backend
/// keeps it: flex takes one byte a weight, for 4 bits too, and expands it for every pass.
///
/// ```
/// use burn::prelude::*;
/// use potstill_models::{AdapterConfig, Architecture, LanguageModel, Matrices, ModelConfig};
///
/// let config = ModelConfig::new(Architecture::Llama, 64, 16, 2, 2);
/// let model = LanguageModel::init(&config, 1, &Device::default().autodiff());
/// let adapters = AdapterConfig { matrices: Matrices::Attention, ..AdapterConfig::new(4) };
/// let student = model.with_adapters(&adapters)?;
/// assert!(student.num_params() > 0);
/// # Ok::<(), potstill_models::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterConfig {
    /// Rank of the addition.
    pub rank: usize,
    /// The addition counts `alpha / rank` times.
    pub alpha: f64,
    /// Which matrices get adapters.
    #[serde(default)]
    pub matrices: Matrices,
    /// How the weights below are kept.
    #[serde(default)]
    pub base: AdapterBase,
    /// Seed of the matrices A.
    #[serde(default)]
    pub seed: u64,
}

impl AdapterConfig {
    /// Adapters of this rank for all matrices of the blocks, counted once (`alpha = rank`), on
    /// weights as they are.
    #[must_use]
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            alpha: rank as f64,
            matrices: Matrices::All,
            base: AdapterBase::Unchanged,
            seed: 0,
        }
    }
}

impl LanguageModel {
    /// This model with adapters; everything else is frozen.
    ///
    /// It answers as before, but for the rounding of a quantized base.
    ///
    /// # Errors
    ///
    /// When the rank is 0 or more than a side of a matrix, a matrix that is named does not exist, or
    /// the rows of one cannot be quantized in blocks of 32, or the device holds no such integers.
    pub fn with_adapters(self, config: &AdapterConfig) -> Result<Self, Error> {
        let matrices = config.matrices.of(&self)?;
        for matrix in &matrices {
            let [d_in, d_out] = matrix.shape;
            let most = d_in.min(d_out);
            if config.rank == 0 || config.rank > most {
                return Err(Error::AdapterRank {
                    rank: config.rank,
                    name: matrix.name.clone(),
                    most,
                });
            }
            if config.base != AdapterBase::Unchanged && !d_in.is_multiple_of(BLOCK) {
                return Err(Error::PartialBlocks {
                    name: matrix.name.clone(),
                    size: d_in,
                });
            }
        }
        let value = match config.base {
            AdapterBase::Unchanged => None,
            AdapterBase::Int8 => Some(QuantValue::Q8S),
            AdapterBase::Int4 => Some(QuantValue::Q4S),
        };
        let scheme = value.map(|value| block_scheme(&self.devices()[0], value));
        let scheme = scheme.transpose()?;
        let ids = matrices.iter().enumerate();
        Ok(self.apply_reparameterization(Adapt {
            streams: ids
                .map(|(stream, Matrix { id, .. })| (*id, stream as u64))
                .collect(),
            config,
            scheme,
        }))
    }
}

/// Freezes every parameter and gives adapters to the chosen ones.
struct Adapt<'a> {
    /// The random stream of each matrix.
    streams: HashMap<ParamId, u64>,
    config: &'a AdapterConfig,
    /// How the weights below become integers, if they do.
    scheme: Option<QuantScheme>,
}

impl Reparameterizer for Adapt<'_> {
    type Reparam = LoraAdapter;

    fn reparameterize<const D: usize>(
        &mut self,
        _path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LoraAdapter>) {
        let chosen = self.streams.get(&param.id);
        let (&[d_in, d_out], Some(&stream)) = (param.lazy_shape().as_slice(), chosen) else {
            return (param.set_require_grad(false), None);
        };
        let device = param.lazy_device();
        let dtype = param.val().dtype();
        let AdapterConfig {
            rank, alpha, seed, ..
        } = *self.config;
        let deviation = (3.0 * d_in as f32).sqrt().recip();
        let values = normal_values(d_in * rank, deviation, seed, stream);
        let a = TensorData::new(values, [d_in, rank]);
        let adapter = LoraAdapter {
            a: Param::from_tensor(Tensor::from_data(a, (&device, dtype))),
            b: Param::from_tensor(Tensor::zeros([rank, d_out], (&device, dtype))),
            scale: alpha / rank as f64,
        };
        let base = param.set_require_grad(false);
        let base = match &self.scheme {
            None => base,
            Some(scheme) => base.map(|weight| weight.quantize_dynamic(scheme)),
        };
        (base, Some(adapter))
    }
}

#[cfg(test)]
mod tests;
