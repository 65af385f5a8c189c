//! Two students of one teacher, whose forward pass is paid once.
//!
//! ```text
//! cargo run --release -p two-students
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use potstill::burn::module::Module;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{CausalLm, Teacher, TokenRow};
use potstill::data::{Loader, LoaderOptions, TextTokenizer};
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{Architecture, Checkpoint, LanguageModel, ModelConfig};
use potstill::teachers::{ModelTeacher, SharedTeacher};
use potstill::train::{
    Decay, Error, Learner, LoaderBatches, Outcome, Schedule, Trainer, TrainerConfig, run_together,
};
use quickstart::addition::Problem;
use quickstart::{examination, teacher_folder, training_row};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Two students of one teacher, whose forward pass is paid once.
#[derive(Parser)]
struct Arguments {
    /// Optimizer steps of each student.
    #[arg(long, default_value_t = 1_200)]
    steps: usize,
    /// A few steps only, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

type Student = Trainer<LanguageModel, SoftTarget>;

/// A student with a watch.
struct Timed {
    trainer: Student,
    seconds: f64,
}

impl Learner for Timed {
    fn finished_steps(&self) -> usize {
        self.trainer.finished_steps()
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.trainer.begin()
    }

    fn advance(&mut self) -> Result<Option<Outcome>, Error> {
        let start = Instant::now();
        let outcome = self.trainer.advance();
        self.seconds += start.elapsed().as_secs_f64();
        outcome
    }
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.smoke {
        arguments.steps = 4;
    }
    let steps = arguments.steps;
    let model =
        Checkpoint::open(teacher_folder())?.language_model(FloatDType::F32, &Device::default())?;
    let tokenizer = TextTokenizer::from_folder(teacher_folder())?;
    let problems = Problem::draw_distinct(5_000, false, &mut ChaCha8Rng::seed_from_u64(1));
    let rows: Vec<TokenRow> = problems
        .iter()
        .map(|problem| training_row(&tokenizer, *problem, &problem.answer(), 0.0))
        .collect::<Result<_, _>>()?;
    let teacher = || ModelTeacher::new(&model).with_tokenizer(tokenizer.identity());
    let timed = |student, teacher: Box<dyn Teacher>| -> Result<Timed> {
        let config = TrainerConfig {
            learning_rate: 4e-3,
            schedule: Schedule {
                warmup: steps / 20,
                decay: Decay::Cosine,
                floor: 0.01,
            },
            ..TrainerConfig::steps(steps)
        };
        // The same seed: all students see the same batches.
        let loader = Loader::new(rows.as_slice(), LoaderOptions::shuffled(128, 1))?;
        let source = LoaderBatches::new(loader, tokenizer.pad_id(), &Device::default());
        let objective = SoftTarget::new(Divergence::ForwardKl);
        Ok(Timed {
            trainer: Trainer::new(config, student, objective, teacher, source)?,
            seconds: 0.0,
        })
    };

    let shared = SharedTeacher::new(teacher());
    let mut large = timed(student(&model, 56, 2), Box::new(shared.clone()))?;
    let mut small = timed(student(&model, 32, 1), Box::new(shared.clone()))?;
    // The large one once more, with a teacher of its own, to compare with.
    let mut alone = timed(student(&model, 56, 2), Box::new(teacher()))?;
    run_together(&mut [&mut alone, &mut large, &mut small])?;

    println!(
        "{steps} steps of two students: {} passes of their teacher",
        shared.passes()
    );
    let exam = examination::items(1_000, &tokenizer)?;
    for (name, timed) in [("large", &large), ("small", &small), ("alone", &alone)] {
        let student = timed.trainer.student();
        let result = examination::examine(&student, &exam, &tokenizer)?;
        println!(
            "{name}: {:6} parameters, {:5.1} % of {} problems solved, {:.1} ms a step",
            student.num_params(),
            100.0 * result.accuracy().value(),
            exam.len(),
            1e3 * timed.seconds / steps as f64
        );
    }
    println!(
        "two students cost {:.2} times as much as the large one alone",
        (large.seconds + small.seconds) / alone.seconds
    );
    Ok(())
}

fn student(teacher: &LanguageModel, d_model: usize, n_layers: usize) -> LanguageModel {
    let vocab = teacher.vocab_size();
    let config = ModelConfig {
        d_ff: 3 * d_model,
        tie_word_embeddings: true,
        ..ModelConfig::new(Architecture::Llama, vocab, d_model, n_layers, 4)
    };
    LanguageModel::init(&config, 1, &Device::default().autodiff())
}
