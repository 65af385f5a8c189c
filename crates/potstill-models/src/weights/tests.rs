//! Every parameter is read, shaped and named as its checkpoint has it.

use std::collections::HashMap;
use std::path::Path;

use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_testkit::plain_device;

use super::*;
use crate::source::TensorSource;
use crate::{Error, LanguageModel, ModelConfig};

/// Tensors by name, to be tampered with.
struct Tensors(HashMap<String, (Vec<usize>, Vec<f32>)>);

impl Tensors {
    fn of(model: &LanguageModel) -> Self {
        let source = ModelSource::new(model);
        let tensor = |name: String| {
            let shape = source.shape(&name).unwrap();
            let values = source.read(&name).unwrap();
            (name, (shape, values))
        };
        Self(source.names().into_iter().map(tensor).collect())
    }

    fn renamed(self, rename: impl Fn(&str) -> String) -> Self {
        Self(
            self.0
                .into_iter()
                .map(|(name, tensor)| (rename(&name), tensor))
                .collect(),
        )
    }
}

impl TensorSource for Tensors {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.get(name).map(|(shape, _)| shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        Ok(self.0[name].1.clone())
    }

    fn origin(&self) -> &Path {
        Path::new("memory")
    }
}

fn config(architecture: Architecture) -> ModelConfig {
    let mut config = ModelConfig::new(architecture, 11, 8, 2, 2);
    config.max_positions = 16;
    config
}

fn load(config: &ModelConfig, source: &Tensors) -> Result<LanguageModel, Error> {
    load_language_model(config, source, FloatDType::F32, None, &plain_device())
}

#[test]
fn parameters_are_called_what_hugging_face_calls_them() {
    let config = config(Architecture::Qwen3);
    let source = ModelSource::new(&LanguageModel::init(&config, 0, &plain_device()));
    for (name, shape) in [
        ("model.embed_tokens.weight", vec![11, 8]),
        ("model.layers.1.self_attn.q_norm.weight", vec![4]),
        ("model.layers.1.mlp.down_proj.weight", vec![8, 32]),
        ("model.norm.weight", vec![8]),
        ("lm_head.weight", vec![11, 8]),
    ] {
        assert_eq!(source.shape(name), Some(shape), "{name}");
    }
}

#[test]
fn missing_tensors_are_named_and_counted() {
    let config = config(Architecture::Llama);
    let mut tensors = Tensors::of(&LanguageModel::init(&config, 0, &plain_device()));
    tensors.0.retain(|name, _| !name.contains("layers.1."));
    let error = load(&config, &tensors).unwrap_err();
    assert_eq!(
        error.to_string(),
        "memory lacks 9 tensors of its model: model.layers.1.input_layernorm.weight, \
         model.layers.1.self_attn.q_proj.weight, model.layers.1.self_attn.k_proj.weight, \
         model.layers.1.self_attn.v_proj.weight, model.layers.1.self_attn.o_proj.weight, ..."
    );
}

#[test]
fn a_wrong_shape_is_reported_with_both() {
    let config = config(Architecture::Llama);
    let mut tensors = Tensors::of(&LanguageModel::init(&config, 0, &plain_device()));
    tensors.0.insert(
        "model.layers.0.mlp.up_proj.weight".into(),
        (vec![8, 32], vec![0.0; 256]),
    );
    let error = load(&config, &tensors).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor model.layers.0.mlp.up_proj.weight of memory has shape [8, 32], its configuration \
         calls for [32, 8]"
    );
}

#[test]
fn checkpoints_without_the_prefix_of_the_decoder_load() {
    for architecture in [Architecture::Llama, Architecture::Gpt2] {
        let mut config = config(architecture);
        config.tie_word_embeddings = true;
        let model = LanguageModel::init(&config, 0, &plain_device());
        let expected = ModelSource::new(&model).read("model.norm.weight").ok();
        let stripped = Tensors::of(&model).renamed(|name| {
            let name = name.strip_prefix("model.").unwrap_or(name);
            name.strip_prefix("transformer.").unwrap_or(name).to_owned()
        });
        let loaded = load(&config, &stripped).unwrap();
        assert_eq!(
            ModelSource::new(&loaded).read("model.norm.weight").ok(),
            expected
        );
    }
}

#[test]
fn bert_loads_under_its_other_names() {
    let config = config(Architecture::Bert);
    let model = crate::BertEncoder::init(&config, 0, &plain_device());
    let source = ModelSource::of(&model, Architecture::Bert);
    let tensors = source
        .names()
        .into_iter()
        .filter(|name| !name.starts_with("pooler"))
        .map(|name| {
            let old = name.replace("LayerNorm.weight", "LayerNorm.gamma");
            let tensor = (source.shape(&name).unwrap(), source.read(&name).unwrap());
            (
                format!("bert.{}", old.replace("LayerNorm.bias", "LayerNorm.beta")),
                tensor,
            )
        });
    let tensors = Tensors(tensors.collect());
    let loaded = load_bert_encoder(&config, &tensors, FloatDType::F32, &plain_device()).unwrap();
    let loaded = ModelSource::of(&loaded, Architecture::Bert);
    for name in loaded.names() {
        assert_eq!(
            loaded.read(&name).unwrap(),
            source.read(&name).unwrap(),
            "{name}"
        );
    }
    assert!(loaded.shape("pooler.dense.weight").is_none());
}

#[test]
fn a_seed_fixes_every_weight() {
    let config = config(Architecture::Llama);
    let device = plain_device();
    let weights = |seed| {
        let model = LanguageModel::init(&config, seed, &device);
        ModelSource::new(&model)
            .read("model.layers.1.mlp.up_proj.weight")
            .unwrap()
    };
    let first = weights(1);
    device.seed(99);
    let _ = Tensor::<1>::random([3], burn::tensor::Distribution::Default, &device);
    assert_eq!(weights(1), first);
    assert_ne!(weights(2), first);
}

#[test]
fn fresh_weights_have_the_asked_spread() {
    let mut config = ModelConfig::new(Architecture::Gpt2, 500, 64, 1, 2);
    config.initializer_range = 0.05;
    let model = LanguageModel::init(&config, 3, &plain_device());
    let source = ModelSource::new(&model);
    let table = source.read("transformer.wte.weight").unwrap();
    let mean = table.iter().sum::<f32>() / table.len() as f32;
    let variance = table.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / table.len() as f32;
    assert!(mean.abs() < 1e-3, "{mean}");
    assert!((variance.sqrt() - 0.05).abs() < 1e-3, "{variance}");
    assert!(
        source
            .read("transformer.ln_f.weight")
            .unwrap()
            .iter()
            .all(|&x| x == 1.0)
    );
    assert!(
        source
            .read("transformer.h.0.mlp.c_fc.bias")
            .unwrap()
            .iter()
            .all(|&x| x == 0.0)
    );
}

#[test]
fn transposing_twice_changes_nothing() {
    let values: Vec<f32> = (0..35 * 70).map(|i| i as f32).collect();
    let transposed = transpose(&values, 35, 70);
    assert_eq!(transposed[1], 70.0);
    assert_eq!(transpose(&transposed, 70, 35), values);
}
