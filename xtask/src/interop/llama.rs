//! GGUF files that llama.cpp runs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_core::{Generate, GenerateOptions};
use potstill_data::TextTokenizer;
use potstill_models::{BlockType, Checkpoint, Companions, GgufOptions, LanguageModel, save_gguf};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::Outcome;

const SCRIPT: &str = include_str!("llama.mjs");

const NEW_TOKENS: usize = 32;

const PROMPTS: [&str; 5] = [
    "The capital of France is",
    "Once upon a time, in a village by the sea,",
    "def fibonacci(n):\n    ",
    "Água é uma substância química; 水 is its sign, and 1234 + 5678 =",
    "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n",
];

/// One model of each family, with random weights. llama.cpp has no window for the Mistral one.
const FAMILIES: [&str; 4] = ["llama", "llama3_rope", "qwen2", "qwen3"];

const FAMILY_PROMPTS: [&str; 3] = ["Hello, there", "1 + 2 = 3", "({[<~>]})"];

const TYPES: [BlockType; 6] = [
    BlockType::F32,
    BlockType::F16,
    BlockType::Bf16,
    BlockType::Q8_0,
    BlockType::Q4_0,
    BlockType::Q4K,
];

#[derive(Debug, Deserialize)]
struct Answers {
    release: String,
    prompts: Vec<Answer>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Answer {
    tokens: Vec<u32>,
    continuation: Vec<u32>,
    text: String,
}

/// Writes each type, lets both run it, and compares.
pub(super) fn run(root: &Path, checkpoint: &Path, modules: &Path) -> Result<Outcome> {
    if !modules.join("node_modules/node-llama-cpp").is_dir() {
        return Ok(Outcome::Skipped(format!(
            "no node-llama-cpp in {}; `npm install node-llama-cpp` in a folder brings it, name that \
             folder with --modules",
            modules.display()
        )));
    }
    if Command::new("node").arg("--version").output().is_err() {
        return Ok(Outcome::Skipped("Node.js is not installed".into()));
    }
    if !checkpoint.exists() {
        return Ok(Outcome::Skipped(
            "no checkpoint; `cargo xtask fetch smollm2` gets one, or name it with --checkpoint"
                .into(),
        ));
    }
    let llama = Llama::new(modules)?;
    let families = root.join("crates/potstill-models/tests/fixtures/models");
    for family in FAMILIES {
        llama
            .check_family(&families.join(family))
            .with_context(|| family.to_owned())?;
    }
    let opened = Checkpoint::open(checkpoint)?;
    let companions = opened.companions()?;
    let model = opened.language_model(FloatDType::F32, &Device::flex())?;
    let json = companions.tokenizer_json.as_deref();
    let tokenizer = TextTokenizer::from_json(json.context("the checkpoint has no tokenizer")?)?;
    let original = continued(&model, &tokenizer, &PROMPTS)?;

    let mut rows = String::new();
    let mut release = String::new();
    for blocks in TYPES {
        let path = llama.folder.path().join(format!("{blocks}.gguf"));
        let summary = save_gguf(&model, &path, &companions, &GgufOptions::new(blocks))?;
        let theirs = llama.continued(&path, &PROMPTS)?;
        let read = Checkpoint::open(&path)?.language_model(FloatDType::F32, &Device::flex())?;
        let ours = continued(&read, &tokenizer, &PROMPTS)?;
        for (ours, theirs) in ours.iter().zip(&theirs.prompts) {
            ensure!(
                ours.tokens == theirs.tokens,
                "{blocks}: the prompt is {:?} to us and {:?} to llama.cpp",
                ours.tokens,
                theirs.tokens
            );
        }
        if blocks == BlockType::F32 {
            ensure!(
                original == ours && ours == theirs.prompts,
                "at F32 the continuations differ:\nours {original:#?}\nllama.cpp {:#?}",
                theirs.prompts
            );
        }
        let widened = match summary.widened.as_slice() {
            [] => "–".to_owned(),
            widened => format!("{} as {}", widened.len(), widened[0].stored),
        };
        writeln!(
            rows,
            "| {blocks} | {:.1} | {widened} | {} | {} |",
            summary.bytes as f64 / 1e6,
            agreement(&original, &theirs.prompts),
            agreement(&ours, &theirs.prompts),
        )?;
        release = theirs.release;
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    Ok(Outcome::Finished(format!(
        "`cargo xtask interop llama`, with {release} on the CPU: `{name}` is loaded, written as GGUF in each \
         type with its tokenizer and chat template, and {} prompts are continued greedily by {NEW_TOKENS} \
         tokens, by Potstill and by llama.cpp with keys and values in F32. Prompts are given as text, and \
         become the same tokens. A continuation counts up to the first token that differs. Before that, small \
         models with random weights ({}) have to go on in the same way at F32.\n\n\
         | type | MB | matrices in wider blocks | the same as the original in Potstill | the same as this \
         file in Potstill |\n|---|--:|---|---|---|\n{rows}\n\
         Beyond F32 the second column also holds what rounding the weights does. llama.cpp rounds the \
         activations to 8 bits before it multiplies them with quantized weights (and to 16 with F16 and \
         BF16), Potstill does not; that is what the last column shows.\n",
        PROMPTS.len(),
        FAMILIES.join(", "),
    )))
}

fn continued(
    model: &LanguageModel,
    tokenizer: &TextTokenizer,
    prompts: &[&str],
) -> Result<Vec<Answer>> {
    let prompts = tokenizer.encode_batch(prompts, true)?;
    let mut options = GenerateOptions::greedy(NEW_TOKENS);
    options
        .stop_tokens
        .clone_from(&model.config().eos_token_ids);
    let generated = model.generate(&prompts, &options)?;
    let answers = prompts
        .into_iter()
        .zip(generated)
        .map(|(tokens, generated)| {
            Ok(Answer {
                tokens,
                text: tokenizer.decode(&generated.tokens, true)?,
                continuation: generated.tokens,
            })
        });
    answers.collect()
}

/// llama.cpp, and a folder for what it reads.
struct Llama {
    folder: TempDir,
    modules: PathBuf,
}

impl Llama {
    fn new(modules: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("llama.mjs"), SCRIPT)?;
        let modules = fs::canonicalize(modules)?;
        Ok(Self { folder, modules })
    }

    fn continued(&self, path: &Path, prompts: &[&str]) -> Result<Answers> {
        let request = self.folder.path().join("request.json");
        let json = json!({
            "path": path,
            "prompts": prompts,
            "newTokens": NEW_TOKENS,
            // Rounded keys and values would hide what the weights do.
            "kvCache": "F32",
        });
        fs::write(&request, json.to_string())?;
        let output = Command::new("node")
            .args([
                &self.folder.path().join("llama.mjs"),
                &self.modules,
                &request,
            ])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start node")?;
        ensure!(
            output.status.success(),
            "llama.cpp failed on {}",
            path.display()
        );
        serde_json::from_slice(&output.stdout).context("llama.mjs printed something else")
    }

    /// Fails unless a small model with a vocabulary of letters goes on as in Potstill.
    fn check_family(&self, checkpoint: &Path) -> Result<()> {
        let checkpoint = Checkpoint::open(checkpoint)?;
        let model = checkpoint.language_model(FloatDType::F32, &Device::flex())?;
        let json = letters(model.config().vocab_size);
        let tokenizer = TextTokenizer::from_json(&json)?;
        let companions = Companions {
            tokenizer_json: Some(json),
            ..Companions::default()
        };
        let path = self.folder.path().join("family.gguf");
        save_gguf(
            &model,
            &path,
            &companions,
            &GgufOptions::new(BlockType::F32),
        )?;
        let ours = continued(&model, &tokenizer, &FAMILY_PROMPTS)?;
        let theirs = self.continued(&path, &FAMILY_PROMPTS)?;
        for (ours, theirs) in ours.iter().zip(&theirs.prompts) {
            ensure!(
                ours.tokens == theirs.tokens && ours.continuation == theirs.continuation,
                "the continuations differ:\nours {ours:?}\nllama.cpp {theirs:?}"
            );
        }
        Ok(())
    }
}

/// A tokenizer whose tokens are the printable characters of ASCII.
fn letters(vocab_size: usize) -> String {
    // Byte-level BPE writes a space so.
    let printable = ('!'..='~').chain(['\u{120}']);
    let vocab: Map<String, Value> = (0..vocab_size)
        .zip(printable)
        .map(|(id, letter)| (letter.to_string(), id.into()))
        .collect();
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true,
    });
    json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": bytes,
        "post_processor": null,
        "decoder": bytes,
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    })
    .to_string()
}

/// How many tokens are the same before the first that differs.
fn agreement(expected: &[Answer], found: &[Answer]) -> String {
    let (mut same, mut all, mut whole) = (0, 0, 0);
    for (expected, found) in expected.iter().zip(found) {
        let pairs = expected.continuation.iter().zip(&found.continuation);
        same += pairs.take_while(|(a, b)| a == b).count();
        all += expected.continuation.len();
        whole += usize::from(expected.continuation == found.continuation);
    }
    format!(
        "{same} of {all} tokens, {whole} of {} texts",
        expected.len()
    )
}
