//! Filling a model from a checkpoint.

use std::collections::HashSet;

use burn::module::{ModuleMapper, Param};
use burn::prelude::*;
use burn::tensor::{DType, FloatDType};

use super::naming::Naming;
use super::{ParameterPath, is_transposed, transpose};
use crate::quantization::Quantize;
use crate::source::TensorSource;
use crate::{Architecture, BertEncoder, Error, LanguageModel, Matrices, ModelConfig, WeightBlocks};

/// How many names an error about missing tensors lists.
const LISTED: usize = 5;

/// Loads a causal language model, one tensor at a time; matrices that `quantized` names become integers
/// as they are read.
///
/// # Errors
///
/// When `config` is not valid or describes an encoder, a tensor is missing, has another shape than
/// `config` calls for, cannot be read, or cannot be quantized, or `device` has no floats of `dtype`.
pub(crate) fn load_language_model(
    config: &ModelConfig,
    source: &dyn TensorSource,
    dtype: FloatDType,
    quantized: Option<(WeightBlocks, &Matrices)>,
    device: &Device,
) -> Result<LanguageModel, Error> {
    config.validate()?;
    if !config.architecture.is_causal() {
        return Err(Error::WrongKind {
            path: source.origin().to_path_buf(),
            found: config.architecture.name(),
            expected: "a causal language model",
        });
    }
    let model = LanguageModel::deferred(config, device);
    let quantize = quantized
        .map(|(blocks, matrices)| Quantize::new(&model, blocks, matrices, device))
        .transpose()?;
    fill(model, config, source, dtype, quantize, device)
}

/// Loads a BERT encoder, one tensor at a time; its pooler is optional.
///
/// # Errors
///
/// As [`load_language_model`].
pub(crate) fn load_bert_encoder(
    config: &ModelConfig,
    source: &dyn TensorSource,
    dtype: FloatDType,
    device: &Device,
) -> Result<BertEncoder, Error> {
    config.validate()?;
    if config.architecture != Architecture::Bert {
        return Err(Error::WrongKind {
            path: source.origin().to_path_buf(),
            found: config.architecture.name(),
            expected: "a BERT encoder",
        });
    }
    let pooler = Naming::of(config.architecture, source.names()).find("pooler.dense.weight");
    fill(
        BertEncoder::deferred(config, pooler.is_some(), device),
        config,
        source,
        dtype,
        None,
        device,
    )
}

fn fill<M: Module>(
    model: M,
    config: &ModelConfig,
    source: &dyn TensorSource,
    dtype: FloatDType,
    quantize: Option<Quantize>,
    device: &Device,
) -> Result<M, Error> {
    if !device.supports_dtype(dtype) {
        return Err(Error::NoSuchPrecision {
            dtype: DType::from(dtype).name(),
        });
    }
    let mut fill = Fill {
        path: ParameterPath::default(),
        architecture: config.architecture,
        source,
        naming: Naming::of(config.architecture, source.names()),
        dtype: dtype.into(),
        quantize,
        device,
        used: HashSet::new(),
        missing: Vec::new(),
        failure: None,
    };
    let model = model.map(&mut fill);
    if let Some(error) = fill.failure {
        return Err(error);
    }
    if !fill.missing.is_empty() {
        let count = fill.missing.len();
        fill.missing.truncate(LISTED);
        let path = source.origin().to_path_buf();
        return Err(Error::MissingTensors {
            path,
            first: fill.missing,
            count,
        });
    }
    let unexpected = fill.naming.unexpected(&fill.used, config);
    if !unexpected.is_empty() {
        tracing::warn!(
            checkpoint = %source.origin().display(),
            count = unexpected.len(),
            tensors = ?unexpected.iter().take(LISTED).collect::<Vec<_>>(),
            "the checkpoint holds tensors that the model has no use for"
        );
    }
    Ok(model)
}

struct Fill<'a> {
    path: ParameterPath,
    architecture: Architecture,
    source: &'a dyn TensorSource,
    naming: Naming,
    dtype: DType,
    quantize: Option<Quantize>,
    device: &'a Device,
    used: HashSet<String>,
    missing: Vec<String>,
    failure: Option<Error>,
}

impl Fill<'_> {
    /// The values of the parameter at the current path, or `None` if the checkpoint lacks it.
    fn values(&mut self, shape: &[usize]) -> Result<Option<Vec<f32>>, Error> {
        let name = self.path.name();
        let Some(stored) = self.naming.find(&name) else {
            self.missing.push(name);
            return Ok(None);
        };
        let transposed = is_transposed(self.path.kind(), self.architecture);
        let mut expected = shape.to_vec();
        if transposed {
            expected.reverse();
        }
        let found = self.source.shape(&stored).unwrap_or_default();
        if found != expected {
            let path = self.source.origin().to_path_buf();
            return Err(Error::WrongShape {
                name: stored,
                path,
                found,
                expected,
            });
        }
        let values = self.source.read(&stored)?;
        self.used.insert(stored);
        Ok(Some(match expected.as_slice() {
            &[rows, columns] if transposed => transpose(&values, rows, columns),
            _ => values,
        }))
    }
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failure.is_some() {
            return param;
        }
        let shape = param.lazy_shape();
        match self.values(&shape) {
            Ok(Some(values)) => {
                let data = TensorData::new(values, shape);
                let quantize = self.quantize.as_ref().filter(|it| it.chooses(param.id));
                Param::from_tensor(match quantize {
                    Some(it) => it.apply(Tensor::from_data(data, (self.device, DType::F32))),
                    None => Tensor::from_data(data, (self.device, self.dtype)),
                })
            }
            Ok(None) => param,
            Err(error) => {
                self.failure = Some(error);
                param
            }
        }
    }
}
