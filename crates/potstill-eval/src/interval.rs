//! Proportions and what chance may have done to them.

use serde::{Deserialize, Serialize};

/// The 97.5 % quantile of the standard normal distribution.
pub(crate) const Z_95: f64 = 1.959_963_984_540_054;

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How many of a number of items came out right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proportion {
    successes: usize,
    total: usize,
}

impl Proportion {
    /// `successes` out of `total`.
    ///
    /// # Panics
    ///
    /// Panics if `total` is 0 or less than `successes`.
    #[must_use]
    pub fn new(successes: usize, total: usize) -> Self {
        assert!(total > 0, "a proportion needs at least one item");
        assert!(
            successes <= total,
            "{successes} successes do not fit {total} items"
        );
        Self { successes, total }
    }

    /// Number of items that came out right.
    #[must_use]
    pub fn successes(&self) -> usize {
        self.successes
    }

    /// Number of items.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// The proportion, in `[0, 1]`.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.successes as f64 / self.total as f64
    }

    /// Wilson's 95 % score interval.
    ///
    /// ```text
    /// (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n),   z = 1.96
    /// ```
    ///
    /// Unlike the textbook's `p ± z·√(p(1 − p)/n)` it stays inside `[0, 1]` and keeps its width
    /// where p is 0 or 1, which is where good students live.
    /// Wilson, *Probable Inference, the Law of Succession, and Statistical Inference*, JASA 22
    /// (1927); recommended by Brown, Cai, DasGupta, *Interval Estimation for a Binomial
    /// Proportion*, Statistical Science 16 (2001).
    #[must_use]
    pub fn wilson_95(&self) -> Interval {
        let n = self.total as f64;
        let p = self.value();
        let z2 = Z_95 * Z_95;
        let center = p + z2 / (2.0 * n);
        let half_width = Z_95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z2 / n;
        // At the ends the two terms cancel, but for their rounding.
        let (none, all) = (self.successes == 0, self.successes == self.total);
        let (low, high) = ((center - half_width) / scale, (center + half_width) / scale);
        Interval {
            low: if none { 0.0 } else { low.max(0.0) },
            high: if all { 1.0 } else { high.min(1.0) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(successes: usize, total: usize, low: f64, high: f64) {
        let interval = Proportion::new(successes, total).wilson_95();
        assert!((interval.low - low).abs() < 1e-11, "{interval:?}");
        assert!((interval.high - high).abs() < 1e-11, "{interval:?}");
    }

    /// `scipy.stats.binomtest(k, n).proportion_ci(method="wilson")`, scipy 1.17.1.
    #[test]
    fn agrees_with_scipy() {
        check(8, 10, 0.490_162_471_537, 0.943_317_848_546);
        check(0, 20, 0.0, 0.161_125_158_053);
        check(20, 20, 0.838_874_841_947, 1.0);
        check(973, 1000, 0.961_001_269_247, 0.981_378_617_226);
    }

    #[test]
    fn ends_exactly_at_zero_and_one() {
        for total in 1..300 {
            assert_eq!(Proportion::new(0, total).wilson_95().low, 0.0);
            assert_eq!(Proportion::new(total, total).wilson_95().high, 1.0);
        }
    }

    proptest! {
        #[test]
        fn holds_the_proportion_and_stays_inside_zero_and_one(total in 1usize..2000, share in 0.0f64..=1.0) {
            let proportion = Proportion::new((share * total as f64) as usize, total);
            let interval = proportion.wilson_95();
            prop_assert!(0.0 <= interval.low && interval.high <= 1.0);
            prop_assert!(interval.low <= proportion.value() + 1e-12);
            prop_assert!(proportion.value() <= interval.high + 1e-12);
        }
    }
}
