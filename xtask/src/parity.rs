//! `cargo xtask parity`: our numbers against those of PyTorch and Transformers.

mod apart;
mod chat_templates;
mod feature_losses;
mod gguf_blocks;
mod kd_trajectory;
mod kernels;
mod logit_losses;
mod models;
mod precision;
mod reference;
mod report;
mod smollm2;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use burn::prelude::*;

use self::kd_trajectory::Places;
pub(crate) use self::report::{Case, Measure, Outcome, Report};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder of reference values (docs/testing.md), or its `losses`, `models` or `misc`.
    folder: PathBuf,
    /// SmolLM2-135M-Instruct, a GGUF file [default: $POTSTILL_SMOLLM2, or where `cargo xtask fetch
    /// smollm2` puts it].
    #[arg(long)]
    smollm2: Option<PathBuf>,
    /// Fails also when a case was skipped or its loss is not implemented.
    #[arg(long)]
    strict: bool,
}

/// Checks every case below a folder; fails if one is over its tolerance.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let folder = &arguments.folder;
    ensure!(folder.is_dir(), "{} is not a folder", folder.display());
    let mut report = Report::printing();
    let device = Device::flex();
    for place in ["", "losses", "models", "misc"].map(|name| folder.join(name)) {
        logit_losses::check(&place, &mut report)?;
        feature_losses::check(&place, &mut report)?;
        models::check(&place, &device, &mut report)?;
        gguf_blocks::check(&place, &mut report)?;
        chat_templates::check(&place, &mut report)?;
        let teacher = place.join("../models/llama");
        let trajectory = place.join("kd_trajectory");
        kd_trajectory::check(
            &trajectory,
            &teacher,
            Places::together(&device),
            &mut report,
        )?;
        smollm2::check(&place, root, arguments.smollm2.as_deref(), &mut report)?;
    }
    // A single checkpoint or a single training run will do as well.
    models::check_one(folder, &device, &mut report)?;
    kd_trajectory::check(
        folder,
        &folder.join("../../models/llama"),
        Places::together(&device),
        &mut report,
    )?;
    ensure!(
        !report.is_empty(),
        "{} holds no reference values; docs/testing.md shows the layout",
        folder.display()
    );
    report.finish(arguments.strict)
}

/// The part that depends on the backend: fused operations, models, generation, training step by step,
/// and a teacher on it for a student on flex.
pub(crate) fn check_backend(
    models: &Path,
    trajectory: &Path,
    device: &Device,
    report: &mut Report,
) -> Result<()> {
    kernels::check(device, report);
    models::check(models, device, report)?;
    let teacher = models.join("llama");
    kd_trajectory::check(trajectory, &teacher, Places::together(device), report)?;
    let home = Device::flex();
    if *device != home {
        let places = Places {
            teacher: device,
            student: &home,
        };
        apart::check(&teacher, device, &home, report);
        kd_trajectory::check(trajectory, &teacher, places, report)?;
    }
    Ok(())
}
