//! Distillation into four bits beats rounding to four bits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{CausalLm, TokenBatch, TokenRow, Vocabulary};
use potstill::eval::held_out;
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{
    Architecture, Checkpoint, Companions, LanguageModel, Matrices, ModelConfig, StudentSpec,
    WeightBlocks, derive_student, save_pretrained,
};
use potstill::teachers::ModelTeacher;
use potstill::train::{Decay, FixedBatches, Schedule, Trainer, TrainerConfig};

/// Tokens of the models.
const VOCAB: usize = 48;

/// Tokens of the text: as in any text, inputs lie close to few directions, and what rounding does to
/// one weight others can make up for.
const USED: u32 = 8;

/// Rows of tokens that look random.
fn batches(count: u32, seed: u32) -> Vec<TokenBatch> {
    let token = |n: u32| n.wrapping_mul(2_654_435_761).rotate_left(13) % USED;
    let row = |n: u32| {
        let tokens: Vec<u32> = (0..9)
            .map(|i| token((seed + n) * 977 + i * i + 7 * i))
            .collect();
        TokenRow::document(&tokens, &[1.0; 9])
    };
    let batch = |n: u32| {
        let rows: Vec<TokenRow> = (0..8).map(|i| row(8 * n + i)).collect();
        TokenBatch::from_rows(&rows, 0, &Device::default())
    };
    (0..count).map(batch).collect()
}

fn divergence(student: &LanguageModel, teacher: &LanguageModel) -> f64 {
    let vocabulary = Vocabulary::of_size(teacher.vocab_size());
    let mut teacher = ModelTeacher::new(teacher);
    let measured = held_out(student, &vocabulary, &mut teacher, batches(4, 10_000)).unwrap();
    measured.forward_kl
}

#[test]
fn distilled_int4_is_closer_to_the_teacher_than_rounded_int4() {
    let mut config = ModelConfig::new(Architecture::Llama, VOCAB, 64, 2, 4);
    (config.d_ff, config.max_positions, config.initializer_range) = (128, 32, 0.15);
    let teacher = LanguageModel::init(&config, 3, &Device::default());
    let copy = derive_student(&teacher, &StudentSpec::Copy, &Device::default().autodiff())
        .unwrap()
        .model;
    let student = copy
        .rounded_when_read(WeightBlocks::Int4, &Matrices::All)
        .unwrap();
    let rounded = divergence(&student.merged(), &teacher);

    let config = TrainerConfig {
        learning_rate: 1e-3,
        schedule: Schedule {
            decay: Decay::Cosine,
            ..Schedule::default()
        },
        ..TrainerConfig::steps(300)
    };
    let source = FixedBatches::new(batches(300, 0));
    let objective = SoftTarget::new(Divergence::ForwardKl);
    let model = ModelTeacher::new(&teacher);
    let mut trainer = Trainer::new(config, student, objective, model, source).unwrap();
    trainer.run().unwrap();
    let student = trainer.student();
    let distilled = divergence(&student, &teacher);
    assert!(
        distilled < 0.2 * rounded,
        "held-out KL: rounded {rounded}, distilled {distilled}"
    );

    let folder = tempfile::tempdir().unwrap();
    save_pretrained(&student, folder.path(), &Companions::default()).unwrap();
    let reloaded = Checkpoint::open(folder.path())
        .and_then(|saved| saved.language_model(FloatDType::F32, &Device::default()))
        .unwrap();
    assert!((divergence(&reloaded, &teacher) - distilled).abs() < 1e-6);
    let again = reloaded
        .clone()
        .rounded_when_read(WeightBlocks::Int4, &Matrices::All)
        .unwrap();
    let change = divergence(&again, &reloaded);
    assert!(change < 1e-9, "what was rounded rounds to itself: {change}");
}
