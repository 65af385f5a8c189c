//! Writes what the page writes, without a browser.
//!
//! ```text
//! cargo run --release -p browser -- runs/browser/adder.gguf 123+456
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use std::{fs, slice};

use anyhow::Result;
use browser::{TextModel, Weights};
use clap::Parser;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{Generate, GenerateOptions, StopRule};
use potstill::models::{BlockType, Checkpoint, GgufOptions, save_gguf};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writes what the page writes, without a browser.
#[derive(Parser)]
struct Arguments {
    /// A GGUF file; where there is none yet, the quickstart's teacher is put there.
    #[arg(default_value = "runs/browser/adder.gguf")]
    model: PathBuf,
    /// A question, or a text to be continued.
    #[arg(default_value = "123+456")]
    text: String,
    /// Most tokens to write.
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// How weights are kept: f32, half or int8.
    #[arg(long, default_value = "f32")]
    weights: Weights,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// Two tokens only, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if !arguments.model.exists() {
        write_adder(&arguments.model)?;
    }
    let bytes = fs::read(&arguments.model)?;
    let name = arguments.model.display().to_string();
    let source = TextModel::read(&name, bytes, arguments.weights, &Device::default())?;

    let prompt = source.prompt(&arguments.text)?;
    let limit = if arguments.smoke { 2 } else { arguments.tokens };
    let first_token = Arc::new(OnceLock::new());
    let seen = Arc::clone(&first_token);
    let options = GenerateOptions {
        stop_rule: Some(StopRule::new(move |_| {
            seen.get_or_init(Instant::now);
            false
        })),
        ..source.options(&prompt, limit)
    };
    // Once for the caches of the processor.
    let one = source.options(&prompt, 1);
    source.model.generate(slice::from_ref(&prompt), &one)?;
    let written = source
        .model
        .generate(slice::from_ref(&prompt), &options)?
        .remove(0);
    let tokens = written.tokens.len();
    // Of the tokens behind the first, as on the page.
    let rate = first_token
        .get()
        .filter(|_| tokens > 1)
        .map(|begun: &Instant| (tokens - 1) as f64 / begun.elapsed().as_secs_f64());
    let text = source.text(&written.tokens)?;
    if arguments.json {
        println!(
            "{}",
            json!({"text": text, "tokens": tokens, "tokens_per_second": rate})
        );
    } else {
        println!("{text}\n\n{tokens} tokens");
        if let Some(rate) = rate {
            println!("{rate:.1} tokens/s");
        }
    }
    Ok(())
}

/// Writes the quickstart's teacher, which adds two numbers, as a file that answers questions.
fn write_adder(path: &Path) -> Result<()> {
    let checkpoint = Checkpoint::open(quickstart::teacher_folder())?;
    let mut companions = checkpoint.companions()?;
    companions.chat_template = Some("{{ bos_token }}{{ messages[0].content }}=".to_owned());
    let model = checkpoint.language_model(FloatDType::F32, &Device::default())?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    save_gguf(
        &model,
        path,
        &companions,
        &GgufOptions::new(BlockType::Q8_0),
    )?;
    Ok(())
}
