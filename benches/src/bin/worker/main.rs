//! One side of a measurement: does a piece of work each time it is told to.
//!
//! ```text
//! stdout: {"ready": true}          after setting up
//! stdin:  an empty line            do it once more
//! stdout: {"seconds": 1.25, ..}
//! stdin:  end of file              stop
//! stdout: {"peak_rss_bytes": ..}
//! ```
//!
//! Whoever drives it decides who works when, so that two programs can take turns on one machine.
//! `cargo xtask bench` does; by hand it is `yes "" | head -3 | worker step`.
#![allow(clippy::print_stdout, reason = "a command-line program")]

mod backend;
mod decode;
mod half;
mod kernels;
mod loss;
mod parts;
mod step;
mod together;
mod tokenize;
mod turns;
mod usage;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "One side of a measurement, driven line by line")]
struct Arguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// An optimizer step of white-box distillation, SmolLM2-135M to fewer layers.
    Step(step::Arguments),
    /// The same step of several students of one teacher.
    Together(together::Arguments),
    /// The same step taken apart: what each of its parts costs.
    Parts(step::Arguments),
    /// Greedy decoding with a KV cache.
    Decode(decode::Arguments),
    /// A teacher in half precision beside itself in f32.
    Half(half::Arguments),
    /// A loss through a head, or only its inputs.
    Loss(loss::Arguments),
    /// Fused operations beside the same composed of burn's.
    Kernels(kernels::Arguments),
    /// Reads, encodes, packs and writes a file of texts.
    Tokenize(tokenize::Arguments),
    /// Takes the tokenizer out of a checkpoint.
    Tokenizer(tokenize::Extract),
}

fn main() -> Result<()> {
    match Arguments::parse().work {
        Work::Step(arguments) => step::run(&arguments),
        Work::Together(arguments) => together::run(&arguments),
        Work::Parts(arguments) => parts::run(&arguments),
        Work::Decode(arguments) => decode::run(&arguments),
        Work::Half(arguments) => half::run(&arguments),
        Work::Loss(arguments) => loss::run(&arguments),
        Work::Kernels(arguments) => kernels::run(&arguments),
        Work::Tokenize(arguments) => tokenize::run(&arguments),
        Work::Tokenizer(arguments) => tokenize::extract(&arguments),
    }
}
