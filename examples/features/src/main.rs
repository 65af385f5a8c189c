//! Hints from within a teacher: with its distributions, before them, or not at all.
//!
//! ```text
//! cargo run --release -p features
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{CausalLm, Objective, TokenRow};
use potstill::data::{Loader, LoaderOptions, TextTokenizer};
use potstill::losses::{Divergence, HiddenDistance, HiddenMatch, HiddenMatchConfig, SoftTarget};
use potstill::models::{
    Architecture, Checkpoint, LanguageModel, LayerMap, ModelConfig, StudentSpec, derive_student,
};
use potstill::teachers::ModelTeacher;
use potstill::train::{Decay, LoaderBatches, Schedule, Trainer, TrainerConfig};
use quickstart::addition::Problem;
use quickstart::{examination, teacher_folder, training_row};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Hints from within a teacher: with its distributions, before them, or not at all.
#[derive(Parser)]
struct Arguments {
    /// Folder of the runs; the same command goes on there after an interruption.
    #[arg(long, default_value = "runs/features")]
    out: PathBuf,
    /// Optimizer steps of each student, stages together.
    #[arg(long, default_value_t = 1_000)]
    steps: usize,
    /// Students of each kind.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// A few steps only, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

/// What all students have in common, and the seed of one of each kind.
struct School {
    teacher: LanguageModel,
    tokenizer: TextTokenizer,
    rows: Vec<TokenRow>,
    out: PathBuf,
    seed: u64,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    if arguments.smoke {
        arguments.out = temporary.path().to_owned();
        (arguments.steps, arguments.seeds) = (4, 1);
    }
    let tokenizer = TextTokenizer::from_folder(teacher_folder())?;
    let problems = Problem::draw_distinct(5_000, false, &mut ChaCha8Rng::seed_from_u64(1));
    let mut school = School {
        teacher: Checkpoint::open(teacher_folder())?
            .language_model(FloatDType::F32, &Device::default())?,
        rows: problems
            .iter()
            .map(|problem| training_row(&tokenizer, *problem, &problem.answer(), 0.0))
            .collect::<Result<_, _>>()?,
        tokenizer,
        out: arguments.out,
        seed: 0,
    };
    let exam = examination::items(1_000, &school.tokenizer)?;
    let mut table = Table::new();
    let head = ["seed", "logits", "logits and hints", "hints, then logits"];
    table.load_style(ASCII_MARKDOWN).set_header(head);
    let (whole, first) = (arguments.steps, arguments.steps / 4);
    for seed in 1..=arguments.seeds {
        school.seed = seed;
        let soft = SoftTarget::new(Divergence::ForwardKl);
        let logits = school.train("logits", school.fresh()?, soft.clone(), whole)?;
        let both = (soft.clone(), school.hints()?);
        let joint = school.train("joint", school.fresh()?, both, whole)?;
        let hinted = school.train("staged/hints", school.fresh()?, school.hints()?, first)?;
        let staged = school.train("staged/logits", hinted, soft, whole - first)?;
        let mut row = vec![seed.to_string()];
        for student in [logits, joint, staged] {
            let result = examination::examine(&student, &exam, &school.tokenizer)?;
            row.push(format!("{:.1} %", 100.0 * result.accuracy().value()));
        }
        table.add_row(row);
    }
    println!("Held-out problems solved after {whole} steps:\n\n{table}");
    Ok(())
}

impl School {
    /// Two blocks of width 56, with the weights of the seed.
    fn fresh(&self) -> Result<LanguageModel> {
        let config = ModelConfig {
            d_ff: 152,
            tie_word_embeddings: true,
            ..ModelConfig::new(Architecture::Llama, self.teacher.vocab_size(), 56, 2, 4)
        };
        let spec = StudentSpec::Fresh(config, self.seed);
        Ok(derive_student(&self.teacher, &spec, &Device::default().autodiff())?.model)
    }

    /// The middle of the student learns from the middle of the teacher, through a trained projection.
    fn hints(&self) -> Result<HiddenMatch> {
        let device = Device::default();
        device.seed(self.seed);
        let pairs = LayerMap::evenly_spaced(2, self.teacher.n_layers());
        let config = HiddenMatchConfig::new(pairs.inner().to_vec(), 56, self.teacher.d_model());
        Ok(config.with_distance(HiddenDistance::Cosine).init(&device)?)
    }

    /// A stage: finished at once where an earlier run has finished it.
    fn train<O: Objective>(
        &self,
        name: &str,
        student: LanguageModel,
        objective: O,
        steps: usize,
    ) -> Result<LanguageModel> {
        let config = TrainerConfig {
            learning_rate: 4e-3,
            schedule: Schedule {
                warmup: steps / 20,
                decay: Decay::Cosine,
                floor: 0.01,
            },
            checkpoint_every: Some(200),
            ..TrainerConfig::steps(steps)
        };
        let teacher = ModelTeacher::new(&self.teacher);
        let options = LoaderOptions::shuffled(128, self.seed);
        let loader = Loader::new(self.rows.as_slice(), options)?;
        let source = LoaderBatches::new(loader, self.tokenizer.pad_id(), &Device::default());
        let folder = self.out.join(format!("{name}-{}", self.seed));
        let trainer = Trainer::new(config, student, objective, teacher, source)?;
        Ok(trainer.finish_in(folder)?.student())
    }
}
