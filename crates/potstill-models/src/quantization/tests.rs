//! What is trained is what is used.

use burn::tensor::Tolerance;
use potstill_core::{CausalLm, TokenBatch, TokenRow};
use proptest::prelude::*;

use super::*;
use crate::source::TensorSource;
use crate::weights::ModelSource;
use crate::{Architecture, ModelConfig, dequantize, quantize};

fn model(architecture: Architecture) -> LanguageModel {
    let mut config = ModelConfig::new(architecture, 48, 32, 2, 2);
    (config.max_positions, config.initializer_range) = (16, 0.2);
    LanguageModel::init(&config, 5, &Device::default().autodiff())
}

fn batch() -> TokenBatch {
    let row = TokenRow::document(&[1, 40, 3, 7, 9, 30], &[1.0; 6]);
    TokenBatch::from_rows(&[row], 0, &Device::default())
}

fn logits(model: &LanguageModel) -> TensorData {
    model.row_logits(&batch()).into_data()
}

#[test]
fn a_student_answers_as_the_blocks_of_a_file_do() {
    for architecture in [Architecture::Qwen3, Architecture::Gpt2] {
        for blocks in [WeightBlocks::Int8, WeightBlocks::Int4] {
            let exact = model(architecture);
            let student = exact
                .clone()
                .rounded_when_read(blocks, &Matrices::All)
                .unwrap();
            let merged = student.merged();
            logits(&merged).assert_approx_eq::<f32>(&logits(&student), Tolerance::absolute(1e-5));
            // Checkpoints hold [d_out, d_in], so that a block is 32 inputs in a row.
            let (from, to) = (ModelSource::new(&exact), ModelSource::new(&merged));
            for matrix in Matrices::All.of(&exact).unwrap() {
                let rows = |source: &ModelSource| {
                    let values = source.read(&matrix.name).unwrap();
                    match architecture {
                        Architecture::Gpt2 => {
                            let [d_in, d_out] = matrix.shape;
                            let column = |j: usize| (0..d_in).map(move |i| i * d_out + j);
                            (0..d_out).flat_map(column).map(|i| values[i]).collect()
                        }
                        _ => values,
                    }
                };
                let bytes = quantize(blocks.block_type(), &rows(&from)).unwrap();
                let stored = dequantize(blocks.block_type(), &bytes).unwrap();
                assert_eq!(rows(&to), stored, "{}", matrix.name);
            }
        }
    }
}

#[test]
fn the_gradient_passes_through_the_rounding() {
    let exact = model(Architecture::Llama);
    let student = exact
        .rounded_when_read(WeightBlocks::Int4, &Matrices::All)
        .unwrap();
    let LanguageModel::Llama(student) = &student else {
        panic!("it is a Llama")
    };
    let rounded = student.clone().valid().materialize().train();
    let gradients = |model: &crate::Llama| {
        let logits = LanguageModel::Llama(model.clone()).row_logits(&batch());
        logits.square().mean().backward()
    };
    let found = student
        .first_projection()
        .base()
        .grad(&gradients(student))
        .unwrap();
    let expected = rounded
        .first_projection()
        .val()
        .grad(&gradients(&rounded))
        .unwrap();
    found
        .into_data()
        .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
}

#[test]
fn inputs_that_fill_no_blocks_are_refused() {
    let config = ModelConfig::new(Architecture::Llama, 48, 40, 1, 2);
    let model = LanguageModel::init(&config, 1, &Device::default());
    let error = model
        .rounded_when_read(WeightBlocks::Int8, &Matrices::Mlp)
        .unwrap_err()
        .to_string();
    assert!(error.contains("mlp") && error.contains("40"), "{error}");
}

proptest! {
    #[test]
    fn tensors_round_as_blocks_of_bytes_do(
        values in proptest::collection::vec(prop_oneof![Just(0.0f32), -4.0f32..4.0], 64),
    ) {
        for blocks in [WeightBlocks::Int8, WeightBlocks::Int4] {
            let data = TensorData::new(values.clone(), [64, 1]);
            let rounded = blocks.round(Tensor::from_data(data, &Device::default()));
            let bytes = quantize(blocks.block_type(), &values).unwrap();
            let stored = dequantize(blocks.block_type(), &bytes).unwrap();
            prop_assert_eq!(rounded.try_into_vec_as::<f32>().unwrap(), stored);
        }
    }
}

#[test]
fn integers_answer_as_what_they_stand_for() {
    for architecture in [Architecture::Qwen3, Architecture::Gpt2] {
        for blocks in [WeightBlocks::Int8, WeightBlocks::Int4] {
            let exact = model(architecture);
            let rounded = exact
                .clone()
                .rounded_when_read(blocks, &Matrices::All)
                .unwrap();
            // Of the trained weights and of the rounded ones: rounding twice is rounding once.
            for from in [&exact, &rounded.merged()] {
                let quantized = from.quantized(blocks, &Matrices::All).unwrap();
                let expected = logits(&rounded);
                logits(&quantized).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
            }
        }
    }
}

#[test]
fn integers_can_be_chosen_and_saved() {
    let exact = model(Architecture::Llama);
    let quantized = exact.quantized(WeightBlocks::Int4, &Matrices::Mlp).unwrap();
    let rounded = exact
        .clone()
        .rounded_when_read(WeightBlocks::Int4, &Matrices::Mlp)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    crate::save_pretrained(&quantized, folder.path(), &crate::Companions::default()).unwrap();
    let reloaded = crate::Checkpoint::open(folder.path())
        .and_then(|saved| saved.language_model(FloatDType::F32, &Device::default()))
        .unwrap();
    let expected = logits(&rounded);
    let read = crate::Checkpoint::open(folder.path())
        .and_then(|saved| {
            let (blocks, matrices) = (WeightBlocks::Int4, &Matrices::Mlp);
            let device = Device::default();
            saved.quantized_language_model(blocks, matrices, FloatDType::F32, &device)
        })
        .unwrap();
    for (model, expected) in [(&quantized, 6), (&reloaded, 0), (&read, 6)] {
        let mut count = CountIntegers(0);
        model.visit(&mut count);
        assert_eq!(count.0, expected, "three matrices in each of two blocks");
    }
    for found in [&quantized, &reloaded, &read] {
        logits(found).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }
    let named = Matrices::Named(vec!["no_proj".into()]);
    let error = exact.quantized(WeightBlocks::Int8, &named).unwrap_err();
    assert!(error.to_string().contains("no_proj"), "{error}");
}

#[test]
fn a_block_of_zeros_stays_one() {
    let mut model = model(Architecture::Llama);
    model = model.map(&mut Zeros);
    let quantized = model.quantized(WeightBlocks::Int4, &Matrices::All).unwrap();
    let zeros = logits(&quantized);
    assert!(zeros.iter::<f32>().all(|logit| logit == 0.0), "{zeros}");
}

/// Parameters that are integers.
struct CountIntegers(usize);

impl burn::module::ModuleVisitor for CountIntegers {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += usize::from(matches!(param.val().dtype(), DType::QFloat(_)));
    }
}

/// Sets everything to 0.
struct Zeros;

impl ModuleMapper for Zeros {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.zeros_like())
    }
}
