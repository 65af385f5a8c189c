//! Log-probabilities of a row of logits.

use std::cmp::Ordering;

/// ```text
/// log q(v) = l(v) − log Σ exp l
/// ```
///
/// Over the finite logits, in f64. A logit of −∞ forbids its token.
pub(super) struct LogProbs<'a> {
    logits: &'a [f32],
    log_total: f64,
}

impl<'a> LogProbs<'a> {
    pub(super) fn new(logits: &'a [f32]) -> Self {
        let finite = || {
            logits
                .iter()
                .filter(|logit| logit.is_finite())
                .map(|&logit| f64::from(logit))
        };
        let largest = finite().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = finite().map(|logit| (logit - largest).exp()).sum();
        Self {
            logits,
            log_total: largest + total.ln(),
        }
    }

    /// Whether any token is possible.
    pub(super) fn is_defined(&self) -> bool {
        self.log_total.is_finite()
    }

    /// Of one token; −∞ if it is forbidden.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "log-probabilities are f32 everywhere"
    )]
    pub(super) fn of(&self, token: u32) -> f32 {
        let logit = self.logits[token as usize];
        if logit.is_finite() {
            (f64::from(logit) - self.log_total) as f32
        } else {
            f32::NEG_INFINITY
        }
    }

    /// The `k` likeliest tokens, descending, the smaller id first among equals; fewer where fewer
    /// are possible.
    pub(super) fn top(&self, k: usize) -> Vec<(u32, f32)> {
        if k == 0 {
            return Vec::new();
        }
        let mut candidates: Vec<(u32, f32)> = (0..)
            .zip(self.logits)
            .filter(|(_, logit)| logit.is_finite())
            .map(|(token, &logit)| (token, logit))
            .collect();
        if k < candidates.len() {
            candidates.select_nth_unstable_by(k, descending);
            candidates.truncate(k);
        }
        candidates.sort_unstable_by(descending);
        for (token, value) in &mut candidates {
            *value = self.of(*token);
        }
        candidates
    }
}

fn descending(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_likeliest_come_first_and_forbidden_ones_never() {
        let logits = [0.0, 2.0, f32::NEG_INFINITY, 2.0, 1.0];
        let log_probs = LogProbs::new(&logits);
        let tokens = |k| -> Vec<u32> { log_probs.top(k).iter().map(|(token, _)| *token).collect() };
        assert_eq!(tokens(3), [1, 3, 4]);
        assert_eq!(tokens(9), [1, 3, 4, 0]);
        assert!(tokens(0).is_empty());
        assert_eq!(log_probs.of(2), f32::NEG_INFINITY);
    }

    #[test]
    fn nothing_is_defined_where_no_logit_is_finite() {
        assert!(!LogProbs::new(&[f32::NEG_INFINITY, f32::NAN]).is_defined());
        assert!(LogProbs::new(&[f32::NEG_INFINITY, -1e30]).is_defined());
    }

    proptest! {
        #[test]
        fn all_probabilities_together_are_one(logits in prop::collection::vec(-80f32..80.0, 1..40)) {
            let log_probs = LogProbs::new(&logits);
            let total: f64 = log_probs.top(logits.len()).iter().map(|(_, log_prob)| f64::from(*log_prob).exp()).sum();
            prop_assert!((total - 1.0).abs() < 1e-5, "{total}");
        }
    }
}
