//! A model writes practice questions about a text and answers them; a smaller one learns from that.
//!
//! ```text
//! cargo xtask fetch smollm2
//! cargo run --release -p self-practice -- --teacher target/fetch/SmolLM2-135M-Instruct.Q4_1.gguf
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person"
)]

mod practice;
mod smoke;
mod student;
mod yields;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::checkpoint_tokenizer;
use potstill::core::ChatModel;
use potstill::data::{ChatTemplate, TextTokenizer, read_jsonl, split_held_out};
use potstill::models::{Checkpoint, LanguageModel};
use potstill_serve::{BatchLimits, LocalChat};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A model writes practice questions about a text and answers them; a smaller one learns from that.
#[derive(Debug, Parser)]
struct Arguments {
    /// A GGUF file or a Hugging Face folder.
    #[arg(long, required_unless_present = "smoke")]
    teacher: Option<PathBuf>,
    /// The text; each paragraph is asked about.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/bees.txt"))]
    text: PathBuf,
    /// Folder of the run; one that was interrupted goes on where it was.
    #[arg(long, default_value = "runs/self-practice")]
    out: PathBuf,
    /// Questions that the teacher is asked for about each paragraph.
    #[arg(long, default_value_t = 4)]
    questions: usize,
    /// Layers of the student, evenly spaced in the teacher.
    #[arg(long, default_value_t = 10)]
    layers: usize,
    /// Optimizer steps.
    #[arg(long, default_value_t = 60)]
    steps: usize,
    /// Rows in a step.
    #[arg(long, default_value_t = 2)]
    batch: usize,
    /// Positions in a row.
    #[arg(long, default_value_t = 256)]
    seq: usize,
    /// Learning rate at its peak.
    #[arg(long, default_value_t = 5e-4)]
    learning_rate: f64,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A scripted model asks and answers, and a tiny one learns a few steps: to see that it works.
    #[arg(long)]
    smoke: bool,
}

/// Who teaches: its weights, and how to talk to it.
pub(crate) struct Teacher {
    pub(crate) model: LanguageModel,
    pub(crate) tokenizer: TextTokenizer,
    pub(crate) template: ChatTemplate,
    pub(crate) voice: Arc<dyn ChatModel>,
}

impl Teacher {
    fn read(path: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(path)?;
        let tokenizer = checkpoint_tokenizer(&checkpoint)?;
        let source = checkpoint
            .chat_template()?
            .with_context(|| format!("{} has no chat template", path.display()))?;
        let template = ChatTemplate::new(source, checkpoint.special_tokens()?)?;
        let model = checkpoint.language_model(FloatDType::F32, &Device::default())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let voice = LocalChat::new(
            name,
            model.clone(),
            tokenizer.clone(),
            Some(template.clone()),
            BatchLimits::default(),
        )?;
        Ok(Self {
            model,
            tokenizer,
            template,
            voice: Arc::new(voice),
        })
    }
}

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let mut arguments = Arguments::parse();
    let start = Instant::now();
    let teacher = match &arguments.teacher {
        Some(path) if !arguments.smoke => Teacher::read(path)?,
        _ => {
            (arguments.layers, arguments.steps) = (1, 4);
            smoke::teacher(arguments.seed)?
        }
    };
    println!(
        "{} writes questions about {}",
        teacher.voice.name(),
        arguments.text.display()
    );

    let folder = arguments.out.join("practice");
    let manifest = practice::pipeline(&teacher, &arguments)
        .run(practice::paragraphs(&arguments.text)?, &folder)?;
    println!("\n{}\n", yields::table(&manifest));
    let records = read_jsonl(folder.join("output.jsonl"))?.collect::<Result<Vec<_>, _>>()?;
    println!("{}", yields::coverage(&manifest, &records));
    println!("\nAs an example:\n{}\n", yields::sample(&records, 3));
    println!(
        "asking and answering took {:.0} s",
        start.elapsed().as_secs_f64()
    );

    let split = split_held_out(records, 0.2, arguments.seed)?;
    anyhow::ensure!(
        !split.train.is_empty() && !split.held_out.is_empty(),
        "too few questions are left to learn from some and to be asked others"
    );
    student::teach(&teacher, &split.train, &split.held_out, &arguments)
}
