//! A student that learns from its own answers, where its data have nothing more to teach.
//!
//! ```text
//! cargo run --release -p on-policy
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use anyhow::Result;
use clap::Parser;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{GenerateOptions, Sampling, TokenRow};
use potstill::data::{Loader, LoaderOptions, TextTokenizer};
use potstill::eval::{Item, LogKind, MetricsLog, Point};
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{Architecture, Checkpoint, LanguageModel, ModelConfig};
use potstill::teachers::ModelTeacher;
use potstill::train::{
    BatchSource, Decay, LoaderBatches, Rollouts, Schedule, Trainer, TrainerConfig,
};
use quickstart::addition::Problem;
use quickstart::{examination, teacher_folder, training_row};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Source = Box<dyn BatchSource<LanguageModel>>;

/// A student that learns from its own answers.
#[derive(Parser)]
struct Arguments {
    /// Steps before the student's ways part, and as many after.
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A few steps only, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let mut arguments = Arguments::parse();
    if arguments.smoke {
        arguments.steps = 4;
    }
    let (device, seed) = (Device::default(), arguments.seed);
    let teacher = Checkpoint::open(teacher_folder())?.language_model(FloatDType::F32, &device)?;
    let tokenizer = TextTokenizer::from_folder(teacher_folder())?;

    // Sums of two numbers from 100 to 199: 500 to learn from, and those that nobody trains on.
    let all = (100..200).flat_map(|a| (100..200).map(move |b| Problem { a, b }));
    let (held_out, mut problems): (Vec<_>, Vec<_>) = all.partition(|problem| problem.is_held_out());
    problems.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let rows: Vec<TokenRow> = problems[..500]
        .iter()
        .map(|&problem| training_row(&tokenizer, problem, &problem.answer(), 0.0))
        .collect::<Result<_, _>>()?;
    let items: Vec<Item> = held_out
        .iter()
        .map(|&problem| examination::item(problem, &problem.answer(), &tokenizer))
        .collect::<Result<_, _>>()?;

    let loader = || Loader::new(rows.clone(), LoaderOptions::shuffled(64, seed));
    let data = || loader().map(|loader| LoaderBatches::new(loader, tokenizer.pad_id(), &device));
    let sampled = GenerateOptions {
        sampling: Sampling::temperature(1.0),
        seed,
        ..examination::answering(&tokenizer)
    };
    let own = Rollouts::new(loader()?, sampled, tokenizer.pad_id(), &device)?;

    let runs = tempfile::tempdir()?;
    let report = |name: &str, model: &LanguageModel| -> Result<()> {
        let right = examination::examine(model, &items, &tokenizer)?.accuracy();
        println!("{name:24} {:5.1} %", 100.0 * right.value());
        Ok(())
    };
    let train = |name: &str, student, divergence, source: Source, learning_rate| {
        let config = TrainerConfig {
            learning_rate,
            schedule: Schedule {
                warmup: arguments.steps / 20,
                decay: Decay::Cosine,
                floor: 0.01,
            },
            ..TrainerConfig::steps(arguments.steps)
        };
        let tutor = ModelTeacher::new(&teacher).with_tokenizer(tokenizer.identity());
        let trainer = Trainer::new(config, student, SoftTarget::new(divergence), tutor, source)?;
        let mut trainer = trainer.start_in(runs.path().join(name))?;
        trainer.run()?;
        let student = trainer.student();
        report(name, &student).map(|()| student)
    };

    let (forward, reverse) = (Divergence::ForwardKl, Divergence::ReverseKl);
    println!("Answers right, of {} held-out problems:", items.len());
    report("teacher", &teacher)?;
    let fresh = LanguageModel::init(&student_config(), seed, &device);
    let begun = train("data, forward KL", fresh, forward, Box::new(data()?), 4e-3)?;
    println!("\nThe same student, as many steps more:");
    for (name, divergence) in [
        ("more data, forward KL", forward),
        ("more data, reverse KL", reverse),
    ] {
        train(name, begun.clone(), divergence, Box::new(data()?), 2e-3)?;
    }
    train(
        "own answers, reverse KL",
        begun,
        reverse,
        Box::new(own),
        2e-3,
    )?;

    println!("\nIts own answers, in the first and the last tenth of the steps:");
    let log = MetricsLog::read(runs.path().join("own answers, reverse KL/metrics.jsonl"))?;
    for name in ["rollout_length", "truncated", "entropy", "repetition"] {
        let points = log.points(LogKind::Train, &format!("source/{name}"));
        let mean = |tenth: &[Point]| {
            tenth.iter().map(|point| point.value).sum::<f64>() / tenth.len() as f64
        };
        let tenths: Vec<f64> = points.chunks(points.len().div_ceil(10)).map(mean).collect();
        println!(
            "{name:24} {:6.3} {:6.3}",
            tenths[0],
            tenths[tenths.len() - 1]
        );
    }
    Ok(())
}

/// Two blocks of width 56: a tenth of the teacher.
fn student_config() -> ModelConfig {
    ModelConfig {
        d_ff: 152,
        tie_word_embeddings: true,
        ..ModelConfig::new(Architecture::Llama, 16, 56, 2, 4)
    }
}
