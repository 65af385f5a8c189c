//! The tensors of a model in memory.

use std::collections::HashMap;
use std::path::Path;

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;

use super::{ParameterPath, is_transposed, transpose};
use crate::source::TensorSource;
use crate::{Architecture, Error, LanguageModel};

/// The tensors of a live model under their Hugging Face names, in the order of its fields.
#[derive(Debug)]
pub(crate) struct ModelSource {
    tensors: Vec<NamedTensor>,
    index: HashMap<String, usize>,
}

#[derive(Debug)]
struct NamedTensor {
    name: String,
    /// As a checkpoint holds it.
    shape: Vec<usize>,
    transposed: bool,
    /// Flat, in the layout of the parameter.
    values: Tensor<1>,
}

impl ModelSource {
    /// The tensors of a language model, what adapts or rounds them included.
    pub(crate) fn new(model: &LanguageModel) -> Self {
        let model = model.valid().materialize();
        Self::of(&model, model.config().architecture)
    }

    /// The tensors of any model.
    pub(crate) fn of<M: Module>(model: &M, architecture: Architecture) -> Self {
        let mut collect = Collect {
            path: ParameterPath::default(),
            architecture,
            tensors: Vec::new(),
        };
        model.visit(&mut collect);
        let tensors = collect.tensors;
        let index = tensors
            .iter()
            .enumerate()
            .map(|(i, tensor)| (tensor.name.clone(), i))
            .collect();
        Self { tensors, index }
    }

    fn find(&self, name: &str) -> Option<&NamedTensor> {
        self.index.get(name).map(|&i| &self.tensors[i])
    }
}

impl TensorSource for ModelSource {
    fn names(&self) -> Vec<String> {
        self.tensors
            .iter()
            .map(|tensor| tensor.name.clone())
            .collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.find(name).map(|tensor| tensor.shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let Some(tensor) = self.find(name) else {
            return Err(Error::MissingTensors {
                path: self.origin().to_path_buf(),
                first: vec![name.to_owned()],
                count: 1,
            });
        };
        let values = tensor
            .values
            .clone()
            .try_into_vec_as::<f32>()
            .map_err(|error| Error::Readback {
                name: name.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(match tensor.shape.as_slice() {
            &[rows, columns] if tensor.transposed => transpose(&values, columns, rows),
            _ => values,
        })
    }

    fn origin(&self) -> &Path {
        Path::new("(a model in memory)")
    }
}

struct Collect {
    path: ParameterPath,
    architecture: Architecture,
    tensors: Vec<NamedTensor>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val().without_autodiff();
        let mut shape = tensor.dims().to_vec();
        let transposed = is_transposed(self.path.kind(), self.architecture);
        let count: usize = shape.iter().product();
        if transposed {
            shape.reverse();
        }
        self.tensors.push(NamedTensor {
            name: self.path.name(),
            shape,
            transposed,
            values: tensor.reshape([count]),
        });
    }
}
