//! A run, from the first record to the manifest.

use std::path::Path;

use rayon::prelude::*;

use super::chunks::{ChunkStore, Collected, Receipt, write_atomically};
use super::folder::Claim;
use super::intake::{Intake, Taken};
use super::making::{Chunk, Given, Made, Workshop};
use super::segment::empty_report;
use super::{
    Ending, GlobalStage, Manifest, Observer, Pipeline, PipelineError, Progress, Stage, StageReport,
    Step, Tally, manifest, output_path,
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
    let _claim = Claim::on(folder)?;
    let mut observe = pipeline.on_progress.take();
    let mut run = Run {
        pipeline,
        store: ChunkStore::open(folder),
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

pub(super) struct Run<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) store: ChunkStore,
    rejected: Collected,
    manifest: Manifest,
    /// Every chunk of every segment, in order.
    visited: Vec<String>,
    observe: &'a mut Option<Observer>,
}

impl Run<'_> {
    /// Sends everything through all segments, and returns the last chunks.
    fn all_segments(&mut self, input: Input<'_>) -> Result<Vec<Chunk>, PipelineError> {
        let mut segments = segments(self.pipeline).into_iter();
        let Some(Segment::Each(first)) = segments.next() else {
            unreachable!("the first segment looks at records one by one")
        };
        let mut chunks = self.read_input(input, &first)?;
        let mut begin = first.len();
        for segment in segments {
            chunks = match segment {
                Segment::Each(stages) => {
                    let made = self.stored_chunks(chunks, &stages, begin)?;
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

    /// Makes chunks of what comes in. The next ones are read while some are made.
    fn read_input(
        &mut self,
        input: Input<'_>,
        stages: &[&dyn Stage],
    ) -> Result<Vec<Chunk>, PipelineError> {
        let options = &self.pipeline.options;
        let store = self.store.clone();
        let names = self.names(0..stages.len());
        let workshop = Workshop {
            store: &store,
            options,
            stages,
            names: &names,
        };
        let width = workshop.width();
        let mut intake = Intake::new(input, options);
        let mut chunks = Vec::new();
        let mut taken = intake.take(width);
        loop {
            self.manifest.input_records += taken.records;
            self.manifest.unreadable += taken.unreadable;
            self.rejected.append(&taken.rejected)?;
            let (given, mut made, mut next) = (taken.chunks, Vec::new(), Taken::default());
            let is_over = intake.is_over;
            rayon::in_place_scope(|scope| {
                let made = &mut made;
                scope.spawn(move |_| *made = make_all(workshop, given));
                if !is_over {
                    next = intake.take(width);
                }
            });
            self.note_all(0, made, &mut chunks)?;
            if is_over {
                return Ok(chunks);
            }
            taken = next;
        }
    }

    fn stored_chunks(
        &mut self,
        chunks: Vec<Chunk>,
        stages: &[&dyn Stage],
        begin: usize,
    ) -> Result<Vec<Chunk>, PipelineError> {
        let store = self.store.clone();
        let names = self.names(begin..begin + stages.len());
        let workshop = Workshop {
            store: &store,
            options: &self.pipeline.options,
            stages,
            names: &names,
        };
        let mut all = Vec::with_capacity(chunks.len());
        for chunks in chunks.chunks(workshop.width()) {
            let given = chunks.iter().cloned().map(Given::Stored).collect();
            self.note_all(begin, make_all(workshop, given), &mut all)?;
        }
        Ok(all)
    }

    pub(super) fn note_all(
        &mut self,
        begin: usize,
        made: Vec<Result<Made, PipelineError>>,
        chunks: &mut Vec<Chunk>,
    ) -> Result<(), PipelineError> {
        for made in made {
            let made = made?;
            self.note(begin, &made.chunk.key, &made.receipt, made.reused)?;
            chunks.push(made.chunk);
        }
        Ok(())
    }

    /// Names of stages and hashes of their configurations.
    pub(super) fn names(&self, stages: std::ops::Range<usize>) -> Vec<(String, String)> {
        self.manifest.stages[stages]
            .iter()
            .map(|stage| (stage.name.clone(), stage.configuration_hash.clone()))
            .collect()
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
    fn collect(&mut self, chunks: &[Chunk], folder: &Path) -> Result<(), PipelineError> {
        let mut output = Collected::create(output_path(folder))?;
        for chunk in chunks {
            output.append_file(&self.store.records_path(&chunk.key))?;
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
        let options = &self.pipeline.options;
        self.manifest.finished = (options.clock)();
        self.manifest.cost = options.price.and_then(|price| price.of(self.tally()));
        self.rejected.commit()?;
        let path = folder.join("manifest.json");
        let text =
            serde_json::to_vec_pretty(&self.manifest).map_err(|error| PipelineError::Io {
                action: "write",
                path: path.clone(),
                source: error.into(),
            })?;
        write_atomically(&path, &text)?;
        Ok(self.manifest)
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

fn make_all(workshop: Workshop<'_>, given: Vec<Given>) -> Vec<Result<Made, PipelineError>> {
    given
        .into_par_iter()
        .map(|given| workshop.make(given))
        .collect()
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
