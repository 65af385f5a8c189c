//! AdamW with the parameters that decay told from those that do not.
//!
//! ```text
//! m ← β₁·m + (1−β₁)·g          v ← β₂·v + (1−β₂)·g²
//! θ ← θ·(1 − lr·decay) − lr · (m / (1−β₁ᵗ)) / (√(v / (1−β₂ᵗ)) + ε)
//! ```
//!
//! Loshchilov, Hutter, *Decoupled Weight Decay Regularization*, 2019, arXiv:1711.05101. The update
//! and the defaults are PyTorch's, except that norms and biases do not decay.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::optim::ModuleOptimizer;
use burn::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Error;

mod adamw;

use adamw::AdamW;

/// Settings of AdamW.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// β₁, decay of the mean of the gradients.
    pub beta_1: f64,
    /// β₂, decay of the mean of their squares.
    pub beta_2: f64,
    /// ε, added to the root.
    pub epsilon: f64,
    /// Weight decay, before the learning rate is multiplied in.
    pub weight_decay: f64,
    /// Which parameters decay.
    pub decayed: Decayed,
}

/// Which parameters weight decay applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decayed {
    /// All of them, as PyTorch does with one parameter group.
    Everything,
    /// Those with two axes or more: neither norms nor biases.
    #[default]
    Matrices,
    /// Matrices that are no embedding. A head tied to the embedding is the embedding.
    MatricesExceptEmbeddings,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            decayed: Decayed::default(),
        }
    }
}

impl AdamWConfig {
    /// An optimizer for the parameters of `module`.
    #[must_use]
    pub fn init<M: Module>(&self, module: &M) -> ModuleOptimizer {
        let decaying = AdamW {
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
        };
        let others = AdamW {
            weight_decay: 0.0,
            ..decaying
        };
        // The last group that matches wins.
        ModuleOptimizer::from(others).with_group(
            ParamGroup::from_paths(self.decayed_paths(module)),
            decaying,
            None,
        )
    }

    /// Paths of the parameters of `module` that decay.
    #[must_use]
    pub fn decayed_paths<M: Module>(&self, module: &M) -> Vec<String> {
        let mut visitor = DecayedPaths {
            decayed: self.decayed,
            path: Vec::new(),
            paths: Vec::new(),
        };
        module.visit(&mut visitor);
        visitor.paths
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let check = |setting, value: f64, good: bool, expected| {
            if good {
                Ok(())
            } else {
                Err(Error::Config {
                    setting,
                    value: value.to_string(),
                    expected,
                })
            }
        };
        let share = |value: f64| (0.0..1.0).contains(&value);
        check(
            "optimizer.beta_1",
            self.beta_1,
            share(self.beta_1),
            "at least 0 and below 1",
        )?;
        check(
            "optimizer.beta_2",
            self.beta_2,
            share(self.beta_2),
            "at least 0 and below 1",
        )?;
        let positive = self.epsilon.is_finite() && self.epsilon > 0.0;
        check(
            "optimizer.epsilon",
            self.epsilon,
            positive,
            "a finite number above 0",
        )?;
        let not_negative = self.weight_decay.is_finite() && self.weight_decay >= 0.0;
        let expected = "a finite number of at least 0";
        check(
            "optimizer.weight_decay",
            self.weight_decay,
            not_negative,
            expected,
        )
    }
}

struct DecayedPaths {
    decayed: Decayed,
    /// (name, kind of the module that contains it).
    path: Vec<(String, String)>,
    paths: Vec<String>,
}

impl DecayedPaths {
    fn is_embedding(&self) -> bool {
        self.path.iter().any(|(name, container)| {
            name.contains("embed") || name == "wte" || name == "wpe" || container.contains("Embed")
        })
    }
}

impl ModuleVisitor for DecayedPaths {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push((name.to_owned(), container_type.to_owned()));
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
        let decays = match self.decayed {
            Decayed::Everything => true,
            Decayed::Matrices => D > 1,
            Decayed::MatricesExceptEmbeddings => D > 1 && !self.is_embedding(),
        };
        if decays {
            let names: Vec<&str> = self.path.iter().map(|(name, _)| name.as_str()).collect();
            self.paths.push(names.join("."));
        }
    }
}

#[cfg(test)]
mod tests;
