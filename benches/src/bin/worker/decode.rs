//! Greedy decoding with a model of SmolLM2-135M's shape.

use anyhow::{Result, ensure};
use benches::{smollm2, tokens};
use potstill::core::{Generate, GenerateOptions};
use potstill::models::LanguageModel;
use serde_json::json;

use crate::backend::Backend;
use crate::turns;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the work is done.
    #[arg(long, value_enum, default_value = "flex")]
    backend: Backend,
    /// Prompts that are continued together.
    #[arg(long, default_value_t = 1)]
    batch: u32,
    /// Tokens of each prompt.
    #[arg(long, default_value_t = 32)]
    prompt: usize,
    /// Tokens to add to each.
    #[arg(long, default_value_t = 128)]
    new: usize,
    /// Layers of the model.
    #[arg(long, default_value_t = 30)]
    layers: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let device = arguments.backend.device()?;
    let model = LanguageModel::init(&smollm2(arguments.layers), 1, &device);
    let options = GenerateOptions::greedy(arguments.new);
    let prompts: Vec<Vec<u32>> = (0..arguments.batch)
        .map(|row| tokens(arguments.prompt, row))
        .collect();
    turns::take(|| {
        let answers = model.generate(&prompts, &options)?;
        let tokens: usize = answers.iter().map(|answer| answer.tokens.len()).sum();
        let expected = prompts.len() * arguments.new;
        ensure!(tokens == expected, "{tokens} tokens instead of {expected}");
        Ok(json!({ "tokens": tokens }))
    })
}
