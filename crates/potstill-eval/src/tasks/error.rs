//! What can go wrong between a task file and its numbers.

use std::path::PathBuf;

/// Why a task has no numbers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A task file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A task file is not YAML.
    #[error("{}: {problem}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        problem: String,
    },
    /// Files that include each other.
    #[error("{} includes itself", path.display())]
    IncludeCycle {
        /// The file.
        path: PathBuf,
    },
    /// A task that is not only data.
    #[error(
        "{}: `{key}` needs Python ({what}); only task files that are data alone can be run here",
        path.display()
    )]
    Python {
        /// The file.
        path: PathBuf,
        /// The key, with those around it.
        key: String,
        /// The function, or what the key is for.
        what: String,
    },
    /// A key that is unknown, missing, or has a value of the wrong kind.
    #[error("{} is not a task", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Which key, and what would be right.
        #[source]
        source: serde_json::Error,
    },
    /// A value that is not supported, or makes no sense.
    #[error("{}: `{key}` {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A file of documents cannot be read.
    #[error("{task} has no documents")]
    Documents {
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: Box<potstill_data::Error>,
    },
    /// A document that the task cannot use.
    #[error("{task}, document {document}: {problem}")]
    Document {
        /// The task.
        task: String,
        /// Index of the document.
        document: usize,
        /// What is wrong.
        problem: String,
    },
    /// The model failed.
    #[error("{model} cannot do {task}")]
    Model {
        /// The model.
        model: String,
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: Box<crate::Error>,
    },
    /// What came out has no scores.
    #[error("{task} has no scores")]
    Scores {
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: Box<crate::Error>,
    },
}
