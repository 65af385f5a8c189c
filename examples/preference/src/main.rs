//! A student writes two answers, its teacher says which is better, and the student learns to prefer it.
//!
//! ```text
//! cargo run --release -p preference
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use anyhow::Result;
use clap::Parser;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{Generate, GenerateOptions, Objective, Sampling, Teacher, TokenRow};
use potstill::data::{
    Content, EncodeOptions, Loader, LoaderOptions, Record, TextTokenizer, encode_preferences,
};
use potstill::losses::{Divergence, PreferenceConfig, SoftTarget};
use potstill::models::{Checkpoint, LanguageModel, LayerChoice, StudentSpec, derive_student};
use potstill::teachers::ModelTeacher;
use potstill::train::{Decay, LoaderBatches, Schedule, Trainer, TrainerConfig, row_losses};
use quickstart::addition::Problem;
use quickstart::{examination, teacher_folder, training_row};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A student learns to prefer those of its answers that its teacher finds better.
#[derive(Parser)]
struct Arguments {
    /// A few steps only, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

/// Two answers to a problem.
type Pair = (Problem, [String; 2]);

fn main() -> Result<()> {
    // Steps on the teacher's distributions, problems that are answered twice, steps on preferences.
    let (taught_steps, n_problems, steps) = match Arguments::parse().smoke {
        true => (4, 200, 4),
        false => (150, 16_000, 200),
    };
    let tokenizer = TextTokenizer::from_folder(teacher_folder())?;
    let teacher =
        Checkpoint::open(teacher_folder())?.language_model(FloatDType::F32, &Device::default())?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let problems = Problem::draw_distinct(5_000, false, &mut random).into_iter();
    let rows = problems.map(|problem| training_row(&tokenizer, problem, &problem.answer(), 0.0));
    let rows: Vec<TokenRow> = rows.collect::<Result<_, _>>()?;
    let spec = StudentSpec::Layers(LayerChoice::EvenlySpaced(2));
    let student = derive_student(&teacher, &spec, &Device::default().autodiff())?.model;
    let soft = SoftTarget::new(Divergence::ForwardKl);
    let tutor = ModelTeacher::new(&teacher);
    let before = train(student, soft, tutor, rows, taught_steps, 4e-3)?;
    let problems = Problem::draw_distinct(n_problems, false, &mut random);
    let mut pairs = answered_twice(&before, &tokenizer, &problems)?;
    let choice = likelier(&teacher, &tokenizer, &pairs)?;
    for ((_, answers), _) in pairs.iter_mut().zip(choice).filter(|(_, first)| !first) {
        answers.swap(0, 1);
    }
    let held_out = pairs.split_off(pairs.len() * 4 / 5);
    let (learned, kept) = (pairs.len(), held_out.len());
    println!("{n_problems} problems answered twice: {learned} pairs to learn, {kept} held out");
    let record = |(problem, [better, worse]): &Pair| {
        let mut record = Record::from(Content::completion(format!("<bos>{problem}"), better));
        record
            .meta
            .extend([("rejected_completion".to_owned(), worse.as_str().into())]);
        record
    };
    let records: Vec<Record> = pairs.iter().map(record).collect();
    let rows = encode_preferences(&records, &tokenizer, None, &EncodeOptions::default())?.rows;
    let objective = PreferenceConfig::new().with_beta(1.0).init()?;
    // The reference is the student as it was.
    let (student, reference) = (before.clone(), ModelTeacher::new(&before));
    let after = train(student, objective, reference, rows, steps, 1e-4)?;
    let exam = examination::items(1_000, &tokenizer)?;
    for (name, student) in [("before", &before), ("after", &after)] {
        let choice = likelier(student, &tokenizer, &held_out)?;
        let agreed = choice.iter().filter(|first| **first).count() as f64;
        let agreed = 100.0 * agreed / choice.len() as f64;
        let result = examination::examine(student, &exam, &tokenizer)?;
        let solved = 100.0 * result.accuracy().value();
        println!("{name}: ranks {agreed:.1} % of the pairs as its teacher, solves {solved:.1} %");
    }
    Ok(())
}

fn train(
    student: LanguageModel,
    objective: impl Objective,
    teacher: impl Teacher + 'static,
    rows: Vec<TokenRow>,
    steps: usize,
    learning_rate: f64,
) -> Result<LanguageModel> {
    let config = TrainerConfig {
        learning_rate,
        schedule: Schedule {
            warmup: steps / 20,
            decay: Decay::Cosine,
            floor: 0.01,
        },
        ..TrainerConfig::steps(steps)
    };
    let loader = Loader::new(rows, LoaderOptions::shuffled(128, 1))?;
    let source = LoaderBatches::new(loader, 0, &Device::default());
    let mut trainer = Trainer::new(config, student, objective, teacher, source)?;
    trainer.run()?;
    Ok(trainer.student())
}

/// The problems to which two sampled answers differ.
fn answered_twice(
    student: &LanguageModel,
    tokenizer: &TextTokenizer,
    problems: &[Problem],
) -> Result<Vec<Pair>> {
    let prompt = |problem| tokenizer.encode(&format!("<bos>{problem}"), false);
    let prompts: Vec<Vec<u32>> = problems.iter().map(prompt).collect::<Result<_, _>>()?;
    let sampled = |seed| GenerateOptions {
        sampling: Sampling::temperature(1.0),
        seed,
        ..examination::answering(tokenizer)
    };
    let firsts = student.generate(&prompts, &sampled(1))?;
    let seconds = student.generate(&prompts, &sampled(2))?;
    let mut pairs = Vec::new();
    for ((problem, first), second) in problems.iter().zip(firsts).zip(seconds) {
        let decode = |tokens: &[u32]| tokenizer.decode(tokens, true);
        pairs.push((*problem, [decode(&first.tokens)?, decode(&second.tokens)?]));
    }
    pairs.retain(|(_, [first, second])| first != second);
    Ok(pairs)
}

/// Whether `model` finds the first answer of each pair likelier, by the mean over its tokens.
fn likelier(model: &LanguageModel, tokenizer: &TextTokenizer, pairs: &[Pair]) -> Result<Vec<bool>> {
    let rows = pairs.iter().flat_map(|(problem, answers)| {
        let row = |answer: &String| training_row(tokenizer, *problem, answer, 0.0);
        answers.each_ref().map(row)
    });
    let rows = rows.collect::<Result<Vec<TokenRow>, _>>()?;
    let mut teacher = ModelTeacher::new(model);
    let losses = row_losses(&mut teacher, &rows, 256, 0, &Device::default())?;
    Ok(losses.chunks(2).map(|pair| pair[0] < pair[1]).collect())
}
