//! The reference step: teacher forward, student forward and backward, AdamW.

use anyhow::{Context, Result, bail};
use benches::{VOCAB, smollm2, tokens};
use potstill::burn::optim::ModuleOptimizer;
use potstill::burn::tensor::Device;
use potstill::core::{TokenBatch, TokenRow};
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{LanguageModel, ModelConfig};
use potstill::teachers::ModelTeacher;
use potstill::train::{AdamWConfig, Distiller, StepSettings, step};
use serde_json::json;

use crate::backend::Backend;
use crate::turns;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the work is done.
    #[arg(long, value_enum, default_value = "flex")]
    pub(crate) backend: Backend,
    /// Sequences of a batch.
    #[arg(long, default_value_t = benches::BATCH)]
    batch: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = benches::SEQ)]
    seq: usize,
    /// Positions of each sequence that count, from its end; all of them when absent.
    #[arg(long)]
    counted: Option<usize>,
    /// Layers of the teacher.
    #[arg(long, default_value_t = 30)]
    teacher_layers: usize,
    /// Layers of the student.
    #[arg(long, default_value_t = 10)]
    pub(crate) layers: usize,
    /// Tokens of the vocabulary.
    #[arg(long, default_value_t = VOCAB)]
    pub(crate) vocab: usize,
    /// Runs the bodies that are composed of burn's operations.
    #[arg(long)]
    portable: bool,
    /// Computes cheap activations once more in the backward pass.
    #[arg(long)]
    checkpointing: bool,
}

/// Models, data and optimizer, before the first step.
pub(crate) struct Setup {
    pub(crate) teacher: ModelTeacher<LanguageModel>,
    pub(crate) distiller: Distiller<LanguageModel, SoftTarget>,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) batch: TokenBatch,
}

impl Setup {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        potstill_kernels::use_portable_bodies(arguments.portable);
        let device = arguments.backend.device()?;
        let mut training = device.clone().autodiff();
        if arguments.checkpointing {
            training = training.gradient_checkpointing();
        }
        let config = |layers| ModelConfig {
            vocab_size: arguments.vocab,
            ..smollm2(layers)
        };
        let teacher = LanguageModel::init(&config(arguments.teacher_layers), 1, &device);
        let distiller = Distiller {
            student: LanguageModel::init(&config(arguments.layers), 2, &training),
            objective: SoftTarget::new(Divergence::ForwardKl),
        };
        Ok(Self {
            teacher: ModelTeacher::new(&teacher),
            optimizer: AdamWConfig::default().init(&distiller),
            distiller,
            batch: batch(arguments, 0, &device)?,
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Setup {
        mut teacher,
        distiller,
        mut optimizer,
        batch,
    } = Setup::new(arguments)?;
    let batches = [batch];
    let settings = StepSettings {
        step: 1,
        learning_rate: 1e-4,
        max_grad_norm: Some(1.0),
        shared_vocabulary: arguments.vocab,
    };
    let mut model = Some(distiller);
    turns::take(|| {
        let current = model.take().context("a step gives the model back")?;
        let (updated, report) = step(current, &mut teacher, &mut optimizer, &batches, &settings);
        model = Some(updated);
        let report = report?;
        Ok(json!({"loss": report.loss, "tokens": report.tokens, "rows": report.rows}))
    })
}

/// Random tokens, other ones for each `turn`. In each sequence the last `counted` positions count, as an answer does after its
/// prompt.
pub(crate) fn batch(arguments: &Arguments, turn: usize, device: &Device) -> Result<TokenBatch> {
    let seq = arguments.seq;
    let counted = arguments.counted.unwrap_or(seq);
    if counted > seq {
        bail!("--counted is {counted}, but a sequence has only {seq} positions");
    }
    // Weights belong to tokens; a position counts when the token after it does.
    let mut weights = vec![0.0; seq + 1 - counted];
    weights.resize(seq + 1, 1.0);
    let rows: Vec<TokenRow> = (0..arguments.batch)
        .map(|row| {
            let mut tokens = tokens(seq + 1, (turn * arguments.batch + row) as u32);
            for token in &mut tokens {
                *token %= arguments.vocab as u32;
            }
            TokenRow::document(&tokens, &weights)
        })
        .collect();
    Ok(TokenBatch::from_rows(&rows, 0, device))
}
