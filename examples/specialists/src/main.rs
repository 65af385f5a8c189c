//! One student from two monolingual teachers, without parallel data.
//!
//! ```text
//! cargo run --release -p specialists
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

mod numbers;
mod routes;
mod school;

use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, LineStyle, Table};
use numbers::{Language, split, tokenizer};
use potstill::burn::module::Module;
use potstill::core::{TokenRow, Vocabulary};
use potstill::losses::{Divergence, HardTargetConfig, SoftTarget};
use potstill::models::LanguageModel;
use potstill::teachers::{
    AverageSpace, BoxedTeacher, ModelTeacher, NoTeacher, TeacherWeights, WeightedTeachers,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One student from two monolingual teachers, without parallel data.
#[derive(Parser)]
struct Arguments {
    /// Optimizer steps of each teacher.
    #[arg(long, default_value_t = 600)]
    teacher_steps: usize,
    /// Optimizer steps of each student.
    #[arg(long, default_value_t = 900)]
    steps: usize,
    /// Seed of the weights and of the numbers that are held out.
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
        (arguments.teacher_steps, arguments.steps) = (8, 8);
    }
    let tokenizer = tokenizer()?;
    let (train, held_out) = split(arguments.seed);
    let rows = |language: Language| -> Result<Vec<TokenRow>> {
        let rows = train.iter().map(|&number| language.row(&tokenizer, number));
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_header(["", "English", "German"]);
    let mut report = |name: &str, model: &LanguageModel| -> Result<()> {
        let mut cells = vec![Cell::new(name)];
        for language in Language::ALL {
            let right = school::examine(model, &tokenizer, language, &held_out)?;
            let cell = Cell::new(format!("{:.1} %", 100.0 * right));
            cells.push(cell.set_alignment(CellAlignment::Right));
        }
        table.add_row(cells);
        Ok(())
    };

    let start = Instant::now();
    let mut specialists = Vec::new();
    for language in Language::ALL {
        let teacher = school::train(
            school::fresh(&tokenizer, 96, arguments.seed),
            HardTargetConfig::new().init()?,
            NoTeacher::new(Vocabulary::of_size(tokenizer.vocab_size())),
            rows(language)?,
            arguments.teacher_steps,
        )?
        .valid();
        report(&format!("teacher of {language:?}"), &teacher)?;
        specialists.push(teacher);
    }
    println!(
        "teachers: {}, {:.0} s",
        school::size(&specialists[0]),
        start.elapsed().as_secs_f64()
    );

    let boxed = |number: usize| -> BoxedTeacher {
        let teacher = ModelTeacher::new(&specialists[number]);
        Box::new(teacher.with_tokenizer(tokenizer.identity()))
    };
    let both = || vec![boxed(0), boxed(1)];
    let average = |weights| WeightedTeachers::new(both(), AverageSpace::Probability, weights);
    let teachers: [(&str, BoxedTeacher); 5] = [
        ("student of the English teacher", boxed(0)),
        ("student of the German teacher", boxed(1)),
        (
            "student of their average",
            Box::new(average(TeacherWeights::equal(2))?),
        ),
        (
            "student of whoever is certain",
            Box::new(average(TeacherWeights::Confidence)?),
        ),
        (
            "student of both, by language",
            Box::new(routes::by_language(both(), &tokenizer)?),
        ),
    ];
    for (name, teacher) in teachers {
        let student = school::fresh(&tokenizer, 64, arguments.seed + 1);
        let objective = SoftTarget::new(Divergence::ForwardKl);
        let rows = Language::ALL
            .map(&rows)
            .into_iter()
            .collect::<Result<Vec<_>>>()?
            .concat();
        let student = school::train(student, objective, teacher, rows, arguments.steps)?.valid();
        report(name, &student)?;
    }
    let student = school::fresh(&tokenizer, 64, arguments.seed);
    println!(
        "students: {}, {:.0} s",
        school::size(&student),
        start.elapsed().as_secs_f64()
    );
    println!(
        "\nHeld-out numbers read right, of {}:\n\n{table}",
        held_out.len()
    );
    println!(
        "\nLanguage of the {} training texts told right: {}",
        2 * train.len(),
        routes::told(&train)?
    );
    Ok(())
}
