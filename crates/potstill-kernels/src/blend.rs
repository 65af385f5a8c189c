//! Soft and hard targets in one pass over the logits.
//!
//! ```text
//! L = f_s · D(softmax(z_T/τ), softmax(z_S/τ)) + f_h · CE(y, softmax(z_S))
//! ∂L/∂z_S = f_s · ∂D/∂z_S + f_h · (q − onehot(y))
//! ```
//!
//! With `D` forward KL, `f_s = α · τ²` and `f_h = 1 − α` it is Hinton's objective: Hinton, Vinyals,
//! Dean, *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531.

use burn::prelude::*;

use crate::log_space::Softmax;
use crate::row_loss::{LogitRows, RowLoss};
use crate::{CrossEntropy, Divergence};

/// A divergence from the teacher, cross-entropy against the token that follows, or both.
///
/// This is what hand-written bodies compute in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Blend {
    /// How far the student is from the teacher.
    pub soft: Option<SoftPart>,
    /// How far it is from the token that follows.
    pub hard: Option<HardPart>,
}

/// The teacher's part of a [`Blend`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftPart {
    /// What is compared.
    pub divergence: Divergence,
    /// Divides both logits.
    pub temperature: f64,
    /// Multiplies the divergence.
    pub factor: f64,
}

/// The label's part of a [`Blend`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardPart {
    /// What is compared.
    pub cross_entropy: CrossEntropy,
    /// Multiplies the cross-entropy.
    pub factor: f64,
}

impl Blend {
    /// A divergence alone.
    #[must_use]
    pub fn soft(divergence: Divergence, temperature: f64) -> Self {
        Self {
            soft: Some(SoftPart {
                divergence,
                temperature,
                factor: 1.0,
            }),
            hard: None,
        }
    }

    /// Cross-entropy alone.
    #[must_use]
    pub fn hard(cross_entropy: CrossEntropy) -> Self {
        Self {
            soft: None,
            hard: Some(HardPart {
                cross_entropy,
                factor: 1.0,
            }),
        }
    }
}

impl RowLoss for Blend {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let soft = self.soft.map(|soft| {
            let (student, teacher) = rows.clone().student_and_teacher();
            soft.divergence.per_row(student, teacher, soft.temperature) * soft.factor
        });
        let hard = self
            .hard
            .map(|hard| RowLoss::per_row(&hard.cross_entropy, rows.clone()) * hard.factor);
        match (soft, hard) {
            (Some(soft), Some(hard)) => soft + hard,
            (Some(part), None) | (None, Some(part)) => part,
            (None, None) => zeros(&rows.student),
        }
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let soft = self.soft.map(|soft| {
            let (student, teacher) = rows.clone().student_and_teacher();
            let (value, gradient) =
                soft.divergence
                    .value_and_gradient(student, teacher, soft.temperature);
            scaled(value, gradient, soft.factor)
        });
        let hard = self.hard.map(|hard| {
            let targets = rows.target_column();
            let q = Softmax::new(rows.student.clone(), 1.0);
            let value = hard.cross_entropy.value(&q, targets.clone());
            let gradient = hard
                .cross_entropy
                .weighted_gradient(hard.factor, q.probs, targets);
            (value * hard.factor, gradient)
        });
        match (soft, hard) {
            (Some((soft, soft_gradient)), Some((hard, hard_gradient))) => {
                (soft + hard, soft_gradient + hard_gradient)
            }
            (Some(part), None) | (None, Some(part)) => part,
            (None, None) => (zeros(&rows.student), rows.student.zeros_like()),
        }
    }

    fn needs_teacher(&self) -> bool {
        self.soft.is_some()
    }

    fn blend(&self) -> Option<Self> {
        Some(*self)
    }
}

fn scaled(value: Tensor<1>, gradient: Tensor<2>, factor: f64) -> (Tensor<1>, Tensor<2>) {
    if factor == 1.0 {
        (value, gradient)
    } else {
        (value * factor, gradient * factor)
    }
}

fn zeros(student: &Tensor<2>) -> Tensor<1> {
    let [rows, _] = student.dims();
    Tensor::zeros([rows], (&student.device(), student.dtype()))
}
