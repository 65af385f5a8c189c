//! A teacher that follows its student, wired into the loop by the batch source.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use potstill::burn::module::Module;
use potstill::burn::tensor::Device;
use potstill::core::{CausalLm, TokenBatch, TokenRow};
use potstill::losses::{Divergence, HardTargetConfig, SoftTarget};
use potstill::models::{Architecture, LanguageModel, ModelConfig};
use potstill::teachers::EmaTeacher;
use potstill::train::{BatchFn, Trainer, TrainerConfig};

const DECAY: f64 = 0.5;

fn logits(model: &LanguageModel, batch: &TokenBatch) -> Vec<f64> {
    let logits = model.row_logits(batch).try_into_vec_as::<f32>().unwrap();
    logits.into_iter().map(f64::from).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[test]
fn the_batch_source_shows_the_average_what_the_student_has_become() {
    let config = ModelConfig::new(Architecture::Llama, 16, 16, 1, 2);
    let student = LanguageModel::init(&config, 1, &Device::default().autodiff());
    let row = TokenRow::document(&[3, 1, 4, 1, 5, 9, 2, 6], &[1.0; 8]);
    let batch = TokenBatch::from_rows(&[row], 0, &Device::default());
    let first = logits(&student.valid(), &batch);

    let teacher = EmaTeacher::new(&student, DECAY);
    let average = teacher.updater();
    let (source_average, source_batch) = (average.clone(), batch.clone());
    let source = BatchFn::new(move |_: usize, student: &LanguageModel| {
        source_average.update(student);
        Ok(Some(source_batch.clone()))
    });
    let objective = (
        HardTargetConfig::new().init().unwrap(),
        SoftTarget::new(Divergence::ForwardKl),
    );
    let config = TrainerConfig {
        learning_rate: 1e-2,
        ..TrainerConfig::steps(20)
    };
    let mut trainer = Trainer::new(config, student, objective, teacher, source).unwrap();
    trainer.run().unwrap();

    let last = logits(&trainer.student().valid(), &batch);
    let average = logits(&average.model(), &batch);
    assert!(distance(&average, &first) > 0.0);
    assert!(distance(&average, &last) > 0.0);
    assert!(distance(&average, &last) < distance(&first, &last));
}
