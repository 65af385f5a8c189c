//! A teacher, its student and a student without a teacher on task files of lm-evaluation-harness.
//!
//! ```text
//! cargo run --release -p quickstart
//! cargo run --release -p evaluate
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Parser;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::data::TextTokenizer;
use potstill::eval::{
    Comparison, HarnessResults, LocalTextModel, ModelReport, ModelRole, PairedBootstrap,
    PairedComparison, PairedOptions, Provenance, Report, Results, Task, TaskRun, TextModel,
    samples,
};
use potstill::models::{Checkpoint, LanguageModel, LayerChoice, StudentSpec, derive_student};
use quickstart::teacher_folder;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 1;

/// A teacher, its student and a student without a teacher on task files.
#[derive(Parser)]
struct Arguments {
    /// Folder of a student that learned from the quickstart's teacher.
    #[arg(long, default_value = "runs/quickstart/second-pass/model")]
    student: PathBuf,
    /// Folder of one that learned without it.
    #[arg(long, default_value = "runs/quickstart/labels-only/model")]
    baseline: PathBuf,
    /// Folder for the results.
    #[arg(long, default_value = "runs/evaluate")]
    out: PathBuf,
    /// Parts of the teacher instead of students, and a few problems only.
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let teacher = load(&teacher_folder())?;
    let (student, baseline, limit) = if arguments.smoke {
        arguments.out = temporary.path().into();
        (layers_of(&teacher, 3)?, layers_of(&teacher, 1)?, 20)
    } else {
        (
            load(&arguments.student)?,
            load(&arguments.baseline)?,
            usize::MAX,
        )
    };
    let tokenizer = TextTokenizer::from_folder(teacher_folder())?;
    let tasks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tasks");
    let choice = Task::read(tasks.join("sums_choice.yaml"))?.with_limit(limit);
    let written = Task::read(tasks.join("sums_written.yaml"))?.with_limit(limit);

    let (mut reports, mut all) = (Vec::new(), Vec::new());
    for (name, role, model) in [
        ("teacher", ModelRole::Teacher, &teacher),
        ("distilled", ModelRole::Student, &student),
        ("labels only", ModelRole::Baseline, &baseline),
    ] {
        let model = LocalTextModel::new(name, model, tokenizer.clone())?;
        let begun = SystemTime::now();
        let runs = [choice.run(&model)?, written.run(&model)?];
        let path =
            HarnessResults::new(&runs, &model, begun, begun.elapsed()?).write(&arguments.out)?;
        println!("{}: {}", model.name(), path.display());
        let mut report = ModelReport::new(name, role);
        let results = runs
            .iter()
            .fold(Results::new(name), |all, run| run.add_to(all));
        results.write(path.with_file_name("results.json"))?;
        report.results = Some(results);
        report.calibration = Some(runs[0].calibration()?);
        reports.push(report);
        all.push(runs);
    }
    let [teacher, student, baseline] = &all[..] else {
        unreachable!("there are three models");
    };

    // Both students chose among the same answers.
    let options = PairedOptions::new(SEED);
    let found = PairedComparison::new(scores(&student[0])?, scores(&baseline[0])?, &options)?;
    println!(
        "\nOf {} choices, the distilled student gets {:+.1} points more than the other one ({}; {:.1} points \
         would likely have shown).\n",
        found.overall.items,
        100.0 * found.overall.difference,
        options.flips.describe(found.overall.p_value),
        100.0 * found.overall.smallest_detectable_effect.unwrap_or(f64::NAN),
    );

    let provenance = Provenance {
        seed: Some(SEED),
        config: json!({
            "models": {"student": arguments.student, "baseline": arguments.baseline, "smoke": arguments.smoke},
            "problems": {"sums_choice": student[0].samples.len(), "sums_written": student[1].samples.len()},
            "comparison": options,
        }),
        ..Provenance::new("cargo run --release -p evaluate").finished_now()
    };
    let mut report = Report::new(
        "Addition, as task files",
        "Sums of two numbers that no model was trained on: chosen among four, and written out.",
        reports,
        provenance,
    );
    report.comparison = Some(Comparison::of_scores(
        scores(&teacher[1])?,
        scores(&student[1])?,
        Some(scores(&baseline[1])?),
        PairedBootstrap::new(SEED),
    )?);
    let answers = [
        ("teacher", teacher),
        ("distilled", student),
        ("labels only", baseline),
    ];
    let answers = answers.map(|(name, runs)| Some((name, runs[1].exact_match()?)));
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    let answers: Vec<_> = answers
        .iter()
        .map(|(name, answers)| (*name, answers))
        .collect();
    report.samples = samples(&answers, 8)?;
    for sample in &mut report.samples {
        // That a text begins is nothing to show.
        sample.problem = sample.problem.replace("<bos>", "");
    }
    report.write_html(arguments.out.join("report.html"))?;
    println!("{}\n\n{}", report.table(), report.summary());
    Ok(())
}

fn load(folder: &Path) -> Result<LanguageModel> {
    let checkpoint = Checkpoint::open(folder).with_context(|| {
        format!(
            "no model in {}; `cargo run --release -p quickstart` makes one",
            folder.display()
        )
    })?;
    Ok(checkpoint.language_model(FloatDType::F32, &Device::default())?)
}

fn layers_of(teacher: &LanguageModel, n: usize) -> Result<LanguageModel> {
    let spec = StudentSpec::Layers(LayerChoice::EvenlySpaced(n));
    Ok(derive_student(teacher, &spec, &Device::default())?.model)
}

/// What each document got by the first metric of its task.
fn scores(run: &TaskRun) -> Result<&potstill::eval::Scores> {
    run.metrics[0]
        .scores
        .as_ref()
        .context("the metric is no mean")
}
