//! `cargo xtask interop`: round trips through programs of others.

mod mlflow;
mod page;

use std::path::PathBuf;

use anyhow::Result;

use crate::project::Project;

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

/// Runs a round trip and prints what was compared; says so if the program is not installed.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let finished = match arguments.program {
        Program::Mlflow => mlflow::run(arguments.python.as_deref())?,
    };
    match finished {
        Ok(text) => {
            println!("{text}");
            if arguments.write {
                let title = match arguments.program {
                    Program::Mlflow => mlflow::TITLE,
                };
                page::replace(project, title, &text)?;
            }
        }
        Err(reason) => println!("skipped: {reason}"),
    }
    Ok(())
}
