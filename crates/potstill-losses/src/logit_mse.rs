//! Mean squared difference of the logits themselves.
//!
//! ```text
//! L = Σ_v (z_S − z_T)² / V      ∂L/∂z_S = 2 (z_S − z_T) / V
//! ```
//!
//! Hinton's objective tends to it, with centered logits, as the temperature grows. Unlike a
//! divergence it sees a shift of the logits. Ba and Caruana, *Do Deep Nets Really Need to be Deep?*,
//! arXiv:1312.6184; `alpha_mse` of DistilBERT.
//!
//! Tokens that either model forbids (−∞) count as equal.

use burn::prelude::*;
use potstill_kernels::log_space::{at_least_f32, row_sum};
use potstill_kernels::{LogitRows, RowLoss};

/// Mean over the vocabulary of the squared difference of logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogitMse;

fn difference(rows: LogitRows) -> Tensor<2> {
    let (student, teacher) = rows.student_and_teacher();
    let (student, teacher) = (at_least_f32(student), at_least_f32(teacher));
    let forbidden = student.clone().is_inf().bool_or(teacher.clone().is_inf());
    // Filled before the subtraction: the gradient of ∞ − ∞ would be NaN.
    student.mask_fill(forbidden.clone(), 0.0) - teacher.mask_fill(forbidden, 0.0)
}

impl RowLoss for LogitMse {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let difference = difference(rows);
        let vocab = difference.dims()[1] as f64;
        row_sum(difference.square()) * vocab.recip()
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let difference = difference(rows);
        let vocab = difference.dims()[1] as f64;
        let value = row_sum(difference.clone().square()) * vocab.recip();
        (value, difference * (2.0 / vocab))
    }
}
