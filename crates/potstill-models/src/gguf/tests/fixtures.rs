//! Reference models, written as GGUF as llama.cpp's converter does, are the same models.

use std::path::PathBuf;

use burn::prelude::*;
use burn::tensor::FloatDType;

use super::writer::Writer;
use crate::safetensors::SafetensorsFolder;
use crate::source::TensorSource;
use crate::weights::ModelSource;
use crate::{Checkpoint, ModelConfig, RopeScaling};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/models")
        .join(name)
}

/// What llama.cpp calls a tensor.
fn gguf_name(name: &str) -> String {
    [
        ("model.layers.", "blk."),
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ]
    .iter()
    .fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// Rows of each head with the two halves interleaved.
fn interleaved(values: &[f32], rows: usize, n_heads: usize) -> Vec<f32> {
    let (width, head) = (values.len() / rows, rows / n_heads);
    let source = |row: usize| row / head * head + row % 2 * (head / 2) + row % head / 2;
    (0..rows)
        .flat_map(|row| values[source(row) * width..][..width].to_vec())
        .collect()
}

fn converted(name: &str, architecture: &str) -> (ModelConfig, Writer) {
    let checkpoint = Checkpoint::open(folder(name)).unwrap();
    let config = checkpoint.config().clone();
    let key = |key: &str| format!("{architecture}.{key}");
    let mut writer = Writer::new(architecture)
        .size(&key("block_count"), config.n_layers)
        .size(&key("context_length"), config.max_positions)
        .size(&key("embedding_length"), config.d_model)
        .size(&key("feed_forward_length"), config.d_ff)
        .size(&key("attention.head_count"), config.n_heads)
        .size(&key("attention.head_count_kv"), config.n_kv_heads)
        .size(&key("attention.key_length"), config.head_dim)
        .number(
            &key("attention.layer_norm_rms_epsilon"),
            config.norm_epsilon,
        )
        .number(&key("rope.freq_base"), config.rope.as_ref().unwrap().theta)
        .size("tokenizer.ggml.bos_token_id", 1)
        .size("tokenizer.ggml.eos_token_id", 2)
        .size("tokenizer.ggml.padding_token_id", 0);
    let tensors = SafetensorsFolder::open(&folder(name)).unwrap();
    for name in tensors.names() {
        let (shape, mut values) = (tensors.shape(&name).unwrap(), tensors.read(&name).unwrap());
        if architecture == "llama" && name.contains("q_proj") {
            values = interleaved(&values, shape[0], config.n_heads);
        } else if architecture == "llama" && name.contains("k_proj") {
            values = interleaved(&values, shape[0], config.n_kv_heads);
        }
        writer = writer.tensor(&gguf_name(&name), &shape, &values);
    }
    if let Some(RopeScaling::Llama3 { .. }) = config.rope.as_ref().unwrap().scaling {
        let rope = config.rope.clone().unwrap();
        let plain = crate::Rope {
            scaling: None,
            ..rope.clone()
        }
        .frequencies(config.head_dim);
        let factors: Vec<f32> = plain
            .iter()
            .zip(rope.frequencies(config.head_dim))
            .map(|(plain, scaled)| (plain / scaled) as f32)
            .collect();
        writer = writer.tensor("rope_freqs.weight", &[factors.len()], &factors);
    }
    (config, writer)
}

#[track_caller]
fn is_the_same_model(name: &str, architecture: &str) {
    let (config, writer) = converted(name, architecture);
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("model.gguf");
    std::fs::write(&path, writer.bytes()).unwrap();
    let converted = Checkpoint::open(&path).unwrap();
    let found = converted.config();
    // Narrow heads have too few frequencies to tell every rule from every other.
    let frequencies =
        |config: &ModelConfig| config.rope.clone().unwrap().frequencies(config.head_dim);
    for (found, expected) in frequencies(found).iter().zip(frequencies(&config)) {
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    }
    let expected = ModelConfig {
        architecture: found.architecture,
        extra: found.extra.clone(),
        rope: found.rope.clone(),
        ..config
    };
    assert_eq!(*found, expected);

    let device = Device::default();
    let load = |checkpoint: &Checkpoint| {
        ModelSource::new(&checkpoint.language_model(FloatDType::F32, &device).unwrap())
    };
    let (from_folder, from_gguf) = (
        load(&Checkpoint::open(folder(name)).unwrap()),
        load(&converted),
    );
    assert_eq!(from_folder.names(), from_gguf.names());
    for tensor in from_folder.names() {
        let read = |source: &ModelSource| source.read(&tensor).unwrap();
        assert_eq!(read(&from_folder), read(&from_gguf), "{tensor}");
    }
}

#[test]
fn llama_is_the_same_model() {
    is_the_same_model("llama", "llama");
}

#[test]
fn llama_3_with_scaled_frequencies_is_the_same_model() {
    is_the_same_model("llama3_rope", "llama");
}

#[test]
fn mistral_is_the_same_model() {
    is_the_same_model("mistral", "llama");
}

#[test]
fn qwen2_is_the_same_model() {
    is_the_same_model("qwen2", "qwen2");
}

#[test]
fn qwen3_is_the_same_model() {
    is_the_same_model("qwen3", "qwen3");
}
