//! A source of signals.

use crate::{Taps, TeacherSignal, TokenBatch, Vocabulary};

/// A model in memory, a cache on disk, an endpoint, several of them: whatever says something about
/// a batch.
///
/// Called once a batch, so a virtual call costs nothing and teachers compose.
pub trait Teacher: Send {
    /// The tokens that the signal is about.
    fn vocabulary(&self) -> &Vocabulary;

    /// Longest segment that the teacher can read, where it has a limit.
    fn max_positions(&self) -> Option<usize> {
        None
    }

    /// What the teacher says about `batch`, on the device of `batch`.
    ///
    /// # Errors
    ///
    /// When the teacher cannot serve a tap or this batch.
    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError>;
}

impl<T: Teacher + ?Sized> Teacher for Box<T> {
    fn vocabulary(&self) -> &Vocabulary {
        (**self).vocabulary()
    }
    fn max_positions(&self) -> Option<usize> {
        (**self).max_positions()
    }
    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        (**self).signal(batch, taps)
    }
}

/// Why a teacher has no signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TeacherError {
    /// The objective taps a layer that the teacher lacks.
    #[error("the objective asks for the teacher's {kind} {layer}, the last one is {last}")]
    MissingLayer {
        /// "hidden state" or "attention map".
        kind: &'static str,
        /// What was asked for.
        layer: usize,
        /// The last one there is.
        last: usize,
    },
    /// A segment is longer than the teacher's context.
    #[error("a sequence of {length} tokens does not fit the teacher's {max_positions} positions")]
    TooLong {
        /// Longest segment of the batch.
        length: usize,
        /// What the teacher supports.
        max_positions: usize,
    },
    /// Anything that a particular teacher can run into.
    #[error("the teacher failed")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}
