//! Stages over records, resumable and accounted for.
//!
//! ```text
//! records ─▶ chunk ─▶ stage ─▶ stage ─┬─▶ chunk on disk ─▶ stage that sees all ─▶ … ─▶ output.jsonl
//!                       └─ rejected ──┴─▶ rejected.jsonl, with stage and reason
//! ```
//!
//! Records pass through in chunks, one for each thread at a time, so memory does not grow with the
//! input; a model gets one chunk after the other. Stages that follow each other share a *segment*;
//! what a segment made of a chunk is kept on disk under a key that covers the chunk's content and
//! everything that the segment's stages say changes what they do. A run that was killed finds its
//! chunks again, and so does a run with another last stage. What a model answered within a chunk
//! that was not finished is kept by a [`ChatJournal`](crate::ChatJournal).
//!
//! For each stage: records in = records kept + rejected by reason + failed. Nothing is dropped:
//! rejected and failed records are written beside the output.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::Record;

mod chunks;
mod context;
mod error;
mod folder;
mod global;
mod intake;
mod making;
mod manifest;
mod run;
mod segment;
mod stage;

pub use context::{Price, StageContext, Tally};
pub use error::{PipelineError, StageError};
pub use manifest::{Ending, Manifest, StageReport};
pub use stage::{Corpus, GlobalStage, Outcome, Rejected, Stage, Verdict};

/// When a run gives up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailureCap {
    /// Largest share of failed records, in `[0, 1]`.
    pub share: f64,
    /// Records that a stage must have seen before the share means something.
    pub at_least: u64,
}

/// Settings of a [`Pipeline`].
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// Most records of a chunk.
    pub chunk_records: usize,
    /// Bytes of records after which a chunk is full, so that memory does not depend on how long they
    /// are.
    pub chunk_bytes: usize,
    /// Seed of everything that a stage draws.
    pub seed: u64,
    /// When to give up, keeping all that was done.
    pub failure_cap: Option<FailureCap>,
    /// What tokens cost, where that is known.
    pub price: Option<Price>,
    /// The clock that stages read; fixed, the output is the same byte for byte.
    pub clock: fn() -> Timestamp,
}

impl Default for PipelineOptions {
    /// Chunks of 1,024 records or 8 MiB, whichever comes first; gives up when more than half of at least ten records failed.
    fn default() -> Self {
        Self {
            chunk_records: 1024,
            chunk_bytes: 8 << 20,
            seed: 0,
            failure_cap: Some(FailureCap {
                share: 0.5,
                at_least: 10,
            }),
            price: None,
            clock: Timestamp::now,
        }
    }
}

/// What is going on, for a progress line.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The last stage of the segment that is at work.
    pub stage: &'a str,
    /// Records that the segment has taken in so far.
    pub records_in: u64,
    /// Records that it has put out so far.
    pub records_out: u64,
    /// Whether the last chunk was found on disk.
    pub reused: bool,
    /// Requests and tokens so far, those of found chunks included.
    pub tally: Tally,
    /// What they cost, where prices are known.
    pub cost: Option<f64>,
}

type Observer = Box<dyn FnMut(Progress<'_>)>;

enum Step {
    Each(Box<dyn Stage>),
    All(Box<dyn GlobalStage>),
}

impl Step {
    fn name(&self) -> &str {
        match self {
            Self::Each(stage) => stage.name(),
            Self::All(stage) => stage.name(),
        }
    }

    fn configuration(&self) -> serde_json::Value {
        match self {
            Self::Each(stage) => stage.configuration(),
            Self::All(stage) => stage.configuration(),
        }
    }
}

/// Stages in a row.
///
/// # Examples
///
/// ```
/// use potstill_data::{Content, Error, Outcome, Pipeline, PipelineOptions, Record, Stage, StageContext, StageError};
/// # use potstill_testkit as _;
///
/// struct NoShouting;
///
/// impl Stage for NoShouting {
///     fn name(&self) -> &str {
///         "no-shouting"
///     }
///     fn configuration(&self) -> serde_json::Value {
///         serde_json::json!({})
///     }
///     fn run(&self, records: Vec<Record>, _: &StageContext<'_>) -> Result<Vec<Outcome>, StageError> {
///         let judge = |record: Record| match &record.content {
///             Content::Text(text) if text == &text.to_uppercase() => Outcome::rejected("shouting", record),
///             _ => Outcome::kept(record),
///         };
///         Ok(records.into_iter().map(judge).collect())
///     }
/// }
///
/// let folder = tempfile::tempdir()?;
/// let records = ["hello", "HELLO"].map(|text| Ok::<Record, Error>(Content::Text(text.into()).into()));
/// let manifest = Pipeline::new(PipelineOptions::default())
///     .stage(NoShouting)
///     .run(records, folder.path())?;
/// assert_eq!(manifest.output_records, 1);
/// assert_eq!(manifest.stages[0].rejected["shouting"], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pipeline {
    options: PipelineOptions,
    steps: Vec<Step>,
    on_progress: Option<Observer>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("options", &self.options)
            .field(
                "stages",
                &self.steps.iter().map(Step::name).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    /// A pipeline without stages, which copies.
    #[must_use]
    pub fn new(options: PipelineOptions) -> Self {
        Self {
            options,
            steps: Vec::new(),
            on_progress: None,
        }
    }

    /// Appends a stage that looks at records one by one.
    #[must_use]
    pub fn stage(mut self, stage: impl Stage + 'static) -> Self {
        self.steps.push(Step::Each(Box::new(stage)));
        self
    }

    /// Appends a stage that looks at all records before it decides.
    #[must_use]
    pub fn global_stage(mut self, stage: impl GlobalStage + 'static) -> Self {
        self.steps.push(Step::All(Box::new(stage)));
        self
    }

    /// Calls `observe` after every chunk, in their order.
    #[must_use]
    pub fn on_progress(mut self, observe: impl FnMut(Progress<'_>) + 'static) -> Self {
        self.on_progress = Some(Box::new(observe));
        self
    }

    /// Runs all stages over `records` and leaves `output.jsonl`, `rejected.jsonl` and
    /// `manifest.json` in `folder`, with what is needed to go on after a kill in `folder/chunks`.
    ///
    /// A record that cannot be read counts as rejected with the reason "unreadable".
    ///
    /// # Errors
    ///
    /// When a file cannot be written, another run is at work in the folder, a stage cannot work at
    /// all, or too many records failed; what was done is kept, and the next run in the same folder
    /// goes on from there.
    ///
    /// # Panics
    ///
    /// Panics if `chunk_records` or `chunk_bytes` is 0 or two stages share a name.
    pub fn run<E: std::fmt::Display>(
        mut self,
        records: impl IntoIterator<Item = Result<Record, E>>,
        folder: impl AsRef<Path>,
    ) -> Result<Manifest, PipelineError> {
        assert!(
            self.options.chunk_records > 0 && self.options.chunk_bytes > 0,
            "a chunk needs at least one record"
        );
        let mut names: Vec<&str> = self.steps.iter().map(Step::name).collect();
        names.sort_unstable();
        assert!(
            names.windows(2).all(|pair| pair[0] != pair[1]),
            "the stages {names:?} share a name; the report could not tell them apart"
        );
        let records = records
            .into_iter()
            .map(|record| record.map_err(|error| error.to_string()));
        run::run(&mut self, &mut records.into_iter(), folder.as_ref())
    }
}

/// Where the results are.
pub(crate) fn output_path(folder: &Path) -> PathBuf {
    folder.join("output.jsonl")
}

#[cfg(test)]
mod tests;
