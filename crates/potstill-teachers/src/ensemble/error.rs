//! What can go wrong between several teachers.

use potstill_core::{TeacherError, VocabularyMismatch};

/// Why several teachers cannot be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnsembleError {
    /// There is none.
    #[error("an ensemble needs at least one teacher")]
    NoTeacher,
    /// The teachers speak different tokens.
    #[error(
        "teacher 1 has {first}, teacher {number} has {other}; teachers are combined token by token, so \
         that different vocabularies need a training run each, with a cross-tokenizer objective"
    )]
    Vocabularies {
        /// What the first teacher has.
        first: String,
        /// The teacher that differs, from 1.
        number: usize,
        /// What it has.
        other: String,
        /// How they differ.
        #[source]
        source: VocabularyMismatch,
    },
    /// Weights that are no average.
    #[error(
        "{weights:?} are no weights for {teachers} teachers; give each one that is finite and not \
         negative, not all of them 0"
    )]
    Weights {
        /// What was given.
        weights: Vec<f64>,
        /// How many teachers there are.
        teachers: usize,
    },
    /// A teacher gives something that cannot be averaged.
    #[error(
        "the prediction of teacher {number} is {kind}; only whole distributions (dense or deferred) \
         can be averaged"
    )]
    NoDistribution {
        /// The teacher, from 1.
        number: usize,
        /// What it gives.
        kind: &'static str,
    },
    /// Rows of one batch have predictions of several kinds.
    #[error(
        "teacher {first} gives {first_kind} predictions and teacher {second} {second_kind} ones; \
         rows of one batch need the same kind"
    )]
    Kinds {
        /// A teacher, from 1.
        first: usize,
        /// What it gives.
        first_kind: String,
        /// Another teacher, from 1.
        second: usize,
        /// What it gives.
        second_kind: String,
    },
    /// An objective taps something that several teachers do not have together.
    #[error("several teachers have no common {what}; {instead}")]
    NothingToTap {
        /// "hidden state" or "attention map".
        what: &'static str,
        /// What can be done about it.
        instead: &'static str,
    },
    /// A route leads nowhere.
    #[error("the route names teacher {number}, counted from 0, of {teachers}")]
    Route {
        /// What it names.
        number: usize,
        /// How many teachers there are.
        teachers: usize,
    },
    /// A language that is not known.
    #[error(
        "{code:?} is not an ISO 639-3 code of a language that can be detected, such as \"eng\" or \
         \"deu\""
    )]
    Language {
        /// What was given.
        code: String,
    },
    /// The device of a batch cannot be read.
    #[error("the device cannot be read")]
    Device(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl EnsembleError {
    pub(crate) fn device(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Device(Box::new(source))
    }
}

impl From<EnsembleError> for TeacherError {
    fn from(error: EnsembleError) -> Self {
        Self::Source(Box::new(error))
    }
}
