//! Methods as compositions: each of them in a trainer, with models that have attention.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod features;
mod reference;
mod sequence_level;
mod several_teachers;
mod stages;
mod together;

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;
use potstill_core::{CausalLm, TokenRow};
use potstill_data::{Loader, LoaderOptions};
use potstill_models::{Architecture, LanguageModel, ModelConfig};
use potstill_teachers::ModelTeacher;
use potstill_testkit::{autodiff_device, plain_device};
use potstill_train::{LoaderBatches, Metrics, TrainerConfig};

const VOCAB: usize = 13;

fn model(d_model: usize, n_layers: usize, seed: u64) -> LanguageModel {
    let config = ModelConfig {
        // Large enough that attention is not the same everywhere.
        initializer_range: 0.3,
        ..ModelConfig::new(Architecture::Llama, VOCAB, d_model, n_layers, 2)
    };
    LanguageModel::init(&config, seed, &autodiff_device())
}

fn teacher() -> ModelTeacher<LanguageModel> {
    ModelTeacher::new(&model(16, 3, 1))
}

fn student(seed: u64) -> LanguageModel {
    model(8, 2, seed)
}

fn rows() -> Vec<TokenRow> {
    let row = |seed: u32| {
        let tokens: Vec<u32> = (0..9).map(|i| (seed * 5 + i * i + i * seed) % 13).collect();
        TokenRow::document(&tokens, &[1.0; 9])
    };
    (0..8).map(row).collect()
}

fn source() -> LoaderBatches {
    let loader = Loader::new(rows(), LoaderOptions::shuffled(3, 17)).unwrap();
    LoaderBatches::new(loader, 0, &plain_device())
}

fn config(steps: usize) -> TrainerConfig {
    TrainerConfig {
        learning_rate: 0.01,
        checkpoint_every: Some(2),
        ..TrainerConfig::steps(steps)
    }
}

/// Mean cross-entropy on the training rows.
fn cross_entropy(student: &LanguageModel) -> f64 {
    let mut teacher = ModelTeacher::new(student);
    let losses = potstill_train::row_losses(&mut teacher, &rows(), 8, 0, &plain_device()).unwrap();
    losses.iter().sum::<f64>() / losses.len() as f64
}

fn watched(student: &LanguageModel) -> Metrics {
    Metrics::from([("cross_entropy".to_owned(), cross_entropy(student))])
}

/// The values of all parameters.
fn parameters<M: Module>(module: &M) -> Vec<f32> {
    struct Reader(Vec<f32>);
    impl ModuleVisitor for Reader {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.extend(parameter.val().into_data().iter::<f32>());
        }
    }
    let mut reader = Reader(Vec::new());
    module.visit(&mut reader);
    reader.0
}

fn layers(model: &LanguageModel) -> usize {
    model.n_layers()
}
