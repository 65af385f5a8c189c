//! `cargo xtask bench`: how fast, with how much memory, and compared with whom.

mod alone;
mod memory;
mod peers;
mod side;
mod together;
mod tokenize;
mod turns;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::project::Project;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The reference step of white-box distillation, whole and taken apart.
    Step(Options),
    /// Greedy decoding, alone and in a batch.
    Decode(Options),
    /// Fused operations beside the same composed of burn's.
    Kernels(Options),
    /// The peak memory of a step as its rows grow.
    Memory(Options),
    /// Step and decoding beside PyTorch, the two taking turns on this machine.
    Peers(peers::Arguments),
    /// Two students of one teacher beside one, the two taking turns.
    Together(Options),
    /// Text to packed rows beside `datasets.map` with two processes.
    Tokenize(tokenize::Arguments),
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Measured turns, after one to warm up.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Prints one JSON document instead of a table.
    #[arg(long)]
    json: bool,
    /// Measures libtorch instead of flex; needs torch 2.9.
    #[arg(long)]
    tch: bool,
    /// The interpreter that has torch.
    #[arg(long)]
    python: Option<PathBuf>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Step(options) => alone::step(project, options),
        What::Decode(options) => alone::decode(project, options),
        What::Kernels(options) => alone::kernels(project, options),
        What::Memory(options) => memory::run(project, options),
        What::Peers(arguments) => peers::run(project, arguments),
        What::Together(options) => together::run(project, options),
        What::Tokenize(arguments) => tokenize::run(project, arguments),
    }
}
