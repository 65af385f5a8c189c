//! White-box distillation follows PyTorch step by step.
//!
//! `fixtures/kd_trajectory` holds a teacher, a student, twelve batches, and the losses that PyTorch
//! gets with `torch.optim.AdamW` and `clip_grad_norm_` for three divergences.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::FloatDType;
use potstill_core::{CausalLm, TokenBatch, TokenRow};
use potstill_losses::{Divergence, SoftTargetConfig};
use potstill_models::{Checkpoint, LanguageModel};
use potstill_teachers::ModelTeacher;
use potstill_testkit::{autodiff_device, plain_device, read_json, read_safetensors};
use potstill_train::{AdamWConfig, Decayed, Distiller, StepSettings, step};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    runs: BTreeMap<String, Run>,
}

#[derive(Deserialize)]
struct Run {
    beta: f64,
    temperature: f64,
    losses: Vec<f64>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kd_trajectory")
}

fn load(name: &str, device: &burn::tensor::Device) -> LanguageModel {
    let checkpoint = Checkpoint::open(folder().join(name)).expect("the fixture opens");
    checkpoint
        .language_model(FloatDType::F32, device)
        .expect("the fixture loads")
}

fn batches() -> Vec<TokenBatch> {
    let tensors =
        read_safetensors(folder().join("batches.safetensors")).expect("the fixture loads");
    let [_, batch, length] = tensors["input_ids"].shape()[..] else {
        panic!("three axes")
    };
    let ids: Vec<u32> = tensors["input_ids"].iter::<u32>().collect();
    let weights: Vec<f32> = tensors["loss_mask"].iter::<f32>().collect();
    let rows: Vec<TokenRow> = ids
        .chunks(length)
        .zip(weights.chunks(length))
        .map(|(ids, weights)| TokenRow::document(ids, weights))
        .collect();
    rows.chunks(batch)
        .map(|rows| TokenBatch::from_rows(rows, 0, &plain_device()))
        .collect()
}

#[test]
fn losses_agree_with_pytorch_at_every_step() {
    let expected: Expected = read_json(folder().join("expected.json")).unwrap();
    assert_eq!(expected.runs.len(), 3);
    for (name, run) in expected.runs {
        let divergence = Divergence::generalized_jsd(run.beta).unwrap();
        let objective = SoftTargetConfig::new(divergence)
            .with_temperature(run.temperature)
            .init()
            .unwrap();
        let mut teacher = ModelTeacher::new(&load("teacher", &plain_device()));
        let student = load("student_init", &autodiff_device());
        let shared_vocabulary = student.vocab_size();
        let mut model = Distiller { student, objective };
        // The reference has one parameter group.
        let config = AdamWConfig {
            decayed: Decayed::Everything,
            ..AdamWConfig::default()
        };
        let mut optimizer = config.init(&model);
        for (i, (batch, expected)) in batches().into_iter().zip(&run.losses).enumerate() {
            let settings = StepSettings {
                step: i + 1,
                learning_rate: 3e-3,
                max_grad_norm: Some(1.0),
                shared_vocabulary,
            };
            let (updated, report) = step(model, &mut teacher, &mut optimizer, &[batch], &settings);
            model = updated;
            let loss = report.unwrap().loss;
            let error = (loss - expected).abs() / expected;
            assert!(
                error < 1e-4,
                "{name}, step {}: {loss} instead of {expected}",
                i + 1
            );
        }
    }
}
