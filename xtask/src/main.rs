//! Project automation: `cargo xtask --help`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

mod backends;
mod bench;
mod browser;
mod ci;
mod fetch;
mod interop;
mod parity;
mod project;
mod python;
mod scale;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::project::Project;

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", about = "Project automation for Potstill")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the rules that no compiler checks: layers, documentation, file sizes, wording.
    Tidy,
    /// Runs every check, cheapest first, and stops at the first failure.
    Ci,
    /// Downloads a file that is too large for the repository.
    Fetch(fetch::Arguments),
    /// Compares this workspace with reference values computed by PyTorch and Transformers.
    Parity(parity::Arguments),
    /// Runs one parity suite on every backend that this machine can run.
    Backends(backends::Arguments),
    /// Measures speed and memory, alone and beside PyTorch.
    Bench(bench::Arguments),
    /// Computes what a distillation of a given size takes, from measured rates.
    Scale(scale::Arguments),
    /// Builds a model as a static web page, checks it in Chromium, serves it.
    Browser(browser::Arguments),
    /// Sends what Potstill writes through programs of others and back.
    Interop(interop::Arguments),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let result = match Arguments::parse().command {
        Command::Tidy => Project::load().and_then(|project| tidy::run(&project)),
        Command::Ci => Project::load().and_then(|project| ci::run(&project)),
        Command::Fetch(arguments) => {
            Project::load().and_then(|project| fetch::run(&project, &arguments))
        }
        Command::Parity(arguments) => {
            Project::load().and_then(|project| parity::run(project.root(), &arguments))
        }
        Command::Backends(arguments) => {
            Project::load().and_then(|project| backends::run(&project, &arguments))
        }
        Command::Bench(arguments) => {
            Project::load().and_then(|project| bench::run(&project, &arguments))
        }
        Command::Scale(arguments) => scale::run(&arguments),
        Command::Browser(arguments) => {
            Project::load().and_then(|project| browser::run(&project, &arguments))
        }
        Command::Interop(arguments) => {
            Project::load().and_then(|project| interop::run(&project, &arguments))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
