//! Distils an addition model in minutes, on a laptop, without a network.
//!
//! ```text
//! cargo run --release -p quickstart
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

mod lesson;
mod practice;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use lesson::Lesson;
use potstill::burn::module::Module;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::core::{CausalLm, Vocabulary};
use potstill::data::TextTokenizer;
use potstill::eval::{
    Chart, Comparison, MetricsLog, ModelReport, ModelRole, PairedBootstrap, ProfileOptions,
    Provenance, Report, bytes_on_disk, profile, samples,
};
use potstill::losses::{
    Divergence, HardTargetConfig, HiddenDistance, HiddenMatchConfig, SoftTarget,
};
use potstill::models::{
    Architecture, Checkpoint, Companions, ModelConfig, StudentSpec, derive_student, save_pretrained,
};
use potstill::teachers::{ModelTeacher, NoTeacher};
use practice::Practice;
use quickstart::addition::{Problem, tokenizer_json};
use quickstart::{TOKENIZER_CONFIG, examination, teacher_folder, training_row};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Distils an addition model in minutes, on a laptop, without a network.
#[derive(Parser)]
struct Arguments {
    /// Folder for models, logs and the report; OUT-2, OUT-3, ... when it is there already.
    #[arg(long, default_value = "runs/quickstart")]
    out: PathBuf,
    /// Practice questions that the teacher writes.
    #[arg(long, default_value_t = 10_000)]
    questions: usize,
    /// Labelled problems that the student without a teacher learns from.
    #[arg(long, default_value_t = 300)]
    labels: usize,
    /// Optimizer steps of each student.
    #[arg(long, default_value_t = 3_200)]
    steps: usize,
    /// Problems in a step.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Learning rate at its peak.
    #[arg(long, default_value_t = 4e-3)]
    learning_rate: f64,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A few steps only, to see that everything works.
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let mut arguments = Arguments::parse();
    if arguments.smoke {
        (arguments.questions, arguments.labels, arguments.steps) = (200, 50, 12);
    }
    let out = first_free(&arguments.out);
    let device = Device::default();

    let teacher = Checkpoint::open(teacher_folder())?.language_model(FloatDType::F32, &device)?;
    let tokenizer = TextTokenizer::from_folder(teacher_folder())?;
    // Problems that nobody trains on: 1000 for the examination, 300 to watch the training.
    let mut items = examination::items(1_300, &tokenizer)?;
    let watched = items.split_off(1_000);
    let lesson = Lesson {
        arguments: &arguments,
        tokenizer: &tokenizer,
        watched: &watched,
    };

    println!(
        "The teacher writes and answers {} practice questions ...",
        arguments.questions
    );
    let start = Instant::now();
    let practice = Practice::write(&teacher, &tokenizer, arguments.questions, arguments.seed)?;
    println!("{practice}; {:.0} s\n", start.elapsed().as_secs_f64());

    // The same fresh student, twice.
    let spec = StudentSpec::Fresh(student_config(teacher.config()), arguments.seed);
    let autodiff = device.clone().autodiff();
    let fresh_student = || derive_student(&teacher, &spec, &autodiff);
    println!(
        "A student learns from the teacher's distributions on them, with hints from within ..."
    );
    let student = fresh_student()?;
    let tutor = || ModelTeacher::new(&teacher).with_tokenizer(tokenizer.identity());
    let soft = SoftTarget::new(Divergence::ForwardKl);
    let widths = (student.model.d_model(), teacher.d_model());
    let pairs = student.layer_map.inner().to_vec();
    device.seed(arguments.seed);
    let hints = HiddenMatchConfig::new(pairs, widths.0, widths.1)
        .with_distance(HiddenDistance::Cosine)
        .init(&autodiff)?;
    let mut rows = practice.rows(&tokenizer)?;
    let first = lesson.train(
        student.model,
        (soft.clone(), hints),
        tutor(),
        rows.clone(),
        arguments.steps / 2,
        &out.join("first-pass"),
    )?;
    let missed = practice.missed_by(&first.student, &tokenizer)?;
    println!(
        "\n... and once more, the {} that it missed five times as often ...",
        missed.len()
    );
    rows.extend(std::iter::repeat_n(missed, 4).flatten());
    let second = lesson.train(
        first.student.train(),
        soft,
        tutor(),
        rows,
        arguments.steps / 2,
        &out.join("second-pass"),
    )?;
    println!(
        "\nThe same student learns from {} labelled problems alone ...",
        arguments.labels
    );
    let mut rng = ChaCha8Rng::seed_from_u64(arguments.seed);
    let labelled = Problem::draw_distinct(arguments.labels, false, &mut rng)
        .into_iter()
        .map(|problem| training_row(&tokenizer, problem, &problem.answer(), 0.0))
        .collect::<Result<Vec<_>, _>>()?;
    let alone = lesson.train(
        fresh_student()?.model,
        HardTargetConfig::new().init()?,
        NoTeacher::new(Vocabulary::of_size(teacher.vocab_size())),
        labelled,
        arguments.steps,
        &out.join("labels-only"),
    )?;

    println!("\nExamination on {} held-out problems ...\n", items.len());
    let contestants = [
        ("teacher", ModelRole::Teacher, &teacher, teacher_folder()),
        (
            "distilled",
            ModelRole::Student,
            &second.student,
            out.join("second-pass/model"),
        ),
        (
            "labels only",
            ModelRole::Baseline,
            &alone.student,
            out.join("labels-only/model"),
        ),
    ];
    let prompts: Vec<Vec<u32>> = items
        .iter()
        .take(64)
        .map(|item| item.prompt.clone())
        .collect();
    let profiling = ProfileOptions::new(examination::answering(&tokenizer));
    let (mut models, mut results) = (Vec::new(), Vec::new());
    for (name, role, model, folder) in contestants {
        if role != ModelRole::Teacher {
            save_pretrained(model, &folder, &companions())?;
        }
        let result = examination::examine(model, &items, &tokenizer)?;
        let bytes = bytes_on_disk(&folder.join("model.safetensors"))?;
        let mut report = ModelReport::new(name, role);
        report.exact_match = Some(result.accuracy());
        report.profile = Some(profile(model, &prompts, Some(bytes), &profiling)?);
        models.push(report);
        results.push((name, result));
    }

    let seconds = first.seconds + second.seconds;
    let mut report = Report::new(
        "Quickstart: addition",
        format!(
            "Adding numbers of up to three digits. The distilled student learned from its teacher's \
             distributions on {} practice questions that the teacher wrote itself, the other one from {} \
             labelled problems. Both took {} steps.",
            arguments.questions, arguments.labels, arguments.steps,
        ),
        models,
        Provenance {
            seed: Some(arguments.seed),
            ..Provenance::new(command_line())
        },
    );
    let result = |role: usize| &results[role].1;
    let bootstrap = PairedBootstrap::new(arguments.seed);
    report.comparison = Some(Comparison::new(
        result(0),
        result(1),
        Some(result(2)),
        bootstrap,
    )?);
    for (pass, log) in [("first pass", &first.log), ("second pass", &second.log)] {
        report.charts.extend(
            MetricsLog::read(log)?
                .charts()
                .into_iter()
                .map(|chart| Chart {
                    title: format!("{}, {pass}", chart.title),
                    ..chart
                }),
        );
    }
    let answers: Vec<_> = results
        .iter()
        .map(|(name, result)| (*name, result))
        .collect();
    report.samples = samples(&answers, 12)?;
    report.write_json(out.join("report.json"))?;
    report.write_html(out.join("report.html"))?;
    println!("{}\n\n{}\n", report.table(), report.summary());
    println!(
        "Distilling took {seconds:.0} s, learning from labels {:.0} s. The report is {}",
        alone.seconds,
        out.join("report.html").display()
    );
    Ok(())
}

/// Two blocks of width 56: a tenth of the teacher.
fn student_config(teacher: &ModelConfig) -> ModelConfig {
    let fresh = ModelConfig::new(Architecture::Llama, teacher.vocab_size, 56, 2, 4);
    ModelConfig {
        d_ff: 152,
        max_positions: teacher.max_positions,
        tie_word_embeddings: true,
        bos_token_id: teacher.bos_token_id,
        eos_token_ids: teacher.eos_token_ids.clone(),
        pad_token_id: teacher.pad_token_id,
        ..fresh
    }
}

fn companions() -> Companions {
    Companions {
        tokenizer_json: Some(tokenizer_json()),
        tokenizer_config: Some(TOKENIZER_CONFIG.to_owned()),
        ..Companions::default()
    }
}

/// `path`, or `path-2`, `path-3`, ...: nothing that was trained is overwritten.
fn first_free(path: &Path) -> PathBuf {
    let numbered = (2..).map(|n| PathBuf::from(format!("{}-{n}", path.display())));
    std::iter::once(path.to_owned())
        .chain(numbered)
        .find(|path| !path.exists())
        .unwrap_or_else(|| path.to_owned())
}

fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!(
        "cargo run --release -p quickstart -- {}",
        arguments.join(" ")
    )
}
