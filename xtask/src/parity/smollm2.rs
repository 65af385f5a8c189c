//! Prompts through the real SmolLM2-135M-Instruct.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::prelude::*;
use burn::tensor::FloatDType;
use burn::tensor::activation::log_softmax;
use potstill_core::{CausalLm, Generate, GenerateOptions, TokenBatch};
use potstill_data::TextTokenizer;
use potstill_models::{Checkpoint, LanguageModel};
use potstill_testkit::{read_json, values};
use serde::Deserialize;

use super::reference::largest_error;
use super::report::{Measure, Report};
use crate::fetch;

const TOLERANCE: f64 = 2e-3;
const VARIABLE: &str = "POTSTILL_SMOLLM2";

#[derive(Debug, Deserialize)]
struct Expected {
    chat_template: Option<String>,
    cases: Vec<Prompt>,
}

#[derive(Debug, Deserialize)]
struct Prompt {
    text: String,
    ids: Vec<u32>,
    top10_ids: Vec<u32>,
    top10_logprobs: Vec<f64>,
    mean_nll: Option<f64>,
    greedy_ids: Vec<u32>,
    greedy_text: String,
}

/// Checks the prompts of `folder`, if it has some and the checkpoint is here.
pub(super) fn check(
    folder: &Path,
    root: &Path,
    checkpoint: Option<&Path>,
    report: &mut Report,
) -> Result<()> {
    let path = folder.join("smollm2_135m.json");
    if !path.is_file() {
        return Ok(());
    }
    let expected: Expected = read_json(&path)?;
    let Some(checkpoint) = find(root, checkpoint)? else {
        report.skip(
            "smollm2",
            "no GGUF; `cargo xtask fetch smollm2` gets it, or name it with --smollm2",
        );
        return Ok(());
    };
    let loaded = match Loaded::open(&checkpoint) {
        Ok(loaded) => loaded,
        Err(error) => {
            report.case("smollm2", || Err(error));
            return Ok(());
        }
    };
    if let Some(template) = &expected.chat_template {
        report.case("smollm2/chat template", || {
            let found = loaded.chat_template.as_deref().unwrap_or_default();
            Ok(vec![Measure::equal(
                "text",
                found.as_bytes(),
                template.as_bytes(),
            )])
        });
    }
    for prompt in &expected.cases {
        report.case(format!("smollm2/{:?}", prompt.text), || {
            loaded.measure(prompt)
        });
    }
    Ok(())
}

fn find(root: &Path, named: Option<&Path>) -> Result<Option<PathBuf>> {
    let named = named
        .map(PathBuf::from)
        .or_else(|| env::var_os(VARIABLE).map(PathBuf::from));
    if let Some(path) = named {
        ensure!(path.exists(), "{} does not exist", path.display());
        return Ok(Some(path));
    }
    Ok(Some(root.join(fetch::smollm2_path())).filter(|path| path.is_file()))
}

#[derive(Debug)]
struct Loaded {
    model: LanguageModel,
    tokenizer: TextTokenizer,
    chat_template: Option<String>,
}

impl Loaded {
    fn open(path: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(path)?;
        let tokenizer = checkpoint
            .tokenizer_json()?
            .context("the checkpoint has no tokenizer")?;
        Ok(Self {
            model: checkpoint.language_model(FloatDType::F32, &Device::flex())?,
            tokenizer: TextTokenizer::from_json(&tokenizer)?,
            chat_template: checkpoint.chat_template()?,
        })
    }

    fn measure(&self, prompt: &Prompt) -> Result<Vec<Measure>> {
        let ids = self.tokenizer.encode(&prompt.text, false)?;
        let mut measures = vec![Measure::equal("ids", &ids, &prompt.ids)];
        let log_probs = self.log_probs(&prompt.ids);
        let vocab = self.model.vocab_size();
        let last = &log_probs[log_probs.len() - vocab..];

        let mut ranking: Vec<u32> = (0..).take(vocab).collect();
        ranking.sort_by(|&a, &b| last[b as usize].total_cmp(&last[a as usize]));
        ranking.truncate(prompt.top10_ids.len());
        let top: Vec<f64> = prompt
            .top10_ids
            .iter()
            .map(|&id| last[id as usize])
            .collect();
        measures.push(Measure::equal("top 10", &ranking, &prompt.top10_ids));
        let error = largest_error(&top, &prompt.top10_logprobs, |_| true);
        measures.push(Measure::new("log-probabilities", error, TOLERANCE));

        if let Some(mean_nll) = prompt.mean_nll {
            let predicted = prompt.ids[1..].iter().zip(log_probs.chunks(vocab));
            let total: f64 = predicted.map(|(&id, row)| -row[id as usize]).sum();
            let mean = total / (prompt.ids.len() - 1) as f64;
            measures.push(Measure::new("nll", (mean - mean_nll).abs(), TOLERANCE));
        }
        let new = prompt.greedy_ids.len().saturating_sub(prompt.ids.len());
        let generated = self.model.generate(
            std::slice::from_ref(&prompt.ids),
            &GenerateOptions::greedy(new),
        )?;
        let greedy: Vec<u32> = prompt
            .ids
            .iter()
            .chain(&generated[0].tokens)
            .copied()
            .collect();
        measures.push(Measure::equal("greedy", &greedy, &prompt.greedy_ids));
        let text = self.tokenizer.decode(&greedy, false)?;
        measures.push(Measure::equal(
            "text",
            text.as_bytes(),
            prompt.greedy_text.as_bytes(),
        ));
        Ok(measures)
    }

    /// Log-probabilities of every next token, `[tokens, vocab]`, row-major.
    fn log_probs(&self, ids: &[u32]) -> Vec<f64> {
        let ones = vec![1; ids.len()];
        let weights = vec![1.0; ids.len()];
        let batch = TokenBatch::new([1, ids.len()], ids, &ones, ids, &weights, &Device::flex());
        values(&log_softmax(self.model.row_logits(&batch), 1))
    }
}
