//! Observers of a run.

use std::path::Path;

use crate::{Best, Error, Metrics, Sample, StepReport, Vitals};

/// What a run tells its observers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The run begins or continues.
    Started {
        /// Steps already finished.
        step: usize,
        /// Steps of the whole run.
        total_steps: usize,
    },
    /// A step was taken.
    Step {
        /// Steps finished, this one included.
        step: usize,
        /// Steps of the whole run.
        total_steps: usize,
        /// Learning rate of this step.
        learning_rate: f64,
        /// What happened.
        report: &'a StepReport,
        /// How fast it was and what it needed.
        vitals: &'a Vitals,
        /// Whether this step is one of those that are logged.
        logged: bool,
    },
    /// The student was evaluated.
    Evaluated {
        /// Steps finished.
        step: usize,
        /// What came out.
        metrics: &'a Metrics,
        /// Whether no earlier student was better.
        is_best: bool,
    },
    /// The student continued the prompts it is given.
    Sampled {
        /// Steps finished.
        step: usize,
        /// What it made of them.
        samples: &'a [Sample],
    },
    /// Memory ran out: from this step on, each batch of more than one row is cut in two.
    Halved {
        /// Steps finished.
        step: usize,
        /// Micro-batches of the step that is now taken again.
        micro_batches: usize,
    },
    /// A checkpoint is on disk.
    Saved {
        /// Steps finished.
        step: usize,
        /// Its folder.
        path: &'a Path,
    },
    /// The run ends.
    Finished(&'a Outcome),
    /// The run ends with an error.
    Failed {
        /// Steps finished.
        step: usize,
        /// Why.
        error: &'a Error,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Steps finished.
    pub steps: usize,
    /// Why it ended.
    pub reason: StopReason,
    /// The best student, if there was an evaluation.
    pub best: Option<Best>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// All steps were taken.
    Completed,
    /// The source has no more batches.
    Exhausted,
    /// Evaluations no longer improved.
    EarlyStop,
    /// A callback asked for it.
    Callback,
}

/// What a callback wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop after this step; a run in a folder leaves a checkpoint.
    Stop,
}

/// An observer. It sees every event and may end the run, but never changes what is computed.
///
/// Closures `FnMut(&Event<'_>) -> Flow` are callbacks.
pub trait Callback {
    /// Called for each event.
    fn on_event(&mut self, event: &Event<'_>) -> Flow;
}

impl<F: FnMut(&Event<'_>) -> Flow> Callback for F {
    fn on_event(&mut self, event: &Event<'_>) -> Flow {
        self(event)
    }
}
