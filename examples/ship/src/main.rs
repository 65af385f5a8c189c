//! Writes a model as a folder with a card and as GGUF files, and measures what each of them keeps.
//!
//! ```text
//! cargo run --release -p ship
//! cargo run --release -p ship -- --model runs/quickstart/second-pass/model
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{TokenBatch, Vocabulary};
use potstill::data::TextTokenizer;
use potstill::eval::{
    Better, CardSource, HeldOut, Item, Metric, ModelCard, Results, TaskIdentity, bytes_in_memory,
    bytes_on_disk, held_out,
};
use potstill::models::{
    BlockType, Checkpoint, GgufOptions, LanguageModel, Matrices, MetadataValue, WeightBlocks,
    save_gguf, save_pretrained,
};
use potstill::teachers::ModelTeacher;
use quickstart::addition::Problem;
use quickstart::{examination, teacher_folder, training_row};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writes a model as a folder with a card and as GGUF files, and measures what each of them keeps.
#[derive(Parser)]
struct Arguments {
    /// Folder of a model of the quickstart's task; by default the one that the repository ships.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Where to put everything.
    #[arg(long, default_value = "runs/ship")]
    out: PathBuf,
    /// Problems that no model trained on.
    #[arg(long, default_value_t = 1_000)]
    problems: usize,
    /// A few problems only, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    if arguments.smoke {
        arguments.problems = 100;
        arguments.out = temporary.path().into();
    }
    let out = &arguments.out;
    // Whatever else knows the task learned it from the teacher.
    let teacher = arguments.model.as_ref().map(|_| "the quickstart's teacher");
    let checkpoint = Checkpoint::open(arguments.model.unwrap_or_else(teacher_folder))?;
    let model = checkpoint.language_model(FloatDType::F32, &Device::default())?;
    let companions = checkpoint.companions()?;
    save_pretrained(&model, out, &companions)?;
    let mut files = vec![("model.safetensors".into(), "f32, for transformers".into())];
    use BlockType::{F32, Q4_0, Q4K, Q8_0};
    for blocks in [F32, Q8_0, Q4_0, Q4K] {
        let name = format!("adder-{blocks}.gguf");
        let options = GgufOptions::new(blocks)
            .with_metadata("general.name", MetadataValue::String("Adder".into()));
        let written = save_gguf(&model, out.join(&name), &companions, &options)?;
        let types = written.tensors.iter();
        let types: Vec<String> = types.map(|it| format!("{} {}", it.1, it.0)).collect();
        files.push((name, format!("{}, for llama.cpp", types.join(", "))));
    }

    let tokenizer = TextTokenizer::from_folder(out)?;
    let items = examination::items(arguments.problems, &tokenizer)?;
    let (mut card, mut results) = (card(teacher), Results::new("adder"));
    println!("                          KB  forward KL    top-1  exact match");
    let show = |name: &str, bytes: u64, read: &LanguageModel| -> Result<Metric> {
        let (distance, exact) = measure(&model, read, &tokenizer, &items)?;
        let (kl, top1) = (distance.forward_kl, 100.0 * distance.top1_agreement);
        let (kilobytes, right) = (bytes as f64 / 1e3, 100.0 * exact.value);
        println!("{name:<19} {kilobytes:>8.1} {kl:>11.2e} {top1:>6.1} %  {right:>9.1} %");
        Ok(exact)
    };
    for (name, about) in &files {
        let path = out.join(name);
        let from = if name.ends_with(".gguf") { &path } else { out };
        let read = Checkpoint::open(from)?.language_model(FloatDType::F32, &Device::default())?;
        let bytes = bytes_on_disk(&path)?;
        let exact = show(name, bytes, &read)?;
        results = results.with_metric(format!("exact match, {name}"), exact);
        card = card.with_file(name, about, bytes);
    }
    // The teacher's `down_proj` has 344 inputs, which blocks of 32 do not fill.
    let matrices = "q_proj k_proj v_proj o_proj gate_proj up_proj".split(' ');
    let matrices = Matrices::Named(matrices.map(String::from).collect());
    for (name, blocks) in [("int8", WeightBlocks::Int8), ("int4", WeightBlocks::Int4)] {
        let read = model.quantized(blocks, &matrices)?;
        show(&format!("{name} in burn"), bytes_in_memory(&read), &read)?;
    }
    card.results = Some(results);
    card.write(out.join("README.md"))?;
    println!("\n{}", out.join("README.md").display());
    Ok(())
}

/// What is known of the model.
fn card(teacher: Option<&str>) -> ModelCard {
    ModelCard {
        summary: Some("Adds two numbers of up to three digits, and can do nothing else.".into()),
        license: Some("MIT".into()),
        teachers: teacher.map(CardSource::new).into_iter().collect(),
        data: vec![CardSource::new(
            "Sums of two numbers from 0 to 999, computed",
        )],
        intended_use: Some("Examples and tests of Potstill.".into()),
        prompt: Some("<bos>12+345=".into()),
        ..ModelCard::new("Adder")
    }
}

/// How far what was read is from what was written, and the share of problems that it solves.
fn measure(
    written: &LanguageModel,
    read: &LanguageModel,
    tokenizer: &TextTokenizer,
    items: &[Item],
) -> Result<(HeldOut, Metric)> {
    let problems: Vec<&str> = items.iter().map(|item| item.problem.as_str()).collect();
    let rows = problems.iter().filter_map(|text| {
        let problem = Problem::parse(text)?;
        Some(training_row(tokenizer, problem, &problem.answer(), 0.0))
    });
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let batch = TokenBatch::from_rows(&rows, tokenizer.pad_id(), &Device::default());
    let vocabulary = Vocabulary::of_size(written.config().vocab_size);
    let distance = held_out(read, &vocabulary, &mut ModelTeacher::new(written), [batch])?;

    let task = TaskIdentity::of_items("addition", "1", &problems)?;
    let answers = examination::examine(read, items, tokenizer)?;
    let exact = Metric::of_scores(Better::Higher, task, answers.scores()?);
    Ok((distance, exact))
}
