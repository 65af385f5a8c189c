//! A run, from the first record to the manifest.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::chunks::{ChunkStore, Collected, KeyParts, Receipt, lines, sha256, write_atomically};
use super::segment::{Account, Finished, empty_report, stage_seed};
use super::{
    Corpus, Ending, GlobalStage, Manifest, Observer, Pipeline, PipelineError, Progress, Stage,
    StageContext, StageError, StageReport, Step, Tally, manifest, output_path,
};
use crate::Record;

/// A record, or why it cannot be read.
type Input<'a> = &'a mut dyn Iterator<Item = Result<Record, String>>;

/// Stages whose results share a place on disk.
enum Segment<'a> {
    Each(Vec<&'a dyn Stage>),
    All(&'a dyn GlobalStage),
}

pub(super) fn run(
    pipeline: &mut Pipeline,
    input: Input<'_>,
    folder: &Path,
) -> Result<Manifest, PipelineError> {
    fs::create_dir_all(folder).map_err(PipelineError::io("create", folder))?;
    let mut observe = pipeline.on_progress.take();
    let mut run = Run {
        pipeline,
        store: ChunkStore::open(folder)?,
        rejected: Collected::create(folder.join("rejected.jsonl"))?,
        manifest: begin(pipeline),
        visited: Vec::new(),
        observe: &mut observe,
    };
    match run.all_segments(input) {
        Ok(chunks) => {
            run.collect(&chunks, folder)?;
            run.close(folder)
        }
        Err(error) => {
            run.manifest.ending = Ending::Stopped(error.to_string());
            run.close(folder)?;
            Err(error)
        }
    }
}

fn begin(pipeline: &Pipeline) -> Manifest {
    let now = (pipeline.options.clock)();
    Manifest {
        schema: manifest::SCHEMA.to_owned(),
        started: now,
        finished: now,
        ending: Ending::Complete,
        seed: pipeline.options.seed,
        input_records: 0,
        unreadable: 0,
        stages: pipeline
            .steps
            .iter()
            .map(|step| empty_report(step.name(), step.configuration()))
            .collect(),
        output_records: 0,
        output_sha256: String::new(),
        chunks_reused: 0,
        chunks_made: 0,
        cost: None,
    }
}

struct Run<'a> {
    pipeline: &'a Pipeline,
    store: ChunkStore,
    rejected: Collected,
    manifest: Manifest,
    /// Every chunk of every segment, in order.
    visited: Vec<String>,
    observe: &'a mut Option<Observer>,
}

impl Run<'_> {
    /// Sends everything through all segments, and returns the keys of the last chunks.
    fn all_segments(&mut self, input: Input<'_>) -> Result<Vec<String>, PipelineError> {
        let mut segments = segments(self.pipeline).into_iter();
        let Some(Segment::Each(first)) = segments.next() else {
            unreachable!("the first segment looks at records one by one")
        };
        let mut chunks = self.read_input(input, &first)?;
        let mut begin = first.len();
        for segment in segments {
            chunks = match segment {
                Segment::Each(stages) => {
                    let made = chunks
                        .iter()
                        .map(|key| self.stored_chunk(key, &stages, begin))
                        .collect::<Result<_, _>>()?;
                    begin += stages.len();
                    made
                }
                Segment::All(stage) => {
                    let made = self.global(&chunks, stage, begin)?;
                    begin += 1;
                    made
                }
            };
        }
        Ok(chunks)
    }

    fn read_input(
        &mut self,
        input: Input<'_>,
        stages: &[&dyn Stage],
    ) -> Result<Vec<String>, PipelineError> {
        let size = self.pipeline.options.chunk_records;
        let mut chunks = Vec::new();
        let mut records = Vec::with_capacity(size);
        for record in input {
            self.manifest.input_records += 1;
            match record {
                Ok(record) => records.push(record),
                Err(problem) => {
                    self.manifest.unreadable += 1;
                    let line = json!({"stage": "input", "reason": "unreadable", "detail": problem, "failed": false, "record": null});
                    self.rejected.append(format!("{line}\n").as_bytes())?;
                }
            }
            if records.len() == size {
                let full = std::mem::replace(&mut records, Vec::with_capacity(size));
                chunks.push(self.chunk(&sha256(&lines(&full)), stages, 0, || Ok(full))?);
            }
        }
        if !records.is_empty() {
            chunks.push(self.chunk(&sha256(&lines(&records)), stages, 0, || Ok(records))?);
        }
        Ok(chunks)
    }

    fn stored_chunk(
        &mut self,
        key: &str,
        stages: &[&dyn Stage],
        begin: usize,
    ) -> Result<String, PipelineError> {
        let path = self.store.records_path(key);
        let content = fs::read(&path).map_err(PipelineError::io("read", &path))?;
        let (key, store) = (key.to_owned(), self.store.clone());
        self.chunk(&sha256(&content), stages, begin, move || store.read(&key))
    }

    /// Finds what the stages made of a chunk, or makes it.
    fn chunk(
        &mut self,
        content: &str,
        stages: &[&dyn Stage],
        begin: usize,
        records: impl FnOnce() -> Result<Vec<Record>, PipelineError>,
    ) -> Result<String, PipelineError> {
        let end = begin + stages.len();
        let key = self.key(begin..end, "", content);
        let found = self.store.find(&key);
        let reused = found.is_some();
        let receipt = match found {
            Some(receipt) => receipt,
            None => {
                let mut account = Account::of(records()?);
                for &stage in stages {
                    account.pass(stage, &self.pipeline.options, &key)?;
                }
                self.keep(&key, account.finish())?
            }
        };
        self.note(begin, &key, &receipt, reused)?;
        Ok(key)
    }

    fn global(
        &mut self,
        chunks: &[String],
        stage: &dyn GlobalStage,
        begin: usize,
    ) -> Result<Vec<String>, PipelineError> {
        let surroundings = sha256(chunks.join("\n").as_bytes());
        let keys: Vec<String> = chunks
            .iter()
            .enumerate()
            .map(|(index, chunk)| {
                self.key(begin..begin + 1, &surroundings, &format!("{index} {chunk}"))
            })
            .collect();
        let found: Option<Vec<Receipt>> = keys.iter().map(|key| self.store.find(key)).collect();
        if let Some(receipts) = found {
            for (key, receipt) in keys.iter().zip(&receipts) {
                self.note(begin, key, receipt, true)?;
            }
            return Ok(keys);
        }
        let seed = stage_seed(self.pipeline.options.seed, stage.name(), &surroundings);
        let context = StageContext::new(seed, &self.pipeline.options.clock);
        let failed = |source| PipelineError::Stage {
            stage: stage.name().to_owned(),
            source,
        };
        let mut begun = Instant::now();
        let store = self.store.clone();
        let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>>> {
            Box::new(chunks.iter().flat_map(|chunk| match store.read(chunk) {
                Ok(records) => records.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(StageError::new(error))],
            }))
        };
        let corpus = Corpus::new(&read);
        let mut verdict = stage.survey(corpus, &context).map_err(failed)?;
        let mut tally = context.tally();
        let mut row = 0;
        for (chunk, key) in chunks.iter().zip(&keys) {
            let records = self.store.read(chunk)?;
            let given = records.len();
            let mut account = Account::of(Vec::new());
            let outcomes = records
                .into_iter()
                .map(|record| {
                    let outcome = verdict(row, record);
                    row += 1;
                    outcome
                })
                .collect();
            let mut report = empty_report(stage.name(), stage.configuration());
            // The survey is charged to the first chunk.
            report.seconds = begun.elapsed().as_secs_f64();
            report.tally = std::mem::take(&mut tally);
            begun = Instant::now();
            account.settle(report, given, outcomes)?;
            let receipt = self.keep(key, account.finish())?;
            self.note(begin, key, &receipt, false)?;
        }
        Ok(keys)
    }

    fn key(&self, stages: std::ops::Range<usize>, surroundings: &str, content: &str) -> String {
        let stages: Vec<(String, String)> = self.manifest.stages[stages]
            .iter()
            .map(|stage| (stage.name.clone(), stage.configuration_hash.clone()))
            .collect();
        KeyParts {
            seed: self.pipeline.options.seed,
            stages: &stages,
            surroundings,
            content,
        }
        .key()
    }

    fn keep(&mut self, key: &str, finished: Finished) -> Result<Receipt, PipelineError> {
        let Finished {
            records,
            rejected,
            receipt,
        } = finished;
        self.store.write(key, &records, &rejected, &receipt)?;
        Ok(receipt)
    }

    /// Adds a chunk to the account, tells the observer, and stops where too much has failed.
    fn note(
        &mut self,
        begin: usize,
        key: &str,
        receipt: &Receipt,
        reused: bool,
    ) -> Result<(), PipelineError> {
        self.visited.push(key.to_owned());
        let counter = if reused {
            &mut self.manifest.chunks_reused
        } else {
            &mut self.manifest.chunks_made
        };
        *counter += 1;
        let end = begin + receipt.reports.len();
        for (total, chunk) in self.manifest.stages[begin..end]
            .iter_mut()
            .zip(&receipt.reports)
        {
            total.add(chunk);
        }
        let tally = self.tally();
        let cost = self
            .pipeline
            .options
            .price
            .and_then(|price| price.of(tally));
        if let (Some(observe), Some(first), Some(last)) = (
            self.observe.as_mut(),
            self.manifest.stages[begin..end].first(),
            self.manifest.stages[begin..end].last(),
        ) {
            observe(Progress {
                stage: &last.name,
                records_in: first.records_in,
                records_out: last.records_out,
                reused,
                tally,
                cost,
            });
        }
        match self.pipeline.options.failure_cap {
            Some(cap) => self.manifest.stages[begin..end]
                .iter()
                .try_for_each(|stage| check(stage, cap.share, cap.at_least)),
            None => Ok(()),
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for stage in &self.manifest.stages {
            tally.add(stage.tally);
        }
        tally
    }

    /// Puts the last chunks together.
    fn collect(&mut self, chunks: &[String], folder: &Path) -> Result<(), PipelineError> {
        let mut output = Collected::create(output_path(folder))?;
        for key in chunks {
            output.append_file(&self.store.records_path(key))?;
        }
        self.manifest.output_sha256 = output.commit()?;
        self.manifest.output_records = match self.manifest.stages.last() {
            Some(stage) => stage.records_out,
            None => self.manifest.input_records - self.manifest.unreadable,
        };
        Ok(())
    }

    /// Writes down what did not go on, and the account.
    fn close(mut self, folder: &Path) -> Result<Manifest, PipelineError> {
        for key in &self.visited {
            self.rejected.append_file(&self.store.rejected_path(key))?;
        }
        self.write_manifest(folder)?;
        self.rejected.commit()?;
        Ok(self.manifest)
    }

    fn write_manifest(&mut self, folder: &Path) -> Result<(), PipelineError> {
        self.manifest.finished = (self.pipeline.options.clock)();
        self.manifest.cost = self
            .pipeline
            .options
            .price
            .and_then(|price| price.of(self.tally()));
        let path = folder.join("manifest.json");
        let text =
            serde_json::to_vec_pretty(&self.manifest).map_err(|error| PipelineError::Io {
                action: "write",
                path: path.clone(),
                source: error.into(),
            })?;
        write_atomically(&path, &text)
    }
}

/// Cuts the stages where a result is to be kept. The first segment looks at records one by one, even
/// if it has no stage: what a global stage surveys has to be on disk.
fn segments(pipeline: &Pipeline) -> Vec<Segment<'_>> {
    let mut segments = vec![Segment::Each(Vec::new())];
    let mut costly = false;
    for step in &pipeline.steps {
        match (step, segments.last_mut()) {
            (Step::Each(stage), Some(Segment::Each(stages))) if !costly => {
                stages.push(stage.as_ref());
            }
            (Step::Each(stage), _) => segments.push(Segment::Each(vec![stage.as_ref()])),
            (Step::All(stage), _) => segments.push(Segment::All(stage.as_ref())),
        }
        costly = matches!(step, Step::Each(stage) if stage.is_costly());
    }
    segments
}

fn check(stage: &StageReport, share: f64, at_least: u64) -> Result<(), PipelineError> {
    let (failed, seen) = (stage.failures(), stage.records_in);
    if seen < at_least || failed as f64 <= share * seen as f64 {
        return Ok(());
    }
    let commonest = stage.failed.iter().max_by_key(|(_, count)| **count);
    Err(PipelineError::TooManyFailures {
        stage: stage.name.clone(),
        failed,
        seen,
        reason: commonest.map_or_else(String::new, |(reason, _)| reason.clone()),
    })
}
