//! Soft targets and labels together.
//!
//! ```text
//! L = α · τ² · KL(softmax(z_T/τ) ‖ softmax(z_S/τ)) + (1 − α) · CE(y, softmax(z_S))
//! ∂L/∂z_S = α · τ · (q_τ − p_τ) + (1 − α) · (q_1 − onehot(y))
//! ```
//!
//! The factor τ² keeps the soft gradient comparable across temperatures.
//! Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput};

use crate::error::{check_chunk_rows, check_share, check_temperature, check_weight};
use crate::log_space::Softmax;
use crate::row_loss::{LogitRows, RowLoss};
use crate::soft_target::sum_over_rows;
use crate::{CrossEntropy, Divergence, Error};

/// Settings of [`Hinton`].
#[derive(Config, Debug)]
pub struct HintonConfig {
    /// τ, divides both logits of the soft part.
    #[config(default = 2.0)]
    pub temperature: f64,
    /// α, the share of the soft part.
    #[config(default = 0.5)]
    pub alpha: f64,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Rows whose logits exist at a time; chosen by the size of the vocabulary unless given.
    pub chunk_rows: Option<usize>,
}

impl HintonConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When the temperature is not positive, α is not between 0 and 1, the weight is negative, or a
    /// chunk has no row.
    pub fn init(&self) -> Result<Hinton, Error> {
        Ok(Hinton {
            temperature: check_temperature(self.temperature)?,
            alpha: check_share("alpha", self.alpha)?,
            weight: check_weight(self.weight)?,
            chunk_rows: check_chunk_rows(self.chunk_rows)?,
        })
    }
}

/// Forward KL at a temperature, times its square, plus cross-entropy against the labels; one pass
/// over the logits for both.
///
/// Logs one term, `hinton`. Built by [`HintonConfig`].
#[derive(Module, Debug)]
pub struct Hinton {
    temperature: f64,
    alpha: f64,
    weight: f64,
    chunk_rows: Option<usize>,
}

impl Hinton {
    fn soft_factor(&self) -> f64 {
        self.alpha * self.temperature * self.temperature
    }
}

impl RowLoss for Hinton {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let targets = rows.target_column();
        let (student, teacher) = rows.student_and_teacher();
        let soft = Divergence::ForwardKl.per_row(student.clone(), teacher, self.temperature);
        let hard = CrossEntropy::default().value(&Softmax::new(student, 1.0), targets);
        soft * self.soft_factor() + hard * (1.0 - self.alpha)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let targets = rows.target_column();
        let (student, teacher) = rows.student_and_teacher();
        let (soft, soft_gradient) =
            Divergence::ForwardKl.value_and_gradient(student.clone(), teacher, self.temperature);
        let q = Softmax::new(student, 1.0);
        let hard = CrossEntropy::default().value(&q, targets.clone());
        let hard_gradient =
            CrossEntropy::default().weighted_gradient(1.0 - self.alpha, q.probs, targets);
        (
            soft * self.soft_factor() + hard * (1.0 - self.alpha),
            soft_gradient * self.soft_factor() + hard_gradient,
        )
    }
}

impl Objective for Hinton {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let targets = input.batch.row_targets();
        terms.push(LossTerm {
            name: "hinton".into(),
            weight: self.weight,
            sum: sum_over_rows(self, &input, Some(&targets), self.chunk_rows),
        });
    }
}
