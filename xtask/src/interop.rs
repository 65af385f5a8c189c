//! `cargo xtask interop`: round trips through programs of others.

mod gguf;
mod llama;
mod lm_eval;
mod mlflow;
mod page;
mod transformers;

use std::path::PathBuf;

use anyhow::Result;

use crate::fetch;
use crate::project::Project;
use crate::python::Python;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    program: Program,
    /// Replaces the program's section of docs/interop.md by what was printed.
    #[arg(long, global = true)]
    write: bool,
    /// The Python that has the program; by default that of the active virtual environment.
    #[arg(long, global = true)]
    python: Option<PathBuf>,
    /// A GGUF file or a Hugging Face folder; by default what `cargo xtask fetch smollm2` gets.
    #[arg(long, global = true)]
    checkpoint: Option<PathBuf>,
    /// The folder in which `npm install` was run.
    #[arg(long, global = true, default_value = ".")]
    modules: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum Program {
    /// A run and a version of a model to MLflow's server and back.
    Mlflow,
    /// Tasks by us, and by lm-evaluation-harness through our server.
    LmEval,
    /// GGUF files in every type to gguf-py.
    Gguf,
    /// GGUF files in every type to llama.cpp, which continues prompts.
    Llama,
    /// Folders of every family to transformers, which computes logits.
    Transformers,
}

/// What became of a round trip.
enum Outcome {
    /// It ended well; what was compared, as Markdown.
    Finished(String),
    /// The program is not installed.
    Skipped(String),
}

/// Runs a round trip and prints what was compared; says so if the program is not installed.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let python = Python::choose(arguments.python.as_deref());
    let fetched = || project.root().join(fetch::smollm2_path());
    let checkpoint = arguments.checkpoint.clone().unwrap_or_else(fetched);
    let (title, outcome) = match arguments.program {
        Program::Mlflow => ("MLflow", mlflow::run(&python)?),
        Program::LmEval => {
            let outcome = lm_eval::run(project.root(), &python, &checkpoint)?;
            ("lm-evaluation-harness", outcome)
        }
        Program::Gguf => ("gguf-py", gguf::run(project.root(), &python, &checkpoint)?),
        Program::Llama => {
            let outcome = llama::run(project.root(), &checkpoint, &arguments.modules)?;
            ("llama.cpp", outcome)
        }
        Program::Transformers => {
            let outcome = transformers::run(project.root(), &python, &checkpoint)?;
            ("transformers", outcome)
        }
    };
    match outcome {
        Outcome::Finished(text) => {
            println!("{text}");
            if arguments.write {
                page::replace(project, title, &text)?;
            }
        }
        Outcome::Skipped(reason) => println!("skipped: {reason}"),
    }
    Ok(())
}
