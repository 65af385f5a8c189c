//! What can go wrong while training.

use std::io;
use std::path::{Path, PathBuf};

use burn::store::RecordError;
use potstill_core::{TeacherError, VocabularyMismatch};

/// Any failure of a caller's own code, such as a batch source or an evaluation.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why training cannot start or go on.
///
/// A failed step leaves the student as it was before the step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting makes no sense.
    #[error("{setting} is {value}, it must be {expected}")]
    Config {
        /// Name of the setting.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Student and teacher speak different tokens.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyMismatch),
    /// The objective taps a layer that the student lacks.
    #[error("the objective asks for the student's {kind} {layer}, the last one is {last}")]
    MissingLayer {
        /// "hidden state" or "attention map".
        kind: &'static str,
        /// What was asked for.
        layer: usize,
        /// The last one there is.
        last: usize,
    },
    /// No parameter requires a gradient.
    #[error(
        "no parameter of the student or the objective requires a gradient; unfreeze at least one"
    )]
    NothingToTrain,
    /// The loss of a step does not depend on any parameter.
    #[error("the loss of step {step} depends on no parameter that requires a gradient")]
    NoGradient {
        /// The step, counted from 1.
        step: usize,
    },
    /// The objective produced nothing.
    #[error("the objective has no term at step {step}; it needs at least one")]
    NoTerms {
        /// The step, counted from 1.
        step: usize,
    },
    /// The difficulty of rows cannot be measured.
    #[error("cannot say how hard the data is")]
    Difficulty {
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The run of a stage began with another student.
    #[error(
        "the run in {} began with another student than what comes before it gives now; remove the folder to \
         run this stage again",
        path.display()
    )]
    StageChanged {
        /// The run folder.
        path: PathBuf,
    },
    /// A callback has stopped a stage.
    #[error(
        "the run in {} was stopped after {step} of {total_steps} steps; what comes after it cannot begin",
        path.display()
    )]
    StageStopped {
        /// The run folder.
        path: PathBuf,
        /// Steps finished.
        step: usize,
        /// Steps of the whole run.
        total_steps: usize,
    },
    /// No position of an optimizer step counts.
    #[error(
        "none of the {positions} positions of step {step} counts towards the loss; look at the row \
         weights of the batches"
    )]
    NoRows {
        /// The step, counted from 1.
        step: usize,
        /// Positions in all micro-batches.
        positions: usize,
    },
    /// A segment is longer than the student's context.
    #[error(
        "step {step} holds a sequence of {length} tokens, but the student has {max_positions} positions"
    )]
    TooLong {
        /// The step, counted from 1.
        step: usize,
        /// Longest segment of the batch.
        length: usize,
        /// What the student supports.
        max_positions: usize,
    },
    /// The data holds a segment that is longer than a model's context.
    #[error(
        "the data holds a sequence of {length} tokens, but the {model} has {max_positions} positions; \
         pack it into rows of at most {max_positions}"
    )]
    DataTooLong {
        /// Longest segment of the data.
        length: usize,
        /// "student" or "teacher".
        model: &'static str,
        /// What it supports.
        max_positions: usize,
    },
    /// The data holds a token that the student's vocabulary lacks.
    #[error(
        "the data holds token {token}, but the student has only the tokens below {vocab_size}; was it \
         made with another tokenizer?"
    )]
    UnknownToken {
        /// Largest token of the data.
        token: u32,
        /// Size of the student's vocabulary.
        vocab_size: usize,
    },
    /// A loss term is NaN or infinite.
    #[error("the loss term {term} is {value} at step {step}; the student was not changed")]
    NonFiniteLoss {
        /// The step, counted from 1.
        step: usize,
        /// The term.
        term: String,
        /// Its mean.
        value: f64,
    },
    /// The loss is finite, but its gradient is not.
    #[error(
        "the gradient of {parameter} holds NaN or infinity at step {step}; the student was not changed"
    )]
    NonFiniteGradient {
        /// The step, counted from 1.
        step: usize,
        /// Path of the first such parameter.
        parameter: String,
    },
    /// A step needs more memory than there is.
    ///
    /// Not every backend can say so: see `docs/scale.md`.
    #[error(
        "memory ran out at step {step} with micro-batches of up to {rows} rows; use smaller batches and \
         more accumulation"
    )]
    OutOfMemory {
        /// The step, counted from 1.
        step: usize,
        /// Rows of the largest micro-batch.
        rows: usize,
        /// What the device said.
        #[source]
        source: BoxError,
    },
    /// A step failed, and what it takes to repeat it is on disk.
    #[error(
        "step {step} could not be taken; what it takes to repeat it is in {}",
        folder.display()
    )]
    Kept {
        /// The step, counted from 1.
        step: usize,
        /// The folder, for [`FailedStep::open`](crate::FailedStep::open).
        folder: PathBuf,
        /// Why it failed.
        source: Box<Self>,
    },
    /// The teacher has no signal.
    #[error("the teacher has no signal for step {step}")]
    Teacher {
        /// The step, counted from 1.
        step: usize,
        /// Why.
        #[source]
        source: TeacherError,
    },
    /// The source has no batch to begin with.
    #[error("the batch source gave no batch at all")]
    NoBatches,
    /// The batch source failed.
    #[error("there is no batch for step {step}")]
    Source {
        /// The step, counted from 1.
        step: usize,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The batch source cannot go on from its saved state.
    #[error("the batch source cannot continue from {}", path.display())]
    SourceState {
        /// The file with the state.
        path: PathBuf,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// Evaluation failed.
    #[error("the evaluation after step {step} failed")]
    Evaluation {
        /// Finished steps.
        step: usize,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The evaluation does not report what is watched.
    #[error("the evaluation reports no {watched}, only {}", reported.join(", "))]
    UnknownMetric {
        /// The metric that decides which student is best.
        watched: String,
        /// The metrics there are.
        reported: Vec<String>,
    },
    /// The device failed.
    #[error("the device failed at step {step}")]
    Device {
        /// The step, counted from 1.
        step: usize,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// "read", "write", "lock", ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not the JSON that it should be.
    #[error("{} is not valid", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Parameters or optimizer state could not be saved or do not fit.
    #[error("cannot {action} {}", path.display())]
    Record {
        /// "save" or "load".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// A folder that must be new holds a run.
    #[error("{} already holds a run; continue it or choose another folder", path.display())]
    RunExists {
        /// The run folder.
        path: PathBuf,
    },
    /// Another process uses the run folder.
    #[error("another process is training in {}", path.display())]
    RunLocked {
        /// The run folder.
        path: PathBuf,
    },
    /// No checkpoint of a run is whole.
    #[error(
        "none of the checkpoints is whole, {} neither; bring one back, or start in another folder",
        path.display()
    )]
    NoWholeCheckpoint {
        /// The newest.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// A file follows another schema.
    #[error("{} follows the schema {found:?}, this version reads {expected:?}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The run is already longer than it is meant to become.
    #[error("{} already has {finished} steps, more than the {wanted} asked for", path.display())]
    AlreadyLonger {
        /// The checkpoint.
        path: PathBuf,
        /// Its steps.
        finished: usize,
        /// Steps of the whole run.
        wanted: usize,
    },
    /// What trains now is not what has trained so far.
    #[error(
        "{} was made with another {what}: {saved} then, {found} now; continue with the same, or start a \
         new run",
        path.display()
    )]
    RunChanged {
        /// The checkpoint.
        path: PathBuf,
        /// "objective", "batches".
        what: &'static str,
        /// What it was then.
        saved: String,
        /// What it is now.
        found: String,
    },
    /// The samples could not be made.
    #[error("the samples after step {step} could not be made")]
    Samples {
        /// Finished steps.
        step: usize,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A file of tensors is not what it should be.
    #[error("{} holds no batches that can be read", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The settings are not those of the checkpoint.
    #[error(
        "{} was made with other settings of {}; continue with the same, or start a new run",
        path.display(), changed.join(", ")
    )]
    ConfigChanged {
        /// The checkpoint.
        path: PathBuf,
        /// Names of the settings that differ.
        changed: Vec<&'static str>,
    },
}

impl Error {
    /// For `map_err`: an IO error at `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// For `map_err`: a record error at `path`.
    pub(crate) fn record(action: &'static str, path: &Path) -> impl FnOnce(RecordError) -> Self {
        move |source| Self::Record {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// For `map_err`: a JSON error at `path`.
    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self::Json {
            path: path.to_owned(),
            source,
        }
    }
}
