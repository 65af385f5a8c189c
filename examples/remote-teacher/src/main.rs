//! Distils a small model from a teacher behind a server.
//!
//! ```text
//! cargo run --release -p remote-teacher
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

mod answers;
mod local;
mod student;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use potstill::burn::tensor::Device;
use potstill::core::Vocabulary;
use potstill::data::{Loader, LoaderOptions};
use potstill::losses::{Divergence, SparseDivergence, SparseTargetConfig};
use potstill::models::LanguageModel;
use potstill::teachers::{Endpoint, EndpointConfig, EndpointTeacher, TokenBytes};
use potstill::train::{Decay, LoaderBatches, Progress, Schedule, Trainer, TrainerConfig};
use potstill_serve::RunningServer;
use quickstart::addition::tokenizer;
use quickstart::examination;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Distils a small model from a teacher behind a server.
#[derive(Parser)]
struct Arguments {
    /// Address of a server that scores text, such as `http://localhost:8000/v1`; one is started here
    /// unless given.
    #[arg(long)]
    url: Option<String>,
    /// The teacher's name at the server.
    #[arg(long, default_value = "addition")]
    model: String,
    /// File that keeps every answer; running again asks for nothing twice.
    #[arg(long, default_value = "runs/remote-teacher/answers.redb")]
    store: PathBuf,
    /// Likely tokens of each position.
    #[arg(long, default_value_t = 8)]
    top: usize,
    /// Questions that the teacher answers.
    #[arg(long, default_value_t = 4_000)]
    questions: usize,
    /// Optimizer steps.
    #[arg(long, default_value_t = 1_500)]
    steps: usize,
    /// Problems in a step.
    #[arg(long, default_value_t = 128)]
    batch: usize,
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
        (arguments.questions, arguments.steps, arguments.batch) = (100, 10, 32);
    }
    let (top, steps) = (arguments.top, arguments.steps);
    let device = Device::default();
    let tokenizer = tokenizer()?;
    let server = match arguments.url {
        Some(_) => None,
        None => Some(local::serve(&arguments.model, &device)?),
    };
    let local = server
        .as_ref()
        .map(|server| format!("http://{}/v1", server.address()));
    let url = arguments.url.or(local).context("there is a server")?;

    let folder = arguments.store.parent().context("the store is a file")?;
    std::fs::create_dir_all(folder)?;
    let mut config = EndpointConfig::new(url, arguments.model.clone()).with_store(arguments.store);
    if server.is_some() {
        // The port changes from run to run, the teacher does not.
        config.deployment = Some("the quickstart's teacher".into());
    }
    let endpoint =
        Endpoint::new(config)?.with_token_bytes(TokenBytes::new(tokenizer.token_bytes())?);
    println!("{:#?}\n", endpoint.capabilities()?);
    let endpoint = Arc::new(endpoint);

    println!("The teacher answers {} questions ...", arguments.questions);
    let rows = answers::rows(&endpoint, &tokenizer, arguments.questions, arguments.seed)?;
    println!("{}\n", endpoint.spending());

    println!("A student learns the {top} likeliest tokens of each position ...");
    let vocabulary = Vocabulary {
        head_size: tokenizer.vocab_size(),
        tokenizer: Some(tokenizer.identity()),
    };
    let teacher = EndpointTeacher::new(endpoint.clone(), vocabulary, top)?;
    let objective = SparseTargetConfig::new(SparseDivergence::WithTail {
        divergence: Divergence::ForwardKl,
    });
    let config = TrainerConfig {
        learning_rate: 4e-3,
        schedule: Schedule {
            warmup: steps / 20,
            decay: Decay::Cosine,
            floor: 0.01,
        },
        seed: arguments.seed,
        ..TrainerConfig::steps(steps)
    };
    let student = student::config(tokenizer.vocab_size());
    let student = LanguageModel::init(&student, arguments.seed, &device.clone().autodiff());
    let loader = Loader::new(
        rows,
        LoaderOptions::shuffled(arguments.batch, arguments.seed),
    )?;
    let source = LoaderBatches::new(loader, tokenizer.pad_id(), &device);
    let start = Instant::now();
    let mut trainer = Trainer::new(config, student, objective.init()?, teacher, source)?
        .callback(Progress::stderr());
    trainer.run()?;
    println!("{}", endpoint.spending());
    let seconds = start.elapsed().as_secs_f64();
    println!("{steps} steps in {seconds:.0} s\n");

    let items = examination::items(1_000, &tokenizer)?;
    let accuracy = examination::examine(&trainer.student(), &items, &tokenizer)?.accuracy();
    println!(
        "It solves {:.1} % of 1,000 held-out problems.",
        100.0 * accuracy.value()
    );
    server.map(RunningServer::shutdown).transpose()?;
    Ok(())
}
