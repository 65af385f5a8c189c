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

use crate::divergence::through_softmax;
use crate::log_space::{Softmax, at_least_f32, row_sum};

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
    /// The loss of each row and its gradient with respect to the student's logits, in closed form.
    ///
    /// # Shapes
    ///
    /// - `student_logits`: `[rows, v_student]`
    /// - `teacher_logits`: `[rows, v_teacher]`
    /// - output: `[rows]`, `[rows, v_student]`
    ///
    /// # Panics
    ///
    /// Panics if the number of rows differs.
    #[must_use]
    pub fn value_and_gradient(
        &self,
        student_logits: Tensor<2>,
        teacher_logits: Tensor<2>,
    ) -> (Tensor<1>, Tensor<2>) {
        let ([rows, v_student], [of_teacher, v_teacher]) =
            (student_logits.dims(), teacher_logits.dims());
        assert_eq!(
            rows, of_teacher,
            "student and teacher must have the same rows"
        );
        let q = Softmax::new(student_logits, self.student_temperature).probs;
        let p = Softmax::new(teacher_logits, self.teacher_temperature).probs;
        let size = v_student.max(v_teacher);
        let (sorted, order) = q.clone().sort_descending_with_indices(1);
        let difference = padded(sorted, size) - padded(p.sort_descending(1), size);
        let value = row_sum(difference.clone().abs());
        let sign = difference.sign().narrow(1, 0, v_student);
        // The position of each token in the order undoes the sort.
        let slope = sign.gather(1, order.argsort(1));
        let gradient = through_softmax(slope * q.clone(), q) * self.student_temperature.recip();
        (value, gradient)
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
