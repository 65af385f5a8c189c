//! GGUF files that gguf-py reads.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_models::{
    Architecture, BlockType, Checkpoint, GgufOptions, save_gguf, save_pretrained,
};
use serde::Deserialize;
use serde_json::json;

use super::Outcome;
use crate::python::Python;

const SCRIPT: &str = include_str!("gguf.py");

/// One model of each family, with random weights.
const FAMILIES: [&str; 5] = ["llama", "llama3_rope", "mistral", "qwen2", "qwen3"];

const TYPES: [BlockType; 7] = [
    BlockType::F32,
    BlockType::F16,
    BlockType::Bf16,
    BlockType::Q8_0,
    BlockType::Q5_0,
    BlockType::Q4_0,
    BlockType::Q4K,
];

#[derive(Debug, Deserialize)]
struct Answers {
    release: String,
    files: Vec<Answer>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    exact: usize,
    searched: usize,
    error: f64,
    problems: Vec<String>,
}

/// Writes each type of each model, and has gguf-py encode the weights itself.
pub(super) fn run(root: &Path, python: &Python, checkpoint: &Path) -> Result<Outcome> {
    if let Err(reason) = python.require(&["gguf", "safetensors"]) {
        let what = "`pip install gguf safetensors` brings them";
        return Ok(Outcome::Skipped(format!("{reason:#}; {what}")));
    }
    let fixtures = root.join("crates/potstill-models/tests/fixtures/models");
    let mut rows = String::new();
    let mut problems = Vec::new();
    let mut release = String::new();
    let families = FAMILIES.map(|family| (family.to_owned(), fixtures.join(family)));
    let real = checkpoint.exists().then(|| {
        let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
        (name.into_owned(), checkpoint.to_owned())
    });
    for (name, path) in families.into_iter().chain(real) {
        let answers = compare(python, &path).with_context(|| name.clone())?;
        for (blocks, answer) in TYPES.iter().zip(answers.files) {
            writeln!(
                rows,
                "| {name} | {blocks} | {} | {} | {:.1e} |",
                answer.exact, answer.searched, answer.error
            )?;
            problems.extend(
                answer
                    .problems
                    .iter()
                    .map(|it| format!("{name} {blocks}: {it}")),
            );
        }
        release = answers.release;
    }
    let text = format!(
        "`cargo xtask interop gguf`, with gguf-py {release}: models are saved as a folder and as GGUF in each \
         type. gguf-py reads the files, and encodes the weights of the folder itself: the bytes of a tensor are \
         the same, or it has no encoder for the type (Q4_K) and only decodes. The error is that of all \
         matrices, relative to their size.\n\n\
         | model | type | tensors of the same bytes | only decoded | error |\n|---|---|--:|--:|--:|\n{rows}"
    );
    ensure!(problems.is_empty(), "{text}\n{}", problems.join("\n"));
    Ok(Outcome::Finished(text))
}

fn compare(python: &Python, path: &Path) -> Result<Answers> {
    let folder = tempfile::tempdir()?;
    let checkpoint = Checkpoint::open(path)?;
    let companions = checkpoint.companions()?;
    let model = checkpoint.language_model(FloatDType::F32, &Device::flex())?;
    let saved = folder.path().join("folder");
    save_pretrained(&model, &saved, &companions)?;
    let mut files = Vec::new();
    for blocks in TYPES {
        let path = folder.path().join(format!("{blocks}.gguf"));
        save_gguf(&model, &path, &companions, &GgufOptions::new(blocks))?;
        files.push(path);
    }
    let architecture = match checkpoint.config().architecture {
        Architecture::Mistral => "llama",
        other => other.name(),
    };
    let (script, request) = (
        folder.path().join("read.py"),
        folder.path().join("request.json"),
    );
    fs::write(&script, SCRIPT)?;
    let json = json!({ "folder": saved, "architecture": architecture, "files": files });
    fs::write(&request, json.to_string())?;
    let output = (python.command().arg(script).arg(request))
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "gguf-py failed");
    serde_json::from_slice(&output.stdout).context("gguf.py printed something else")
}
