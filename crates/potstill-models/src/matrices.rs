//! Choosing among the matrices of a model.

use std::collections::HashSet;

use burn::module::{ModuleVisitor, Param, ParamId};
use burn::prelude::*;
use serde::{Deserialize, Serialize};

use crate::weights::{Kind, ParameterPath};
use crate::{Error, LanguageModel};

/// Some of the matrices in a model's blocks; embeddings and head never belong to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Matrices {
    /// All of them.
    #[default]
    All,
    /// Those of attention.
    Attention,
    /// Those of the MLP.
    Mlp,
    /// Those whose field has one of these names, such as `"q_proj"`.
    Named(Vec<String>),
}

/// A matrix of a model, as its parameter.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) id: ParamId,
    /// As checkpoints call it.
    pub(crate) name: String,
    /// `[d_in, d_out]`.
    pub(crate) shape: [usize; 2],
}

impl Matrices {
    /// The matrices of `model` that this names, in the order of its fields.
    pub(crate) fn of(&self, model: &LanguageModel) -> Result<Vec<Matrix>, Error> {
        let mut collect = Collect {
            path: ParameterPath::default(),
            matrices: self,
            block_prefix: model.config().architecture.block_prefix(),
            seen: HashSet::new(),
            chosen: Vec::new(),
        };
        model.visit(&mut collect);
        if let Self::Named(names) = self
            && let Some(name) = names.iter().find(|name| !collect.seen.contains(*name))
        {
            let mut known: Vec<String> = collect.seen.into_iter().collect();
            known.sort_unstable();
            return Err(Error::NoSuchMatrix {
                name: name.clone(),
                known,
            });
        }
        Ok(collect.chosen)
    }

    fn contain(&self, module: &str, field: &str) -> bool {
        let mlp = module == "mlp";
        match self {
            Self::All => true,
            Self::Attention => !mlp,
            Self::Mlp => mlp,
            Self::Named(names) => names.iter().any(|name| name == field),
        }
    }
}

struct Collect<'a> {
    path: ParameterPath,
    matrices: &'a Matrices,
    block_prefix: &'static str,
    seen: HashSet<String>,
    chosen: Vec<Matrix>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        if self.path.kind() != Kind::Projection || !name.starts_with(self.block_prefix) {
            return;
        }
        let mut fields = name.rsplit('.').skip(1);
        let (Some(field), Some(module)) = (fields.next(), fields.next()) else {
            return;
        };
        self.seen.insert(field.to_owned());
        let shape = param.lazy_shape();
        if let &[d_in, d_out] = shape.as_slice()
            && self.matrices.contain(module, field)
        {
            self.chosen.push(Matrix {
                id: param.id,
                name: name.clone(),
                shape: [d_in, d_out],
            });
        }
    }
}
