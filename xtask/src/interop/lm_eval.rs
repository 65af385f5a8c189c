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
use potstill::eval::{
    EndpointTextModel, HarnessResults, LocalTextModel, PromptFormat, TaskFiles, TextModel,
};
use potstill_data::ChatTemplate;
use potstill_models::Checkpoint;
use potstill_serve::{BatchLimits, LocalChat, Server, ServerOptions};
use potstill_teachers::{Endpoint, EndpointConfig};
use serde_json::Value;
use tasks::Selection;

use super::Outcome;
use crate::python::Python;

const SCRIPT: &str = include_str!("lm_eval.py");

/// How far numbers may lie apart: what the order of additions in f32 makes of them, and that the server
/// writes log-probabilities with the digits of f32.
const TOLERANCE: f64 = 1e-5;

/// Runs all tasks in three ways and compares.
pub(super) fn run(root: &Path, python: &Python, checkpoint: &Path) -> Result<Outcome> {
    let Some(release) = python.version_of("lm_eval") else {
        return Ok(Outcome::Skipped(
            "no lm-evaluation-harness in this Python; `pip install 'lm_eval[api]' transformers` brings it, \
             or name another with --python"
                .into(),
        ));
    };
    let transformers = python.version_of("transformers");
    let teacher = root.join("examples/quickstart/teacher");
    let mut rows = compare(python, "quickstart", &teacher, &tasks::of_sums())?;
    if checkpoint.exists() {
        let name = checkpoint.file_stem().unwrap_or_default().to_string_lossy();
        rows += &compare(python, &name, checkpoint, &tasks::of_english())?;
        if transformers.is_some() {
            rows += &compare(python, &name, checkpoint, &tasks::of_conversations())?;
        }
    }
    let conversations = match transformers {
        Some(release) => format!(
            "Tasks of the group `everyday` are put as conversations (`PromptFormat`; \
             `--apply_chat_template --fewshot_as_multiturn --system_instruction`): the harness then renders \
             the chat template and makes the tokens with transformers {release}, from the files that \
             `Checkpoint::companions` has."
        ),
        None => {
            "There is no transformers in this Python, so that no prompt was put as a conversation."
                .into()
        }
    };
    Ok(Outcome::Finished(format!(
        "`cargo xtask interop lm-eval`, with lm_eval {release}: task files are run by `TaskSuite::run` on the \
         model in this process and on our server, and by `lm_eval --model local-completions` on the same \
         server, with the tokenizer that the server offers (`/tokenizer_info`, `/tokenize`). Windows are two \
         tokens shorter than the context, since the harness leaves room for one that it predicts and one that \
         it lets the server write; where texts have to be cut, at most 126. {conversations} Hashes of \
         documents, prompts and right answers are the same in all three, and so is what is said about groups: \
         members, versions, numbers of examples and documents, which way is up. The harness prints its tables \
         from the file that we write.\n\n\
         | model | task or group | metric | here | our client | lm_eval | largest difference |\n\
         |---|---|---|--:|--:|--:|--:|\n{rows}"
    )))
}

fn compare(python: &Python, name: &str, path: &Path, selection: &Selection) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let files = folder.path().join("tasks");
    fs::create_dir(&files)?;
    selection.write(&files)?;
    let checkpoint = Checkpoint::open(path)?;
    let tokenizer = checkpoint_tokenizer(&checkpoint)?;
    let format = match selection.instruction {
        None => PromptFormat::default(),
        Some(instruction) => {
            let source = checkpoint.chat_template()?;
            let source = source.with_context(|| format!("{name} has no chat template"))?;
            let specials = tokenizer.special_tokens().clone();
            PromptFormat {
                system_instruction: Some(instruction.into()),
                ..PromptFormat::chat(ChatTemplate::new(source, specials)?)
            }
        }
    };
    let run = |model: &dyn TextModel, to: &str| {
        of_ours(model, selection, &format, &files, &folder.path().join(to))
    };
    let model = checkpoint.language_model(FloatDType::F32, &Device::flex())?;
    let window = (model.config().max_positions - 2).min(selection.window);
    let local = LocalTextModel::new(name, &model, tokenizer.clone())?.with_window(window);
    let here = run(&local, "here")?;
    read_back(python, &here)?;

    let chat = LocalChat::new(name, model, tokenizer.clone(), None, BatchLimits::default())?;
    let server = Server::bind("127.0.0.1:0", chat, ServerOptions::default())?.start()?;
    let address = format!("http://{}/v1", server.address());
    let endpoint = Endpoint::new(EndpointConfig::new(&address, name))?;
    let remote = EndpointTextModel::new(endpoint, tokenizer, window)?;
    let there = run(&remote, "there")?;
    let mut model_args = format!(
        "model={name},base_url={address}/completions,max_length={}",
        window + 2
    );
    if selection.instruction.is_some() {
        let tokenizer = folder.path().join("tokenizer");
        write_tokenizer(&checkpoint, &tokenizer)?;
        write!(
            model_args,
            ",tokenizer_backend=huggingface,tokenizer={}",
            tokenizer.display()
        )?;
    }
    let theirs = of_theirs(python, &model_args, selection, folder.path())?;
    server.shutdown()?;
    let asked = match selection.instruction {
        Some(_) => format!("{name}, in conversations"),
        None => name.to_owned(),
    };
    rows(&asked, &[read(&here)?, read(&there)?, theirs])
}

/// What transformers needs to make tokens.
fn write_tokenizer(checkpoint: &Checkpoint, folder: &Path) -> Result<()> {
    let companions = checkpoint.companions()?;
    fs::create_dir(folder)?;
    for (name, text) in [
        ("tokenizer.json", companions.tokenizer_json),
        ("tokenizer_config.json", companions.tokenizer_config),
        ("special_tokens_map.json", companions.special_tokens_map),
        ("chat_template.jinja", companions.chat_template),
    ] {
        if let Some(text) = text {
            fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}

/// The results file of a model on all tasks.
fn of_ours(
    model: &dyn TextModel,
    selection: &Selection,
    format: &PromptFormat,
    files: &Path,
    out: &Path,
) -> Result<PathBuf> {
    let begun = SystemTime::now();
    let suite = TaskFiles::read([files])?.suite(&selection.names)?;
    let run = suite.with_prompt_format(format).run(model)?;
    let took = begun.elapsed().unwrap_or(Duration::ZERO);
    let results = HarnessResults::new(&run.runs, model, begun, took).with_groups(&run.groups);
    Ok(results.write(out)?)
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
    model_args: &str,
    selection: &Selection,
    folder: &Path,
) -> Result<Value> {
    let out = folder.join("theirs");
    let log = fs::File::create(folder.join("lm_eval.log"))?;
    let mut command = python.command();
    command
        .args(["-m", "lm_eval", "run", "--model", "local-completions"])
        .args(["--model_args", model_args])
        .args(["--tasks", &selection.names.join(","), "--log_samples"])
        .arg("--include_path")
        .arg(folder.join("tasks"))
        .arg("--output_path")
        .arg(&out);
    if let Some(instruction) = selection.instruction {
        command
            .args(["--apply_chat_template", "--fewshot_as_multiturn", "true"])
            .args(["--system_instruction", instruction]);
    }
    let status = command
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

/// A row for each metric, after a look at the hashes, at what is said about groups, and at the
/// differences.
fn rows(model: &str, all: &[Value; 3]) -> Result<String> {
    for key in [
        "task_hashes",
        "group_subtasks",
        "versions",
        "n-shot",
        "higher_is_better",
        "n-samples",
        "system_instruction",
        "fewshot_as_multiturn",
        "chat_template",
        "chat_template_sha",
    ] {
        let said = all.each_ref().map(|results| &results[key]);
        ensure!(
            said[0] == said[2] && said[1] == said[2],
            "{model}: `{key}` differs: {said:#?}"
        );
    }
    let names = all[2]["results"].as_object().context("no results")?.keys();
    let mut rows = String::new();
    for name in names {
        let results = all.each_ref().map(|results| &results["results"][name]);
        let metrics = results[2].as_object().context("there are no results")?;
        for (metric, theirs) in metrics {
            let Some(theirs) = theirs.as_f64().filter(|_| metric.contains(',')) else {
                continue;
            };
            let ours = |results: &Value| {
                let found = results[metric].as_f64();
                found.with_context(|| format!("{name}: we have no {metric}"))
            };
            let values = [ours(results[0])?, ours(results[1])?, theirs];
            let largest = values
                .iter()
                .map(|value| (value - theirs).abs())
                .fold(0.0, f64::max);
            // Resampled with other random numbers.
            let is_drawn = metric.contains("_stderr")
                && ["perplexity", "bleu", "chrf", "ter"]
                    .iter()
                    .any(|name| metric.starts_with(name));
            if is_drawn {
                continue;
            }
            ensure!(
                largest <= TOLERANCE * theirs.abs().max(1.0),
                "{name}, {metric}: {values:?}"
            );
            let [here, there, theirs] = values;
            writeln!(
                rows,
                "| {model} | {name} | `{metric}` | {here:.6} | {there:.6} | {theirs:.6} | {largest:.0e} |"
            )?;
        }
    }
    Ok(rows)
}
