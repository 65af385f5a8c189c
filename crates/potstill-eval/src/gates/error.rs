//! Why there is no verdict at all.

use std::path::PathBuf;

/// Why gates could not even be read. A program that gets one exits with
/// [`Verdict::Unjudged`](crate::Verdict::Unjudged).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// A file cannot be read.
    #[error("cannot read the gates in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is no gates file; an unknown key counts, since a gate that is not read does not hold.
    #[error("the gates cannot be understood")]
    Toml(#[from] toml::de::Error),
    /// The file follows another schema.
    #[error("the gates follow the schema {found:?}, this version reads {expected:?}")]
    Schema {
        /// Its schema.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// There is nothing to hold.
    #[error("there are no gates, so that anything would pass; give at least one")]
    None,
    /// A gate that makes no sense.
    #[error("the {kind} gate on {metric}: {name} is {value}, it must be {expected}")]
    Rule {
        /// What kind of gate.
        kind: &'static str,
        /// Its metric.
        metric: String,
        /// The key.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A report that has no XML or JSON form.
    #[error("the report of the gates cannot be written")]
    Render(#[source] Box<dyn std::error::Error + Send + Sync>),
}
