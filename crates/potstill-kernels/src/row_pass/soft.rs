//! A divergence from the teacher on one row, its gradient in the place of the student's logits.
//!
//! ```text
//! each token   f (its part of the divergence), d, c      row   D = Σ f
//! ∂D/∂z = d − q · Σ c                                     c = q · ∂f/∂q, the part that is centered
//! ```

use super::members::{of_logarithms, of_probabilities};
use super::passes::{combine, update_pairs};
use super::softmax::{Normalizer, probability};
use crate::Divergence;

/// What both models say about a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) p: f32,
    pub(super) q: f32,
    /// Only where the members read logarithms.
    pub(super) log_p: f32,
    pub(super) log_q: f32,
}

/// A token's part of a divergence and of its gradient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// f.
    pub(super) value: f32,
    /// d.
    pub(super) direct: f32,
    /// c.
    pub(super) centered: f32,
}

impl Part {
    /// A part whose gradient is centered as a whole.
    #[inline(always)]
    pub(super) fn centered(value: f32, gradient: f32) -> Self {
        Self {
            value,
            direct: gradient,
            centered: gradient,
        }
    }
}

/// A row of both models' logits, or of log-probabilities.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// Becomes the gradient.
    pub(super) student: &'a mut [f32],
    /// Is used up.
    pub(super) teacher: &'a mut [f32],
    /// Multiplies the gradient; `None` if none is wanted.
    pub(super) factor: Option<f32>,
}

impl Row<'_> {
    /// The divergence of two rows of logits.
    #[inline(always)]
    pub(super) fn of_logits(mut self, divergence: Divergence, inverse_temperature: f32) -> f64 {
        match divergence.canonical() {
            Divergence::ForwardKl => self.forward_kl(inverse_temperature),
            divergence @ (Divergence::GeneralizedJsd { .. }
            | Divergence::SkewForwardKl { .. }
            | Divergence::SkewReverseKl { .. }
            | Divergence::TotalVariation
            | Divergence::SquaredHellinger) => {
                let scales = self.exponentials(inverse_temperature);
                of_probabilities(divergence, FromExponentials { row: self, scales })
            }
            divergence => {
                let q = Normalizer::of(self.student, inverse_temperature);
                let p = Normalizer::of(self.teacher, inverse_temperature);
                of_logarithms(divergence, FromLogarithms { row: self, p, q })
            }
        }
    }

    /// The divergence of two rows of log-probabilities, which need not sum to 1.
    #[inline(always)]
    pub(super) fn of_log_probabilities(self, divergence: Divergence) -> f64 {
        let (p, q) = (Normalizer::IDENTITY, Normalizer::IDENTITY);
        let tokens = FromLogarithms { row: self, p, q };
        match divergence.canonical() {
            divergence @ (Divergence::GeneralizedJsd { .. }
            | Divergence::SkewForwardKl { .. }
            | Divergence::SkewReverseKl { .. }
            | Divergence::TotalVariation
            | Divergence::SquaredHellinger) => of_probabilities(divergence, tokens),
            divergence => of_logarithms(divergence, tokens),
        }
    }

    /// Forward KL needs no logarithm of a probability: its sum comes with the totals.
    #[inline(always)]
    fn forward_kl(self, inverse_temperature: f32) -> f64 {
        let q = Normalizer::relative_to_largest(self.student, inverse_temperature);
        let p = Normalizer::relative_to_largest(self.teacher, inverse_temperature);
        let [q_total, p_total, cross] = update_pairs(
            self.student,
            self.teacher,
            #[inline(always)]
            |student, teacher| {
                let (student, teacher) = (q.log_probability(student), p.log_probability(teacher));
                let (q, p) = (probability(student), probability(teacher));
                ([q, p], [q, p, p * (teacher - student)])
            },
        );
        if let Some(factor) = self.factor {
            let (of_q, of_p) = scales(factor, q_total, p_total);
            combine(
                self.student,
                self.teacher,
                #[inline(always)]
                |q, p| q * of_q - p * of_p,
            );
        }
        cross / p_total + q_total.ln() - p_total.ln()
    }

    /// Both rows become exponentials; what makes them probabilities is returned.
    #[inline(always)]
    fn exponentials(&mut self, inverse_temperature: f32) -> (f32, f32) {
        let q = Normalizer::relative_to_largest(self.student, inverse_temperature);
        let p = Normalizer::relative_to_largest(self.teacher, inverse_temperature);
        let [q_total, p_total] = update_pairs(
            self.student,
            self.teacher,
            #[inline(always)]
            |student, teacher| {
                let q = probability(q.log_probability(student));
                let p = probability(p.log_probability(teacher));
                ([q, p], [q, p])
            },
        );
        scales(1.0, q_total, p_total)
    }

    /// `d`s and `q`s lie in the rows: the gradient is made of them.
    #[inline(always)]
    fn center(self, total: f64) {
        if let Some(factor) = self.factor {
            let total = total as f32;
            combine(
                self.student,
                self.teacher,
                #[inline(always)]
                |direct, q| factor * (direct - q * total),
            );
        }
    }
}

#[inline(always)]
fn scales(factor: f32, q_total: f64, p_total: f64) -> (f32, f32) {
    let factor = f64::from(factor);
    ((factor / q_total) as f32, (factor / p_total) as f32)
}

/// Where the tokens of a row come from.
pub(super) trait Tokens {
    /// The divergence whose parts `part` gives.
    fn sum(self, part: impl Fn(Token) -> Part) -> f64;
}

/// Rows of exponentials, and what makes them probabilities.
struct FromExponentials<'a> {
    row: Row<'a>,
    scales: (f32, f32),
}

impl Tokens for FromExponentials<'_> {
    #[inline(always)]
    fn sum(self, part: impl Fn(Token) -> Part) -> f64 {
        let (of_q, of_p) = self.scales;
        let [value, total] = update_pairs(
            self.row.student,
            self.row.teacher,
            #[inline(always)]
            |q, p| {
                let token = Token {
                    p: p * of_p,
                    q: q * of_q,
                    log_p: f32::NAN,
                    log_q: f32::NAN,
                };
                let part = part(token);
                ([part.direct, token.q], [part.value, part.centered])
            },
        );
        self.row.center(total);
        value
    }
}

/// Rows of logits, and what makes them log-probabilities.
#[derive(Debug)]
pub(super) struct FromLogarithms<'a> {
    pub(super) row: Row<'a>,
    pub(super) p: Normalizer,
    pub(super) q: Normalizer,
}

impl Tokens for FromLogarithms<'_> {
    #[inline(always)]
    fn sum(self, part: impl Fn(Token) -> Part) -> f64 {
        let (of_p, of_q) = (self.p, self.q);
        let [value, total] = update_pairs(
            self.row.student,
            self.row.teacher,
            #[inline(always)]
            |student, teacher| {
                let (log_q, log_p) = (of_q.log_probability(student), of_p.log_probability(teacher));
                let token = Token {
                    p: probability(log_p),
                    q: probability(log_q),
                    log_p,
                    log_q,
                };
                let part = part(token);
                ([part.direct, token.q], [part.value, part.centered])
            },
        );
        self.row.center(total);
        value
    }
}
