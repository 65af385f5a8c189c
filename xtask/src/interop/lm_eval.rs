//! The same tasks by us, and by lm-evaluation-harness through our server.

mod tasks;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill::checkpoint_tokenizer;
use potstill::eval::{EndpointTextModel, HarnessResults, LocalTextModel, Task, TextModel};
use potstill_models::Checkpoint;
use potstill_serve::{BatchLimits, LocalChat, Server, ServerOptions};
use potstill_teachers::{Endpoint, EndpointConfig};
use serde_json::Value;
use tasks::Written;

use super::Outcome;
use crate::python::Python;

const SCRIPT: &str = include_str!("lm_eval.py");

/// How far numbers may lie apart: what the order of additions in f32 makes of them, and that the server
/// writes log-probabilities with the digits of f32.
const TOLERANCE: f64 = 1e-5;

/// Longest window, so that texts are cut for the larger model, too.
const LONGEST_WINDOW: usize = 126;

/// Runs all tasks in three ways and compares.
pub(super) fn run(root: &Path, python: &Python, checkpoint: &Path) -> Result<Outcome> {
    let Some(release) = python.version_of("lm_eval") else {
        return Ok(Outcome::Skipped(
            "no lm-evaluation-harness in this Python; `pip install 'lm_eval[api]'` brings it, or name \
             another with --python"
                .into(),
        ));
    };
    let teacher = root.join("examples/quickstart/teacher");
    let mut rows = compare(python, "quickstart", &teacher, &tasks::of_sums())?;
    if checkpoint.exists() {
        let name = checkpoint.file_stem().unwrap_or_default().to_string_lossy();
        rows += &compare(python, &name, checkpoint, &tasks::of_english())?;
    }
    Ok(Outcome::Finished(format!(
        "`cargo xtask interop lm-eval`, with lm_eval {release}: task files are run by `Task::run` on the model \
         in this process and on our server, and by `lm_eval --model local-completions` on the same server, with \
         the tokenizer that the server offers (`/tokenizer_info`, `/tokenize`). Windows are two tokens \
         shorter than the context (at most {LONGEST_WINDOW}), since the harness leaves room for one that it \
         predicts and one that it lets the server write. Hashes of documents, prompts and right answers are the \
         same in all three. The harness prints its table from the file that we write.\n\n\
         | model | task | metric | here | our client | lm_eval | largest difference |\n\
         |---|---|---|--:|--:|--:|--:|\n{rows}"
    )))
}

fn compare(python: &Python, name: &str, path: &Path, written: &[Written]) -> Result<String> {
    let folder = tempfile::tempdir()?;
    for task in written {
        task.write(folder.path())?;
    }
    let checkpoint = Checkpoint::open(path)?;
    let tokenizer = checkpoint_tokenizer(&checkpoint)?;
    let model = checkpoint.language_model(FloatDType::F32, &Device::flex())?;
    let window = (model.config().max_positions - 2).min(LONGEST_WINDOW);
    let local = LocalTextModel::new(name, &model, tokenizer.clone())?.with_window(window);
    let here = of_ours(&local, written, folder.path())?;
    read_back(python, &here)?;

    let chat = LocalChat::new(name, model, tokenizer.clone(), None, BatchLimits::default())?;
    let server = Server::bind("127.0.0.1:0", chat, ServerOptions::default())?.start()?;
    let address = format!("http://{}/v1", server.address());
    let endpoint = Endpoint::new(EndpointConfig::new(&address, name))?;
    let remote = EndpointTextModel::new(endpoint, tokenizer, window)?;
    let there = of_ours(&remote, written, &folder.path().join("remote"))?;
    let theirs = of_theirs(python, name, &address, window + 2, written, folder.path())?;
    server.shutdown()?;
    rows(name, written, &[read(&here)?, read(&there)?, theirs])
}

/// The results file of a model on all tasks.
fn of_ours(model: &dyn TextModel, written: &[Written], folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let begun = SystemTime::now();
    let mut runs = Vec::new();
    for task in written {
        task.write(folder)?;
        runs.push(Task::read(folder.join(format!("{}.yaml", task.name)))?.run(model)?);
    }
    let took = begun.elapsed().unwrap_or(Duration::ZERO);
    Ok(HarnessResults::new(&runs, model, begun, took).write(folder.join("ours"))?)
}

fn read(path: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// The harness' own code reads our file.
fn read_back(python: &Python, results: &Path) -> Result<()> {
    let output = python
        .command()
        .args(["-c", SCRIPT])
        .arg(results)
        .env("HF_HUB_OFFLINE", "1")
        .stderr(Stdio::inherit())
        .output()?;
    let table = String::from_utf8(output.stdout)?;
    ensure!(
        output.status.success() && table.contains("Stderr"),
        "the harness cannot read our results:\n{table}"
    );
    Ok(())
}

fn of_theirs(
    python: &Python,
    name: &str,
    address: &str,
    max_length: usize,
    written: &[Written],
    folder: &Path,
) -> Result<Value> {
    let names: Vec<&str> = written.iter().map(|task| task.name).collect();
    let out = folder.join("theirs");
    let log = fs::File::create(folder.join("lm_eval.log"))?;
    let status = python
        .command()
        .args([
            "-m",
            "lm_eval",
            "run",
            "--model",
            "local-completions",
            "--model_args",
        ])
        .arg(format!(
            "model={name},base_url={address}/completions,max_length={max_length}"
        ))
        .args([
            "--tasks",
            &names.join(","),
            "--log_samples",
            "--include_path",
        ])
        .arg(folder)
        .arg("--output_path")
        .arg(&out)
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_DATASETS_OFFLINE", "1")
        .env("HF_HOME", folder.join("huggingface"))
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()?;
    if !status.success() {
        let log = fs::read_to_string(folder.join("lm_eval.log")).unwrap_or_default();
        bail!("lm_eval failed:\n{log}");
    }
    let results = fs::read_dir(&out)?
        .flatten()
        .filter_map(|model| fs::read_dir(model.path()).ok())
        .flatten()
        .flatten()
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|end| end == "json"))
        .context("lm_eval wrote no results")?;
    read(&results)
}

/// A row for each metric, after a look at the hashes and the differences.
fn rows(model: &str, written: &[Written], all: &[Value; 3]) -> Result<String> {
    let mut rows = String::new();
    for task in written {
        let hashes = all
            .each_ref()
            .map(|results| &results["task_hashes"][task.name]);
        ensure!(
            hashes[0].is_string() && hashes[0] == hashes[1] && hashes[0] == hashes[2],
            "{}: the documents, prompts or right answers differ: {hashes:?}",
            task.name
        );
        let results = all.each_ref().map(|results| &results["results"][task.name]);
        let metrics = results[2].as_object().context("there are no results")?;
        for (metric, theirs) in metrics {
            let Some(theirs) = theirs.as_f64().filter(|_| metric.contains(',')) else {
                continue;
            };
            let ours = |results: &Value| {
                let found = results[metric].as_f64();
                found.with_context(|| format!("{}: we have no {metric}", task.name))
            };
            let values = [ours(results[0])?, ours(results[1])?, theirs];
            let largest = values
                .iter()
                .map(|value| (value - theirs).abs())
                .fold(0.0, f64::max);
            // Resampled with other random numbers.
            let is_drawn = metric.contains("_stderr")
                && ["perplexity", "bleu", "chrf"]
                    .iter()
                    .any(|name| metric.starts_with(name));
            if is_drawn {
                continue;
            }
            ensure!(
                largest <= TOLERANCE * theirs.abs().max(1.0),
                "{}, {metric}: {values:?}",
                task.name
            );
            let [here, there, theirs] = values;
            writeln!(
                rows,
                "| {model} | {} | `{metric}` | {here:.6} | {there:.6} | {theirs:.6} | {largest:.0e} |",
                task.name
            )?;
        }
    }
    Ok(rows)
}
