//! A teacher in half precision: how much faster it answers, and how far it is from itself in f32.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use benches::{BATCH, SEQ};
use potstill::burn::tensor::{Device, FloatDType, Tensor};
use potstill::checkpoint_tokenizer;
use potstill::core::{Prediction, Taps, Teacher, TokenBatch, TokenRow};
use potstill::models::Checkpoint;
use potstill::teachers::ModelTeacher;
use potstill_kernels::{Divergence, HeadRows};
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::turns;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the work is done.
    #[arg(long, value_enum, default_value = "flex")]
    backend: Backend,
    /// The checkpoint, a folder or a GGUF file.
    #[arg(long)]
    teacher: PathBuf,
    /// The text that both read: its beginning, 4 × 256 tokens.
    #[arg(long)]
    text: PathBuf,
    /// The precision of the weights.
    #[arg(long, value_enum, default_value = "bf16")]
    dtype: Half,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Half {
    Bf16,
    F16,
}

impl From<Half> for FloatDType {
    fn from(half: Half) -> Self {
        match half {
            Half::Bf16 => Self::BF16,
            Half::F16 => Self::F16,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let device = arguments.backend.device()?;
    let checkpoint = Checkpoint::open(&arguments.teacher)?;
    let batch = batch(arguments, &checkpoint, &device)?;
    let load = |dtype| -> Result<_> {
        Ok(ModelTeacher::new(
            &checkpoint.language_model(dtype, &device)?,
        ))
    };
    let mut whole = load(FloatDType::F32)?;
    let mut half = load(arguments.dtype.into())?;
    turns::take(|| {
        let (expected, whole_seconds) = answer(&mut whole, &batch, &device)?;
        let (found, half_seconds) = answer(&mut half, &batch, &device)?;
        let [divergence, agreement] = compare(&expected, found)?;
        Ok(json!({
            "whole_seconds": whole_seconds,
            "half_seconds": half_seconds,
            "nats_a_token": divergence,
            "same_first_choice": agreement,
        }))
    })
}

fn batch(arguments: &Arguments, checkpoint: &Checkpoint, device: &Device) -> Result<TokenBatch> {
    let path = &arguments.text;
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let tokens = checkpoint_tokenizer(checkpoint)?.encode(&text, false)?;
    ensure!(
        tokens.len() >= BATCH * (SEQ + 1),
        "{} has only {} tokens, {} are needed",
        path.display(),
        tokens.len(),
        BATCH * (SEQ + 1)
    );
    let rows: Vec<TokenRow> = tokens
        .chunks_exact(SEQ + 1)
        .take(BATCH)
        .map(|tokens| TokenRow::document(tokens, &[1.0; SEQ + 1]))
        .collect();
    Ok(TokenBatch::from_rows(&rows, 0, device))
}

/// The teacher's prediction, logits and all, and how long it took.
fn answer(
    teacher: &mut ModelTeacher<potstill::models::LanguageModel>,
    batch: &TokenBatch,
    device: &Device,
) -> Result<(Prediction, f64)> {
    let start = Instant::now();
    let prediction = teacher.signal(batch, &Taps::default())?.prediction;
    if let Prediction::Deferred { hidden, head } = &prediction {
        let _ = head.logits(hidden.clone());
    }
    device.sync()?;
    Ok((prediction, start.elapsed().as_secs_f64()))
}

/// Mean KL from `expected` to `found`, and the share of rows with one first choice.
fn compare(expected: &Prediction, found: Prediction) -> Result<[Value; 2]> {
    let Prediction::Deferred { hidden, head } = found else {
        bail!("a model defers its logits");
    };
    let (hidden, mut head) = (hidden.cast(FloatDType::F32), head);
    head.weight = head.weight.cast(FloatDType::F32);
    let rows = HeadRows {
        hidden: &hidden,
        head: &head,
        teacher: expected,
        targets: None,
        chunk_rows: None,
    };
    let mean = |values: Tensor<1>| values.mean().into_scalar::<f32>().into();
    let divergence = rows.per_row(&Divergence::ForwardKl);
    Ok([mean(divergence), mean(rows.agreement())])
}
