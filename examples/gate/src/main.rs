//! A pipeline that measures a model, registers it and promotes it if it passes.
//!
//! ```text
//! cargo run --release -p quickstart
//! cargo run --release -p gate -- runs/quickstart/second-pass/model
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::data::TextTokenizer;
use potstill::eval::{
    Better, Gates, Ingredient, IngredientKind, Metric, NewVersion, Registry, Results, TaskIdentity,
    Verdict, bytes_on_disk, files_sha256,
};
use potstill::models::{
    Checkpoint, Companions, LayerChoice, StudentSpec, derive_student, save_pretrained,
};
use quickstart::{examination, teacher_folder};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a model, registers it and promotes it if it passes. Exits with 0 if it did, with 100 if
/// it did not, and with 1 if that could not be judged.
#[derive(Parser)]
struct Arguments {
    /// Folder of a model of the quickstart's task; by default its teacher.
    model: Option<PathBuf>,
    /// What must hold.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/gates.toml"))]
    gates: PathBuf,
    /// Folder for the registry and the reports.
    #[arg(long, default_value = "runs/gate")]
    out: PathBuf,
    /// Problems of the examination.
    #[arg(long, default_value_t = 1_000)]
    problems: usize,
    /// Three small models through the gates, each with the verdict that it should get.
    #[arg(long)]
    smoke: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Usage errors exit with 2 by default, which would be a code of its own.
        Err(problem) => {
            let _ = problem.print();
            return match problem.use_stderr() {
                true => Verdict::Unjudged.into(),
                false => ExitCode::SUCCESS,
            };
        }
    };
    let verdict = match arguments.smoke {
        true => smoke(&arguments.gates),
        false => {
            let model = arguments.model.unwrap_or_else(teacher_folder);
            pipeline(&model, &arguments.gates, &arguments.out, arguments.problems)
        }
    };
    // Whatever goes wrong on the way, the model did not pass.
    verdict
        .unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Verdict::Unjudged
        })
        .into()
}

/// What a release pipeline does with a model.
fn pipeline(model: &Path, gates: &Path, out: &Path, problems: usize) -> Result<Verdict> {
    let gates = Gates::read(gates)?;
    let registry = Registry::open(out.join("registry"))?;
    measure(&teacher_folder(), problems)?.write(out.join("teacher.json"))?;

    let teacher = files_sha256(teacher_folder())?;
    let version = registry.save(&NewVersion {
        ingredients: vec![Ingredient::new(
            IngredientKind::Teacher,
            "quickstart's teacher",
            teacher,
        )],
        results: Some(measure(model, problems)?),
        ..NewVersion::new("adder", model, "MIT OR Apache-2.0")
    })?;
    let report = registry.promote(&version, "champion", &gates, out)?;
    report.write_junit(out.join("gates.xml"))?;
    report.write_markdown(out.join("gates.md"))?;

    println!("{}\n{}", model.display(), report.to_markdown());
    match registry.resolve("adder", "champion")? {
        Some(champion) => println!("{version} is registered, @champion is {champion}"),
        None => println!("{version} is registered, there is no @champion"),
    }
    Ok(report.verdict())
}

/// Examines the model in a folder.
fn measure(folder: &Path, problems: usize) -> Result<Results> {
    let model = Checkpoint::open(folder)?.language_model(FloatDType::F32, &Device::default())?;
    let tokenizer = TextTokenizer::from_folder(folder)?;
    let items = examination::items(problems, &tokenizer)?;
    let questions: Vec<&str> = items.iter().map(|item| item.problem.as_str()).collect();
    let task = TaskIdentity::of_items("addition", "1", &questions)?;
    let answers = examination::examine(&model, &items, &tokenizer)?;
    let bytes = bytes_on_disk(&folder.join("model.safetensors"))? as f64;
    let exact_match = Metric::of_scores(Better::Higher, task, answers.scores()?);
    Ok(Results::new(folder.display().to_string())
        .with_metric("exact_match", exact_match)
        .with_metric("bytes", Metric::of_value(Better::Lower, bytes)))
}

/// A good model, one that lost most of its layers, and one that was measured on other problems.
fn smoke(gates: &Path) -> Result<Verdict> {
    let folder = tempfile::tempdir()?;
    let (out, cut) = (folder.path(), folder.path().join("cut"));
    let teacher = Checkpoint::open(teacher_folder())?;
    let model = teacher.language_model(FloatDType::F32, &Device::default())?;
    let one = StudentSpec::Layers(LayerChoice::EvenlySpaced(1));
    let student = derive_student(&model, &one, &Device::default())?.model;
    let read = |name: &str| std::fs::read_to_string(teacher_folder().join(name));
    let companions = Companions {
        tokenizer_json: Some(read("tokenizer.json")?),
        tokenizer_config: Some(read("tokenizer_config.json")?),
        ..Companions::default()
    };
    save_pretrained(&student, &cut, &companions)?;
    for (model, problems, expected) in [
        (teacher_folder(), 150, Verdict::Passed),
        (cut, 150, Verdict::Failed),
        (teacher_folder(), 151, Verdict::Unjudged),
    ] {
        let verdict = pipeline(&model, gates, out, problems)?;
        ensure!(verdict == expected, "{verdict:?} instead of {expected:?}");
        println!("exit code {}\n", verdict.exit_code());
    }
    Ok(Verdict::Passed)
}
