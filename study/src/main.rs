//! Which way of distilling teaches a small student most?
//!
//! ```text
//! cargo xtask fetch smollm2
//! cargo run --release -p study
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

mod addition;
mod cost;
mod heal;
mod job;
mod language;
mod learn;
mod picture;
mod plan;
mod pool;
mod report;
mod said;
mod statistics;
mod students;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use addition::Addition;
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use job::{Job, Task};
use language::Language;
use plan::Effort;
use pool::Journal;
use report::{TaskReport, put_between};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Which way of distilling teaches a small student most?
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the results; a study that was interrupted goes on where it was.
    #[arg(long, default_value = "runs/study", global = true)]
    out: PathBuf,
    /// SmolLM2-135M: a GGUF file or a Hugging Face folder.
    #[arg(long, default_value = SMOLLM2, global = true)]
    teacher: PathBuf,
    /// A part of the study only.
    #[arg(long)]
    only: Option<Task>,
    /// Students trained at the same time, each on its share of the processors.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Puts the results into docs/study.md.
    #[arg(long)]
    write: bool,
    /// A few steps of the part that needs no download, to see that everything works.
    #[arg(long, global = true)]
    smoke: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ten layers of SmolLM2, healed here and by PyTorch.
    Heal(heal::Settings),
    /// Does the jobs that come in, one JSON object a line.
    #[command(hide = true)]
    Worker { task: Task },
}

/// Where `cargo xtask fetch smollm2` puts it.
const SMOLLM2: &str = "target/fetch/SmolLM2-135M-Instruct.Q4_1.gguf";

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// What makes the study repeatable.
#[derive(Debug)]
struct Settings {
    addition: addition::Settings,
    language: language::Settings,
    effort: BTreeMap<Task, Effort>,
}

impl Settings {
    fn new(arguments: &Arguments) -> Self {
        let addition = addition::Settings {
            labels: 384,
            questions: 8_192,
            validation: 500,
            test: 1_000,
            steps: 1_600,
            batch: 128,
        };
        let language = language::Settings {
            teacher: arguments.teacher.clone(),
            seq: 64,
            prompt: 16,
            steps: 32,
            batch: 8,
            rows: 256,
            validation: 32,
            test: 64,
        };
        let effort = |learning_rates: &[f64], seeds| Effort {
            learning_rates: learning_rates.to_vec(),
            seeds,
        };
        if arguments.smoke {
            return Self {
                addition: addition::Settings {
                    questions: 128,
                    validation: 20,
                    test: 20,
                    steps: 3,
                    ..addition
                },
                language,
                effort: BTreeMap::from([(Task::Addition, effort(&[1e-3], 2))]),
            };
        }
        Self {
            addition,
            language,
            effort: BTreeMap::from([
                (Task::Addition, effort(&[2e-3, 4e-3], 5)),
                (Task::Language, effort(&[1e-3, 3e-3], 5)),
            ]),
        }
    }
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    // A student that does badly is a result here, not something to warn of in the middle of a progress bar.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::ERROR)
        .init();
    let temporary;
    if arguments.smoke && arguments.command.is_none() {
        temporary = tempfile::tempdir()?;
        arguments.out = temporary.path().to_owned();
        arguments.only = Some(Task::Addition);
    }
    let settings = Settings::new(&arguments);
    match &arguments.command {
        Some(Command::Worker { task }) => serve(*task, &settings, &arguments.out),
        Some(Command::Heal(heal)) => heal::run(heal, &arguments.teacher, &arguments.out),
        None => study(&arguments, &settings),
    }
}

/// Answers jobs until there are no more.
fn serve(task: Task, settings: &Settings, out: &Path) -> Result<()> {
    let folder = out.join(task.name());
    let run: Box<dyn Fn(&Job) -> _> = match task {
        Task::Addition => {
            let addition = Addition::open(settings.addition, &folder)?;
            Box::new(move |job| addition.run(job))
        }
        Task::Language => {
            let language = Language::open(&settings.language, &folder)?;
            Box::new(move |job| language.run(job))
        }
    };
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        writeln!(output, "{}", serde_json::to_string(&run(&job)?)?)?;
        output.flush()?;
    }
    Ok(())
}

fn study(arguments: &Arguments, settings: &Settings) -> Result<()> {
    let start = Instant::now();
    fs::create_dir_all(&arguments.out)?;
    let mut journal = Journal::open(&arguments.out.join("results.jsonl"))?;
    let tasks = [Task::Addition, Task::Language];
    let chosen = |task: &Task| arguments.only.is_none_or(|only| only == *task);
    for task in tasks.into_iter().filter(chosen) {
        let report = report_of(task, arguments, settings, &mut journal)?;
        let table = report.markdown()?;
        println!("\n# {}\n\n{table}", task.name());
        let picture = format!("study-{}.svg", task.name());
        report.picture(&arguments.out.join(&picture))?;
        if arguments.write {
            report.picture(&Path::new(DOCS).join("images").join(&picture))?;
            let page = Path::new(DOCS).join("study.md");
            let text = fs::read_to_string(&page)
                .with_context(|| format!("cannot read {}", page.display()))?;
            pool::write(&page, &put_between(&text, task.name(), &table)?)?;
        }
    }
    println!(
        "{} students in {}, this time in {:.0} s",
        journal.finished().len(),
        arguments.out.display(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Tunes every arm, then measures it.
fn report_of(
    task: Task,
    arguments: &Arguments,
    settings: &Settings,
    journal: &mut Journal,
) -> Result<TaskReport> {
    let folder = arguments.out.join(task.name());
    let effort = &settings.effort[&task];
    println!(
        "{}: the teacher says what all students hear ...",
        task.name()
    );
    let ceiling = match task {
        Task::Addition => {
            pool::check_settings(&folder, &(settings.addition, effort))?;
            Addition::prepare(settings.addition, &folder)?;
            Addition::open(settings.addition, &folder)?.ceiling()?
        }
        Task::Language => {
            pool::check_settings(&folder, &(&settings.language, effort))?;
            Language::prepare(&settings.language, &folder)?;
            Language::open(&settings.language, &folder)?.ceiling()?
        }
    };
    let mut passed_on = vec![
        "--out".to_owned(),
        arguments.out.display().to_string(),
        "--teacher".to_owned(),
        arguments.teacher.display().to_string(),
    ];
    if arguments.smoke {
        passed_on.push("--smoke".to_owned());
    }
    let workers = arguments.workers;
    println!(
        "{}: one student for each arm and learning rate ...",
        task.name()
    );
    pool::run(task, effort.tuning(task), workers, &passed_on, journal)?;
    println!("{}: one student for each arm and seed ...", task.name());
    let jobs = effort.measuring(task, journal)?;
    pool::run(task, jobs, workers, &passed_on, journal)?;
    TaskReport::new(task, ceiling, effort, journal)
}
