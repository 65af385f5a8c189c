//! The peak memory of a step as its rows grow, at a fixed chunk, and what its loss alone needs.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Options;
use super::alone::worker;
use super::side::{Heap, Worker};
use super::turns::alternate;
use crate::project::Project;

/// Sequences of a batch; 256 positions each.
const BATCHES: [usize; 4] = [4, 8, 16, 32];

const SEQ: usize = 256;

/// Tokens of the vocabulary: that of SmolLM2, and one beside which the rest of the step shows.
const VOCABULARIES: [usize; 2] = [49_152, 1024];

pub(super) fn run(project: &Project, options: &Options) -> Result<()> {
    let worker = worker(project, options)?;
    let mut measured: Vec<(usize, [f64; 2])> = Vec::new();
    for batch in BATCHES {
        let mut peaks = [0.0; 2];
        for (peak, vocab) in peaks.iter_mut().zip(VOCABULARIES) {
            let (batch, vocab) = (batch.to_string(), vocab.to_string());
            let work = ["step", "--batch", &batch, "--vocab", &vocab];
            *peak = peak_bytes(&worker, &work)?;
        }
        measured.push((batch * SEQ, peaks));
    }
    let loss = peak_bytes(&worker, &["loss"])? - peak_bytes(&worker, &["loss", "--idle"])?;
    let (first, last) = (measured[0], measured[measured.len() - 1]);
    let growth = [0, 1].map(|i| (last.1[i] - first.1[i]) / (last.0 - first.0) as f64);
    let logits = VOCABULARIES[0] * size_of::<f32>();
    if options.json {
        let peaks: Vec<Value> = (measured.iter())
            .map(|(rows, peaks)| json!({"rows": rows, "peak_rss_bytes": peaks}))
            .collect();
        let document = json!({
            "schema": "potstill.bench.memory/1",
            "backend": worker.backend(),
            "vocabularies": VOCABULARIES,
            "peaks": peaks,
            "bytes_a_row": growth,
            "bytes_of_a_row_of_logits": logits,
            "loss_extra_bytes": loss,
        });
        println!("{document}");
        return Ok(());
    }
    let [whole, small] = VOCABULARIES;
    println!("| rows | peak with {whole} tokens, GB | with {small} |\n|---:|---:|---:|");
    for (rows, [whole, small]) in &measured {
        println!("| {rows} | {:.2} | {:.2} |", whole / 1e9, small / 1e9);
    }
    println!(
        "\nEach row adds {:.0} KB with {whole} tokens and {:.0} KB with {small}; \
         its logits alone would be {:.0} KB.",
        growth[0] / 1e3,
        growth[1] / 1e3,
        logits as f64 / 1e3
    );
    println!(
        "A loss of {} rows takes {:.0} MB beside its inputs and gradients; their logits would take {:.0} MB a model.",
        BATCHES[0] * SEQ,
        loss / 1e6,
        (BATCHES[0] * SEQ * logits) as f64 / 1e6
    );
    Ok(())
}

/// The most memory that a worker took to do `work` twice.
fn peak_bytes(worker: &Worker, work: &[&str]) -> Result<f64> {
    let sides = vec![(work.join(" "), worker.command(Heap::Keeping, work))];
    let bytes = alternate(sides, 1)?[0].peak_rss_bytes;
    Ok(bytes.context("this system does not tell how much memory a process took")? as f64)
}
