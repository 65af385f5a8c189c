//! McNemar's test.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

/// Two models on items that are right or wrong: only where they disagree says who is better.
///
/// ```text
/// p = min(1, 2 · P(X ≤ min(b, c))),   X ~ Binomial(b + c, ½)
/// ```
///
/// with b and c the items that only one of them got right. Exact for any number of items.
/// McNemar, *Note on the Sampling Error of the Difference between Correlated Proportions or
/// Percentages*, Psychometrika 12 (1947).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Items that only the candidate got right.
    pub only_candidate: usize,
    /// Items that only the reference got right.
    pub only_reference: usize,
    /// The two-sided p-value; 1 when they agree everywhere.
    pub p_value: f64,
}

impl McNemar {
    /// The exact test.
    #[must_use]
    pub fn exact(only_candidate: usize, only_reference: usize) -> Self {
        let discordant = (only_candidate + only_reference) as u64;
        let fewer = only_candidate.min(only_reference) as u64;
        let p_value = Binomial::new(0.5, discordant).map_or(1.0, |coin| 2.0 * coin.cdf(fewer));
        Self {
            only_candidate,
            only_reference,
            p_value: p_value.min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_agree_everywhere_are_not_told_apart() {
        assert_eq!(McNemar::exact(0, 0).p_value, 1.0);
        assert_eq!(McNemar::exact(7, 7).p_value, 1.0);
    }

    #[test]
    fn coins_by_hand() {
        assert!((McNemar::exact(0, 5).p_value - 2.0 / 32.0).abs() < 1e-15);
        assert!((McNemar::exact(1, 4).p_value - 2.0 * 6.0 / 32.0).abs() < 1e-14);
    }
}
