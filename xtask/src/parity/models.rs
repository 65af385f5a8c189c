//! Checkpoints of every architecture: logits, hidden states, attention maps, greedy continuation.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_core::{CausalLm, Generate, GenerateOptions, Taps, TokenBatch};
use potstill_models::Checkpoint;
use potstill_testkit::values;

use super::reference::{Reference, largest_error, scale};
use super::report::{Measure, Report};

const TOLERANCE: f64 = 2e-4;
const EXPECTED: &str = "expected.safetensors";

/// Checks every checkpoint in `folder` that comes with its expected values.
pub(super) fn check(folder: &Path, device: &Device, report: &mut Report) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut folders = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    folders.sort();
    folders
        .iter()
        .try_for_each(|folder| check_one(folder, device, report))
}

/// Checks `folder` if it is such a checkpoint.
pub(super) fn check_one(folder: &Path, device: &Device, report: &mut Report) -> Result<()> {
    if folder.join(EXPECTED).is_file() {
        let name = folder.canonicalize()?;
        let name = name
            .file_name()
            .unwrap_or(name.as_os_str())
            .to_string_lossy();
        report.case(format!("models/{name}"), || measure(folder, device));
    }
    Ok(())
}

fn measure(folder: &Path, device: &Device) -> Result<Vec<Measure>> {
    let expected = Expected::read(&folder.join(EXPECTED))?;
    let checkpoint = Checkpoint::open(folder)?;
    let mut batch = expected.batch(device)?;
    if expected.reference.contains("last_hidden_state") {
        let model = checkpoint.bert_encoder(FloatDType::F32, device)?;
        // Transformers counts the columns of an encoder's input, padding included.
        let [rows, seq] = batch.dims();
        batch.positions = Tensor::arange(0..seq as i64, device)
            .unsqueeze::<2>()
            .repeat_dim(0, rows);
        let taps = all_taps(checkpoint.config().n_layers);
        let encoded = model.encode(&batch, &taps);
        return Ok(vec![
            expected.relative("output", "last_hidden_state", &values(&encoded.hidden))?,
            expected.hidden(encoded.tapped.hidden)?,
            expected.attention(encoded.tapped.attention)?,
        ]);
    }
    let model = checkpoint.language_model(FloatDType::F32, device)?;
    let encoded = model.encode(&batch, &all_taps(model.n_layers()));
    let logits = model.head().logits(encoded.hidden.flatten(0, 1));
    let mut measures = vec![
        Measure::new(
            "logits",
            expected.error("logits", &values(&logits))?,
            TOLERANCE,
        ),
        expected.hidden(encoded.tapped.hidden)?,
        expected.attention(encoded.tapped.attention)?,
    ];
    if expected.reference.contains("greedy") {
        let continuation = expected.reference.tokens("greedy")?;
        let [_, seq] = expected.shape;
        let (prompt, continuation) = continuation.split_at(seq.min(continuation.len()));
        let options = GenerateOptions::greedy(continuation.len());
        let generated = model.generate(&[prompt.to_vec()], &options)?;
        measures.push(Measure::equal("greedy", &generated[0].tokens, continuation));
    }
    Ok(measures)
}

fn all_taps(n_layers: usize) -> Taps {
    Taps::hidden(0..=n_layers).union(&Taps::attention(0..n_layers))
}

/// What Transformers computed, on the positions that are not padding.
#[derive(Debug)]
struct Expected {
    reference: Reference,
    shape: [usize; 2],
    mask: Vec<u32>,
}

impl Expected {
    fn read(path: &Path) -> Result<Self> {
        let reference = Reference::read(path)?;
        let (shape, mask) = (
            reference.shape("input_ids")?,
            reference.tokens("attention_mask")?,
        );
        Ok(Self {
            reference,
            shape,
            mask,
        })
    }

    fn batch(&self, device: &Device) -> Result<TokenBatch> {
        let tokens = self.reference.tokens("input_ids")?;
        let weights: Vec<f32> = self.mask.iter().map(|&mask| mask as f32).collect();
        Ok(TokenBatch::new(
            self.shape, &tokens, &self.mask, &tokens, &weights, device,
        ))
    }

    /// The largest error of a tensor `[batch, seq, ...]`.
    fn error(&self, name: &str, actual: &[f64]) -> Result<f64> {
        let expected = self.reference.floats(name)?;
        let width = expected.len() / self.mask.len().max(1);
        Ok(largest_error(actual, &expected, |index| {
            self.mask[index / width] == 1
        }))
    }

    /// The same, relative to the largest entry where that is above 1.
    fn relative(&self, what: &str, name: &str, actual: &[f64]) -> Result<Measure> {
        let expected = self.reference.floats(name)?;
        let width = expected.len() / self.mask.len().max(1);
        let scale = scale(&expected, |index| self.mask[index / width] == 1);
        Ok(Measure::new(
            what,
            self.error(name, actual)? / scale,
            TOLERANCE,
        ))
    }

    fn hidden(&self, tapped: Vec<(usize, Tensor<3>)>) -> Result<Measure> {
        let mut worst = Measure::new("hidden", 0.0, TOLERANCE);
        for (layer, hidden) in tapped {
            let name = format!("hidden_states.{layer}");
            let measure = self.relative(&format!("hidden {layer}"), &name, &values(&hidden))?;
            if measure.error.is_none() || measure.error > worst.error {
                worst = measure;
            }
            if worst.error.is_none() {
                break;
            }
        }
        Ok(worst)
    }

    fn attention(&self, tapped: Vec<(usize, Tensor<4>)>) -> Result<Measure> {
        let mut worst = Measure::new("attention", 0.0, TOLERANCE);
        let [_, seq] = self.shape;
        for (layer, map) in tapped {
            let expected = self.reference.floats(&format!("attentions.{layer}"))?;
            let [_, n_heads, _, _] = map.dims();
            let counts = |index: usize| {
                let (row, query) = (index / (n_heads * seq * seq), index / seq % seq);
                self.mask[row * seq + query] == 1
            };
            let error = largest_error(&values(&map), &expected, counts);
            let measure = Measure::new(&format!("attention {layer}"), error, TOLERANCE);
            if measure.error.is_none() || measure.error > worst.error {
                worst = measure;
            }
            if worst.error.is_none() {
                break;
            }
        }
        Ok(worst)
    }
}
