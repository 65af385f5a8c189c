//! Training runs, step by step.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_core::{CausalLm, TokenBatch, TokenRow};
use potstill_losses::{Divergence, SoftTargetConfig};
use potstill_models::Checkpoint;
use potstill_teachers::ModelTeacher;
use potstill_testkit::read_json;
use potstill_train::{AdamWConfig, Decayed, Distiller, StepSettings, step};
use serde::Deserialize;

use super::reference::Reference;
use super::report::{Measure, Report};

const TOLERANCE: f64 = 1e-4;
/// The optimizer of the reference, in the words of its file.
const OPTIMIZER: &str = "AdamW lr 3e-3 betas 0.9,0.999 eps 1e-8 weight_decay 0.01 on every parameter, \
                         global grad norm clipped to 1.0";
const LEARNING_RATE: f64 = 3e-3;

#[derive(Debug, Deserialize)]
struct Expected {
    optimizer: String,
    runs: BTreeMap<String, Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    beta: f64,
    temperature: f64,
    losses: Vec<f64>,
}

/// Where the two models are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    pub(super) teacher: &'a Device,
    pub(super) student: &'a Device,
}

impl<'a> Places<'a> {
    /// Both on one device.
    pub(super) fn together(device: &'a Device) -> Self {
        Self {
            teacher: device,
            student: device,
        }
    }

    /// What the cases are called.
    fn name(self) -> &'static str {
        match self.teacher == self.student {
            true => "kd_trajectory",
            false => "teacher elsewhere",
        }
    }
}

/// Checks the runs of `folder`, if it has some, against the teacher of the same reference.
pub(super) fn check(
    folder: &Path,
    teacher: &Path,
    places: Places<'_>,
    report: &mut Report,
) -> Result<()> {
    let path = folder.join("expected.json");
    if !path.is_file() {
        return Ok(());
    }
    if !teacher.is_dir() {
        report.skip(
            places.name(),
            format!("its teacher {} is missing", teacher.display()),
        );
        return Ok(());
    }
    let expected: Expected = read_json(&path)?;
    for (name, run) in &expected.runs {
        report.case(format!("{}/{name}", places.name()), || {
            ensure!(
                expected.optimizer == OPTIMIZER,
                "the reference was trained with {:?}, this command knows {OPTIMIZER:?}",
                expected.optimizer
            );
            let batches = batches(&folder.join("batches.safetensors"), places.student)?;
            measure(&folder.join("student_init"), teacher, &batches, run, places)
        });
    }
    Ok(())
}

fn measure(
    student: &Path,
    teacher: &Path,
    batches: &[TokenBatch],
    run: &Run,
    places: Places<'_>,
) -> Result<Vec<Measure>> {
    ensure!(
        batches.len() == run.losses.len(),
        "{} batches for {} losses",
        batches.len(),
        run.losses.len()
    );
    let load = |folder: &Path, device: &Device| -> Result<_> {
        Ok(Checkpoint::open(folder)?.language_model(FloatDType::F32, device)?)
    };
    let mut teacher = ModelTeacher::new(&load(teacher, places.teacher)?);
    let student = load(student, &places.student.clone().autodiff())?;
    let shared_vocabulary = student.vocab_size();
    let divergence = match run.beta {
        0.0 => Divergence::ForwardKl,
        1.0 => Divergence::ReverseKl,
        beta => Divergence::generalized_jsd(beta)?,
    };
    let objective = SoftTargetConfig::new(divergence)
        .with_temperature(run.temperature)
        .init()?;
    let mut model = Distiller { student, objective };
    let config = AdamWConfig {
        decayed: Decayed::Everything,
        ..AdamWConfig::default()
    };
    let mut optimizer = config.init(&model);

    let mut worst: f64 = 0.0;
    for ((number, batch), expected) in (1..).zip(batches).zip(&run.losses) {
        let settings = StepSettings {
            step: number,
            learning_rate: LEARNING_RATE,
            max_grad_norm: Some(1.0),
            shared_vocabulary,
        };
        let batch = std::slice::from_ref(batch);
        let (updated, result) = step(model, &mut teacher, &mut optimizer, batch, &settings);
        model = updated;
        worst = worst.max((result?.loss - expected).abs() / expected.abs());
    }
    Ok(vec![Measure::new("losses", worst, TOLERANCE)])
}

/// One batch for each step; a mask says which tokens are to be predicted.
fn batches(path: &Path, device: &Device) -> Result<Vec<TokenBatch>> {
    let reference = Reference::read(path)?;
    let [_, batch, seq]: [usize; 3] = reference.shape("input_ids")?;
    let (tokens, mask) = (
        reference.tokens("input_ids")?,
        reference.tokens("loss_mask")?,
    );
    let weights: Vec<f32> = mask.iter().map(|&mask| mask as f32).collect();
    ensure!(
        tokens.len() == weights.len(),
        "input_ids and loss_mask differ in size"
    );
    let rows: Vec<TokenRow> = (tokens.chunks(seq).zip(weights.chunks(seq)))
        .map(|(tokens, weights)| TokenRow::document(tokens, weights))
        .collect();
    Ok(rows
        .chunks(batch)
        .map(|rows| TokenBatch::from_rows(rows, 0, device))
        .collect())
}
