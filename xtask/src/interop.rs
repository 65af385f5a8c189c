//! `cargo xtask interop`: round trips through programs of others.

mod mlflow;
mod page;

use std::path::PathBuf;

use anyhow::Result;

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
}

#[derive(Debug, clap::Subcommand)]
enum Program {
    /// A run and a version of a model to MLflow's server and back.
    Mlflow,
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
    let (title, outcome) = match arguments.program {
        Program::Mlflow => ("MLflow", mlflow::run(&python)?),
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
