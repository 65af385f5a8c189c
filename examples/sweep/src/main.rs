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
use potstill::core::{Generate, TokenBatch, TokenRow};
use potstill::data::{Loader, LoaderOptions, TextTokenizer};
use potstill::eval::{
    Baseline, Better, Calibration, CostAxis, Gates, Item, ItemScore, MachinePrice, Metric,
    ModelReport, ModelRole, Outcome, PairedOptions, ProfileOptions, Provenance, Report, Results,
    Scores, Sweep, TaskIdentity, profile,
};
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{Architecture, Checkpoint, Importance, LanguageModel, ModelConfig};
use potstill::teachers::ModelTeacher;
use potstill::train::{Decay, LoaderBatches, Schedule, Trainer, TrainerConfig};
use quickstart::addition::Problem;
use quickstart::{examination, teacher_folder, training_row};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Blocks and width of each student.
const SIZES: [(usize, usize); 6] = [(1, 24), (1, 56), (2, 40), (2, 56), (2, 80), (4, 80)];

/// Several sizes of a student: the front, and the smallest that is good enough. A run that was killed
/// goes on where it was.
#[derive(Parser)]
struct Arguments {
    /// Folder for outcomes and the report.
    #[arg(long, default_value = "runs/sweep")]
    out: PathBuf,
    /// Optimizer steps of each student.
    #[arg(long, default_value_t = 2_400)]
    steps: usize,
    /// What an hour of this machine costs, in USD.
    #[arg(long, default_value_t = 0.05)]
    price: f64,
    /// Two tiny students, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let (mut sizes, mut problems) = (&SIZES[..], 1_000);
    if arguments.smoke {
        (arguments.out, arguments.steps) = (temporary.path().into(), 2);
        (sizes, problems) = (&SIZES[..2], 60);
    }
    let Arguments { out, steps, .. } = &arguments;
    let device = Device::default();
    let teacher = Checkpoint::open(teacher_folder())?.language_model(FloatDType::F32, &device)?;
    let tokenizer = TextTokenizer::from_folder(teacher_folder())?;
    let rows = Problem::draw_distinct(10_000, false, &mut ChaCha8Rng::seed_from_u64(1))
        .into_iter()
        .map(|problem| training_row(&tokenizer, problem, &problem.answer(), 0.0))
        .collect::<Result<Vec<TokenRow>, _>>()?;
    let exam = examination::items(problems, &tokenizer)?;
    let probe = [TokenBatch::from_rows(
        &rows[..256],
        tokenizer.pad_id(),
        &device,
    )];
    let examine = |name: &str, model: &LanguageModel| -> Result<Outcome> {
        let mut options = ProfileOptions::new(examination::answering(&tokenizer));
        options.config = Some(model.config().clone());
        options.machine = Some(MachinePrice::new(arguments.price, "USD"));
        let prompts: Vec<_> = exam.iter().map(|item| item.prompt.clone()).collect();
        let costs = profile(model, &prompts[..prompts.len().min(64)], None, &options)?;

        let answers = examination::examine(model, &exam, &tokenizer)?;
        let scored = answers.results.iter().zip(&exam).map(|(result, item)| {
            ItemScore::new(&result.id, f64::from(u8::from(result.correct)))
                .with_category(carries(item))
        });
        let questions: Vec<&str> = exam.iter().map(|item| item.problem.as_str()).collect();
        let task = TaskIdentity::of_items("addition", "1", &questions)?;
        let metric = Metric::of_scores(Better::Higher, task, Scores::new(scored.collect())?);
        let mut outcome =
            Outcome::new(Results::new(name).with_metric("exact_match", metric), costs);
        // How sure it is of an answer: the probability of all its tokens.
        let generations = model.generate(&prompts, &options.generate)?;
        let sure = generations
            .iter()
            .map(|answer| f64::from(answer.log_probs.iter().sum::<f32>().exp()));
        let right = answers.results.iter().map(|result| result.correct);
        outcome.calibration = Some(Calibration::new(sure.zip(right))?);
        outcome.block_influence = Some(Importance::measure(model, &probe)?.blocks().to_vec());
        outcome.answers = Some(answers.lengths());
        Ok(outcome)
    };
    let train = |n_layers: usize, d_model: usize| -> Result<LanguageModel> {
        let config = ModelConfig {
            d_ff: 3 * d_model,
            tie_word_embeddings: true,
            ..ModelConfig::new(
                Architecture::Llama,
                tokenizer.vocab_size(),
                d_model,
                n_layers,
                4,
            )
        };
        let config_of_run = TrainerConfig {
            learning_rate: 4e-3,
            schedule: Schedule {
                warmup: steps / 20,
                decay: Decay::Cosine,
                floor: 0.01,
            },
            ..TrainerConfig::steps(*steps)
        };
        let student = LanguageModel::init(&config, 1, &device.clone().autodiff());
        let loader = Loader::new(rows.as_slice(), LoaderOptions::shuffled(128, 1))?;
        let source = LoaderBatches::new(loader, tokenizer.pad_id(), &device);
        let tutor = ModelTeacher::new(&teacher).with_tokenizer(tokenizer.identity());
        let objective = SoftTarget::new(Divergence::ForwardKl);
        let mut trainer = Trainer::new(config_of_run, student, objective, tutor, source)?;
        trainer.run()?;
        Ok(trainer.student())
    };

    let mut sweep = Sweep::open(out.join("candidates"))?;
    for &(n_layers, d_model) in sizes {
        let name = format!("{n_layers}x{d_model}");
        let recipe =
            json!({"n_layers": n_layers, "d_model": d_model, "steps": steps, "problems": problems});
        let found = sweep.candidate(&name, &recipe, |_| {
            examine(&name, &train(n_layers, d_model)?)
        })?;
        let accuracy = found.outcome.results.metrics["exact_match"].value;
        println!(
            "{name}: {accuracy:.3} of {problems} problems solved ({:?})",
            found.origin
        );
    }
    let of_teacher = examine("teacher", &teacher)?;
    of_teacher.results.write(out.join("teacher.json"))?;
    let gates = Gates::parse(include_str!("../gates.toml"))?;
    let viable = sweep.minimal_viable(&gates, |name| Baseline::of_file(out, name))?;
    println!("\n{viable}\n");

    let mut models = vec![ModelReport {
        role: ModelRole::Teacher,
        results: Some(of_teacher.results),
        profile: Some(of_teacher.profile),
        ..ModelReport::new("teacher", ModelRole::Teacher)
    }];
    models.extend(sweep.candidates().iter().map(ModelReport::from));
    let mut report = Report::new(
        "A sweep of students",
        "Six students of one teacher that adds numbers of up to three digits, by quality and cost.",
        models,
        Provenance::new("cargo run --release -p sweep"),
    );
    for axis in [CostAxis::Size, CostAxis::Latency, CostAxis::Price] {
        report.paretos.push(sweep.pareto("exact_match", axis)?);
    }
    report.suggestions = sweep.suggestions("exact_match", &PairedOptions::new(1))?;
    for suggestion in &report.suggestions {
        println!("- {suggestion}");
    }
    let smallest = viable.smallest().map(|judged| judged.name.clone());
    if let Some(svg) = report.paretos[0].to_svg(smallest.as_deref())? {
        std::fs::write(out.join("pareto.svg"), svg)?;
    }
    report.viable = Some(viable);
    report.write_html(out.join("report.html"))?;
    println!("\nThe report is {}", out.join("report.html").display());
    Ok(())
}

/// Over how many digits the addition carries.
fn carries(item: &Item) -> String {
    let problem = Problem::parse(&item.problem);
    let carried = |power: u32| problem.is_some_and(|p| p.a % power + p.b % power >= power);
    format!(
        "{} carries",
        [10, 100, 1000]
            .into_iter()
            .filter(|power| carried(*power))
            .count()
    )
}
