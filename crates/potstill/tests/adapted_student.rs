//! Adapters train alone and go on bit for bit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use potstill::burn::module::{Module, ModuleVisitor, Param};
use potstill::burn::tensor::{Device, Tensor, TensorData};
use potstill::core::{TokenBatch, TokenRow};
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{
    AdapterBase, AdapterConfig, Architecture, LanguageModel, ModelConfig, StudentSpec,
    derive_student,
};
use potstill::teachers::ModelTeacher;
use potstill::train::{FixedBatches, Trainer, TrainerConfig};

type Run = Trainer<LanguageModel, SoftTarget>;

fn model(seed: u64) -> LanguageModel {
    let mut config = ModelConfig::new(Architecture::Llama, 32, 64, 2, 4);
    (config.max_positions, config.initializer_range) = (16, 0.1);
    LanguageModel::init(&config, seed, &Device::default())
}

/// A run of so many steps; of all parameters without adapters.
fn run(base: Option<AdapterBase>, steps: usize) -> Run {
    let device = Device::default();
    let copy = derive_student(&model(1), &StudentSpec::Copy, &device.clone().autodiff());
    let student = copy.unwrap().model;
    let student = match base {
        Some(base) => {
            let adapters = AdapterConfig {
                base,
                ..AdapterConfig::new(4)
            };
            student.with_adapters(&adapters).unwrap()
        }
        None => student,
    };
    let row = TokenRow::document(&[3, 1, 4, 1, 5, 9, 2, 6], &[1.0; 8]);
    let batch = TokenBatch::from_rows(&[row], 0, &device);
    let source = FixedBatches::new(vec![batch]);
    let teacher = ModelTeacher::new(&model(2));
    let objective = SoftTarget::new(Divergence::ForwardKl);
    let config = TrainerConfig {
        learning_rate: 1e-3,
        ..TrainerConfig::steps(steps)
    };
    Trainer::new(config, student, objective, teacher, source).unwrap()
}

struct Values(Vec<TensorData>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().into_data());
    }
}

/// Everything that the student holds, adapters and base alike.
fn values(trainer: &Run) -> Vec<TensorData> {
    let mut values = Values(Vec::new());
    trainer.student().visit(&mut values);
    values.0
}

fn bytes(folder: &Path, step: usize) -> u64 {
    let file = folder.join(format!("checkpoints/step-{step}/optimizer.bpk"));
    std::fs::metadata(file).unwrap().len()
}

#[test]
fn five_steps_and_five_more_are_ten() {
    for base in [AdapterBase::Unchanged, AdapterBase::Int8, AdapterBase::Int4] {
        let mut whole = run(Some(base), 10);
        whole.run().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("run");
        run(Some(base), 5).start_in(&root).unwrap().run().unwrap();
        let mut continued = run(Some(base), 10).continue_in(&root).unwrap();
        continued.run().unwrap();
        assert_eq!(values(&continued), values(&whole), "{base:?}");
        assert_ne!(
            values(&continued),
            values(&run(Some(base), 1)),
            "it has learned"
        );
    }
}

#[test]
fn the_optimizer_remembers_the_adapters_alone() {
    let size = |base| {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("run");
        run(base, 1).start_in(&root).unwrap().run().unwrap();
        bytes(&root, 1)
    };
    let (adapters, all) = (size(Some(AdapterBase::Unchanged)), size(None));
    assert!(5 * adapters < all, "{adapters} of {all} bytes");
}
