//! Distillation by correlation (DIST).
//!
//! ```text
//! inter = 1 − r(p_row, q_row)                 for each row, over the vocabulary
//! intra = mean over tokens of 1 − r(p_column, q_column)     over the rows
//! g = −q · (b / (‖a‖ ‖b‖) − r · a / ‖a‖²),   a = q − mean q,  b = p − mean p
//! ```
//!
//! Huang et al., *Knowledge Distillation from A Stronger Teacher*, arXiv:2205.10536. No factor τ² is
//! applied; the authors' classification code multiplies by it, their segmentation code does not.

use burn::prelude::*;
use potstill_kernels::log_space::{Softmax, row_sum, through_softmax};
use potstill_kernels::{LogitRows, RowLoss};

/// A variance below this counts as this: a uniform distribution correlates with nothing.
const LEAST_SQUARE: f64 = 1e-24;

/// One minus Pearson's correlation of the probabilities of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DistInter {
    /// Divides both logits.
    pub temperature: f64,
}

/// Centered values over their length, the length as a column, and their correlation.
struct Correlated {
    student: Tensor<2>,
    teacher: Tensor<2>,
    student_norm: Tensor<2>,
    correlation: Tensor<2>,
}

fn correlate(student: Tensor<2>, teacher: Tensor<2>) -> Correlated {
    let unit = |values: Tensor<2>| {
        let centered = values.clone() - values.mean_dim(1);
        let norm = centered
            .clone()
            .square()
            .sum_dim(1)
            .clamp_min(LEAST_SQUARE)
            .sqrt();
        (centered / norm.clone(), norm)
    };
    let (student, student_norm) = unit(student);
    let (teacher, _) = unit(teacher);
    let correlation = (student.clone() * teacher.clone()).sum_dim(1);
    Correlated {
        student,
        teacher,
        student_norm,
        correlation,
    }
}

impl RowLoss for DistInter {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let (student, teacher) = rows.student_and_teacher();
        let q = Softmax::new(student, self.temperature).probs;
        let p = Softmax::new(teacher, self.temperature).probs;
        -row_sum(correlate(q, p).correlation) + 1.0
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let (student, teacher) = rows.student_and_teacher();
        let q = Softmax::new(student, self.temperature).probs;
        let p = Softmax::new(teacher, self.temperature).probs;
        let both = correlate(q.clone(), p);
        let slope = (both.student * both.correlation.clone() - both.teacher) / both.student_norm;
        let gradient = through_softmax(slope * q.clone(), q) * self.temperature.recip();
        (-row_sum(both.correlation) + 1.0, gradient)
    }
}

/// One minus Pearson's correlation of a token's probabilities over the rows, mean over tokens.
///
/// It needs all rows at once, so it takes logits, and it is differentiated by autodiff.
///
/// # Shapes
///
/// - `student_logits`, `teacher_logits`: `[rows, vocab]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the shapes differ.
#[must_use]
pub fn dist_intra(
    student_logits: Tensor<2>,
    teacher_logits: Tensor<2>,
    temperature: f64,
) -> Tensor<1> {
    assert_eq!(
        student_logits.dims(),
        teacher_logits.dims(),
        "student and teacher logits must have one shape"
    );
    let q = Softmax::new(student_logits, temperature).probs.transpose();
    let p = Softmax::new(teacher_logits, temperature).probs.transpose();
    -correlate(q, p).correlation.mean() + 1.0
}
