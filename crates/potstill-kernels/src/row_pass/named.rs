//! A teacher that names a few tokens, on one row.

use super::passes::{sums, update};
use super::soft::Row;
use super::softmax::{FLOOR, Normalizer, probability};
use crate::SparseDivergence;

/// What a teacher says about a few tokens of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    /// The tokens.
    pub(crate) ids: &'a [usize],
    /// Their log-probabilities.
    pub(crate) log_probs: &'a [f32],
    /// That of all others, for a top k.
    pub(crate) tail: Option<f32>,
}

/// The loss of a row of logits, which become its gradient times `factor` if one is wanted.
///
/// # Panics
///
/// Panics if a token is beyond the vocabulary.
#[inline(always)]
pub(super) fn sparse(
    loss: SparseDivergence,
    logits: &mut [f32],
    named: Named<'_>,
    factor: Option<f32>,
) -> f64 {
    let vocab = logits.len();
    for &id in named.ids {
        assert!(
            id < vocab,
            "token {id} is beyond the vocabulary of {vocab} tokens"
        );
    }
    let normalizer = Normalizer::relative_to_largest(logits, 1.0);
    let shifted = |id: &usize| normalizer.log_probability(logits[*id]);
    let of_named: Vec<f32> = named.ids.iter().map(shifted).collect();
    let [total] = update(
        logits,
        #[inline(always)]
        |logit| {
            let q = probability(normalizer.log_probability(logit));
            (q, [q])
        },
    );
    let student = Student {
        exponentials: logits,
        total,
        of_named,
    };
    let log_p = named.log_probs.iter().map(|&log_p| log_p.max(FLOOR));
    match loss {
        SparseDivergence::WithTail { divergence } => {
            let tail = named.tail.map(|tail| tail.max(FLOOR));
            let mut log_p: Vec<f32> = log_p.chain(tail).collect();
            let student = student.buckets(named.ids);
            let mut log_q = student.log_probs.clone();
            let row = Row {
                student: &mut log_q,
                teacher: &mut log_p,
                factor,
            };
            let value = row.of_log_probabilities(divergence);
            if factor.is_some() {
                student.spread(named.ids, &log_q);
            }
            value
        }
        SparseDivergence::Renormalized => {
            let log_p: Vec<f64> = log_p.map(f64::from).collect();
            let largest = log_p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = log_p.iter().map(|log_p| (log_p - largest).exp()).sum();
            let log_total = largest + total.ln();
            let weighted = log_p.iter().map(|log_p| log_p - log_total);
            student.cross(
                named.ids,
                weighted.map(|log_p| (log_p, log_p.exp())),
                factor,
            )
        }
        SparseDivergence::Truncated => {
            let weighted = log_p.map(|log_p| (f64::from(log_p), f64::from(log_p).exp()));
            student.cross(named.ids, weighted, factor)
        }
        SparseDivergence::Sampled => {
            let share = (named.ids.len() as f64).recip();
            let weighted = log_p.map(|log_p| (f64::from(log_p), share));
            student.cross(named.ids, weighted, factor)
        }
    }
}

/// A student's softmax before its division.
struct Student<'a> {
    exponentials: &'a mut [f32],
    total: f64,
    /// Logarithms of the named exponentials.
    of_named: Vec<f32>,
}

impl<'a> Student<'a> {
    /// `Σ weight · (log p − log q)` over the named tokens, its gradient `q · Σ weight − weight`.
    #[inline(always)]
    fn cross(
        self,
        ids: &[usize],
        weighted: impl Iterator<Item = (f64, f64)> + Clone,
        factor: Option<f32>,
    ) -> f64 {
        let log_total = self.total.ln();
        let terms = weighted.clone().zip(&self.of_named);
        let value = terms
            .map(|((log_p, weight), &shifted)| weight * (log_p - f64::from(shifted) + log_total))
            .sum();
        if let Some(factor) = factor {
            let factor = f64::from(factor);
            let total_weight: f64 = weighted.clone().map(|(_, weight)| weight).sum();
            let scale = (factor * total_weight / self.total) as f32;
            for q in self.exponentials.iter_mut() {
                *q *= scale;
            }
            for (&id, (_, weight)) in ids.iter().zip(weighted) {
                self.exponentials[id] -= (factor * weight) as f32;
            }
        }
        value
    }

    /// The named tokens and the rest.
    #[inline(always)]
    fn buckets(self, ids: &[usize]) -> Buckets<'a> {
        for &id in ids {
            self.exponentials[id] = 0.0;
        }
        // Summed again rather than subtracted: the rest may be tiny.
        let [rest] = sums(
            self.exponentials,
            #[inline(always)]
            |q| [q],
        );
        let log_total = self.total.ln();
        let log_rest = if rest > 0.0 {
            (rest.ln() - log_total) as f32
        } else {
            FLOOR
        };
        let named = self.of_named.iter();
        let log_probs = named
            .map(|&shifted| (f64::from(shifted) - log_total) as f32)
            .chain([log_rest])
            .collect();
        Buckets {
            exponentials: self.exponentials,
            rest,
            log_probs,
        }
    }
}

/// A student's distribution over the named tokens and one bucket for all others.
struct Buckets<'a> {
    /// 0 at the named tokens.
    exponentials: &'a mut [f32],
    rest: f64,
    /// Of the named tokens, then of the bucket.
    log_probs: Vec<f32>,
}

impl Buckets<'_> {
    /// The gradient of the logits from that of the buckets.
    #[inline(always)]
    fn spread(self, ids: &[usize], gradient: &[f32]) {
        let (of_rest, of_named) = gradient.split_last().expect("there is the bucket");
        let scale = if self.rest > 0.0 {
            (f64::from(*of_rest) / self.rest) as f32
        } else {
            0.0
        };
        for q in self.exponentials.iter_mut() {
            *q *= scale;
        }
        for (&id, gradient) in ids.iter().zip(of_named) {
            self.exponentials[id] += gradient;
        }
    }
}
