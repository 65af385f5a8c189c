//! One row of logits on the host, as a distribution.

/// A distribution over the vocabulary.
#[derive(Debug)]
pub(super) struct LogProbs {
    /// The logits minus the largest of them; −∞ for a forbidden token.
    shifted: Vec<f32>,
    /// `Σ exp(shifted)`.
    total: f64,
}

impl LogProbs {
    /// The distribution of `logits`; `None` when they make none: one is not a number or +∞, or all
    /// are −∞.
    pub(super) fn of_logits(logits: &[f32]) -> Option<Self> {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !max.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
            return None;
        }
        let shifted: Vec<f32> = logits.iter().map(|logit| logit - max).collect();
        let total = shifted.iter().map(|&value| mass(value)).sum();
        Some(Self { shifted, total })
    }

    /// Log-probability of token `id`.
    pub(super) fn log_prob(&self, id: u32) -> f64 {
        f64::from(self.shifted[id as usize]) - self.total.ln()
    }

    /// All log-probabilities, `[vocab]`.
    pub(super) fn iter(&self) -> impl Iterator<Item = f32> {
        let log_total = self.total.ln() as f32;
        self.shifted.iter().map(move |value| value - log_total)
    }

    /// The `k` likeliest tokens, descending, the smaller id first where two are equal, and the log
    /// of the mass of the others; −∞ only if the others are all forbidden.
    pub(super) fn top(&self, k: usize) -> (Vec<u32>, f64) {
        let mut top: Vec<(f32, u32)> = Vec::with_capacity(k + 1);
        let mut least = f32::NEG_INFINITY;
        for (id, &value) in (0..).zip(&self.shifted) {
            if top.len() == k && value <= least {
                continue;
            }
            let place = top.partition_point(|&(other, _)| other >= value);
            top.insert(place, (value, id));
            top.truncate(k);
            if top.len() == k {
                least = top[k - 1].0;
            }
        }
        let allowed = |values: usize, value: f32| values + usize::from(value.is_finite());
        let named = top.iter().fold(0, |n, &(value, _)| allowed(n, value));
        let all = self.shifted.iter().copied().fold(0, allowed);
        let tail = if all > named {
            let named: f64 = top.iter().map(|&(value, _)| mass(value)).sum();
            // Rounding must not make the others look forbidden.
            (1.0 - named / self.total).max(f64::EPSILON).ln()
        } else {
            f64::NEG_INFINITY
        };
        (top.into_iter().map(|(_, id)| id).collect(), tail)
    }

    /// The tokens at which the cumulative distribution passes each of `uniforms`, which ascend in
    /// `[0, 1)`.
    pub(super) fn at(&self, uniforms: &[f64]) -> Vec<u32> {
        let mut drawn = Vec::with_capacity(uniforms.len());
        let mut cumulative = 0.0;
        let mut possible = 0;
        for (id, &value) in (0..).zip(&self.shifted) {
            let mass = mass(value);
            if mass == 0.0 {
                continue;
            }
            cumulative += mass;
            possible = id;
            while uniforms
                .get(drawn.len())
                .is_some_and(|uniform| uniform * self.total < cumulative)
            {
                drawn.push(id);
            }
            if drawn.len() == uniforms.len() {
                break;
            }
        }
        // Rounding can leave the last draw a hair beyond the end.
        drawn.resize(uniforms.len(), possible);
        drawn
    }
}

fn mass(shifted: f32) -> f64 {
    f64::from(shifted.exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_sorted_and_the_tail_is_the_rest() {
        let logits = [0.5f32, 0.1, 0.2, 0.2].map(f32::ln);
        let (top, tail) = LogProbs::of_logits(&logits).unwrap().top(2);
        assert_eq!(top, [0, 2]);
        assert!((tail - 0.3f64.ln()).abs() < 1e-6, "{tail}");
        let (top, tail) = LogProbs::of_logits(&logits).unwrap().top(4);
        assert_eq!((top, tail), (vec![0, 2, 3, 1], f64::NEG_INFINITY));
    }

    #[test]
    fn a_draw_falls_where_the_cumulative_distribution_passes_it() {
        let logits = [0.25f32.ln(), f32::NEG_INFINITY, 0.5f32.ln(), 0.25f32.ln()];
        let row = LogProbs::of_logits(&logits).unwrap();
        assert_eq!(
            row.at(&[0.0, 0.2, 0.26, 0.74, 0.76, 0.999_999]),
            [0, 0, 2, 2, 3, 3]
        );
    }

    #[test]
    fn logits_that_make_no_distribution_are_noticed() {
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(LogProbs::of_logits(&[0.0, bad]).is_none());
        }
        assert!(LogProbs::of_logits(&[f32::NEG_INFINITY; 2]).is_none());
        assert!(LogProbs::of_logits(&[0.0, f32::NEG_INFINITY]).is_some());
    }
}
