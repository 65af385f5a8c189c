//! Adapters change what they should and nothing else.

use burn::module::list_param_ids;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{FloatDType, Tolerance};
use potstill_core::{CausalLm, TokenBatch, TokenRow};

use super::*;
use crate::{
    Architecture, Checkpoint, Companions, ModelConfig, StudentSpec, derive_student, save_pretrained,
};

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

fn trained(mut model: LanguageModel, steps: usize) -> LanguageModel {
    let mut optimizer = AdamWConfig::new().init();
    for _ in 0..steps {
        let loss = model.row_logits(&batch()).square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(1e-2, model, gradients);
    }
    model
}

#[test]
fn fresh_adapters_change_no_logit() {
    for architecture in [Architecture::Qwen3, Architecture::Gpt2] {
        let model = model(architecture);
        let adapted = model.clone().with_adapters(&AdapterConfig::new(4)).unwrap();
        assert_eq!(logits(&adapted), logits(&model));
    }
}

#[test]
fn only_the_chosen_matrices_learn() {
    for (matrices, expected) in [
        (Matrices::Attention, 4),
        (Matrices::Mlp, 3),
        (Matrices::All, 7),
        (
            Matrices::Named(vec!["q_proj".into(), "down_proj".into()]),
            2,
        ),
    ] {
        let config = AdapterConfig {
            matrices,
            ..AdapterConfig::new(2)
        };
        let adapted = model(Architecture::Llama).with_adapters(&config).unwrap();
        let loss = adapted.row_logits(&batch()).square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &adapted);
        assert_eq!(
            gradients.len(),
            2 * 2 * expected,
            "A and B in each of two blocks"
        );
    }
}

#[test]
fn the_fused_kernels_see_the_adapted_weights() {
    let config = AdapterConfig {
        alpha: 3.0,
        ..AdapterConfig::new(2)
    };
    let adapted = trained(
        model(Architecture::Llama).with_adapters(&config).unwrap(),
        3,
    );
    let merged = adapted.merged();
    assert!(list_param_ids(&merged).len() < list_param_ids(&adapted).len());
    logits(&merged).assert_approx_eq::<f32>(&logits(&adapted), Tolerance::absolute(1e-5));

    // ∂L/∂B = scale · Aᵀ · ∂L/∂W, with ∂L/∂W that of the merged model.
    let LanguageModel::Llama(adapted) = &adapted else {
        panic!("it is a Llama")
    };
    let dense = adapted.clone().valid().materialize().train().unfreeze();
    let loss = |model: &crate::Llama| {
        let model = LanguageModel::Llama(model.clone());
        model.row_logits(&batch()).square().mean().backward()
    };
    let (gradients, dense_gradients) = (loss(adapted), loss(&dense));
    let (weight, dense_weight) = (adapted.first_projection(), dense.first_projection());
    let adapter = weight.adapter().unwrap();
    let found = adapter.b.val().grad(&gradients).unwrap();
    let full = dense_weight.val().grad(&dense_gradients).unwrap();
    let expected = adapter.a.val().inner().transpose().matmul(full) * adapter.scale;
    found
        .into_data()
        .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
}

#[test]
fn the_folder_of_an_adapted_model_is_an_ordinary_one() {
    for base in [AdapterBase::Unchanged, AdapterBase::Int8, AdapterBase::Int4] {
        let config = AdapterConfig {
            base,
            ..AdapterConfig::new(4)
        };
        let adapted = trained(
            model(Architecture::Qwen2).with_adapters(&config).unwrap(),
            2,
        );
        let folder = tempfile::tempdir().unwrap();
        save_pretrained(&adapted, folder.path(), &Companions::default()).unwrap();
        let reloaded = Checkpoint::open(folder.path())
            .and_then(|saved| saved.language_model(FloatDType::F32, &Device::default()))
            .unwrap();
        logits(&reloaded).assert_approx_eq::<f32>(&logits(&adapted), Tolerance::absolute(1e-5));
    }
}

#[test]
fn a_quantized_base_rounds_and_stays_while_adapters_learn() {
    let exact = model(Architecture::Llama);
    let distance = |base| {
        let config = AdapterConfig {
            base,
            ..AdapterConfig::new(4)
        };
        let adapted = exact.clone().with_adapters(&config).unwrap();
        let difference = adapted.row_logits(&batch()) - exact.row_logits(&batch());
        let distance = difference.square().mean().into_scalar::<f32>();
        let before = base_of(&adapted);
        assert_eq!(base_of(&trained(adapted, 2)), before);
        distance
    };
    let (int8, int4) = (distance(AdapterBase::Int8), distance(AdapterBase::Int4));
    assert!(0.0 < int8 && 50.0 * int8 < int4, "{int8} {int4}");
}

/// What the first projection stores.
fn base_of(model: &LanguageModel) -> TensorData {
    let LanguageModel::Llama(model) = model else {
        panic!("it is a Llama")
    };
    model.first_projection().base().dequantize().into_data()
}

#[test]
fn a_student_of_an_adapted_teacher_knows_what_the_adapters_do() {
    let config = AdapterConfig::new(4);
    let adapted = trained(
        model(Architecture::Llama).with_adapters(&config).unwrap(),
        2,
    );
    let copy = derive_student(&adapted, &StudentSpec::Copy, &Device::default()).unwrap();
    logits(&copy.model).assert_approx_eq::<f32>(&logits(&adapted), Tolerance::absolute(1e-5));
}

#[test]
fn a_seed_means_the_same_adapters() {
    let adapted = |seed| {
        let config = AdapterConfig {
            seed,
            ..AdapterConfig::new(4)
        };
        let model = trained(
            model(Architecture::Llama).with_adapters(&config).unwrap(),
            1,
        );
        logits(&model)
    };
    assert_eq!(adapted(1), adapted(1));
    assert_ne!(adapted(1), adapted(2));
}

#[test]
fn impossible_adapters_are_refused_with_names() {
    let error = |config: AdapterConfig| {
        let refused = model(Architecture::Llama).with_adapters(&config);
        refused.unwrap_err().to_string()
    };
    assert!(error(AdapterConfig::new(0)).contains("rank 0"));
    assert!(error(AdapterConfig::new(33)).contains("at most 32"));
    let matrices = Matrices::Named(vec!["c_attn".into()]);
    let unknown = error(AdapterConfig {
        matrices,
        ..AdapterConfig::new(1)
    });
    assert!(
        unknown.contains("c_attn") && unknown.contains("q_proj"),
        "{unknown}"
    );
    let mut config = ModelConfig::new(Architecture::Llama, 48, 24, 1, 2);
    config.max_positions = 16;
    let narrow = LanguageModel::init(&config, 1, &Device::default());
    let quantized = AdapterConfig {
        base: AdapterBase::Int8,
        ..AdapterConfig::new(1)
    };
    let error = narrow.with_adapters(&quantized).unwrap_err().to_string();
    assert!(error.contains("24") && error.contains("32"), "{error}");
}
