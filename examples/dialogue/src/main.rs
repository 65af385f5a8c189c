//! A lesson that two models hold, and what is left of it in the weights of one.
//!
//! ```text
//! cargo run --release -p dialogue
//! cargo run --release -p dialogue -- --teacher target/fetch/SmolLM2-135M-Instruct.Q4_1.gguf
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person"
)]

mod checkpoints;
mod expert;
mod page;
mod pupil;
mod school;
mod sums;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, LineStyle, Table};
use dialogue::letters;
use page::Page;
use potstill::burn::module::Module;
use potstill::data::{QuizResult, Transcript};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use school::School;
use sums::{Grading, syllabus};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A lesson that two models hold, and what is left of it in the weights of one.
///
/// Without a teacher, a scripted expert teaches a student with a hundred thousand weights to add.
#[derive(Parser)]
struct Arguments {
    /// A GGUF file or a Hugging Face folder: then this model is the teacher.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// The student beside such a teacher; the same model unless given.
    #[arg(long, requires = "teacher")]
    student: Option<PathBuf>,
    /// Folder for records, lessons and the page.
    #[arg(long, default_value = "runs/dialogue")]
    out: PathBuf,
    /// Terms: lessons, training, quiz.
    #[arg(long, default_value_t = 2)]
    terms: usize,
    /// Lessons in a term.
    #[arg(long, default_value_t = 140)]
    lessons: usize,
    /// Optimizer steps in a term.
    #[arg(long, default_value_t = 900)]
    steps: usize,
    /// Optimizer steps of a student that is a checkpoint.
    #[arg(long, default_value_t = 12)]
    checkpoint_steps: usize,
    /// Questions of the quiz; a checkpoint is asked 40 at most.
    #[arg(long, default_value_t = 1000)]
    questions: usize,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A few lessons and steps only, to see that everything works.
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
        (arguments.lessons, arguments.steps, arguments.questions) = (4, 6, 10);
    }
    fs::create_dir_all(&arguments.out)?;
    let out = arguments.out.clone();
    match arguments.teacher.clone() {
        Some(teacher) => checkpoints::run(&arguments, &teacher, &out),
        None => with_expert(&arguments, &out),
    }
}

fn with_expert(arguments: &Arguments, out: &Path) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(arguments.seed);
    let school = School {
        tokenizer: letters::tokenizer()?,
        template: letters::template()?,
        syllabus: syllabus(arguments.questions, Grading::Equation, &mut rng)?,
        learning_rate: 4e-3,
        rows_per_step: 12,
        seed: arguments.seed,
    };
    let fresh = || letters::fresh(&school.tokenizer, 64, 2, 384, arguments.seed);
    let mut student = fresh().valid();
    println!(
        "An expert teaches a student of {} weights {}; {} held-out questions.\n",
        Module::num_params(&student),
        school.syllabus.title,
        school.syllabus.quiz.len(),
    );

    let start = Instant::now();
    let mut rows = vec![Row::of("before any lesson", school.quiz(&student)?)];
    let mut transcripts: Vec<Transcript> = Vec::new();
    for term in 1..=arguments.terms {
        let held = school.lessons(&student, term as u64, arguments.lessons)?;
        let lessons = Account::of(&held);
        transcripts.extend(held);
        let records = school.records(&transcripts)?;
        println!("term {term}: {lessons}; {} records so far", records.len());
        student = school.train(student.train(), &records, arguments.steps)?;
        rows.push(Row::of(
            format!("after term {term}"),
            school.quiz(&student)?,
        ));
    }
    let seconds = start.elapsed().as_secs_f64();

    let records = school.records(&transcripts)?;
    potstill::data::write_jsonl(out.join("records.jsonl"), &records)?;
    println!("control: the answers of the expert, each given to another question");
    let confused = school::shuffled(&records, arguments.seed);
    let control = school.train(fresh(), &confused, arguments.steps * arguments.terms)?;
    rows.push(Row::of("control: shuffled answers", school.quiz(&control)?));

    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_header(["student", "right", "of", "share"]);
    for Row { name, result } in &rows {
        let right = result
            .answers
            .iter()
            .filter(|answer| answer.correct)
            .count();
        let numbers = [
            right.to_string(),
            result.answers.len().to_string(),
            format!("{:.1} %", 100.0 * result.score()),
        ];
        let numbers = numbers.map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
        table.add_row([Cell::new(name)].into_iter().chain(numbers));
    }
    println!("\nQuiz on sums that no teacher ever spoke of:\n\n{table}\n");

    let (first, last) = (&transcripts[0], &transcripts[transcripts.len() - 1]);
    let (before, after) = (&rows[0].result, &rows[arguments.terms].result);
    let page = Page {
        title: "Learning to add by talking",
        summary: format!(
            "A scripted expert held {} lessons with a student of {} weights. What the expert said became \
             records, the student was trained on them, and then took the same quiz again.",
            transcripts.len(),
            Module::num_params(&student),
        ),
        figures: vec![
            (
                "quiz before".into(),
                format!("{:.1} %", 100.0 * before.score()),
            ),
            (
                "quiz after".into(),
                format!("{:.1} %", 100.0 * after.score()),
            ),
            ("lessons".into(), transcripts.len().to_string()),
            ("records".into(), records.len().to_string()),
        ],
        quizzes: rows
            .iter()
            .map(|row| (row.name.clone(), &row.result))
            .collect(),
        listed: 8,
        command: command_line(),
    };
    let path = out.join("lessons.html");
    let lessons = [
        (
            "The first lesson: a student that knows nothing".to_owned(),
            first,
        ),
        (
            "The last lesson: a student that has been trained".to_owned(),
            last,
        ),
    ];
    page::write(&path, &page, &school.syllabus, &lessons)?;
    println!(
        "Talking, learning and asking took {seconds:.0} s. The lessons to read: {}",
        path.display()
    );
    Ok(())
}

/// A quiz, and when it was taken.
struct Row {
    name: String,
    result: QuizResult,
}

impl Row {
    fn of(name: impl Into<String>, result: QuizResult) -> Self {
        Self {
            name: name.into(),
            result,
        }
    }
}

/// What became of the lessons of a term.
struct Account {
    lessons: usize,
    turns: usize,
    covered: usize,
    stopped: usize,
    claims: (usize, usize),
}

impl Account {
    fn of(transcripts: &[Transcript]) -> Self {
        let sum = |count: fn(&Transcript) -> usize| transcripts.iter().map(count).sum();
        Self {
            lessons: transcripts.len(),
            turns: sum(|transcript| transcript.turns.len()),
            covered: sum(|transcript| usize::from(transcript.coverage.told() >= 1.0)),
            stopped: sum(|transcript| transcript.rejected.len()),
            claims: school::claims(transcripts),
        }
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (claims, right) = self.claims;
        write!(
            f,
            "{} lessons of {} turns, {} cover every fact, {} turns stopped by guards; the student \
             tried {claims} sums, {right} right",
            self.lessons, self.turns, self.covered, self.stopped,
        )
    }
}

fn percent(result: &QuizResult) -> String {
    let right = result
        .answers
        .iter()
        .filter(|answer| answer.correct)
        .count();
    format!(
        "{:.1} % ({right} of {})",
        100.0 * result.score(),
        result.answers.len()
    )
}

fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo run --release -p dialogue -- {}", arguments.join(" "))
        .trim_end_matches([' ', '-'])
        .to_owned()
}
