//! How the programs that are compared are built and started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::project::Project;
use crate::python::Python;

/// Makes the C library keep the pages that a program frees.
///
/// Large tensors are otherwise given back and cleared again for the next one. The binaries of this
/// workspace have an allocator that keeps them, so a comparison owes PyTorch the same.
const KEEPING: [(&str, &str); 2] = [
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "100000000000"),
];

/// What the C library does with freed memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Heap {
    /// As it comes.
    Default,
    /// It keeps its pages.
    Keeping,
}

impl Heap {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Default => "default heap",
            Self::Keeping => "keeping heap",
        }
    }

    fn apply(self, command: &mut Command) {
        if self == Self::Keeping {
            command.envs(KEEPING);
        }
    }
}

/// Our side, built.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    program: PathBuf,
    backend: &'static str,
    environment: Vec<(&'static str, OsString)>,
}

impl Worker {
    /// Builds the worker for flex.
    pub(super) fn flex(project: &Project) -> Result<Self> {
        build(
            project,
            Command::new("cargo"),
            project.target_directory(),
            &[],
        )?;
        Ok(Self {
            program: project.target_directory().join("release/worker"),
            backend: "flex",
            environment: Vec::new(),
        })
    }

    /// Builds the worker for libtorch, the one of `python`, in a target directory of its own.
    pub(super) fn tch(project: &Project, python: &Python) -> Result<Self> {
        python.require(&["torch"])?;
        let torch = python.torch().context("torch has no version")?;
        ensure!(
            torch.fits_burn(),
            "burn's libtorch backend is made for torch 2.9, this is {}",
            torch.version
        );
        let target = project.target_directory().join("backends/tch");
        let mut cargo = Command::new("cargo");
        cargo
            .env("PATH", python.search_path())
            .envs(torch.environment());
        build(project, cargo, &target, &["--features", "tch"])?;
        Ok(Self {
            program: target.join("release/worker"),
            backend: "tch",
            environment: torch.environment().into(),
        })
    }

    pub(super) fn backend(&self) -> &'static str {
        self.backend
    }

    /// The command of work that needs no backend.
    pub(super) fn plain(&self, work: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(work);
        command
    }

    /// The command of one piece of work, such as `["step", "--counted", "128"]`.
    pub(super) fn command(&self, heap: Heap, work: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(work)
            .args(["--backend", self.backend])
            .envs(self.environment.iter().cloned())
            // Cargo sets it for what cargo runs (.cargo/config.toml).
            .env("MIMALLOC_PURGE_DELAY", "-1");
        heap.apply(&mut command);
        command
    }
}

fn build(project: &Project, mut cargo: Command, target: &Path, features: &[&str]) -> Result<()> {
    let status = cargo
        .args(["build", "--release", "--locked", "--package", "benches"])
        .args(["--bin", "worker", "--target-dir"])
        .arg(target)
        .args(features)
        .current_dir(project.root())
        .stdout(Stdio::null())
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "building the worker ended with {status}");
    Ok(())
}

/// The other side: a script of `benches/peers`.
pub(super) fn peer(
    project: &Project,
    python: &Python,
    heap: Heap,
    script: &str,
    work: &[&str],
) -> Command {
    let mut command = python.command();
    command
        .arg(project.root().join("benches/peers").join(script))
        .args(work);
    heap.apply(&mut command);
    command
}
