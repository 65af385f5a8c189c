//! Distils SmolLM2-135M, or another checkpoint, into a student with fewer layers.
//!
//! ```text
//! cargo xtask fetch smollm2
//! cargo run --release -p smollm2 -- --teacher PATH
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

mod corpus;
mod judge;
mod smoke;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use corpus::Corpus;
use judge::Judge;
use potstill::burn::module::Module;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::checkpoint_tokenizer;
use potstill::core::{CausalLm, Generate, GenerateOptions};
use potstill::data::{ChatTemplate, Loader, LoaderOptions};
use potstill::eval::{
    self, HeldOut, MetricsLog, ModelReport, ModelRole, ProfileOptions, Provenance, Report, Sample,
    SampleAnswer, bytes_on_disk, profile,
};
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{
    Checkpoint, LanguageModel, LayerChoice, StudentSpec, derive_student, save_pretrained,
};
use potstill::teachers::ModelTeacher;
use potstill::train::{
    Decay, LoaderBatches, Metrics, Progress, Schedule, Trainer, TrainerConfig, Watch,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Distils a checkpoint into a student with fewer layers.
#[derive(Debug, Parser)]
struct Arguments {
    /// A GGUF file or a Hugging Face folder.
    #[arg(long, required_unless_present = "smoke")]
    teacher: Option<PathBuf>,
    /// Text (paragraphs) or records (.jsonl) to distil on.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/corpus.txt"))]
    data: PathBuf,
    /// Folder of the run; one that was interrupted goes on where it was.
    #[arg(long, default_value = "runs/smollm2")]
    out: PathBuf,
    /// Layers of the student, evenly spaced in the teacher.
    #[arg(long, default_value_t = 10)]
    layers: usize,
    /// Optimizer steps.
    #[arg(long, default_value_t = 200)]
    steps: usize,
    /// Rows in a step.
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Positions in a row.
    #[arg(long, default_value_t = 256)]
    seq: usize,
    /// Learning rate at its peak.
    #[arg(long, default_value_t = 5e-4)]
    learning_rate: f64,
    /// Seed of the order and of the held-out share.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A tiny teacher made on the spot and a few steps, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

const PROMPTS: [&str; 4] = [
    "Alice was beginning to get very tired of",
    "The Duchess took her choice, and was gone in a moment. \"Let us",
    "Enter ROSALIND and CELIA.\nROSALIND",
    "The capital of France is",
];

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let mut arguments = Arguments::parse();
    if arguments.smoke {
        let folder = std::env::temp_dir().join(format!("potstill-smoke-{}", std::process::id()));
        smoke::save_teacher(&folder.join("teacher"))?;
        arguments.teacher = Some(folder.join("teacher"));
        arguments.out = folder.join("run");
        (arguments.layers, arguments.steps, arguments.seq) = (2, 4, 64);
    }
    distil(&arguments)?;
    if arguments.smoke {
        let folder = arguments
            .out
            .parent()
            .context("the smoke run has a folder of its own")?;
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn distil(arguments: &Arguments) -> Result<()> {
    let path = arguments
        .teacher
        .as_deref()
        .context("--teacher names the teacher")?;
    let device = Device::default();
    let start = Instant::now();
    let checkpoint = Checkpoint::open(path)?;
    let tokenizer = checkpoint_tokenizer(&checkpoint)?;
    let teacher = checkpoint.language_model(FloatDType::F32, &device)?;
    println!(
        "teacher: {}, read in {:.1} s",
        shape(&teacher),
        start.elapsed().as_secs_f64()
    );

    let spec = StudentSpec::Layers(LayerChoice::EvenlySpaced(arguments.layers));
    let derived = derive_student(&teacher, &spec, &device.clone().autodiff())?;
    println!("student: {}", shape(&derived.model));
    println!(
        "hidden states (student, teacher): {:?}",
        derived.layer_map.pairs()
    );
    let undistilled = derived.model.valid();

    let template = checkpoint
        .chat_template()?
        .map(|source| ChatTemplate::new(&source, tokenizer.special_tokens().clone()))
        .transpose()?;
    let corpus = Corpus::read(arguments, &tokenizer, template.as_ref())?;
    let judge = || Judge::new(&teacher, &tokenizer, &corpus, arguments.batch);
    let before = judge().measure(&undistilled)?;
    println!("before: {}", line(&before));

    let mut watching = judge();
    let loader = LoaderOptions::shuffled(arguments.batch, arguments.seed);
    let loader = Loader::new(corpus.train.as_slice(), loader)?;
    let start = Instant::now();
    let mut trainer = Trainer::with_vocabulary(
        training(arguments),
        derived.model,
        &watching.vocabulary,
        SoftTarget::new(Divergence::ForwardKl),
        ModelTeacher::new(&teacher).with_tokenizer(tokenizer.identity()),
        LoaderBatches::new(loader, tokenizer.pad_id(), &device),
    )?
    .evaluation(
        Watch::lowest("forward_kl"),
        move |student: &LanguageModel| Ok(metrics(&watching.measure(student)?)),
    )
    .measured_before(metrics(&before))
    .callback(Progress::stderr())
    .note("teacher", path)?
    .note("data", &arguments.data)?
    .continue_in(arguments.out.join("training"))?;
    trainer.run()?;
    let seconds = start.elapsed().as_secs_f64();

    // What counts is the folder: measured and tried is what comes back from it.
    let folder = arguments.out.join("model");
    save_pretrained(&trainer.student(), &folder, &checkpoint.companions()?)?;
    drop(trainer);
    let student = Checkpoint::open(&folder)?.language_model(FloatDType::F32, &device)?;
    let after = judge().measure(&student)?;
    println!(
        "after:  {}\nsaved and reloaded: {}\n",
        line(&after),
        folder.display()
    );

    let contestants = [
        ("teacher", ModelRole::Teacher, &teacher, None, path),
        (
            "before",
            ModelRole::Undistilled,
            &undistilled,
            Some(before),
            &folder,
        ),
        (
            "distilled",
            ModelRole::Student,
            &student,
            Some(after),
            &folder,
        ),
    ];
    let options = GenerateOptions::greedy(32);
    let prompts = PROMPTS
        .iter()
        .map(|prompt| tokenizer.encode(prompt, true))
        .collect::<Result<Vec<_>, _>>()?;
    let mut samples = PROMPTS.map(|problem| Sample {
        problem: problem.to_owned(),
        expected: None,
        answers: Vec::new(),
    });
    let mut models = Vec::new();
    for (name, role, model, measured, folder) in contestants {
        for (sample, said) in samples.iter_mut().zip(model.generate(&prompts, &options)?) {
            let answer = tokenizer.decode(&said.tokens, true)?;
            sample.answers.push(SampleAnswer {
                model: name.to_owned(),
                answer,
                correct: None,
            });
        }
        let profiling = ProfileOptions {
            repeats: 3,
            ..ProfileOptions::new(options.clone())
        };
        let mut report = ModelReport::new(name, role);
        report.held_out = measured;
        report.profile = Some(profile(
            model,
            &prompts,
            Some(weight_bytes(folder)?),
            &profiling,
        )?);
        models.push(report);
    }

    let command: Vec<String> = std::env::args().skip(1).collect();
    let command = format!("cargo run --release -p smollm2 -- {}", command.join(" "));
    let description = format!(
        "{} layers of the teacher's {}, distilled for {} steps of {} x {} tokens from {} with the forward KL \
         divergence.",
        arguments.layers,
        teacher.n_layers(),
        arguments.steps,
        arguments.batch,
        arguments.seq,
        arguments
            .data
            .file_name()
            .unwrap_or_default()
            .to_string_lossy(),
    );
    let provenance = Provenance {
        seed: Some(arguments.seed),
        ..Provenance::new(command)
    };
    let mut report = Report::new("SmolLM2, fewer layers", description, models, provenance);
    report.charts = MetricsLog::read(arguments.out.join("training/metrics.jsonl"))?.charts();
    for sample in &samples {
        println!("{}", sample.problem);
        for SampleAnswer { model, answer, .. } in &sample.answers {
            println!("  {model:>9}: {}", answer.replace('\n', " / "));
        }
    }
    report.samples = samples.into();
    report.write_json(arguments.out.join("report.json"))?;
    report.write_html(arguments.out.join("report.html"))?;
    println!("\n{}\n\n{}", report.table(), report.summary());
    println!(
        "\nTraining took {seconds:.0} s. The report is {}",
        arguments.out.join("report.html").display()
    );
    Ok(())
}

fn training(arguments: &Arguments) -> TrainerConfig {
    let steps = arguments.steps;
    TrainerConfig {
        learning_rate: arguments.learning_rate,
        schedule: Schedule {
            warmup: steps / 20,
            decay: Decay::Cosine,
            floor: 0.1,
        },
        evaluate_every: Some(steps.div_ceil(8)),
        checkpoint_every: Some(steps.div_ceil(4)),
        log_every: steps.div_ceil(40),
        seed: arguments.seed,
        ..TrainerConfig::steps(steps)
    }
}

fn metrics(measured: &HeldOut) -> Metrics {
    let values = measured.values();
    let named = |(name, value): (&str, f64)| (name.to_owned(), value);
    values.map(named).collect()
}

fn shape(model: &LanguageModel) -> String {
    format!(
        "{} layers of width {}, {} tokens, {:.1} M parameters",
        model.n_layers(),
        model.d_model(),
        model.vocab_size(),
        Module::num_params(model) as f64 / 1e6,
    )
}

fn line(measured: &HeldOut) -> String {
    format!(
        "KL to the teacher {:.3} nats/token, same first choice {:.1} %, perplexity {:.1} (teacher {:.1})",
        measured.forward_kl,
        100.0 * measured.top1_agreement,
        measured.student_perplexity(),
        measured.teacher_perplexity(),
    )
}

/// Bytes of the weights: of a GGUF file, or of the safetensors in a folder.
fn weight_bytes(path: &Path) -> Result<u64, eval::Error> {
    let single = path.join("model.safetensors");
    bytes_on_disk(if single.exists() { &single } else { path })
}
