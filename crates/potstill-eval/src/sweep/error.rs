//! What can go wrong in a sweep.

use std::path::PathBuf;

use crate::GateError;

/// Why a sweep stopped. What was measured before is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// A name that is no name of a folder.
    #[error(
        "{name:?} cannot name a candidate; it has up to 100 letters, digits, dots, dashes and underscores, \
         a letter or digit first"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A name for two candidates.
    #[error("there are two candidates called {name}; give each its own name")]
    Twice {
        /// The name.
        name: String,
    },
    /// A recipe that has no JSON form.
    #[error("the recipe cannot be written as JSON")]
    Recipe(#[source] serde_json::Error),
    /// A candidate could not be measured.
    #[error("candidate {name} could not be measured")]
    Measure {
        /// The candidate.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is no outcome.
    #[error("{path} is not the outcome of a candidate; remove it to measure again")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A file follows another schema, or is about something else.
    #[error("{path} has {field} {found}, not {expected}; remove it to measure again")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Which field differs.
        field: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// No candidate has a metric.
    #[error("no candidate has the metric {metric}; there are: {known}")]
    Metric {
        /// The metric.
        metric: String,
        /// Those that there are.
        known: String,
    },
    /// A metric means different things.
    #[error(
        "{metric} was measured on different tasks, so that candidates cannot be compared by it"
    )]
    Tasks {
        /// The metric.
        metric: String,
    },
    /// The gates make no sense.
    #[error("the candidates cannot be judged")]
    Gates(#[from] GateError),
    /// Scores of two candidates do not fit together.
    #[error("the candidates cannot be compared item by item")]
    Compare(#[from] crate::Error),
}
