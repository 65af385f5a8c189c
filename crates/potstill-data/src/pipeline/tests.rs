//! Tests of pipeline.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use potstill_core::Usage;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Corpus, Ending, GlobalStage, Manifest, Outcome, Pipeline, PipelineError, PipelineOptions,
    Price, Stage, StageContext, StageError, Verdict,
};
use crate::{Content, Record};

fn text(record: &Record) -> &str {
    match &record.content {
        Content::Text(text) => text,
        other => panic!("these tests only use texts, not {other:?}"),
    }
}

fn record(text: impl Into<String>) -> Record {
    Content::Text(text.into()).into()
}

fn records(count: usize) -> Vec<Result<Record, String>> {
    (0..count)
        .map(|i| Ok(record(format!("record {i}"))))
        .collect()
}

/// Does to each record what the digits of its text say, and counts its calls.
struct Fate {
    name: String,
    modulus: usize,
    costly: bool,
    /// Fails for good at the first record after so many.
    dies_after: usize,
    calls: Arc<AtomicUsize>,
}

impl Fate {
    fn new(name: &str, modulus: usize) -> Self {
        Self {
            name: name.into(),
            modulus,
            costly: false,
            dies_after: usize::MAX,
            calls: Arc::default(),
        }
    }
}

impl Stage for Fate {
    fn name(&self) -> &str {
        &self.name
    }
    fn configuration(&self) -> Value {
        json!({"modulus": self.modulus})
    }
    fn is_costly(&self) -> bool {
        self.costly
    }
    fn run(
        &self,
        records: Vec<Record>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Outcome>, StageError> {
        records
            .into_iter()
            .map(|input| {
                if self.calls.fetch_add(1, Ordering::Relaxed) >= self.dies_after {
                    return Err(StageError::new("the plug was pulled"));
                }
                context.count(Some(Usage {
                    prompt_tokens: 10,
                    completion_tokens: 1,
                }));
                let sum: usize = text(&input).bytes().map(usize::from).sum();
                Ok(match sum % self.modulus {
                    0 => Outcome::rejected("zero", input),
                    1 => {
                        let twin = record(format!("{}'", text(&input)));
                        Outcome::Kept(vec![input, twin])
                    }
                    _ => Outcome::kept(record(format!("{}+{}", text(&input), context.seed() % 7))),
                })
            })
            .collect()
    }
}

/// Keeps the first record of each length.
struct FirstOfLength;

impl GlobalStage for FirstOfLength {
    fn name(&self) -> &'static str {
        "first-of-length"
    }
    fn configuration(&self) -> Value {
        json!({})
    }
    fn survey<'a>(
        &'a self,
        corpus: Corpus<'_>,
        _: &StageContext<'_>,
    ) -> Result<Verdict<'a>, StageError> {
        let (mut lengths, mut chosen) = (BTreeSet::new(), BTreeSet::new());
        for (row, record) in (0..).zip(corpus.records()) {
            if lengths.insert(text(&record?).len()) {
                chosen.insert(row);
            }
        }
        Ok(Box::new(move |row, record| {
            if chosen.contains(&row) {
                Outcome::kept(record)
            } else {
                Outcome::rejected("length seen", record)
            }
        }))
    }
}

fn options(chunk_records: usize) -> PipelineOptions {
    PipelineOptions {
        chunk_records,
        seed: 3,
        clock: || Timestamp::UNIX_EPOCH,
        ..PipelineOptions::default()
    }
}

fn lines(folder: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn assert_conserved(manifest: &Manifest, folder: &Path) {
    let mut arriving = manifest.input_records - manifest.unreadable;
    let mut aside = manifest.unreadable;
    for stage in &manifest.stages {
        let rejected: u64 = stage.rejected.values().sum();
        let failed: u64 = stage.failed.values().sum();
        assert_eq!(stage.records_in, arriving, "{stage:?}");
        assert_eq!(
            stage.records_in,
            stage.records_kept + rejected + failed,
            "{stage:?}"
        );
        arriving = stage.records_out;
        aside += rejected + failed;
    }
    assert_eq!(manifest.output_records, arriving);
    assert_eq!(lines(folder, "output.jsonl").len() as u64, arriving);
    assert_eq!(lines(folder, "rejected.jsonl").len() as u64, aside);
}

#[test]
fn unreadable_records_are_counted_and_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut input = records(5);
    input.insert(2, Err("corpus.jsonl:3: not JSON".into()));
    let manifest = Pipeline::new(options(2)).run(input, folder.path()).unwrap();
    assert_eq!((manifest.input_records, manifest.unreadable), (6, 1));
    assert_conserved(&manifest, folder.path());
    assert!(lines(folder.path(), "rejected.jsonl")[0].contains("corpus.jsonl:3: not JSON"));
}

#[test]
fn a_second_run_asks_for_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = |last: usize| {
        let first = Fate {
            costly: true,
            ..Fate::new("model", 5)
        };
        let calls = Arc::clone(&first.calls);
        let manifest = Pipeline::new(options(4))
            .stage(first)
            .stage(Fate::new("filter", last))
            .global_stage(FirstOfLength)
            .run(records(30), folder.path())
            .unwrap();
        (manifest, calls.load(Ordering::Relaxed))
    };
    let (first, calls) = run(3);
    assert_eq!(calls, 30);
    let (second, calls) = run(3);
    assert_eq!((calls, second.chunks_made), (0, 0));
    assert_eq!(second.output_sha256, first.output_sha256);
    assert_eq!(second.stages[0].tally, first.stages[0].tally);
    // Another filter changes nothing of what the model said before it.
    let (third, calls) = run(4);
    assert_eq!(calls, 0);
    assert_ne!(third.output_sha256, first.output_sha256);
}

#[test]
fn a_damaged_chunk_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        Pipeline::new(options(4))
            .stage(Fate::new("a", 5))
            .run(records(8), folder.path())
            .unwrap()
    };
    let first = run();
    let chunk = fs::read_dir(folder.path().join("chunks"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension().is_some_and(|end| end == "jsonl")
                && fs::metadata(path).unwrap().len() > 0
        })
        .unwrap();
    let mut bytes = fs::read(&chunk).unwrap();
    bytes[9] ^= 1;
    fs::write(&chunk, bytes).unwrap();
    let second = run();
    assert_eq!((second.chunks_made, second.chunks_reused), (1, 1));
    assert_eq!(second.output_sha256, first.output_sha256);
}

/// Fails on every record, for now.
struct Down;

impl Stage for Down {
    fn name(&self) -> &'static str {
        "down"
    }
    fn configuration(&self) -> Value {
        json!({})
    }
    fn run(&self, records: Vec<Record>, _: &StageContext<'_>) -> Result<Vec<Outcome>, StageError> {
        Ok(records
            .into_iter()
            .map(|record| Outcome::failed("connection refused", record))
            .collect())
    }
}

#[test]
fn a_run_on_which_everything_fails_stops_early_and_keeps_all() {
    let folder = tempfile::tempdir().unwrap();
    let error = Pipeline::new(options(5))
        .stage(Down)
        .run(records(100), folder.path())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "stage \"down\" failed on 10 of 10 records, most often with \"connection refused\"; what was \
         done is kept, and a run in the same folder goes on from there"
    );
    let manifest: Manifest =
        serde_json::from_str(&fs::read_to_string(folder.path().join("manifest.json")).unwrap())
            .unwrap();
    assert!(matches!(manifest.ending, Ending::Stopped(_)));
    assert_eq!(lines(folder.path(), "rejected.jsonl").len(), 10);
}

#[test]
fn failed_records_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let lenient = PipelineOptions {
        failure_cap: None,
        ..options(5)
    };
    for _ in 0..2 {
        let manifest = Pipeline::new(lenient.clone())
            .stage(Down)
            .run(records(7), folder.path())
            .unwrap();
        assert_eq!(manifest.chunks_made, 2);
        assert_conserved(&manifest, folder.path());
    }
}

/// Loses the last record.
struct Careless;

impl Stage for Careless {
    fn name(&self) -> &'static str {
        "careless"
    }
    fn configuration(&self) -> Value {
        json!({})
    }
    fn run(
        &self,
        mut records: Vec<Record>,
        _: &StageContext<'_>,
    ) -> Result<Vec<Outcome>, StageError> {
        records.pop();
        Ok(records.into_iter().map(Outcome::kept).collect())
    }
}

#[test]
fn a_stage_that_loses_a_record_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Pipeline::new(options(5))
        .stage(Careless)
        .run(records(3), folder.path())
        .unwrap_err();
    assert!(
        matches!(
            error,
            PipelineError::Lost {
                given: 3,
                returned: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn progress_and_cost_are_told_after_every_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let told = Rc::new(RefCell::new(Vec::new()));
    let listener = Rc::clone(&told);
    let price = Price {
        prompt_per_million: 1e5,
        completion_per_million: 1e6,
    };
    let manifest = Pipeline::new(PipelineOptions {
        price: Some(price),
        ..options(2)
    })
    .stage(Fate::new("a", 100))
    .on_progress(move |progress| {
        listener
            .borrow_mut()
            .push((progress.records_in, progress.cost));
    })
    .run(records(4), folder.path())
    .unwrap();
    assert_eq!(*told.borrow(), [(2, Some(4.0)), (4, Some(8.0))]);
    assert_eq!(manifest.cost, Some(8.0));
}

#[test]
fn the_cost_of_unknown_tokens_is_unknown() {
    let clock = || Timestamp::UNIX_EPOCH;
    let context = StageContext::new(0, &clock);
    context.count(None);
    let price = Price {
        prompt_per_million: 1.0,
        completion_per_million: 1.0,
    };
    assert_eq!(price.of(context.tally()), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_are_conserved_and_a_killed_run_ends_as_an_undisturbed_one(
        count in 0usize..40,
        chunk in 1usize..12,
        moduli in prop::collection::vec((2usize..6, any::<bool>()), 0..4),
        global: bool,
        dies_after in 0usize..60,
    ) {
        let pipeline = |dies_after: usize| {
            let mut pipeline = Pipeline::new(options(chunk));
            for (index, &(modulus, costly)) in moduli.iter().enumerate() {
                let dies_after = if index + 1 == moduli.len() { dies_after } else { usize::MAX };
                pipeline = pipeline.stage(Fate { costly, dies_after, ..Fate::new(&format!("stage {index}"), modulus) });
                if global && index == 0 {
                    pipeline = pipeline.global_stage(FirstOfLength);
                }
            }
            pipeline
        };
        let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let undisturbed = pipeline(usize::MAX).run(records(count), whole.path()).unwrap();
        assert_conserved(&undisturbed, whole.path());
        let _ = pipeline(dies_after).run(records(count), cut.path());
        let resumed = pipeline(usize::MAX).run(records(count), cut.path()).unwrap();
        assert_conserved(&resumed, cut.path());
        prop_assert_eq!(&resumed.output_sha256, &undisturbed.output_sha256);
        prop_assert_eq!(lines(cut.path(), "rejected.jsonl"), lines(whole.path(), "rejected.jsonl"));
    }
}
