//! Text to packed rows, beside `datasets.map` with two processes.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::alone::{gigabytes, summary};
use super::side::{Heap, Worker, peer};
use super::turns::{Measured, alternate};
use crate::project::Project;
use crate::python::Python;

/// How much faster than the faster of their ways we want to be.
const WANTED: f64 = 1.0;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A JSONL file of texts, such as examples/curate writes.
    corpus: PathBuf,
    /// The checkpoint whose tokenizer is used.
    #[arg(long, default_value = "target/fetch/SmolLM2-135M-Instruct.Q4_1.gguf")]
    checkpoint: PathBuf,
    /// Measured turns of each side, after one to warm up.
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// Prints one JSON document instead of a table.
    #[arg(long)]
    json: bool,
    /// The interpreter that has datasets and transformers.
    #[arg(long)]
    python: Option<PathBuf>,
}

pub(super) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let python = Python::choose(arguments.python.as_deref());
    python.require(&["datasets", "transformers"])?;
    let worker = Worker::flex(project)?;
    let folder = project.target_directory().join("bench");
    std::fs::create_dir_all(&folder)?;
    let text = |path: PathBuf| path.into_os_string().into_string().ok();
    let names = [
        Some(arguments.corpus.clone()),
        Some(folder.join("tokenizer.json")),
        Some(folder.join("rows.bin")),
        Some(arguments.checkpoint.clone()),
    ];
    let names = names.map(|path| path.and_then(text));
    let [Some(corpus), Some(tokenizer), Some(rows), Some(checkpoint)] = names else {
        anyhow::bail!("the paths have to be UTF-8");
    };
    let status = worker
        .plain(&["tokenizer", &checkpoint, &tokenizer])
        .status()
        .context("cannot start the worker")?;
    ensure!(
        status.success(),
        "the worker found no tokenizer in {checkpoint}"
    );
    let bytes = std::fs::metadata(&corpus)
        .with_context(|| format!("cannot read {corpus}"))?
        .len();

    let other = |way: &str| {
        let work = [corpus.as_str(), &tokenizer, "--way", way];
        let command = peer(project, &python, Heap::Default, "datasets_map.py", &work);
        (format!("datasets.map, {way}"), command)
    };
    let sides = vec![
        (
            "potstill".to_owned(),
            worker.plain(&["tokenize", &corpus, &tokenizer, &rows]),
        ),
        other("transformers"),
        other("tokenizers"),
    ];
    let names: Vec<String> = sides.iter().map(|(name, _)| name.clone()).collect();
    let measured = alternate(sides, arguments.turns)?;
    std::fs::remove_file(&rows)?;
    let speed = measured[1].seconds().min(measured[2].seconds()) / measured[0].seconds();
    if arguments.json {
        let sides = names.iter().zip(&measured);
        let sides = sides
            .map(|(name, side)| (name.clone(), summary(side)))
            .collect();
        let sides: serde_json::Map<_, _> = sides;
        println!(
            "{}",
            json!({
                "schema": "potstill.bench.tokenize/1", "corpus_bytes": bytes, "sides": sides,
                "speed": speed, "speed_wanted": WANTED,
            })
        );
    } else {
        println!("{}", table(&names, &measured, bytes));
        let word = if speed >= WANTED { "reached" } else { "missed" };
        println!("\n{speed:.2} times as fast as the faster of the two; wanted {WANTED}: {word}");
    }
    Ok(())
}

fn table(names: &[String], measured: &[Measured], bytes: u64) -> String {
    let mut lines = vec![
        format!("{:.1} MB of JSONL\n", bytes as f64 / 1e6),
        "| | seconds | MB/s | tokens/s | peak of the main process |".to_owned(),
        "|---|---:|---:|---:|---:|".to_owned(),
    ];
    for (name, side) in names.iter().zip(measured) {
        lines.push(format!(
            "| {name} | {:.2} | {:.1} | {:.0} | {} |",
            side.seconds(),
            bytes as f64 / 1e6 / side.seconds(),
            side.tokens_per_second(),
            gigabytes(side.peak_rss_bytes),
        ));
    }
    lines.join("\n")
}
