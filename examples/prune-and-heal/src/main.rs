//! Prunes a teacher in depth and width, and heals what is left by distillation.
//!
//! ```text
//! cargo run --release -p prune-and-heal
//! cargo xtask fetch smollm2
//! cargo run --release -p prune-and-heal -- --teacher PATH --steps 100
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use potstill::burn::module::Module;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::checkpoint_tokenizer;
use potstill::core::{TokenBatch, TokenRow, Vocabulary};
use potstill::data::{
    EncodeOptions, PackOptions, TextSplit, TextTokenizer, encode_records, pack, read_text,
};
use potstill::eval::held_out;
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{
    Checkpoint, Importance, LanguageModel, StudentShape, StudentSpec, derive_student,
};
use potstill::teachers::ModelTeacher;
use potstill::train::{Decay, FixedBatches, Progress, Schedule, Trainer, TrainerConfig};
use quickstart::addition::Problem;
use quickstart::{teacher_folder, training_row};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prunes a teacher in depth and width, and heals what is left by distillation.
#[derive(Parser)]
struct Arguments {
    /// A GGUF file or a Hugging Face folder; the quickstart's teacher without one.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// Share of the blocks, and of the neurons of each, that is kept.
    #[arg(long, default_value_t = 0.75)]
    keep: f64,
    /// Optimizer steps of each student.
    #[arg(long, default_value_t = 300)]
    steps: usize,
    /// A few steps only, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

/// Batches that show which parts matter, and as many to be measured on.
const BATCHES: usize = 8;

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.smoke {
        arguments.steps = 5;
    }
    let device = Device::default();
    let path = arguments.teacher.clone().unwrap_or_else(teacher_folder);
    let checkpoint = Checkpoint::open(path)?;
    let tokenizer = checkpoint_tokenizer(&checkpoint)?;
    let teacher = checkpoint.language_model(FloatDType::F32, &device)?;
    let (rows, batch) = match &arguments.teacher {
        Some(_) => (prose(&tokenizer)?, 4),
        None => (sums(&tokenizer)?, 64),
    };
    let mut train: Vec<TokenBatch> = rows
        .chunks(batch)
        .map(|rows| TokenBatch::from_rows(rows, tokenizer.pad_id(), &device))
        .collect();
    let unseen = train.split_off(train.len() - BATCHES);

    let importance = Importance::measure(&teacher, &train[..BATCHES])?;
    println!("{importance}");
    let share = |size: usize| Some((size as f64 * arguments.keep).round() as usize);
    let parts = importance.keep(&StudentShape {
        n_layers: share(teacher.config().n_layers),
        d_ff: share(teacher.config().d_ff),
        ..StudentShape::default()
    })?;
    println!("kept blocks: {:?}", parts.blocks());
    let training = device.autodiff();
    let pruned = derive_student(&teacher, &StudentSpec::Parts(parts), &training)?.model;
    let fresh = StudentSpec::Fresh(pruned.config().clone(), 1);
    let random = derive_student(&teacher, &fresh, &training)?.model;
    println!(
        "parameters: {:.2} M of the teacher's {:.2} M\n",
        pruned.num_params() as f64 / 1e6,
        teacher.num_params() as f64 / 1e6
    );

    let vocabulary = Vocabulary::of_size(teacher.config().vocab_size);
    let report = |name: &str, student: &LanguageModel| -> Result<()> {
        let mut asked = ModelTeacher::new(&teacher);
        let found = held_out(student, &vocabulary, &mut asked, unseen.clone())?;
        let (kl, agreement) = (found.forward_kl, 100.0 * found.top1_agreement);
        let perplexity = found.student_perplexity();
        println!("{name:<16} {kl:>10.4} {agreement:>5.1} % {perplexity:>11.2}");
        Ok(())
    };
    println!("                 forward KL   top-1  perplexity");
    report("teacher", &teacher)?;
    for (name, student) in [("pruned", pruned), ("random", random)] {
        report(name, &student)?;
        let config = TrainerConfig {
            learning_rate: 1e-3,
            schedule: Schedule {
                warmup: arguments.steps / 20,
                decay: Decay::Cosine,
                floor: 0.1,
            },
            ..TrainerConfig::steps(arguments.steps)
        };
        let objective = SoftTarget::new(Divergence::ForwardKl);
        let source = FixedBatches::new(train.clone());
        let mut trainer = Trainer::new(
            config,
            student,
            objective,
            ModelTeacher::new(&teacher),
            source,
        )?
        .callback(Progress::stderr());
        trainer.run()?;
        report(&format!("{name}, healed"), &trainer.student())?;
    }
    Ok(())
}

/// Two books, in rows of 256 tokens.
fn prose(tokenizer: &TextTokenizer) -> Result<Vec<TokenRow>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../smollm2/data/corpus.txt");
    let records = read_text(path, TextSplit::Paragraphs { max_chars: 2000 })?;
    let encoded = encode_records(&records, tokenizer, None, &EncodeOptions::default())?;
    Ok(pack(&encoded.documents, 256, &PackOptions::default())?.rows)
}

/// Sums, of which the answers count.
fn sums(tokenizer: &TextTokenizer) -> Result<Vec<TokenRow>> {
    let problems = Problem::draw_distinct(4096, false, &mut ChaCha8Rng::seed_from_u64(1));
    let row = |problem: &Problem| training_row(tokenizer, *problem, &problem.answer(), 0.0);
    Ok(problems.iter().map(row).collect::<Result<_, _>>()?)
}
