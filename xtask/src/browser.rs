//! `cargo xtask browser`: a model as a static web page.

mod build;
mod check;
mod server;
mod sizes;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::project::Project;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A GGUF file to put beside the page; by default the quickstart's teacher, which adds.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Serves the page on this machine.
    #[arg(long)]
    serve: bool,
    /// Opens the page in Chromium and compares what it writes with the same without a browser.
    #[arg(long)]
    check: bool,
    /// The question of the check.
    #[arg(long, default_value = "123+456")]
    text: String,
    /// Most tokens of the answer.
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// How the check keeps weights: f32, half or int8.
    #[arg(long, default_value = "f32")]
    weights: String,
    /// Builds the page for graphics processors as well, and checks it there.
    #[arg(long)]
    webgpu: bool,
    /// Where to serve.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// More arguments for the cargo that builds the page.
    #[arg(last = true)]
    cargo: Vec<String>,
}

/// Builds the page in `target/browser`, and checks or serves it.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let page = project.target_directory().join("browser");
    if let Some(reason) = build::missing(project, &arguments.cargo)? {
        println!("skipped: {reason}");
        return Ok(());
    }
    build::page(project, arguments, &page)?;
    let model = page.join("model.gguf");
    match &arguments.model {
        Some(path) => {
            let copied = std::fs::copy(path, &model);
            copied.with_context(|| format!("cannot copy {}", path.display()))?;
        }
        // The example writes its own where there is none.
        None if model.exists() => std::fs::remove_file(&model)?,
        None => {}
    }
    let native = native(project.root(), &model, arguments)?;
    sizes::print(project, &page)?;
    if arguments.check {
        check::run(&page, arguments, &native)?;
    }
    if arguments.serve {
        server::serve(&page, arguments.port)?;
    }
    Ok(())
}

/// What a model wrote, and how fast.
#[derive(Debug, serde::Deserialize)]
struct Written {
    text: String,
    tokens: usize,
    tokens_per_second: Option<f64>,
}

/// What the example writes without a browser.
fn native(root: &Path, model: &Path, arguments: &Arguments) -> Result<Written> {
    let mut command = cargo_of_this_machine();
    command.args("run --release --locked --package browser -- --json".split(' '));
    command.arg(format!("--tokens={}", arguments.tokens));
    command.args(["--weights", &arguments.weights]);
    command.arg(model).arg(&arguments.text).current_dir(root);
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.context("cannot start cargo")?;
    ensure!(output.status.success(), "the example failed");
    serde_json::from_slice(&output.stdout).context("the example printed something else")
}

/// A cargo for this machine, even where the environment names a compiler for the page.
fn cargo_of_this_machine() -> Command {
    let mut command = Command::new("cargo");
    // The second one alone would compile half of the workspace again.
    command.env_remove("RUSTC").env_remove("RUSTC_BOOTSTRAP");
    command
}

/// A program on the search path.
fn on_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let mut files = env::split_paths(&folders).map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}
