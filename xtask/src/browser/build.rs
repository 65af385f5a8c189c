//! Compiling the page.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Arguments, on_path};
use crate::project::Project;

const TARGET: &str = "wasm32-unknown-unknown";

/// What this machine lacks to build the page.
pub(super) fn missing(project: &Project, cargo: &[String]) -> Result<Option<String>> {
    if cargo.is_empty() && !has_target()? {
        return Ok(Some(format!(
            "there is no standard library for {TARGET}; rustup target add {TARGET}"
        )));
    }
    let wanted = wasm_bindgen_version(project)?;
    let install = format!("cargo install wasm-bindgen-cli --version {wanted}");
    if on_path("wasm-bindgen").is_none() {
        return Ok(Some(format!("there is no wasm-bindgen; {install}")));
    }
    let output = Command::new("wasm-bindgen").arg("--version").output()?;
    let found = String::from_utf8_lossy(&output.stdout);
    let found = found.split_whitespace().nth(1).unwrap_or_default();
    if found != wanted {
        return Ok(Some(format!(
            "wasm-bindgen is {found}, and the page needs {wanted}; {install}"
        )));
    }
    Ok(None)
}

fn has_target() -> Result<bool> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("cannot start rustc")?;
    let folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}

/// The version of the library, which the program has to have as well.
fn wasm_bindgen_version(project: &Project) -> Result<String> {
    let lock = fs::read_to_string(project.root().join("Cargo.lock"))?;
    let mut lines = lock
        .lines()
        .skip_while(|line| *line != r#"name = "wasm-bindgen""#);
    let version = lines
        .nth(1)
        .and_then(|line| line.strip_prefix("version = "));
    let version = version.context("Cargo.lock does not name wasm-bindgen")?;
    Ok(version.trim_matches('"').to_owned())
}

/// Compiles the example, and puts it with the files of the page into `folder`.
pub(super) fn page(project: &Project, arguments: &Arguments, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut builds = vec!["browser"];
    module(project, &arguments.cargo, "flex", folder, "browser")?;
    if arguments.webgpu {
        builds.push("webgpu");
        module(project, &arguments.cargo, "wgpu", folder, "webgpu")?;
    }
    fs::write(folder.join("builds.json"), serde_json::to_vec(&builds)?)?;
    let sources = project.root().join("examples/browser/page");
    for entry in fs::read_dir(&sources).with_context(|| sources.display().to_string())? {
        let path = entry?.path();
        if let Some(name) = path.file_name() {
            fs::copy(&path, folder.join(name))?;
        }
    }
    Ok(())
}

/// Compiles the example for a backend, and calls it `name` in `folder`.
fn module(
    project: &Project,
    cargo: &[String],
    backend: &str,
    folder: &Path,
    name: &str,
) -> Result<()> {
    // A folder for each: other features would compile burn again.
    let target = project.target_directory().join(format!("wasm-{name}"));
    succeed(
        Command::new("cargo")
            .args("rustc --release --locked --package browser --lib --crate-type cdylib".split(' '))
            .args(["--no-default-features", "--features", backend])
            .args(["--target", TARGET, "--target-dir"])
            .arg(&target)
            .args(cargo)
            .current_dir(project.root()),
    )?;
    let compiled = target.join(TARGET).join("release/browser.wasm");
    succeed(
        Command::new("wasm-bindgen")
            .args("--target web --no-typescript --remove-name-section".split(' '))
            .args(["--remove-producers-section", "--out-name", name])
            .arg("--out-dir")
            .args([folder, &compiled]),
    )
}

fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_os_string();
    let status = command.status();
    let status = status.with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "{} failed ({status})", program.display());
    Ok(())
}
