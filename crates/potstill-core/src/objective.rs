//! What training minimises.

use std::borrow::Cow;

use burn::module::ModuleDisplay;
use burn::prelude::*;

use crate::{LmHead, Tapped, Taps, TeacherSignal, TokenBatch, Vocabulary, VocabularyMismatch};

/// What an [`Objective`] sees of the student.
#[derive(Clone, Debug)]
pub struct StudentView {
    /// Hidden states of the rows that count, tracked by autodiff, `[rows, d_student]`.
    pub hidden: Tensor<2>,
    /// The student's head, cut to the shared vocabulary.
    pub head: LmHead,
    /// What the objective tapped.
    pub tapped: Tapped,
}

/// Everything an [`Objective`] is computed from.
#[derive(Clone, Copy, Debug)]
pub struct ObjectiveInput<'a> {
    /// The student, tracked by autodiff.
    pub student: &'a StudentView,
    /// The teacher, constant, its prediction cut to the shared vocabulary.
    pub teacher: &'a TeacherSignal,
    /// The batch that both have seen.
    pub batch: &'a TokenBatch,
}

/// One named term of an objective.
#[derive(Clone, Debug)]
pub struct LossTerm {
    /// Name under which it is logged.
    pub name: Cow<'static, str>,
    /// Factor in the total.
    pub weight: f64,
    /// `Σ_rows row weight · loss(row)`, before `weight`, `[1]`.
    ///
    /// A sum, not a mean: whoever accumulates micro-batches divides once by the row weights of the
    /// whole optimizer step. A loss on a batch as a whole is multiplied by
    /// [`Rows::total_weight`](crate::Rows::total_weight) to fit in.
    pub sum: Tensor<1>,
}

/// What training minimises: `Σ_terms weight · sum / Σ row weights`.
///
/// A [`Module`], because hint projections are trained and saved with it. A tuple of objectives is
/// an objective.
pub trait Objective: Module + ModuleDisplay {
    /// The taps it needs, of the student and of the teacher.
    fn taps(&self) -> (Taps, Taps) {
        (Taps::default(), Taps::default())
    }

    /// Appends its terms.
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>);

    /// The number of tokens that student and teacher are compared on.
    ///
    /// # Errors
    ///
    /// When this objective cannot compare the two vocabularies.
    fn shared_vocabulary(
        &self,
        student: &Vocabulary,
        teacher: &Vocabulary,
    ) -> Result<usize, VocabularyMismatch> {
        Vocabulary::shared(student, teacher)
    }

    /// Whether its terms over a batch are the sums of those over parts of the batch.
    ///
    /// Not so where rows are compared with each other: such a batch is never cut to save memory.
    fn is_separable(&self) -> bool {
        true
    }
}

macro_rules! impl_objective_for_tuple {
    ($($name:ident),+) => {
        impl<$($name: Objective),+> Objective for ($($name,)+) {
            #[allow(non_snake_case)]
            fn taps(&self) -> (Taps, Taps) {
                let ($($name,)+) = self;
                let (mut student, mut teacher) = (Taps::default(), Taps::default());
                $(
                    let taps = $name.taps();
                    student = student.union(&taps.0);
                    teacher = teacher.union(&taps.1);
                )+
                (student, teacher)
            }

            #[allow(non_snake_case)]
            fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
                let ($($name,)+) = self;
                $($name.terms(input, terms);)+
            }

            #[allow(non_snake_case)]
            fn shared_vocabulary(
                &self,
                student: &Vocabulary,
                teacher: &Vocabulary,
            ) -> Result<usize, VocabularyMismatch> {
                let ($($name,)+) = self;
                let mut shared = usize::MAX;
                $(shared = shared.min($name.shared_vocabulary(student, teacher)?);)+
                Ok(shared)
            }

            #[allow(non_snake_case)]
            fn is_separable(&self) -> bool {
                let ($($name,)+) = self;
                $($name.is_separable())&&+
            }
        }
    };
}
impl_objective_for_tuple!(A, B);
impl_objective_for_tuple!(A, B, C);
impl_objective_for_tuple!(A, B, C, D);
