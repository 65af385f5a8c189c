//! Trains the addition teacher that the quickstart ships.
//!
//! ```text
//! cargo run --release -p train-teacher -- --out examples/quickstart/teacher
//! cargo run --release -p train-teacher -- --dashboard --tensorboard runs/board
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{GenerateOptions, TokenBatch, Vocabulary};
use potstill::data::TextTokenizer;
use potstill::losses::HardTargetConfig;
use potstill::models::{
    Architecture, Checkpoint, Companions, LanguageModel, ModelConfig, save_pretrained,
};
use potstill::teachers::NoTeacher;
use potstill::train::{
    AdamWConfig, BatchFn, Dashboard, Decay, Metrics, Progress, Prompts, Schedule, TensorBoard,
    Trainer, TrainerConfig, Watch, measured_peak,
};
use quickstart::addition::{Problem, tokenizer, tokenizer_json};
use quickstart::{TOKENIZER_CONFIG, examination, training_row};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Trains the addition teacher that the quickstart ships.
#[derive(Parser)]
struct Arguments {
    /// Folder to save the teacher in.
    #[arg(long, default_value = "runs/teacher")]
    out: PathBuf,
    /// Optimizer steps.
    #[arg(long, default_value_t = 4000)]
    steps: usize,
    /// Problems in a step.
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// Learning rate at its peak.
    #[arg(long, default_value_t = 1.5e-3)]
    learning_rate: f64,
    /// Seed of the weights and the problems.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Shows the whole run on the terminal, with what the model writes.
    #[arg(long)]
    dashboard: bool,
    /// Folder for TensorBoard, if it shall have one.
    #[arg(long)]
    tensorboard: Option<PathBuf>,
    /// A few steps only, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

/// The teacher has to write questions as well, but mostly to answer them.
const QUESTION_WEIGHT: f32 = 0.1;

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let mut arguments = Arguments::parse();
    if arguments.smoke {
        arguments.steps = 20;
        arguments.batch = 32;
    }
    let device = Device::default();
    let tokenizer = tokenizer()?;

    let teacher = LanguageModel::init(
        &config(&tokenizer),
        arguments.seed,
        &device.clone().autodiff(),
    );
    let trainer_config = TrainerConfig {
        learning_rate: arguments.learning_rate,
        schedule: Schedule {
            warmup: arguments.steps / 20,
            decay: Decay::Cosine,
            floor: 0.01,
        },
        optimizer: AdamWConfig {
            beta_2: 0.99,
            ..AdamWConfig::default()
        },
        evaluate_every: Some((arguments.steps / 10).max(1)),
        log_every: (arguments.steps / 80).max(1),
        seed: arguments.seed,
        ..TrainerConfig::steps(arguments.steps)
    };
    let vocabulary = Vocabulary::of_size(tokenizer.vocab_size());
    let problems = problems(&tokenizer, arguments.seed, arguments.batch);
    let items = examination::items(1000, &tokenizer)?;
    let examined = tokenizer.clone();
    let mut trainer = Trainer::new(
        trainer_config,
        teacher,
        HardTargetConfig::new().init()?,
        NoTeacher::new(vocabulary),
        problems,
    )?
    .evaluation(
        Watch::highest("exact_match"),
        move |model: &LanguageModel| {
            let accuracy = examination::examine(model, &items, &examined)?
                .accuracy()
                .value();
            Ok(Metrics::from([("exact_match".to_owned(), accuracy)]))
        },
    )
    .utilization(measured_peak(&device), None);
    trainer = if arguments.dashboard {
        let prompts = ["<bos>123+456=", "<bos>7+8=", "<bos>999+1="];
        let prompts = Prompts::new(prompts, &tokenizer, GenerateOptions::greedy(5))?;
        trainer
            .samples((arguments.steps / 80).max(1), move |model| {
                prompts.continue_with(model)
            })
            .callback(Dashboard::stderr())
    } else {
        trainer.callback(Progress::stderr())
    };
    if let Some(folder) = &arguments.tensorboard {
        trainer = trainer.callback(TensorBoard::create(folder)?);
    }
    let outcome = trainer.run()?;

    let best = trainer
        .best_student()?
        .context("an evaluated run has a best model")?;
    let companions = Companions {
        tokenizer_json: Some(tokenizer_json()),
        tokenizer_config: Some(TOKENIZER_CONFIG.to_owned()),
        model_card: Some(model_card(&arguments)),
        ..Companions::default()
    };
    save_pretrained(&best, &arguments.out, &companions)?;

    let reloaded = Checkpoint::open(&arguments.out)?.language_model(FloatDType::F32, &device)?;
    let items = examination::items(1000, &tokenizer)?;
    let accuracy = examination::examine(&reloaded, &items, &tokenizer)?.accuracy();
    let kept = outcome.best.context("an evaluated run has a best model")?;
    ensure!(
        (accuracy.value() - kept.value).abs() < 1e-9,
        "the saved teacher is not the best one"
    );
    println!(
        "step {} of {} was best: {} of {} held-out problems right; saved in {}",
        kept.step,
        outcome.steps,
        accuracy.successes(),
        accuracy.total(),
        arguments.out.display(),
    );
    Ok(())
}

/// Four blocks of width 128: 0.8 million parameters.
fn config(tokenizer: &TextTokenizer) -> ModelConfig {
    let mut config = ModelConfig::new(Architecture::Llama, tokenizer.vocab_size(), 128, 4, 4);
    config.d_ff = 344;
    config.max_positions = 32;
    config.tie_word_embeddings = true;
    config.bos_token_id = tokenizer.bos_id();
    config.eos_token_ids = tokenizer.eos_id().into_iter().collect();
    config.pad_token_id = Some(tokenizer.pad_id());
    config
}

/// Fresh problems at every step, drawn from the seed and the number of the step alone.
fn problems(
    tokenizer: &TextTokenizer,
    seed: u64,
    batch: usize,
) -> impl potstill::train::BatchSource<LanguageModel> + 'static {
    let (tokenizer, device) = (tokenizer.clone(), Device::default());
    BatchFn::new(move |step: usize, _: &LanguageModel| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(step as u64 + 1);
        let rows = Problem::draw_distinct(batch, false, &mut rng)
            .into_iter()
            .map(|problem| training_row(&tokenizer, problem, &problem.answer(), QUESTION_WEIGHT))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Some(TokenBatch::from_rows(
            &rows,
            tokenizer.pad_id(),
            &device,
        )))
    })
}

fn model_card(arguments: &Arguments) -> String {
    format!(
        "---\nlicense: mit\n---\n\n# Addition teacher\n\nA Llama-architecture model that adds numbers of \
         up to three digits, written as `123+456=579`, one token a\ncharacter. Made by\n\n```sh\ncargo run \
         --release -p train-teacher -- --steps {} --batch {} --learning-rate {} --seed {}\n```\n",
        arguments.steps, arguments.batch, arguments.learning_rate, arguments.seed,
    )
}
