//! Reading the reference checkpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_core::TokenBatch;
use potstill_models::{Checkpoint, LanguageModel};
use potstill_testkit::{plain_device, read_safetensors};

pub(crate) const CAUSAL: [&str; 6] = ["llama", "llama3_rope", "mistral", "qwen2", "qwen3", "gpt2"];

pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/models")
        .join(name)
}

pub(crate) fn language_model(name: &str) -> LanguageModel {
    let checkpoint = Checkpoint::open(folder(name)).unwrap();
    checkpoint
        .language_model(FloatDType::F32, &plain_device())
        .unwrap()
}

/// What `transformers` computed.
pub(crate) struct Expected {
    tensors: BTreeMap<String, TensorData>,
    pub(crate) shape: [usize; 2],
}

impl Expected {
    pub(crate) fn of(name: &str) -> Self {
        let tensors = read_safetensors(folder(name).join("expected.safetensors")).unwrap();
        let shape = tensors["input_ids"].shape();
        Self {
            shape: [shape[0], shape[1]],
            tensors,
        }
    }

    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        self.tensors[name]
            .clone()
            .try_into_vec_as::<i64>()
            .unwrap()
            .iter()
            .map(|&id| id as u32)
            .collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        self.tensors[name].clone().try_into_vec_as::<f32>().unwrap()
    }

    /// The rows of the fixture; every real position counts.
    pub(crate) fn batch(&self) -> TokenBatch {
        let mask = self.ids("attention_mask");
        let weights: Vec<f32> = mask.iter().map(|&real| real as f32).collect();
        let ids = self.ids("input_ids");
        TokenBatch::new(self.shape, &ids, &mask, &ids, &weights, &plain_device())
    }

    /// Flat positions that count.
    pub(crate) fn counted(&self) -> Vec<usize> {
        let mask = self.ids("attention_mask");
        (0..mask.len()).filter(|&i| mask[i] == 1).collect()
    }
}

pub(crate) fn floats<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().try_into_vec_as::<f32>().unwrap()
}

/// Asserts that `actual` and `expected` agree within `tolerance` at the given rows of `width`.
#[track_caller]
pub(crate) fn assert_rows(
    what: &str,
    actual: &[f32],
    expected: &[f32],
    rows: &[usize],
    width: usize,
    tolerance: f32,
) {
    assert_eq!(actual.len(), expected.len(), "{what}: sizes differ");
    for &row in rows {
        for column in 0..width {
            let i = row * width + column;
            let error = (actual[i] - expected[i]).abs();
            assert!(
                error <= tolerance,
                "{what}, row {row}, column {column}: {} instead of {}",
                actual[i],
                expected[i]
            );
        }
    }
}
