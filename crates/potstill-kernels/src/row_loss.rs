//! What a loss on logits must be able to do.

use burn::prelude::*;

use crate::Blend;

/// Logits of some rows and what they are compared with.
#[derive(Clone, Debug)]
pub struct LogitRows {
    /// The student's, `[rows, vocab]`.
    pub student: Tensor<2>,
    /// The teacher's, `[rows, vocab]`; `None` where the loss does not ask for them.
    pub teacher: Option<Tensor<2>>,
    /// The tokens that follow, `[rows]`.
    pub targets: Option<Tensor<1, Int>>,
}

impl LogitRows {
    /// Both models' logits.
    ///
    /// # Panics
    ///
    /// Panics if there are no teacher logits.
    #[must_use]
    pub fn student_and_teacher(self) -> (Tensor<2>, Tensor<2>) {
        let teacher = self
            .teacher
            .expect("this loss compares with a teacher's logits");
        (self.student, teacher)
    }

    /// The targets as a column of indices, `[rows, 1]`.
    ///
    /// # Panics
    ///
    /// Panics if there are none.
    #[must_use]
    pub fn target_column(&self) -> Tensor<2, Int> {
        let targets = self.targets.as_ref().expect("this loss needs targets");
        targets.clone().unsqueeze_dim::<2>(1)
    }
}

/// A loss of each row of logits, with its gradient in closed form.
///
/// This is all that [`HeadRows`](crate::HeadRows) needs to run a loss through a language-model head
/// chunk by chunk. Implement it for a loss of your own, and call
/// [`HeadRows::weighted_sum`](crate::HeadRows::weighted_sum) from your
/// [`Objective`](potstill_core::Objective).
pub trait RowLoss {
    /// The same loss as a [`Blend`], where it is one: hand-written bodies know those.
    fn blend(&self) -> Option<Blend> {
        None
    }

    /// The loss of each row, `[rows]`.
    ///
    /// # Panics
    ///
    /// Panics if `rows` lacks what the loss compares with.
    fn per_row(&self, rows: LogitRows) -> Tensor<1>;

    /// The loss of each row, `[rows]`, and its gradient with respect to the student's logits,
    /// `[rows, vocab]`.
    ///
    /// # Panics
    ///
    /// Panics if `rows` lacks what the loss compares with.
    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>);

    /// Whether the teacher's logits are needed.
    fn needs_teacher(&self) -> bool {
        true
    }

    /// Whether both models must speak the same tokens.
    fn needs_one_vocabulary(&self) -> bool {
        true
    }
}
