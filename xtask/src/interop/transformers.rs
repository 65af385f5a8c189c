//! Folders that `transformers` loads.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, ensure};
use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill::eval::{CardSource, ModelCard};
use potstill_core::{CausalLm, TokenBatch};
use potstill_data::TextTokenizer;
use potstill_models::{Checkpoint, Companions, save_pretrained};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use crate::python::Python;

const SCRIPT: &str = include_str!("transformers.py");

/// Largest difference between logits of up to [`ORDINARY`]; with larger ones f32 itself knows less, and
/// it grows in proportion.
const TOLERANCE: f32 = 1e-4;

const ORDINARY: f32 = 10.0;

const TEXT: &str = "Água é uma substância; 水 is its sign.\n\n1234 + 5678 = <|im_end|>";

/// What a model with a tokenizer reads for its logits. On tokens without sense f32 is no longer good to
/// [`TOLERANCE`]: transformers itself is then 3e-3 from its own f64 with SmolLM2.
const SENTENCES: [&str; 2] = [
    "The capital of France is Paris, and the capital of Germany is Berlin.",
    "Once upon a time, in a village by the sea, there lived an old fisherman.",
];

/// A name that a careless header would break on.
const TEACHER: &str = "Nobody: \"it\" was only saved";

/// One model of each family, with random weights.
const FAMILIES: [&str; 6] = ["llama", "llama3_rope", "mistral", "qwen2", "qwen3", "gpt2"];

#[derive(Debug, Deserialize)]
struct Answers {
    release: String,
    torch: String,
    folders: Vec<Answer>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    class: String,
    shape: [usize; 3],
    /// Largest difference between its logits in f32 and in f64.
    from_f64: f32,
    encoded: Option<Vec<u32>>,
    card: Value,
}

/// A folder that was saved, and our logits of it.
struct Saved {
    name: String,
    path: PathBuf,
    batch: Vec<Vec<u32>>,
    logits: Vec<f32>,
    encoded: Option<Vec<u32>>,
}

/// Saves, loads on both sides, and compares logits.
pub(super) fn run(root: &Path, python: &Python, checkpoint: &Path) -> Result<Outcome> {
    if let Err(reason) = python.require(&["torch", "transformers", "numpy"]) {
        return Ok(Outcome::Skipped(format!("{reason:#}")));
    }
    let folder = tempfile::tempdir()?;
    let fixtures = root.join("crates/potstill-models/tests/fixtures/models");
    let mut saved = Vec::new();
    for family in FAMILIES {
        saved.push(save(family, &fixtures.join(family), folder.path())?);
    }
    if checkpoint.exists() {
        saved.push(save("SmolLM2-135M-Instruct", checkpoint, folder.path())?);
    }
    let answers = ask(python, folder.path(), &saved)?;

    let mut rows = String::new();
    let mut failed = Vec::new();
    for (saved, answer) in saved.iter().zip(&answers.folders) {
        let theirs = read_logits(&logits_path(&saved.path))?;
        ensure!(
            theirs.len() == saved.logits.len(),
            "{}: {:?}",
            saved.name,
            answer.shape
        );
        let apart = |(ours, theirs): (&f32, &f32)| (ours - theirs).abs();
        let largest = (saved.logits.iter().zip(&theirs).map(apart)).fold(0.0, f32::max);
        let scale = theirs
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()));
        let tokens = match (&saved.encoded, &answer.encoded) {
            (None, _) => "–",
            (ours, theirs) if ours == theirs => "the same",
            _ => "**different**",
        };
        let card =
            answer.card["license"] == "apache-2.0" && answer.card["teacher_model"][0] == TEACHER;
        if largest > TOLERANCE * (scale / ORDINARY).max(1.0)
            || tokens.contains("different")
            || !card
        {
            failed.push(saved.name.clone());
        }
        let [_, _, vocabulary] = answer.shape;
        writeln!(
            rows,
            "| {} | {} | {} × {vocabulary} | {scale:.1} | {largest:.1e} | {:.1e} | {tokens} | {} |",
            saved.name,
            answer.class,
            saved.logits.len() / vocabulary,
            answer.from_f64,
            if card { "read" } else { "**not read**" },
        )?;
    }
    let text = format!(
        "`cargo xtask interop transformers`, with transformers {} and torch {}: models are loaded by \
         Potstill, saved as folders, and loaded from there by `AutoModelForCausalLM`; both compute the \
         logits of the same tokens in f32, and transformers once more in f64, which says what f32 can do. \
         The largest difference may be {TOLERANCE}, and where logits are beyond {ORDINARY} so much more in proportion. The small models have random weights, one for each family. The card is what `huggingface_hub` finds in the header of the README.md that `ModelCard` wrote.\n\n\
         | folder | class | logits | largest logit | largest difference | transformers from its f64 | tokens of \
         a text | card |\n|---|---|---|--:|--:|--:|---|---|\n{rows}",
        answers.release, answers.torch
    );
    ensure!(
        failed.is_empty(),
        "{text}\nnot alike: {}",
        failed.join(", ")
    );
    Ok(Outcome::Finished(text))
}

/// Loads a checkpoint, saves it and computes its logits.
fn save(name: &str, from: &Path, folder: &Path) -> Result<Saved> {
    let checkpoint = Checkpoint::open(from)?;
    let model = checkpoint.language_model(FloatDType::F32, &Device::flex())?;
    let path = folder.join(name);
    let card = ModelCard {
        license: Some("Apache-2.0".into()),
        teachers: vec![CardSource::new(TEACHER)],
        ..ModelCard::new(name)
    };
    let companions = Companions {
        model_card: Some(card.to_markdown()),
        ..checkpoint.companions()?
    };
    save_pretrained(&model, &path, &companions)?;
    let vocab_size = model.vocab_size() as u32;
    let tokenizer = companions
        .tokenizer_json
        .as_deref()
        .map(TextTokenizer::from_json);
    let tokenizer = tokenizer.transpose()?;
    let (encoded, mut batch) = match tokenizer {
        Some(tokenizer) => {
            let sentences = tokenizer.encode_batch(&SENTENCES, true)?;
            (Some(tokenizer.encode(TEXT, true)?), sentences)
        }
        None => {
            let row = |start: u32| (0..12).map(|i| (start + i * 7919) % vocab_size).collect();
            (None, vec![row(3), row(5)])
        }
    };
    let shortest = batch.iter().map(Vec::len).min().unwrap_or_default();
    batch.iter_mut().for_each(|row| row.truncate(shortest));
    let ids = batch.concat();
    let (ones, weights) = (vec![1; ids.len()], vec![1.0; ids.len()]);
    let shape = [batch.len(), ids.len() / batch.len()];
    let tokens = TokenBatch::new(shape, &ids, &ones, &ids, &weights, &Device::flex());
    let logits = model.row_logits(&tokens);
    let logits = logits.try_into_vec_as::<f32>();
    Ok(Saved {
        name: name.into(),
        path,
        batch,
        logits: logits.map_err(|error| anyhow!("reading logits: {error}"))?,
        encoded,
    })
}

fn ask(python: &Python, folder: &Path, saved: &[Saved]) -> Result<Answers> {
    let (script, request) = (folder.join("logits.py"), folder.join("request.json"));
    fs::write(&script, SCRIPT)?;
    let folders: Vec<Value> = saved
        .iter()
        .map(|saved| {
            json!({
                "path": saved.path,
                "batch": saved.batch,
                "logits": logits_path(&saved.path),
                "text": saved.encoded.as_ref().map(|_| TEXT),
            })
        })
        .collect();
    fs::write(&request, json!({ "folders": folders }).to_string())?;
    let output = (python.command().arg(script).arg(request))
        .env("HF_HUB_OFFLINE", "1")
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "transformers failed");
    serde_json::from_slice(&output.stdout).context("transformers.py printed something else")
}

fn logits_path(folder: &Path) -> PathBuf {
    folder.with_extension("logits")
}

fn read_logits(path: &Path) -> Result<Vec<f32>> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let (numbers, _) = bytes.as_chunks::<4>();
    Ok(numbers.iter().copied().map(f32::from_le_bytes).collect())
}
