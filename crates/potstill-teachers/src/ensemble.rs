//! Several teachers at once.

mod alternating;
mod error;
mod weighted;

use potstill_core::{Teacher, Vocabulary};

pub use alternating::AlternatingTeachers;
pub use error::EnsembleError;
pub use weighted::{AverageSpace, TeacherWeights, WeightedTeachers};

use crate::prediction::vocabulary_name;

/// A teacher of any kind.
pub type BoxedTeacher = Box<dyn Teacher>;

/// The tokens that all of `teachers` speak.
pub(crate) fn common_vocabulary(teachers: &[BoxedTeacher]) -> Result<Vocabulary, EnsembleError> {
    let [first, others @ ..] = teachers else {
        return Err(EnsembleError::NoTeacher);
    };
    let mut common = first.vocabulary().clone();
    for (number, other) in (2..).zip(others) {
        let other = other.vocabulary();
        common.head_size =
            Vocabulary::shared(&common, other).map_err(|source| EnsembleError::Vocabularies {
                first: vocabulary_name(first.vocabulary()),
                number,
                other: vocabulary_name(other),
                source,
            })?;
        common.tokenizer = common.tokenizer.or_else(|| other.tokenizer.clone());
    }
    Ok(common)
}

/// The longest segment that all of `teachers` can read.
pub(crate) fn common_positions(teachers: &[BoxedTeacher]) -> Option<usize> {
    teachers.iter().filter_map(Teacher::max_positions).min()
}

#[cfg(test)]
pub(crate) mod testing;
