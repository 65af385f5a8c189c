//! What became of each gate.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::GateError;
use crate::Interval;

pub(super) const SCHEMA: &str = "potstill.gate-report/1";

/// Whether a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does.
    Passed,
    /// It does not.
    Failed,
    /// Nobody can say: something is missing, stale or no number.
    Unjudged,
}

impl Verdict {
    /// 0 when passed, 100 when failed, 1 when it could not be judged.
    ///
    /// A pipeline that stops at anything but 0 is safe. 1 is what any program exits with that could not
    /// do its work, so only 100 blames the model; promptfoo's codes are the same.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 100,
            Self::Unjudged => 1,
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(verdict.exit_code())
    }
}

/// The kind of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// See [`Threshold`](crate::Threshold).
    Threshold,
    /// See [`NonInferior`](crate::NonInferior).
    NonInferior,
    /// See [`Retained`](crate::Retained).
    Retained,
    /// See [`NoRegression`](crate::NoRegression).
    NoRegression,
}

impl GateKind {
    /// The name that the kind has in a file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::NonInferior => "non_inferior",
            Self::Retained => "retained",
            Self::NoRegression => "no_regression",
        }
    }
}

/// What became of one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateOutcome {
    /// Its kind.
    pub kind: GateKind,
    /// The rule in words, metric and baseline included.
    pub rule: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// What was found, or why nothing was.
    pub found: String,
    /// The number that was held against the limit: the metric, its difference to the baseline, or its
    /// share of it.
    pub value: Option<f64>,
    /// The 95 % interval of that number.
    pub interval: Option<Interval>,
    /// The p-value of a regression test, adjusted for their number. What random flips of signs cannot
    /// tell from less is written as `p ≤ …` in [`found`](Self::found).
    pub p_value: Option<f64>,
    /// Number of items.
    pub items: Option<usize>,
}

/// What became of all gates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateReport {
    pub(super) schema: String,
    /// Name of the model.
    pub model: String,
    /// See [`Results::files_sha256`](crate::Results::files_sha256).
    pub files_sha256: Option<String>,
    /// SHA-256 of the gates.
    pub gates_sha256: String,
    /// SHA-256 of the results.
    pub results_sha256: String,
    /// The gates, by kind, in the order of the file.
    pub outcomes: Vec<GateOutcome>,
}

impl GateReport {
    /// Failed if one gate failed, else unjudged if one could not be judged, else passed.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let some = |verdict| {
            self.outcomes
                .iter()
                .any(|outcome| outcome.verdict == verdict)
        };
        if some(Verdict::Failed) {
            Verdict::Failed
        } else if some(Verdict::Unjudged) || self.outcomes.is_empty() {
            Verdict::Unjudged
        } else {
            Verdict::Passed
        }
    }

    /// How many gates have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let of_it = |outcome: &&GateOutcome| outcome.verdict == verdict;
        self.outcomes.iter().filter(of_it).count()
    }

    /// Writes [`to_junit`](Self::to_junit) as judged now: beside `path`, then over it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_junit(&self, path: impl AsRef<Path>) -> Result<(), GateError> {
        write(path.as_ref(), &self.to_junit(Timestamp::now())?)
    }

    /// Writes [`to_markdown`](Self::to_markdown): beside `path`, then over it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_markdown(&self, path: impl AsRef<Path>) -> Result<(), GateError> {
        write(path.as_ref(), &self.to_markdown())
    }
}

fn write(path: &Path, text: &str) -> Result<(), GateError> {
    crate::file::write(path, text.as_bytes()).map_err(|source| GateError::Write {
        path: path.into(),
        source,
    })
}
