//! How large a model is, in memory and on disk.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::quantization::quantized_data_len;

use crate::Error;

/// Bytes of a saved model: of one file, or of everything in a folder.
///
/// # Errors
///
/// When the file or folder cannot be read.
pub fn bytes_on_disk(path: &Path) -> Result<u64, Error> {
    let read = |source| Error::Read {
        path: path.into(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(read)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    std::fs::read_dir(path)
        .map_err(read)?
        .map(|entry| bytes_on_disk(&entry.map_err(read)?.path()))
        .sum()
}

/// Bytes of a model's parameters in memory, with the scales of quantized ones; a tied one counts once.
#[must_use]
pub fn bytes_in_memory(model: &impl Module) -> u64 {
    of_parameters(model).1
}

/// Number of parameters, and their bytes.
pub(super) fn of_parameters(model: &impl Module) -> (u64, u64) {
    let mut size = ParameterSize::default();
    model.visit(&mut size);
    (size.elements, size.bytes)
}

#[derive(Default)]
struct ParameterSize {
    elements: u64,
    bytes: u64,
}

impl ModuleVisitor for ParameterSize {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let elements = tensor.shape().num_elements();
        self.elements += elements as u64;
        self.bytes += match tensor.dtype() {
            DType::QFloat(scheme) => quantized_data_len(&scheme, &tensor.shape()) as u64,
            dtype => (elements * dtype.size()) as u64,
        };
    }
}
