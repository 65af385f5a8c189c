//! A folder of documentation becomes a clean corpus, stage by stage.
//!
//! ```text
//! cargo run --release -p curate -- FOLDER --out runs/curate
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

mod check;
mod generate;
mod html;
mod memory;
mod pages;
mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use potstill::data::{
    Decontaminate, HoldOutClusters, KeepLanguages, Layout, LimitText, Manifest, NearDuplicates,
    NearDuplicatesOptions, OnContamination, Overlap, Pipeline, PipelineOptions, RecordWriter,
    TextLimits, read_records,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A folder of documentation becomes a clean corpus, stage by stage.
#[derive(Parser)]
struct Arguments {
    /// Folders of .html, .rst, .txt and .md pages, or files of records.
    inputs: Vec<PathBuf>,
    /// Where the results go, and what a killed run needs to go on.
    #[arg(long, default_value = "runs/curate")]
    out: PathBuf,
    /// Records of questions that no text may give away.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Language that is kept, ISO 639-3.
    #[arg(long, default_value = "eng")]
    language: String,
    /// Instead of reading, writes so many made-up records of about 1 KB to OUT/generated.jsonl and
    /// curates those.
    #[arg(long)]
    rows: Option<u64>,
    /// Instead of curating, compares near duplicates with all pairs among about so many records.
    #[arg(long)]
    check: Option<usize>,
    /// A few pages that come with the example, in a temporary folder.
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let mut arguments = Arguments::parse();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let temporary = tempfile::tempdir()?;
    if arguments.smoke {
        arguments.inputs = vec![data.join("pages")];
        arguments.out = temporary.path().to_owned();
        check::compare(&arguments.inputs, 100)?;
    }
    if let Some(records) = arguments.check {
        return check::compare(&arguments.inputs, records);
    }
    if let Some(rows) = arguments.rows {
        let path = arguments.out.join("generated.jsonl");
        generate::write(&path, rows)?;
        arguments.inputs = vec![path];
    }
    ensure!(
        !arguments.inputs.is_empty(),
        "name a folder or a file to read, or --smoke for the pages that come with the example"
    );
    let questions = arguments
        .against
        .clone()
        .unwrap_or_else(|| data.join("questions.jsonl"));
    let begun = Instant::now();
    let (manifest, memory) = curate(&arguments, &questions)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{}", report::stages(&manifest, &memory, seconds));
    let begun = Instant::now();
    for (name, records) in write_tables(&arguments.out)? {
        println!(
            "{records:>9} records in {}",
            arguments.out.join(name).display()
        );
    }
    println!(
        "written in {:.1} s; peak memory of the process: {} MB",
        begun.elapsed().as_secs_f64(),
        memory::peak_megabytes().map_or("?".into(), |peak| peak.to_string()),
    );
    Ok(())
}

/// Reads, filters, removes duplicates and what gives answers away, and marks a held-out part.
fn curate(arguments: &Arguments, questions: &Path) -> Result<(Manifest, memory::Peaks)> {
    let mut items = Vec::new();
    for question in read_records(questions, Layout::Detect)? {
        items.push(question?.text().into_owned());
    }
    let scratch = arguments.out.join("scratch");
    std::fs::create_dir_all(&scratch)?;
    let alike = |threshold| {
        NearDuplicates::new(NearDuplicatesOptions {
            threshold,
            ..Default::default()
        })
        .with_scratch(&scratch)
    };
    let peaks = memory::Peaks::default();
    let noted = peaks.clone();
    let limits = if arguments.rows.is_some() {
        TextLimits::chat()
    } else {
        TextLimits {
            min_words: Some(30),
            min_alphanumeric: Some(0.6),
            ..TextLimits::page()
        }
    };
    let mut pipeline = Pipeline::new(PipelineOptions::default()).stage(LimitText(limits));
    if arguments.rows.is_none() {
        pipeline = pipeline.stage(KeepLanguages::new([arguments.language.clone()], true));
    }
    let manifest = pipeline
        .stage(
            Decontaminate::new(OnContamination::Reject(Overlap::ThirteenWords))
                .against("questions", &items),
        )
        .global_stage(alike(0.8))
        // Less alike than what is removed, and still too alike to be on both sides.
        .global_stage(HoldOutClusters::new(alike(0.5), 0.02, 1))
        .on_progress(move |progress| noted.note(progress.stage))
        .run(pages::read(&arguments.inputs)?, &arguments.out)?;
    std::fs::remove_dir_all(&scratch)?;
    Ok((manifest, peaks))
}

/// The marked parts as tables of their own, for people and for other programs.
fn write_tables(out: &Path) -> Result<Vec<(&'static str, usize)>> {
    let create = |name: &str| {
        RecordWriter::create(out.join(name)).with_context(|| format!("cannot write {name}"))
    };
    let names = [
        "train.jsonl",
        "train.parquet",
        "held_out.jsonl",
        "held_out.parquet",
    ];
    let [train, train_table, held_out, held_out_table] = names;
    let mut train = [create(train)?, create(train_table)?];
    let mut held_out = [create(held_out)?, create(held_out_table)?];
    for record in read_records(out.join("output.jsonl"), Layout::Detect)? {
        let record = record?;
        let is_held_out = record
            .meta
            .get("split")
            .is_some_and(|part| part == "held_out");
        let writers = if is_held_out {
            &mut held_out
        } else {
            &mut train
        };
        for writer in writers {
            writer.write(&record)?;
        }
    }
    let writers = train.into_iter().chain(held_out);
    let written = writers.map(RecordWriter::finish);
    let written: Vec<usize> = written.collect::<Result<_, _>>()?;
    Ok(names.into_iter().zip(written).collect())
}
