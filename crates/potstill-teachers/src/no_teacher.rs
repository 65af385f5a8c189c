//! Training on labels alone.

use potstill_core::{
    Prediction, Tapped, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary,
};

/// A teacher that says nothing.
///
/// For objectives that only read labels: training a teacher in the first place, or the student that
/// distillation is compared with.
#[derive(Clone, Debug)]
pub struct NoTeacher {
    vocabulary: Vocabulary,
}

impl NoTeacher {
    /// A silent teacher for a student of this vocabulary.
    #[must_use]
    pub fn new(vocabulary: Vocabulary) -> Self {
        Self { vocabulary }
    }
}

impl Teacher for NoTeacher {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn signal(&mut self, _: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        if *taps != Taps::default() {
            return Err(TeacherError::Source(Box::new(NothingToTap)));
        }
        Ok(TeacherSignal {
            prediction: Prediction::None,
            tapped: Tapped::default(),
        })
    }
}

/// The objective wants hidden states or attention maps of a teacher that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the objective taps the teacher, but training runs without one; give it a model")]
pub struct NothingToTap;

#[cfg(test)]
mod tests {
    use super::*;
    use potstill_core::TokenRow;
    use potstill_testkit::plain_device;

    #[test]
    fn it_has_neither_predictions_nor_layers() {
        let mut teacher = NoTeacher::new(Vocabulary::of_size(7));
        let row = TokenRow::document(&[1, 2], &[1.0; 2]);
        let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
        let signal = teacher.signal(&batch, &Taps::default()).unwrap();
        assert_eq!(signal.prediction.kind(), "none");
        let error = teacher.signal(&batch, &Taps::hidden([0])).unwrap_err();
        assert!(matches!(error, TeacherError::Source(_)), "{error}");
    }
}
