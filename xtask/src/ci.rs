//! `cargo xtask ci`: every check, cheapest first.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::tidy;

/// Runs the steps in order and stops at the first that fails.
pub(crate) fn run(project: &Project) -> Result<()> {
    let start = Instant::now();
    timed("tidy", || tidy::run(project))?;
    for step in steps(project) {
        timed(&step.name, || step.run(project.root()))?;
    }
    println!(
        "everything passed in {:.0} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn timed(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("==> {name}");
    let start = Instant::now();
    run()?;
    println!("<== {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// One cargo command.
#[derive(Debug)]
struct Step {
    name: String,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, &'static str)>,
}

impl Step {
    fn new(name: impl Into<String>, arguments: &str) -> Self {
        let arguments = arguments.split_whitespace().map(OsString::from).collect();
        Self {
            name: name.into(),
            arguments,
            environment: Vec::new(),
        }
    }

    fn run(&self, root: &Path) -> Result<()> {
        let status = Command::new("cargo")
            .args(&self.arguments)
            .envs(self.environment.iter().copied())
            .current_dir(root)
            .status()
            .context("cannot start cargo")?;
        if !status.success() {
            bail!(
                "the step {:?} failed ({status}); repeat it with: {}",
                self.name,
                self.line()
            );
        }
        Ok(())
    }

    /// What to type to run this step alone.
    fn line(&self) -> String {
        let environment = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"));
        let arguments = self
            .arguments
            .iter()
            .map(|argument| argument.to_string_lossy().into());
        let words: Vec<String> = environment
            .chain(["cargo".to_owned()])
            .chain(arguments)
            .collect();
        words.join(" ")
    }
}

fn steps(project: &Project) -> Vec<Step> {
    let mut steps = vec![
        Step::new("fmt", "fmt --all --check"),
        Step::new(
            "clippy",
            "clippy --release --locked --workspace --all-targets -- -D warnings",
        ),
        // The README's test command. Property tests draw the same cases each time here: whether a change
        // passes must not depend on luck; new cases are for everybody's own runs.
        Step {
            environment: vec![("PROPTEST_RNG_SEED", "1")],
            ..Step::new("test", "test --release --workspace --locked")
        },
        Step {
            environment: vec![("RUSTDOCFLAGS", "-D warnings")],
            ..Step::new("doc", "doc --release --locked --workspace --no-deps")
        },
    ];
    steps.extend(project.packages_in("examples").into_iter().map(|package| {
        let name = &package.name;
        Step::new(
            format!("example {name}"),
            &format!("run --release --locked --package {name} -- --smoke"),
        )
    }));
    for backend in ["wgpu", "cuda"] {
        steps.push(type_check(project, backend));
    }
    steps
}

/// Another feature set of burn: in a target directory of its own it leaves the main build as it is.
fn type_check(project: &Project, backend: &str) -> Step {
    let mut step = Step::new(
        format!("type-check {backend}"),
        &format!(
            "check --release --locked --package potstill --no-default-features --features {backend}"
        ),
    );
    step.arguments.push("--target-dir".into());
    step.arguments
        .push(project.target_directory().join("backend-check").into());
    if backend == "cuda" {
        // CUDA itself is loaded at run time, but a build script of the backend downloads LLVM unless
        // it is told that nothing will be linked.
        step.environment.push(("DOCS_RS", "1"));
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_says_how_to_repeat_it() {
        let step = Step {
            environment: vec![("RUSTDOCFLAGS", "-D warnings")],
            ..Step::new("doc", "no-such-command --flag")
        };
        assert_eq!(
            step.line(),
            "RUSTDOCFLAGS=\"-D warnings\" cargo no-such-command --flag"
        );
        let error = step.run(Path::new(".")).unwrap_err().to_string();
        assert!(
            error.contains("\"doc\" failed") && error.contains("--flag"),
            "{error}"
        );
    }
}
