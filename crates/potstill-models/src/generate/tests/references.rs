//! Greedy continuations that `transformers` computed: `tests/fixtures/models`.

use std::path::PathBuf;

use burn::tensor::FloatDType;
use potstill_core::{Generate, GenerateOptions};

use super::*;
use crate::Checkpoint;

/// An integer tensor of the expected values, row by row.
fn integers(folder: &std::path::Path, name: &str) -> Vec<Vec<u32>> {
    let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let values: Vec<u32> = tensor
        .data()
        .chunks_exact(8)
        .map(|bytes| u32::try_from(i64::from_le_bytes(bytes.try_into().unwrap())).unwrap())
        .collect();
    values
        .chunks(tensor.shape()[1])
        .map(<[u32]>::to_vec)
        .collect()
}

#[track_caller]
fn continues_like_transformers(name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/models")
        .join(name);
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let model = checkpoint
        .language_model(FloatDType::F32, &Device::default())
        .unwrap();
    let expected = integers(&folder, "greedy").remove(0);
    let prompt = integers(&folder, "input_ids").remove(0);
    let (start, continuation) = expected.split_at(prompt.len());
    assert_eq!(start, prompt);
    // Others in the batch, longer and shorter, change nothing.
    let prompts = [vec![3, 4, 5], prompt, vec![7; 20]];
    let options = GenerateOptions::greedy(continuation.len());
    let generated = model.generate(&prompts, &options).unwrap();
    assert_eq!(generated[1].tokens, continuation);
}

#[test]
fn llama_continues_like_transformers() {
    continues_like_transformers("llama");
}

#[test]
fn llama_3_continues_like_transformers() {
    continues_like_transformers("llama3_rope");
}

#[test]
fn mistral_continues_like_transformers() {
    continues_like_transformers("mistral");
}

#[test]
fn qwen2_continues_like_transformers() {
    continues_like_transformers("qwen2");
}

#[test]
fn qwen3_continues_like_transformers() {
    continues_like_transformers("qwen3");
}

#[test]
fn gpt2_continues_like_transformers() {
    continues_like_transformers("gpt2");
}
