//! Students that teach each other.
//!
//! ```text
//! L_k = own loss_k + 1/(K−1) Σ_{j≠k} KL(p_j ‖ q_k)      p_j constant
//! ```
//!
//! Zhang et al., *Deep Mutual Learning*, arXiv:1706.00384. The mean of the divergences from the others
//! has the gradient of the divergence from their average, which is what a student is given here.

use potstill_core::CausalLm;

use crate::ModelTeacher;
use crate::ensemble::{
    AverageSpace, BoxedTeacher, EnsembleError, TeacherWeights, WeightedTeachers,
};

/// For each of `students` a teacher that says what the others say on average.
///
/// The teachers are snapshots, cheap to make, without autodiff. Made before anybody has taken the
/// step, all students learn from what the others were; made anew between them, from what they are.
///
/// # Errors
///
/// When there are not at least two, or their vocabularies differ (names both).
///
/// # Examples
///
/// ```
/// use potstill_core::{Taps, TokenBatch, TokenRow};
/// use potstill_teachers::peer_teachers;
/// use potstill_testkit::{TinyLm, plain_device};
///
/// let students = [1, 2, 3].map(|seed| TinyLm::new(11, 4, 1, seed, &plain_device()));
/// let row = TokenRow::document(&[3, 1, 4], &[1.0; 3]);
/// let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
/// for (student, mut teacher) in students.iter().zip(peer_teachers(&students)?) {
///     let signal = teacher.signal(&batch, &Taps::default())?;
///     // Here `student` takes its step, with `teacher` for the distillation term.
///     # let _ = (student, signal);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn peer_teachers<M: CausalLm + 'static>(
    students: &[M],
) -> Result<Vec<BoxedTeacher>, EnsembleError> {
    if students.len() < 2 {
        return Err(EnsembleError::NoTeacher);
    }
    let others = |own: usize| -> Vec<BoxedTeacher> {
        let others = students
            .iter()
            .enumerate()
            .filter(|&(number, _)| number != own);
        others
            .map(|(_, student)| Box::new(ModelTeacher::new(student)) as BoxedTeacher)
            .collect()
    };
    (0..students.len())
        .map(|own| -> Result<BoxedTeacher, EnsembleError> {
            let mut others = others(own);
            // One opinion needs no average, and can stay deferred.
            if others.len() == 1 {
                return Ok(others.remove(0));
            }
            let weights = TeacherWeights::equal(others.len());
            let average = WeightedTeachers::new(others, AverageSpace::Probability, weights)?;
            Ok(Box::new(average))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::softmax;
    use potstill_core::{Prediction, Taps, TokenBatch, TokenRow};
    use potstill_testkit::{
        TinyLm, Tolerance, assert_close, autodiff_device, plain_device, values,
    };

    use super::*;

    fn students(count: u64) -> Vec<TinyLm> {
        (0..count)
            .map(|seed| TinyLm::new(11, 4, 1, seed, &autodiff_device()))
            .collect()
    }

    fn batch() -> TokenBatch {
        let row = TokenRow::document(&[3, 1, 4], &[1.0; 3]);
        TokenBatch::from_rows(&[row], 0, &plain_device())
    }

    #[test]
    fn three_students_learn_from_the_average_of_two() {
        let students = students(3);
        let probs: Vec<Vec<f64>> = students
            .iter()
            .map(|student| values(&softmax(student.row_logits(&batch()), 1)))
            .collect();
        for (own, mut teacher) in peer_teachers(&students).unwrap().into_iter().enumerate() {
            let signal = teacher.signal(&batch(), &Taps::default()).unwrap();
            let Prediction::Dense(logits) = signal.prediction else {
                panic!("an average is dense")
            };
            assert!(!logits.is_autodiff());
            let (a, b) = (&probs[(own + 1) % 3], &probs[(own + 2) % 3]);
            let expected: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect();
            let near = Tolerance {
                absolute: 1e-6,
                relative: 1e-5,
            };
            assert_close(&values(&softmax(logits, 1)), &expected, near);
        }
    }

    #[test]
    fn of_two_students_each_is_the_others_teacher() {
        let students = students(2);
        let mut teachers = peer_teachers(&students).unwrap();
        let signal = teachers[0].signal(&batch(), &Taps::default()).unwrap();
        let Prediction::Deferred { hidden, head } = signal.prediction else {
            panic!("a model's prediction is deferred")
        };
        let expected = values(&students[1].row_logits(&batch()));
        assert_eq!(values(&head.logits(hidden)), expected);
    }

    #[test]
    fn one_student_has_no_peer() {
        let error = peer_teachers(&students(1)).err().unwrap();
        assert!(matches!(error, EnsembleError::NoTeacher), "{error}");
    }
}
