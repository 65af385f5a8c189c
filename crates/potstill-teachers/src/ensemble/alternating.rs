//! Each batch to one of several teachers.

use std::fmt;

use burn::tensor::Transaction;
use potstill_core::{Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary};
use sha2::{Digest, Sha256};

use super::{BoxedTeacher, EnsembleError, common_positions, common_vocabulary};

/// Teachers of which one, by lot, is asked about each batch: the cost of one, and over many batches
/// the opinion of all.
///
/// The lot is drawn from the text of the batch and a seed, not by counting, so that a run that was
/// interrupted goes on with the same teachers. The same batch always goes to the same teacher;
/// shuffled batches are others in each epoch.
pub struct AlternatingTeachers {
    teachers: Vec<BoxedTeacher>,
    vocabulary: Vocabulary,
    seed: u64,
}

impl AlternatingTeachers {
    /// Alternates between `teachers`.
    ///
    /// # Errors
    ///
    /// When there is no teacher, or their vocabularies differ (names both).
    pub fn new(teachers: Vec<BoxedTeacher>, seed: u64) -> Result<Self, EnsembleError> {
        Ok(Self {
            vocabulary: common_vocabulary(&teachers)?,
            teachers,
            seed,
        })
    }

    fn lot(&self, batch: &TokenBatch) -> Result<usize, EnsembleError> {
        let tokens = Transaction::default().register(batch.tokens.clone());
        let tokens = tokens.try_execute().map_err(EnsembleError::device)?;
        let mut hasher = Sha256::new_with_prefix(self.seed.to_le_bytes());
        for token in tokens.iter().flat_map(|data| data.iter::<i64>()) {
            hasher.update(token.to_le_bytes());
        }
        let digest = hasher.finalize();
        let lot = digest
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Ok((lot % self.teachers.len() as u64) as usize)
    }
}

impl fmt::Debug for AlternatingTeachers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlternatingTeachers")
            .field("teachers", &self.teachers.len())
            .field("vocabulary", &self.vocabulary)
            .field("seed", &self.seed)
            .finish()
    }
}

impl Teacher for AlternatingTeachers {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn max_positions(&self) -> Option<usize> {
        common_positions(&self.teachers)
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        let lot = self.lot(batch)?;
        let signal = self.teachers[lot].signal(batch, taps)?;
        Ok(TeacherSignal {
            prediction: signal.prediction.truncated(self.vocabulary.head_size),
            ..signal
        })
    }
}

#[cfg(test)]
mod tests {
    use potstill_core::TokenRow;
    use potstill_testkit::plain_device;

    use super::super::testing::{Fixed, dense};
    use super::*;

    fn batch(number: u32) -> TokenBatch {
        let row = TokenRow::document(&[number, 1 + number % 7], &[1.0; 2]);
        TokenBatch::from_rows(&[row], 0, &plain_device())
    }

    #[test]
    fn each_batch_has_its_teacher_and_all_are_asked() {
        let teachers = || {
            [1.0, 2.0, 3.0]
                .map(|logit| Fixed::boxed(&[logit, 0.0]))
                .into()
        };
        let mut first = AlternatingTeachers::new(teachers(), 5).unwrap();
        let mut again = AlternatingTeachers::new(teachers(), 5).unwrap();
        let mut asked = [0; 3];
        for number in 0..300 {
            let ask = |teacher: &mut AlternatingTeachers| {
                dense(&teacher.signal(&batch(number), &Taps::default()).unwrap())[0]
            };
            let said = ask(&mut first);
            assert_eq!(said, ask(&mut again));
            asked[said as usize - 1] += 1;
        }
        assert!(asked.iter().all(|&count| count > 70), "{asked:?}");
    }

    #[test]
    fn the_seed_decides_who_is_asked() {
        let lots = |seed| {
            let teachers = (0..2).map(|_| Fixed::boxed(&[0.0; 2])).collect();
            let teachers = AlternatingTeachers::new(teachers, seed).unwrap();
            (0..64)
                .map(|number| teachers.lot(&batch(number)).unwrap())
                .collect::<Vec<_>>()
        };
        assert_ne!(lots(1), lots(2));
    }
}
