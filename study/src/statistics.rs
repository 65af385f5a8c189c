//! Means over seeds and what chance may have done to them.
//!
//! ```text
//! x̄ ± t₀.₉₇₅(n − 1) · s / √n        s² = Σ (xᵢ − x̄)² / (n − 1)
//! ```
//!
//! Arms are paired: the same seed draws the same weights, labels and order for all of them, so that a
//! difference is taken seed by seed.

use anyhow::{Result, ensure};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mean {
    pub(crate) value: f64,
    /// Half of the interval.
    pub(crate) margin: f64,
}

impl Mean {
    /// Of at least two values.
    pub(crate) fn of(values: &[f64]) -> Result<Self> {
        ensure!(
            values.len() >= 2,
            "an interval takes at least two seeds, there is {}",
            values.len()
        );
        let n = values.len() as f64;
        let value = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (n - 1.0);
        let t = StudentsT::new(0.0, 1.0, n - 1.0)?.inverse_cdf(0.975);
        Ok(Self {
            value,
            margin: t * (variance / n).sqrt(),
        })
    }

    pub(crate) fn low(self) -> f64 {
        self.value - self.margin
    }

    pub(crate) fn high(self) -> f64 {
        self.value + self.margin
    }
}

/// How one arm does against another, seed by seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Paired {
    /// Of the differences.
    pub(crate) difference: Mean,
    /// Seeds in which the first arm was better.
    pub(crate) wins: usize,
}

impl Paired {
    pub(crate) fn of(arm: &[f64], other: &[f64]) -> Result<Self> {
        ensure!(arm.len() == other.len(), "paired arms have the same seeds");
        let differences: Vec<f64> = arm.iter().zip(other).map(|(a, b)| a - b).collect();
        Ok(Self {
            difference: Mean::of(&differences)?,
            wins: differences
                .iter()
                .filter(|difference| **difference > 0.0)
                .count(),
        })
    }
}

/// The share of the way from `base` to `goal` that `value` has come.
pub(crate) fn gap_closed(value: f64, base: f64, goal: f64) -> f64 {
    (value - base) / (goal - base)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.t.interval(0.95, 4, mean, sem)` of 1, 2, 3, 4, 10.
    #[test]
    fn the_interval_is_students() {
        let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0, 10.0]).unwrap();
        assert_eq!(mean.value, 4.0);
        assert!((mean.margin - 4.389_945_7).abs() < 1e-6, "{mean:?}");
        assert!(Mean::of(&[1.0]).is_err());
    }

    #[test]
    fn pairs_see_through_what_seeds_have_in_common() {
        let paired = Paired::of(&[1.1, 5.2, 9.1], &[1.0, 5.0, 9.2]).unwrap();
        assert_eq!(paired.wins, 2);
        assert!(paired.difference.margin < 0.4, "{paired:?}");
        assert!(Paired::of(&[1.0, 2.0], &[1.0]).is_err());
    }

    #[test]
    fn a_gap_is_closed_from_the_base() {
        assert!((gap_closed(0.8, 0.2, 1.0) - 0.75).abs() < 1e-12);
    }
}
