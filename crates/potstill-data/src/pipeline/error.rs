//! Why a pipeline stops.

use std::path::PathBuf;

/// Why a stage cannot work at all.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StageError(Box<dyn std::error::Error + Send + Sync>);

impl StageError {
    /// From any error, or a sentence.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// Why a pipeline stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// "create", "read", "write", "lock" or "clean".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Another run is at work in the folder.
    #[error("another run is at work in {}; wait for it, or choose another folder", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A stage cannot work at all.
    #[error("stage {stage:?} cannot work")]
    Stage {
        /// Its name.
        stage: String,
        /// What it says.
        #[source]
        source: StageError,
    },
    /// A stage did not say what became of each record.
    #[error(
        "stage {stage:?} was given {given} records and returned {returned} outcomes; it must return \
         one for each record, and a record that is kept must become at least one"
    )]
    Lost {
        /// Its name.
        stage: String,
        /// Records in.
        given: usize,
        /// Outcomes out.
        returned: usize,
    },
    /// Too many records failed.
    #[error(
        "stage {stage:?} failed on {failed} of {seen} records, most often with {reason:?}; what was \
         done is kept, and a run in the same folder goes on from there"
    )]
    TooManyFailures {
        /// Its name.
        stage: String,
        /// Records that failed.
        failed: u64,
        /// Records that it has seen.
        seen: u64,
        /// The commonest reason.
        reason: String,
    },
    /// A file of the run is not what was written.
    #[error("{} is damaged: {problem}; remove it, and its chunk is made anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl PipelineError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
