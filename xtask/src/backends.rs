//! `cargo xtask backends`: one parity suite on every backend that this machine can run.

mod backend;
#[cfg(feature = "remote")]
mod remote;
mod table;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use self::backend::Backend;
use self::table::{Column, Finished};
use crate::parity::{self, Case, Report};
use crate::project::Project;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Writes the table to docs/backends.md as well.
    #[arg(long)]
    write: bool,
    /// Leaves out backends; may be repeated.
    #[arg(long, value_enum)]
    without: Vec<Backend>,
    /// Runs one backend in this process and prints its cases as JSON.
    #[arg(long, value_enum, hide = true)]
    only: Option<Backend>,
}

/// Runs the suite on each backend and prints a table; fails if a case fails on one.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    if let Some(backend) = arguments.only {
        println!("{}", serde_json::to_string(&suite(project, backend)?)?);
        return Ok(());
    }
    let mut columns = Vec::new();
    for &backend in &Backend::ALL {
        let skipped = match arguments.without.contains(&backend) {
            true => Some("left out on request".to_owned()),
            false => backend.missing(),
        };
        let finished = match skipped {
            Some(reason) => Err(reason),
            None => {
                eprintln!("==> {}", backend.name());
                let start = Instant::now();
                let cases = run_backend(project, backend)
                    .with_context(|| format!("the suite did not run on {}", backend.name()))?;
                Ok(Finished {
                    cases,
                    seconds: start.elapsed().as_secs_f64(),
                })
            }
        };
        columns.push(Column { backend, finished });
    }
    let text = table::render(&columns);
    println!("{text}");
    if arguments.write {
        let path = project.root().join("docs/backends.md");
        let page = format!("{}{text}", table::INTRODUCTION);
        fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
    }
    let failed = columns.iter().filter(|column| !column.passed()).count();
    ensure!(failed == 0, "the suite fails on {failed} backends");
    Ok(())
}

fn run_backend(project: &Project, backend: Backend) -> Result<Vec<Case>> {
    if backend == Backend::Flex {
        return suite(project, backend);
    }
    // Another backend is another build of burn: a process and a target directory of its own.
    let target = project
        .target_directory()
        .join("backends")
        .join(backend.name());
    let output = backend
        .command()
        .args([
            "run",
            "--release",
            "--locked",
            "--package",
            "xtask",
            "--features",
        ])
        .args([backend.name(), "--target-dir"])
        .arg(target)
        .args(["--", "backends", "--only", backend.name()])
        .current_dir(project.root())
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the process of the backend ended with {}", output.status);
    }
    // Drivers may have printed something before.
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .last()
        .context("the process of the backend printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("unexpected output: {line}"))
}

fn suite(project: &Project, backend: Backend) -> Result<Vec<Case>> {
    let fixtures = |path: &str| -> Result<PathBuf> {
        let path = project.root().join("crates").join(path);
        ensure!(path.is_dir(), "{} is missing", path.display());
        Ok(path)
    };
    let mut report = Report::default();
    parity::check_backend(
        &fixtures("potstill-models/tests/fixtures/models")?,
        &fixtures("potstill-train/tests/fixtures/kd_trajectory")?,
        &backend.device()?,
        &mut report,
    )?;
    #[cfg(feature = "remote")]
    if backend == Backend::Remote {
        remote::check(&mut report);
    }
    Ok(report.into_cases())
}
