//! What a teacher cache costs and saves.
//!
//! ```text
//! cargo run --release -p cached-teacher
//! cargo xtask fetch smollm2
//! cargo run --release -p cached-teacher -- --teacher PATH [--study]
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

mod course;
mod measure;
mod study;
mod subject;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Parser;
use course::Course;
use potstill::burn::tensor::Device;
use potstill::losses::{Divergence, SparseDivergence, SparseTargetConfig};
use potstill::models::{LayerChoice, StudentSpec, derive_student};
use potstill::teachers::{CacheBuilder, CacheConfig, Keep};
use potstill::train::Distiller;
use subject::Subject;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a teacher cache costs and saves.
#[derive(Parser)]
struct Arguments {
    /// A GGUF file or a Hugging Face folder; the quickstart's teacher without one.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// Folder of the cache; a temporary one by default.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Batches in an epoch.
    #[arg(long, default_value_t = 32)]
    batches: usize,
    /// Rows in a batch; of 256 positions each when the teacher is given.
    #[arg(long)]
    batch: Option<usize>,
    /// Tokens that are kept of each distribution.
    #[arg(long)]
    k: Option<usize>,
    /// Measures size and error of each way of keeping distributions instead.
    #[arg(long)]
    study: bool,
    /// A few batches only, to see that everything works.
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
        arguments.batches = 2;
    }
    let subject = match &arguments.teacher {
        Some(path) => {
            Subject::of_checkpoint(path, arguments.batches, arguments.batch.unwrap_or(4))?
        }
        None => Subject::of_quickstart(arguments.batches, arguments.batch.unwrap_or(256))?,
    };
    println!("{subject}");
    let temporary = tempfile::tempdir()?;
    let folder = arguments
        .out
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    let k = arguments
        .k
        .unwrap_or(if arguments.teacher.is_some() { 50 } else { 4 });
    if arguments.study || arguments.smoke {
        study::run(&subject, &folder.join("study"), k)?;
    }
    if !arguments.study {
        two_epochs(&subject, &folder.join("cache"), k)?;
    }
    Ok(())
}

/// Trains for an epoch that asks the teacher and one that reads the cache.
fn two_epochs(subject: &Subject, folder: &Path, k: usize) -> Result<()> {
    let device = Device::default().autodiff();
    let layers = LayerChoice::EvenlySpaced(subject.student_layers());
    let student = derive_student(&subject.model, &StudentSpec::Layers(layers), &device)?.model;
    let divergence = SparseDivergence::WithTail {
        divergence: Divergence::ForwardKl,
    };
    let objective = SparseTargetConfig::new(divergence).init()?;
    let mut course = Course::new(Distiller { student, objective }, subject.vocab());

    let (teacher, identity) = (subject.teacher(), subject.identity());
    let config = CacheConfig::new(Keep::top_k(k));
    let mut builder = CacheBuilder::open(folder, teacher, identity, &config)?;
    println!(
        "epoch 1, the teacher is asked:  {}",
        course.epoch(&mut builder, &subject.batches)?
    );
    let mut cached = builder.finish()?;
    println!(
        "epoch 2, the cache is read:     {}",
        course.epoch(&mut cached, &subject.batches)?
    );
    println!(
        "on disk: {:.2} MB, {:.1} bytes a token",
        cached.bytes() as f64 / 1e6,
        cached.bytes() as f64 / cached.rows() as f64
    );
    let error = measure::error(&mut subject.teacher(), &mut cached, &subject.batches)?;
    println!(
        "KL(cached ‖ live) {:.1e}, KL(live ‖ cached) {:.1e}",
        error.reverse, error.forward
    );
    Ok(())
}
