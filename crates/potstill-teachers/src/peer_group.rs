//! Students that teach each other in the loop of a trainer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use potstill_core::{CausalLm, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary};

use crate::ModelTeacher;
use crate::ensemble::{
    AverageSpace, BoxedTeacher, EnsembleError, TeacherWeights, WeightedTeachers, common_vocabulary,
};

/// What a student learns from: the others as they were, or as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerTurns {
    /// As they are: whoever comes later in a round learns from what the earlier ones have become. The
    /// paper's Algorithm 1.
    Alternating,
    /// As they were when the round began.
    Simultaneous,
}

/// Students that teach each other while they learn (deep mutual learning, arXiv:1706.00384), where
/// somebody else owns them: each gets a [`teacher`](Self::teacher) that says what the others say on
/// average, and is shown to the group as often as it changes.
///
/// [`peer_teachers`](crate::peer_teachers) is the same for a loop that holds its students itself.
///
/// ```text
/// let group = PeerGroup::new(&students, PeerTurns::Alternating)?;
/// let mut trainers = ...                      // for each `number` and its `student`:
///     Trainer::new(config, student, (HardTarget::new(), SoftTarget::new(Divergence::ForwardKl)),
///                  group.teacher(number)?, source())?
///         .onlooker(group.onlooker(number));
/// run_together(&mut [&mut trainers[0], &mut trainers[1]])?;
/// ```
#[derive(Debug)]
pub struct PeerGroup<M> {
    peers: Arc<Mutex<Peers<M>>>,
    vocabularies: Vec<Vocabulary>,
}

#[derive(Debug)]
struct Peers<M> {
    turns: PeerTurns,
    current: Vec<ModelTeacher<M>>,
    /// What will be current in the next round.
    next: Vec<Option<ModelTeacher<M>>>,
}

impl<M: CausalLm + 'static> PeerGroup<M> {
    /// A group of `students` as they are now.
    ///
    /// # Errors
    ///
    /// When there are not at least two, or their vocabularies differ (names both).
    pub fn new(students: &[M], turns: PeerTurns) -> Result<Self, EnsembleError> {
        if students.len() < 2 {
            return Err(EnsembleError::NoTeacher);
        }
        let boxed = |student| Box::new(ModelTeacher::new(student)) as BoxedTeacher;
        common_vocabulary(&students.iter().map(boxed).collect::<Vec<_>>())?;
        let current: Vec<_> = students.iter().map(ModelTeacher::new).collect();
        Ok(Self {
            vocabularies: current
                .iter()
                .map(|peer| peer.vocabulary().clone())
                .collect(),
            peers: Arc::new(Mutex::new(Peers {
                turns,
                next: current.iter().map(|_| None).collect(),
                current,
            })),
        })
    }

    /// What the others teach student `own`: the average of their probabilities.
    ///
    /// # Errors
    ///
    /// Never, for a group that could be made.
    ///
    /// # Panics
    ///
    /// Panics if there is no student of that number.
    pub fn teacher(&self, own: usize) -> Result<BoxedTeacher, EnsembleError> {
        self.check(own);
        let others = (0..self.vocabularies.len()).filter(|&number| number != own);
        let mut others: Vec<BoxedTeacher> = others
            .map(|number| {
                Box::new(Peer {
                    peers: Arc::clone(&self.peers),
                    vocabulary: self.vocabularies[number].clone(),
                    max_positions: locked(&self.peers).current[number].max_positions(),
                    number,
                }) as BoxedTeacher
            })
            .collect();
        // One opinion needs no average, and can stay deferred.
        if others.len() == 1 {
            return Ok(others.remove(0));
        }
        let weights = TeacherWeights::equal(others.len());
        let average = WeightedTeachers::new(others, AverageSpace::Probability, weights)?;
        Ok(Box::new(average))
    }

    /// Shows the group what student `own` has become, whenever it is called with it: before the first round
    /// and after each step.
    ///
    /// # Panics
    ///
    /// Panics if there is no student of that number.
    pub fn onlooker(&self, own: usize) -> impl FnMut(&M) + use<M> + 'static {
        self.check(own);
        let peers = Arc::clone(&self.peers);
        move |student| locked(&peers).show(own, ModelTeacher::new(student))
    }

    fn check(&self, own: usize) {
        let students = self.vocabularies.len();
        assert!(own < students, "student {own} of {students}");
    }
}

impl<M> Peers<M> {
    fn show(&mut self, own: usize, student: ModelTeacher<M>) {
        if self.turns == PeerTurns::Alternating {
            self.current[own] = student;
            return;
        }
        // Who is shown again has begun another round, also when somebody else has finished.
        if self.next[own].is_some() {
            self.end_round();
        }
        self.next[own] = Some(student);
        if self.next.iter().all(Option::is_some) {
            self.end_round();
        }
    }

    fn end_round(&mut self) {
        for (current, next) in self.current.iter_mut().zip(&mut self.next) {
            if let Some(next) = next.take() {
                *current = next;
            }
        }
    }
}

/// A panic elsewhere leaves the students whole: they are replaced, never changed in place.
fn locked<M>(peers: &Mutex<Peers<M>>) -> MutexGuard<'_, Peers<M>> {
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One student of a group, as it is known to the others.
struct Peer<M> {
    peers: Arc<Mutex<Peers<M>>>,
    number: usize,
    vocabulary: Vocabulary,
    max_positions: Option<usize>,
}

impl<M: CausalLm> Teacher for Peer<M> {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn max_positions(&self) -> Option<usize> {
        self.max_positions
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        locked(&self.peers).current[self.number].signal(batch, taps)
    }
}

#[cfg(test)]
mod tests {
    use potstill_core::{Prediction, TokenRow};
    use potstill_testkit::{TinyLm, plain_device, values};

    use super::*;
    use crate::ensemble::testing::dense;

    fn student(seed: u64) -> TinyLm {
        TinyLm::new(11, 4, 1, seed, &plain_device())
    }

    fn batch() -> TokenBatch {
        let row = TokenRow::document(&[3, 1, 4], &[1.0; 3]);
        TokenBatch::from_rows(&[row], 0, &plain_device())
    }

    fn said(teacher: &mut BoxedTeacher) -> Vec<f64> {
        let signal = teacher.signal(&batch(), &Taps::default()).unwrap();
        let Prediction::Deferred { hidden, head } = signal.prediction else {
            panic!("a model's prediction is deferred")
        };
        values(&head.logits(hidden))
    }

    fn logits(seed: u64) -> Vec<f64> {
        values(&student(seed).row_logits(&batch()))
    }

    #[test]
    fn in_turns_the_others_are_what_they_have_become() {
        let students = [student(1), student(2)];
        let group = PeerGroup::new(&students, PeerTurns::Alternating).unwrap();
        let mut teacher = group.teacher(1).unwrap();
        assert_eq!(said(&mut teacher), logits(1));
        group.onlooker(0)(&student(3));
        assert_eq!(said(&mut teacher), logits(3));
    }

    #[test]
    fn at_once_the_others_are_what_they_were_when_the_round_began() {
        let students = [student(1), student(2)];
        let group = PeerGroup::new(&students, PeerTurns::Simultaneous).unwrap();
        let (mut of_first, mut of_second) = (group.teacher(0).unwrap(), group.teacher(1).unwrap());
        let (mut first, mut second) = (group.onlooker(0), group.onlooker(1));
        first(&student(3));
        assert_eq!(said(&mut of_second), logits(1));
        second(&student(4));
        assert_eq!(said(&mut of_second), logits(3));
        assert_eq!(said(&mut of_first), logits(4));
        // The first one goes on alone.
        first(&student(5));
        first(&student(6));
        assert_eq!(said(&mut of_second), logits(5));
    }

    #[test]
    fn three_students_learn_from_averages() {
        let students = [student(1), student(2), student(3)];
        let group = PeerGroup::new(&students, PeerTurns::Alternating).unwrap();
        let mut teacher = group.teacher(0).unwrap();
        let average = teacher.signal(&batch(), &Taps::default()).unwrap();
        let mut expected = crate::peer_teachers(&students).unwrap().remove(0);
        let expected = expected.signal(&batch(), &Taps::default()).unwrap();
        assert_eq!(dense(&average), dense(&expected));
    }

    #[test]
    fn one_student_is_no_group() {
        let error = PeerGroup::new(&[student(1)], PeerTurns::Alternating).unwrap_err();
        assert!(matches!(error, EnsembleError::NoTeacher), "{error}");
        let wide = TinyLm::new(12, 4, 1, 1, &plain_device());
        let error = PeerGroup::new(&[student(1), wide], PeerTurns::Alternating).unwrap_err();
        assert!(
            matches!(error, EnsembleError::Vocabularies { .. }),
            "{error}"
        );
    }
}
