//! Teachers with another tokenizer.
//!
//! ```text
//! ULD   L = Σ_i | q_(i) − p_(i) |       probabilities sorted, the shorter padded with zeros
//! ALM   L = −P log Q − (1 − P) log(1 − Q)       P = p(span)^(1/τ), Q = q(span)^(1/τ)
//! ```
//!
//! Boizard et al., *Towards Cross-Tokenizer Distillation* (universal logit distillation),
//! arXiv:2402.12030: blind to which token is which, so only as good as the alignment of positions; row
//! n of both sides must predict the same text, that is, be shifted alike.
//! Minixhofer et al., *Approximate Likelihood Matching*, arXiv:2503.20083: compares the likelihood of
//! spans of text whose ends are token boundaries for both, which needs the log-probabilities of the
//! tokens in the text and nothing else.

use burn::prelude::*;
use potstill_kernels::log_space::{Softmax, at_least_f32, row_sum, through_softmax};
use potstill_kernels::{LogitRows, RowLoss};

/// Keeps the likelihood of a span below 1, where the logarithm of its complement has no value.
const EPSILON: f64 = 1e-6;

/// Universal logit distillation: the distance between sorted probabilities, at most 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UniversalLogit {
    /// Divides the student's logits.
    pub student_temperature: f64,
    /// Divides the teacher's logits.
    pub teacher_temperature: f64,
}

impl UniversalLogit {
    fn distributions(&self, rows: LogitRows) -> (Tensor<2>, Tensor<2>) {
        let (student, teacher) = rows.student_and_teacher();
        (
            Softmax::new(student, self.student_temperature).probs,
            Softmax::new(teacher, self.teacher_temperature).probs,
        )
    }
}

/// The difference of sorted probabilities, and the order of the student's.
fn sorted_difference(q: Tensor<2>, p: Tensor<2>) -> (Tensor<2>, Tensor<2, Int>) {
    let size = q.dims()[1].max(p.dims()[1]);
    let order = q.clone().detach().argsort_descending(1);
    let difference = padded(q.gather(1, order.clone()), size) - padded(p.sort_descending(1), size);
    (difference, order)
}

impl RowLoss for UniversalLogit {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let (q, p) = self.distributions(rows);
        row_sum(sorted_difference(q, p).0.abs())
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let (q, p) = self.distributions(rows);
        let vocab = q.dims()[1];
        let (difference, order) = sorted_difference(q.clone(), p);
        let value = row_sum(difference.clone().abs());
        let sign = difference.sign().narrow(1, 0, vocab);
        // The position of each token in the order undoes the sort.
        let slope = sign.gather(1, order.argsort(1));
        let gradient = through_softmax(slope * q.clone(), q);
        (value, gradient * self.student_temperature.recip())
    }

    fn needs_one_vocabulary(&self) -> bool {
        false
    }
}

fn padded(sorted: Tensor<2>, size: usize) -> Tensor<2> {
    let [rows, vocab] = sorted.dims();
    if vocab == size {
        return sorted;
    }
    let zeros = Tensor::zeros([rows, size - vocab], (&sorted.device(), sorted.dtype()));
    Tensor::cat(vec![sorted, zeros], 1)
}

/// Approximate likelihood matching of aligned spans: binary cross-entropy between the likelihoods
/// that both models give a span, flattened by a temperature (the paper's is 100).
///
/// The value is not 0 at equality: it is the binary entropy of the teacher's likelihood.
///
/// # Shapes
///
/// - `student`, `teacher`: log-likelihood of each span, `[spans]`
/// - output: `[spans]`
///
/// # Panics
///
/// Panics if the shapes differ or the temperature is not positive.
#[must_use]
pub fn approximate_likelihood(
    student: Tensor<1>,
    teacher: Tensor<1>,
    temperature: f64,
) -> Tensor<1> {
    assert_eq!(student.dims(), teacher.dims(), "spans must be aligned");
    assert!(
        temperature > 0.0,
        "a temperature is positive, got {temperature}"
    );
    let scaled = |log: Tensor<1>| at_least_f32(log) * temperature.recip() - EPSILON;
    let (log_q, p) = (scaled(student), scaled(teacher).exp());
    // 1 − eˣ as −expm1(x) is −2 sinh(x/2) e^{x/2}: nothing cancels where x is close to 0.
    let half = log_q.clone() * 0.5;
    let complement = (half.clone().sinh() * -2.0).log() + half;
    -(p.clone() * log_q) - (-p + 1.0) * complement
}

/// Sums of values over spans: the log-likelihood of each span from those of its tokens.
///
/// # Shapes
///
/// - `values`: `[tokens]`
/// - `spans`: span of each token, `[tokens]`
/// - output: `[n_spans]`
///
/// # Panics
///
/// Panics if the lengths differ.
#[must_use]
pub fn sum_by_span(values: Tensor<1>, spans: Tensor<1, Int>, n_spans: usize) -> Tensor<1> {
    assert_eq!(
        values.dims(),
        spans.dims(),
        "each token belongs to one span"
    );
    let zeros = Tensor::zeros([n_spans], (&values.device(), values.dtype()));
    zeros.scatter(0, spans, values, burn::tensor::IndexingUpdateOp::Add)
}

#[cfg(test)]
mod tests;
