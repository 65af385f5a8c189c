//! A divergence between logits of standard deviation 1.
//!
//! ```text
//! z' = (z − mean z) / (std z + ε)      L = D(softmax(z'_T / τ), softmax(z'_S / τ))
//! ∂L/∂z_S = (g − mean g − z'_S · Σ g z'_S (σ + ε) / (V σ)) / (σ + ε)      g = ∂L/∂z'_S
//! ```
//!
//! The student learns the order and the relative gaps of the logits, not their scale.
//! Sun et al., *Logit Standardization in Knowledge Distillation*, arXiv:2403.01427. Their code takes
//! the unbiased deviation (n − 1) and multiplies by τ²; here it is the population's, and no factor.
//! Tokens that a model forbids (−∞) take no part in its mean and deviation.

use burn::prelude::*;
use potstill_kernels::log_space::at_least_f32;
use potstill_kernels::{LogitRows, RowLoss};

use crate::Divergence;

/// A [`Divergence`] between standardized logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standardized {
    /// How far the student is from the teacher.
    pub divergence: Divergence,
    /// Divides the standardized logits.
    pub temperature: f64,
    /// Added to the deviation.
    pub epsilon: f64,
}

struct Scores {
    /// Standardized logits, −∞ where forbidden.
    scores: Tensor<2>,
    /// 1 where a token is allowed, 0 elsewhere.
    allowed: Tensor<2>,
    /// Allowed tokens of each row, as a column.
    count: Tensor<2>,
    /// `1 / (σ + ε)`, as a column.
    scale: Tensor<2>,
    /// Logits minus their mean, 0 where forbidden.
    centered: Tensor<2>,
    /// σ, as a column.
    deviation: Tensor<2>,
}

impl Standardized {
    fn scores(&self, logits: Tensor<2>) -> Scores {
        let logits = at_least_f32(logits);
        let dtype = logits.dtype();
        let forbidden = logits.clone().is_inf();
        let allowed = forbidden.clone().bool_not().float().cast(dtype);
        let count = allowed.clone().sum_dim(1);
        let filled = logits.mask_fill(forbidden.clone(), 0.0);
        let mean = filled.clone().sum_dim(1) / count.clone();
        let centered = (filled - mean) * allowed.clone();
        let variance = centered.clone().square().sum_dim(1) / count.clone();
        // Equal logits have no deviation; the bound keeps the derivative of the root finite.
        let deviation = variance.clamp_min(1e-24).sqrt();
        let scale = (deviation.clone() + self.epsilon).recip();
        let scores = (centered.clone() * scale.clone()).mask_fill(forbidden, f64::NEG_INFINITY);
        Scores {
            scores,
            allowed,
            count,
            scale,
            centered,
            deviation,
        }
    }
}

impl RowLoss for Standardized {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let (student, teacher) = rows.student_and_teacher();
        let (student, teacher) = (self.scores(student).scores, self.scores(teacher).scores);
        self.divergence.per_row(student, teacher, self.temperature)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let (student, teacher) = rows.student_and_teacher();
        let student = self.scores(student);
        let teacher = self.scores(teacher).scores;
        let (value, g) =
            self.divergence
                .value_and_gradient(student.scores, teacher, self.temperature);
        let g = g * student.allowed.clone();
        let mean = g.clone().sum_dim(1) / student.count.clone();
        let along = (g.clone() * student.centered.clone()).sum_dim(1);
        let along = along * student.scale.clone() / (student.deviation * student.count);
        let gradient = (g - mean - student.centered * along) * student.scale;
        (value, gradient * student.allowed)
    }
}
