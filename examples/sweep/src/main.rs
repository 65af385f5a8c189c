//! Several sizes of a student: which are worth what they cost, and which is the smallest that is enough.
//!
//! ```text
//! cargo run --release -p sweep
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::Generate;
use potstill::data::{Loader, LoaderOptions, TextTokenizer};
use potstill::eval::{
    self, Baseline, Better, Calibration, Gates, ItemScore, MachinePrice, Metric, ModelReport,
    ModelRole, Outcome, ProfileOptions, Provenance, Results, Scores, Sweep, TaskIdentity,
};
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{Architecture, Checkpoint, LanguageModel, ModelConfig};
use potstill::teachers::ModelTeacher;
use potstill::train::{Decay, LoaderBatches, Trainer, TrainerConfig};
use quickstart::addition::Problem;
use quickstart::{examination, teacher_folder, training_row};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Blocks and width of each student.
const SIZES: [(usize, usize); 5] = [(1, 24), (1, 56), (2, 40), (2, 56), (2, 80)];

/// Several sizes of a student: the front, and the smallest that is enough. A run that was killed goes on.
#[derive(Parser)]
struct Arguments {
    /// Folder for outcomes and the report.
    #[arg(long, default_value = "runs/sweep")]
    out: PathBuf,
    /// Optimizer steps of each student.
    #[arg(long, default_value_t = 6_000)]
    steps: usize,
    /// Two students and two steps, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let mut sizes = &SIZES[..];
    if arguments.smoke {
        (arguments.out, arguments.steps, sizes) = (temporary.path().into(), 2, &SIZES[..2]);
    }
    let Arguments { out, steps, .. } = &arguments;
    let device = Device::default();
    let teacher = Checkpoint::open(teacher_folder())?.language_model(FloatDType::F32, &device)?;
    let tokenizer = TextTokenizer::from_folder(teacher_folder())?;
    let lessons = Problem::draw_distinct(10_000, false, &mut ChaCha8Rng::seed_from_u64(1));
    let row = |sum: &Problem| training_row(&tokenizer, *sum, &sum.answer(), 0.0);
    let rows = lessons.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let exam = examination::items(1_000, &tokenizer)?;
    let prompts: Vec<_> = exam.iter().map(|item| item.prompt.clone()).collect();
    let questions: Vec<_> = exam.iter().map(|item| &item.problem).collect();
    let task = TaskIdentity::of_items("addition", "1", &questions)?;
    let options = ProfileOptions {
        // What an hour of such a machine might cost.
        machine: Some(MachinePrice::new(0.05, "USD")),
        ..ProfileOptions::new(examination::answering(&tokenizer))
    };

    let examine = |name: &str, model: &LanguageModel| -> Result<Outcome> {
        let options = options.clone().with_config(model.config());
        let costs = eval::profile(model, &prompts[..60], None, &options)?;
        let answers = examination::examine(model, &exam, &tokenizer)?;
        let right = || answers.results.iter().map(|answer| answer.correct);
        let scores = answers.results.iter().zip(right()).map(|(answer, right)| {
            let score = ItemScore::new(&answer.id, if right { 1.0 } else { 0.0 });
            score.with_category(format!("{} digits", answer.expected.len()))
        });
        let scores = Scores::new(scores.collect())?;
        let metric = Metric::of_scores(Better::Higher, task.clone(), scores);
        let results = Results::new(name).with_metric("exact_match", metric);
        // It is as sure of an answer as all of its tokens together are likely.
        let written = model.generate(&prompts, &options.generate)?;
        let likely = written.iter().map(|answer| answer.log_probs.iter().sum());
        let sure = likely.map(|likely: f32| f64::from(likely.exp()));
        let calibration = Calibration::new(sure.zip(right()))?;
        Ok(Outcome {
            calibration: Some(calibration),
            answers: Some(answers.lengths()),
            ..Outcome::new(results, costs)
        })
    };
    let train = |n_layers, d_model| -> Result<LanguageModel> {
        let vocab_size = tokenizer.vocab_size();
        let mut config = ModelConfig::new(Architecture::Llama, vocab_size, d_model, n_layers, 4);
        (config.d_ff, config.tie_word_embeddings) = (3 * d_model, true);
        let student = LanguageModel::init(&config, 1, &device.clone().autodiff());
        let mut config = TrainerConfig::steps(*steps);
        config.learning_rate = 4e-3;
        config.schedule.warmup = steps / 20;
        config.schedule.decay = Decay::Cosine;
        config.optimizer.beta_2 = 0.99;
        let loader = Loader::new(rows.as_slice(), LoaderOptions::shuffled(32, 1))?;
        let source = LoaderBatches::new(loader, tokenizer.pad_id(), &device);
        let tutor = ModelTeacher::new(&teacher).with_tokenizer(tokenizer.identity());
        let objective = SoftTarget::new(Divergence::ForwardKl);
        let mut trainer = Trainer::new(config, student, objective, tutor, source)?;
        trainer.run()?;
        Ok(trainer.student())
    };

    let mut sweep = Sweep::open(out.join("candidates"))?;
    for &(n_layers, d_model) in sizes {
        let name = format!("{n_layers}x{d_model}");
        let recipe = json!({"shape": [n_layers, d_model], "steps": steps, "problems": exam.len()});
        let found = sweep.candidate(&name, &recipe, |_| {
            examine(&name, &train(n_layers, d_model)?)
        })?;
        let solved = found.outcome.results.metrics["exact_match"].value;
        println!("{name} solves {:.1} % ({:?})", 100.0 * solved, found.origin);
    }
    let Outcome {
        results, profile, ..
    } = examine("teacher", &teacher)?;
    results.write(out.join("teacher.json"))?;
    let gates = Gates::parse(include_str!("../gates.toml"))?;
    let viable = sweep.minimal_viable(&gates, |name| Baseline::of_file(out, name))?;
    println!("\n{viable}\n");

    let title = "Five students of one teacher, by quality and cost";
    let about = "Numbers of up to three digits are added. NxD stands for N blocks of width D.";
    let provenance = Provenance::new("cargo run --release -p sweep");
    let mut report = sweep.report(title, about, "exact_match", viable, provenance)?;
    let mut of_teacher = ModelReport::new("teacher", ModelRole::Teacher);
    (of_teacher.results, of_teacher.profile) = (Some(results), Some(profile));
    report.models.insert(0, of_teacher);
    for suggestion in &report.suggestions {
        println!("- {suggestion}");
    }
    report.write_html(out.join("report.html"))?;
    println!("\nThe report is {}", out.join("report.html").display());
    Ok(())
}
