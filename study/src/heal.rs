//! Ten of SmolLM2's thirty layers, healed here and by PyTorch: the same weights to begin with, the same
//! tokens in the same order, the same optimizer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use potstill::burn::module::Module;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::checkpoint_tokenizer;
use potstill::core::{TokenBatch, TokenRow, Vocabulary};
use potstill::data::{TextSplit, read_text};
use potstill::eval::held_out;
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{
    Checkpoint, Companions, LanguageModel, LayerChoice, StudentSpec, derive_student,
    save_pretrained,
};
use potstill::teachers::ModelTeacher;
use potstill::train::{BatchFn, Decay, Progress, Schedule, Trainer, TrainerConfig};
use serde::{Deserialize, Serialize};

use crate::language::TEXT;
use crate::pool::write;

/// Settings of the comparison.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Optimizer steps of 4 rows of 256 positions.
    #[arg(long, default_value_t = 120)]
    steps: usize,
    /// Learning rate at its peak.
    #[arg(long, default_value_t = 5e-4)]
    learning_rate: f64,
    /// A Python with torch and transformers, which does the same; without one only ours is run.
    #[arg(long)]
    python: Option<PathBuf>,
    /// How PyTorch calculates: f32, or bf16 autocast.
    #[arg(long, value_delimiter = ',', default_value = "f32,bf16")]
    recipes: Vec<String>,
}

const SEQ: usize = 256;
const BATCH: usize = 4;
const LAYERS: usize = 10;

/// Of each twelve rows one is held out.
const HELD_OUT: usize = 12;

/// What a side reaches.
#[derive(Debug, Serialize, Deserialize)]
struct Healed {
    /// Share of held-out positions with the teacher's first choice.
    top1_agreement: f64,
    /// Nats per token.
    forward_kl: f64,
    /// Of training.
    seconds: f64,
}

/// Heals on both sides and prints a table.
pub(crate) fn run(settings: &Settings, teacher: &Path, out: &Path) -> Result<()> {
    let checkpoint = Checkpoint::open(teacher)?;
    let tokenizer = checkpoint_tokenizer(&checkpoint)?;
    let device = Device::default();
    let teacher = checkpoint.language_model(FloatDType::F32, &device)?;
    let spec = StudentSpec::Layers(LayerChoice::EvenlySpaced(LAYERS));
    let student = derive_student(&teacher, &spec, &device.clone().autodiff())?.model;

    let mut text = Vec::new();
    for record in read_text(TEXT, TextSplit::Paragraphs { max_chars: 2_000 })? {
        text.extend(tokenizer.encode(&record.text(), false)?);
    }
    let blocks: Vec<&[u32]> = text.chunks_exact(SEQ + 1).collect();
    let is_held_out = |number: usize| number.is_multiple_of(HELD_OUT);
    let pick = |held_out| -> Vec<&[u32]> {
        let numbered = blocks.iter().enumerate();
        let chosen = numbered.filter(|(number, _)| is_held_out(*number) == held_out);
        chosen.map(|(_, block)| *block).collect()
    };
    let (train, test) = (pick(false), pick(true));
    // A fixed walk through the text that does not follow its order; passes differ.
    let stride = 97;
    ensure!(
        !train.len().is_multiple_of(stride),
        "the walk misses a part of the text"
    );
    let order: Vec<&[u32]> = (0..settings.steps * BATCH)
        .map(|n| train[(n * stride) % train.len()])
        .collect();

    let ours = heal(settings, &teacher, student.clone(), &order, &test)?;
    let mut table =
        "| | same first choice, % | KL to the teacher, nats | seconds |\n|---|---:|---:|---:|\n"
            .to_owned();
    line(&mut table, "potstill, f32", &ours);
    let mut theirs = Vec::new();
    if let Some(python) = &settings.python {
        let folder = out.join("heal");
        save_pretrained(&teacher, folder.join("teacher"), &Companions::default())?;
        save_pretrained(
            &student.valid(),
            folder.join("student"),
            &Companions::default(),
        )?;
        let rows = serde_json::json!({ "train": order, "held_out": test, "batch": BATCH });
        write(&folder.join("rows.json"), &rows.to_string())?;
        for recipe in &settings.recipes {
            let healed = heal_in_torch(python, &folder, recipe, settings)?;
            line(&mut table, &format!("PyTorch, {recipe}"), &healed);
            theirs.push(healed);
        }
    }
    println!("{table}");
    let best = theirs
        .iter()
        .max_by(|a, b| a.top1_agreement.total_cmp(&b.top1_agreement));
    let fastest = theirs.iter().min_by(|a, b| a.seconds.total_cmp(&b.seconds));
    if let (Some(best), Some(fastest)) = (best, fastest) {
        println!(
            "{:.1} % of the best agreement that PyTorch reaches, in {:.2} times the time of that recipe and {:.2} times \
             that of the fastest",
            100.0 * ours.top1_agreement / best.top1_agreement,
            ours.seconds / best.seconds,
            ours.seconds / fastest.seconds,
        );
    }
    Ok(())
}

fn line(table: &mut String, name: &str, healed: &Healed) {
    let Healed {
        top1_agreement,
        forward_kl,
        seconds,
    } = healed;
    let agreement = 100.0 * top1_agreement;
    *table += &format!("| {name} | {agreement:.2} | {forward_kl:.3} | {seconds:.0} |\n");
}

fn heal(
    settings: &Settings,
    teacher: &LanguageModel,
    student: LanguageModel,
    order: &[&[u32]],
    test: &[&[u32]],
) -> Result<Healed> {
    let device = Device::default();
    let batch = |blocks: &[&[u32]], device: &Device| {
        let row = |block: &&[u32]| TokenRow::document(block, &vec![1.0; block.len()]);
        let rows: Vec<TokenRow> = blocks.iter().map(row).collect();
        TokenBatch::from_rows(&rows, 0, device)
    };
    let steps = settings.steps;
    let config = TrainerConfig {
        learning_rate: settings.learning_rate,
        schedule: Schedule {
            warmup: steps / 20,
            decay: Decay::Cosine,
            floor: 0.1,
        },
        log_every: 10,
        ..TrainerConfig::steps(steps)
    };
    let batches: Vec<TokenBatch> = order
        .chunks(BATCH)
        .map(|blocks| batch(blocks, &device))
        .collect();
    let source = BatchFn::new(move |number, _: &LanguageModel| Ok(batches.get(number).cloned()));
    let soft = SoftTarget::new(Divergence::ForwardKl);
    let tutor = ModelTeacher::new(teacher);
    let mut trainer =
        Trainer::new(config, student, soft, tutor, source)?.callback(Progress::stderr());
    let start = Instant::now();
    trainer.run()?;
    let seconds = start.elapsed().as_secs_f64();

    let batches = test.chunks(BATCH).map(|blocks| batch(blocks, &device));
    let vocabulary = Vocabulary::of_size(teacher.config().vocab_size);
    let measured = held_out(
        &trainer.student(),
        &vocabulary,
        &mut ModelTeacher::new(teacher),
        batches,
    )?;
    Ok(Healed {
        top1_agreement: measured.top1_agreement,
        forward_kl: measured.forward_kl,
        seconds,
    })
}

fn heal_in_torch(
    python: &Path,
    folder: &Path,
    recipe: &str,
    settings: &Settings,
) -> Result<Healed> {
    let answer = folder.join(format!("{recipe}.json"));
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../benches/peers/heal_torch.py"
    );
    let status = Command::new(python)
        .arg(script)
        .arg(folder)
        .args(["--dtype", recipe])
        .args(["--learning-rate", &settings.learning_rate.to_string()])
        .arg("--out")
        .arg(&answer)
        .status()
        .with_context(|| format!("cannot run {}", python.display()))?;
    ensure!(status.success(), "{script} ended with {status}");
    Ok(serde_json::from_str(&fs::read_to_string(&answer)?)?)
}
