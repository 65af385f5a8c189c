//! One teacher for several students.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::prelude::*;
use potstill_core::{
    Prediction, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary,
};

use crate::error::Error;
use crate::segments::HostBatch;

/// A teacher whose clones ask it once for each batch, however many of them are asked.
///
/// For students that take their steps in turns on the same batches: whoever comes first pays the forward
/// pass, the others get the same signal. A batch is recognised by what it holds, so a clone that
/// falls behind, or is given other data, costs passes of its own and never gets the signal of another
/// batch. Recognising it reads its tokens back from the device, once for each student.
///
/// What is shared is the forward pass up to the head: a [`Deferred`](Prediction::Deferred) prediction stays
/// one, and each student's loss multiplies with the teacher's head, a chunk of rows at a time. Where the
/// memory of `rows × vocab` logits is there, [`with_logits`](Self::with_logits) shares that product, too.
///
/// Not for a teacher that changes while it teaches: its clones would repeat what it said before.
///
/// # Examples
///
/// ```
/// use potstill_core::{Taps, Teacher, TokenBatch, TokenRow};
/// use potstill_teachers::{ModelTeacher, SharedTeacher};
/// use potstill_testkit::{TinyLm, plain_device};
///
/// let model = TinyLm::new(11, 8, 2, 0, &plain_device());
/// let mut first = SharedTeacher::new(ModelTeacher::new(&model)).tapping(&Taps::hidden([1]));
/// let mut second = first.clone();
/// let row = TokenRow::document(&[3, 1, 4], &[1.0; 3]);
/// let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
/// first.signal(&batch, &Taps::default())?;
/// second.signal(&batch, &Taps::hidden([1]))?;
/// assert_eq!(first.passes(), 1);
/// # Ok::<(), potstill_core::TeacherError>(())
/// ```
#[derive(Debug)]
pub struct SharedTeacher<T> {
    shared: Arc<Mutex<Shared<T>>>,
    vocabulary: Vocabulary,
    max_positions: Option<usize>,
}

#[derive(Debug)]
struct Shared<T> {
    teacher: T,
    taps: Taps,
    /// The latest signals, oldest first.
    signals: VecDeque<Remembered>,
    remembered: usize,
    makes_logits: bool,
    passes: usize,
}

#[derive(Debug)]
struct Remembered {
    batch: HostBatch,
    device: Device,
    signal: TeacherSignal,
}

impl<T: Teacher> SharedTeacher<T> {
    /// Shares `teacher` among this one and its clones.
    #[must_use]
    pub fn new(teacher: T) -> Self {
        Self {
            vocabulary: teacher.vocabulary().clone(),
            max_positions: teacher.max_positions(),
            shared: Arc::new(Mutex::new(Shared {
                teacher,
                taps: Taps::default(),
                signals: VecDeque::new(),
                remembered: 1,
                makes_logits: false,
                passes: 0,
            })),
        }
    }

    /// Also keeps `taps` of each batch: what the students tap together. Otherwise the first batch
    /// takes a pass more for each student that taps something new.
    #[must_use]
    pub fn tapping(self, taps: &Taps) -> Self {
        let mut shared = self.locked();
        shared.taps = std::mem::take(&mut shared.taps).union(taps);
        drop(shared);
        self
    }

    /// Remembers the signals of this many batches instead of one: as many as the micro-batches of a
    /// step, where students accumulate gradients.
    ///
    /// # Panics
    ///
    /// Panics if `batches` is 0.
    #[must_use]
    pub fn remembering(self, batches: usize) -> Self {
        assert!(batches > 0, "a shared signal has to be remembered");
        self.locked().remembered = batches;
        self
    }

    /// Multiplies with the teacher's head once for all students: predictions are
    /// [`Dense`](Prediction::Dense), in f32.
    #[must_use]
    pub fn with_logits(self) -> Self {
        self.locked().makes_logits = true;
        self
    }

    /// How often the teacher was asked.
    #[must_use]
    pub fn passes(&self) -> usize {
        self.locked().passes
    }

    /// A panic of the teacher leaves whole signals behind.
    fn locked(&self) -> MutexGuard<'_, Shared<T>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for SharedTeacher<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            vocabulary: self.vocabulary.clone(),
            max_positions: self.max_positions,
        }
    }
}

impl<T: Teacher> Shared<T> {
    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        let device = batch.tokens.device().without_autodiff();
        let host = HostBatch::read(batch).map_err(|source| Error::Device {
            device: format!("{device:?}"),
            source: source.into(),
        })?;
        let union = self.taps.clone().union(taps);
        if union != self.taps {
            self.taps = union;
            self.signals.clear();
        }
        let known = |known: &&Remembered| known.batch == host && known.device == device;
        if let Some(known) = self.signals.iter().find(known) {
            return Ok(known.signal.clone());
        }
        // Before the pass, so that the memory of one signal is free for the next.
        while self.signals.len() >= self.remembered {
            self.signals.pop_front();
        }
        self.passes += 1;
        let mut signal = self.teacher.signal(batch, &self.taps)?;
        if let (true, Prediction::Deferred { hidden, head }) =
            (self.makes_logits, &signal.prediction)
        {
            signal.prediction = Prediction::Dense(head.logits(hidden.clone()));
        }
        self.signals.push_back(Remembered {
            batch: host,
            device,
            signal: signal.clone(),
        });
        Ok(signal)
    }
}

impl<T: Teacher> Teacher for SharedTeacher<T> {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn max_positions(&self) -> Option<usize> {
        self.max_positions
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        self.locked().signal(batch, taps)
    }
}

#[cfg(test)]
mod tests {
    use potstill_core::{CausalLm, TokenRow};
    use potstill_testkit::{TinyLm, plain_device, values};

    use super::*;
    use crate::ModelTeacher;
    use crate::ensemble::testing::dense;

    fn batch(tokens: &[u32], weights: &[f32]) -> TokenBatch {
        let row = TokenRow::document(tokens, weights);
        TokenBatch::from_rows(&[row], 0, &plain_device())
    }

    fn model() -> TinyLm {
        TinyLm::new(11, 8, 2, 0, &plain_device())
    }

    fn logits(signal: &TeacherSignal) -> Vec<f64> {
        let Prediction::Deferred { hidden, head } = &signal.prediction else {
            panic!("a model's prediction is deferred")
        };
        values(&head.logits(hidden.clone()))
    }

    #[test]
    fn clones_get_one_signal_of_one_batch_and_their_own_of_others() {
        let mut first = SharedTeacher::new(ModelTeacher::new(&model()));
        let mut second = first.clone();
        let batches = [
            batch(&[3, 1, 4], &[1.0; 3]),
            batch(&[3, 5, 4], &[1.0; 3]),
            // Other rows of the same tokens: a signal is about the rows that count.
            batch(&[3, 5, 4], &[0.0, 0.0, 1.0]),
            batch(&[2, 1, 4], &[1.0; 3]),
        ];
        for (number, batch) in batches.iter().enumerate() {
            let expected = values(&model().row_logits(batch));
            for teacher in [&mut first, &mut second] {
                let signal = teacher.signal(batch, &Taps::default()).unwrap();
                assert_eq!(logits(&signal), expected);
            }
            assert_eq!(first.passes(), number + 1);
        }
        // Forgotten, so a student that is behind is told again.
        second.signal(&batches[0], &Taps::default()).unwrap();
        assert_eq!(first.passes(), 5);
    }

    #[test]
    fn what_was_not_tapped_yet_is_tapped_for_all_from_then_on() {
        let mut first = SharedTeacher::new(ModelTeacher::new(&model()));
        let mut second = first.clone();
        for (number, tokens) in [[3, 1, 4], [1, 5, 9]].iter().enumerate() {
            let batch = batch(tokens, &[1.0; 3]);
            first.signal(&batch, &Taps::hidden([1])).unwrap();
            let signal = second.signal(&batch, &Taps::hidden([2])).unwrap();
            assert_eq!(signal.tapped.hidden(2).dims(), [1, 2, 8]);
            assert_eq!(first.passes(), number + 2);
        }
    }

    #[test]
    fn the_product_with_the_head_can_be_shared() {
        let mut teacher = SharedTeacher::new(ModelTeacher::new(&model())).with_logits();
        let batch = batch(&[3, 1, 4], &[1.0; 3]);
        let signal = teacher.signal(&batch, &Taps::default()).unwrap();
        assert_eq!(dense(&signal), values(&model().row_logits(&batch)));
    }

    #[test]
    fn the_batches_of_a_step_can_be_remembered_together() {
        let mut first = SharedTeacher::new(ModelTeacher::new(&model())).remembering(2);
        let mut second = first.clone();
        let step = [batch(&[3, 1, 4], &[1.0; 3]), batch(&[1, 5, 9], &[1.0; 3])];
        for teacher in [&mut first, &mut second] {
            for batch in &step {
                teacher.signal(batch, &Taps::default()).unwrap();
            }
        }
        assert_eq!(first.passes(), 2);
    }
}
