//! A teacher that follows its student.
//!
//! ```text
//! θ_teacher ← decay · θ_teacher + (1 − decay) · θ_student      after each step
//! ```
//!
//! Tarvainen and Valpola, *Mean Teachers Are Better Role Models*, arXiv:1703.01780. An earlier
//! checkpoint of the student, as in born-again networks (arXiv:1805.04770), needs no type of its own:
//! it is a [`ModelTeacher`] of that checkpoint.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use potstill_core::{
    CausalLm, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, TokenizerIdentity, Vocabulary,
};

use crate::ModelTeacher;

/// The exponential moving average of a student, as its teacher.
///
/// A trainer owns teacher and student, and its batch source sees the student before each batch: an
/// [`EmaUpdater`] in the source moves the average.
///
/// ```text
/// let teacher = EmaTeacher::new(&student, 0.999);
/// let average = teacher.updater();
/// let source = BatchFn::new(move |step, student: &LanguageModel| {
///     average.update(student);
///     ...
/// });
/// Trainer::new(config, student, objective, teacher, source)
/// ```
///
/// With several micro-batches in a step, update before the first of them only. The average is not
/// part of a checkpoint: to go on with a run, save [`EmaUpdater::model`] beside it and begin with
/// that.
///
/// # Examples
///
/// ```
/// use potstill_core::{Taps, Teacher, TokenBatch, TokenRow};
/// use potstill_teachers::EmaTeacher;
/// use potstill_testkit::{TinyLm, plain_device};
///
/// let student = TinyLm::new(11, 4, 1, 1, &plain_device());
/// let mut teacher = EmaTeacher::new(&student, 0.9);
/// let average = teacher.updater();
///
/// let row = TokenRow::document(&[3, 1, 4], &[1.0; 3]);
/// let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
/// let signal = teacher.signal(&batch, &Taps::default())?;
/// // Here the student takes its step.
/// average.update(&student);
/// # let _ = signal;
/// # Ok::<(), potstill_core::TeacherError>(())
/// ```
#[derive(Debug)]
pub struct EmaTeacher<M> {
    average: Arc<Mutex<ModelTeacher<M>>>,
    decay: f64,
    vocabulary: Vocabulary,
    max_positions: Option<usize>,
}

impl<M: CausalLm> EmaTeacher<M> {
    /// A teacher that begins as a copy of `student`.
    ///
    /// # Panics
    ///
    /// Panics if `decay` is not between 0 and 1, or the student has no parameters.
    #[must_use]
    pub fn new(student: &M, decay: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&decay),
            "the decay of a moving average lies between 0 and 1, this one is {decay}"
        );
        let teacher = ModelTeacher::new(student);
        Self {
            vocabulary: teacher.vocabulary().clone(),
            max_positions: teacher.max_positions(),
            average: Arc::new(Mutex::new(teacher)),
            decay,
        }
    }

    /// Names the tokenizer, as [`ModelTeacher::with_tokenizer`] does.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: TokenizerIdentity) -> Self {
        self.vocabulary.tokenizer = Some(tokenizer);
        self
    }

    /// What moves the average, from wherever the student can be seen.
    #[must_use]
    pub fn updater(&self) -> EmaUpdater<M> {
        EmaUpdater {
            average: Arc::clone(&self.average),
            decay: self.decay,
        }
    }
}

impl<M: CausalLm> Teacher for EmaTeacher<M> {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn max_positions(&self) -> Option<usize> {
        self.max_positions
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        locked(&self.average).signal(batch, taps)
    }
}

/// Moves the average of an [`EmaTeacher`].
#[derive(Clone, Debug)]
pub struct EmaUpdater<M> {
    average: Arc<Mutex<ModelTeacher<M>>>,
    decay: f64,
}

impl<M: CausalLm> EmaUpdater<M> {
    /// Takes in what `student` is now; call it once after each optimizer step.
    ///
    /// # Panics
    ///
    /// Panics if `student` has other parameters than the one that the teacher began with.
    pub fn update(&self, student: &M) {
        let mut parameters = Parameters(VecDeque::new());
        student.valid().visit(&mut parameters);
        let mut average = locked(&self.average);
        let mut mapper = Mix {
            student: parameters.0,
            decay: self.decay,
        };
        let mixed = average.model().clone().map(&mut mapper);
        assert!(mapper.student.is_empty(), "{OTHER}");
        *average = ModelTeacher::new(&mixed);
    }

    /// The average as it is now, for instance to be saved: it is often better than the student.
    #[must_use]
    pub fn model(&self) -> M {
        locked(&self.average).model().clone()
    }
}

/// A panic elsewhere leaves the average whole: it is replaced, never changed in place.
fn locked<T>(average: &Mutex<T>) -> MutexGuard<'_, T> {
    average.lock().unwrap_or_else(PoisonError::into_inner)
}

const OTHER: &str = "the student has other parameters than its average";

/// The parameters of a model: their shapes, and their values in one row.
struct Parameters(VecDeque<(Vec<usize>, Tensor<1>)>);

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (value, shape) = (param.val(), param.val().dims().to_vec());
        self.0.push_back((shape, value.flatten(0, D - 1)));
    }
}

struct Mix {
    student: VecDeque<(Vec<usize>, Tensor<1>)>,
    decay: f64,
}

impl ModuleMapper for Mix {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (shape, student) = self.student.pop_front().expect(OTHER);
        param.map(|average| {
            assert_eq!(shape, average.dims(), "{OTHER}");
            let student = student.to_device(&average.device()).reshape(average.dims());
            average * self.decay + student * (1.0 - self.decay)
        })
    }
}

#[cfg(test)]
mod tests;
