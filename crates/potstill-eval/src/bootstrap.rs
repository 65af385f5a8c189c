//! The paired bootstrap.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::clusters::Clusters;
use crate::{Error, Interval};

/// Smallest share of resamples on which a statistic must be defined for an interval to mean
/// anything.
const DEFINED: f64 = 0.95;

/// Resamples items with repetition to see how far chance moves a statistic.
///
/// One draw of items serves all models, so that what the models share (an item that is hard for all
/// of them) cancels out, as it does in the statistic itself.
/// Efron, *Bootstrap Methods: Another Look at the Jackknife*, Annals of Statistics 7 (1979).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedBootstrap {
    /// Number of resamples.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// What a [`PairedBootstrap`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampled {
    /// From the 2.5 % to the 97.5 % quantile of the statistic over the resamples where it is defined;
    /// `None` when it is defined on less than 95 % of them.
    pub interval: Option<Interval>,
    /// Resamples on which the statistic is undefined.
    pub undefined: usize,
}

impl PairedBootstrap {
    /// 10 000 resamples.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            resamples: 10_000,
            seed,
        }
    }

    /// The interval of `statistic`, which is given the drawn items and answers `None` where it is
    /// undefined.
    ///
    /// # Errors
    ///
    /// When there are no items or no resamples.
    pub fn interval(
        &self,
        items: usize,
        statistic: impl FnMut(&[usize]) -> Option<f64>,
    ) -> Result<Resampled, Error> {
        self.interval_of_clusters(&Clusters::alone(items), statistic)
    }

    /// The same for items of which some depend on each other: whole clusters are drawn.
    pub(crate) fn interval_of_clusters(
        &self,
        clusters: &Clusters,
        mut statistic: impl FnMut(&[usize]) -> Option<f64>,
    ) -> Result<Resampled, Error> {
        if clusters.count() == 0 {
            return Err(Error::Empty { what: "item" });
        }
        if self.resamples == 0 {
            return Err(Error::Setting {
                name: "resamples",
                value: "0".into(),
                expected: "at least 1",
            });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut drawn = Vec::new();
        let mut values = Vec::with_capacity(self.resamples);
        for _ in 0..self.resamples {
            drawn.clear();
            for _ in 0..clusters.count() {
                drawn.extend(clusters.members(rng.random_range(0..clusters.count())));
            }
            values.extend(statistic(&drawn).filter(|value| value.is_finite()));
        }
        values.sort_unstable_by(f64::total_cmp);
        let enough = values.len() as f64 >= DEFINED * self.resamples as f64;
        Ok(Resampled {
            interval: enough.then(|| Interval {
                low: quantile(&values, 0.025),
                high: quantile(&values, 0.975),
            }),
            undefined: self.resamples - values.len(),
        })
    }
}

/// Linear interpolation between the closest ranks of `sorted`, which is not empty.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor();
    let (low, high) = (sorted[below as usize], sorted[position.ceil() as usize]);
    low + (high - low) * (position - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[f64], drawn: &[usize]) -> f64 {
        drawn.iter().map(|&item| values[item]).sum::<f64>() / drawn.len() as f64
    }

    #[test]
    fn quantiles_interpolate_between_ranks() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[7.0], 0.975), 7.0);
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_seed_another() {
        let values: Vec<f64> = (0..97).map(|i| f64::from(i * i % 31)).collect();
        let interval = |seed| {
            let bootstrap = PairedBootstrap {
                resamples: 500,
                seed,
            };
            bootstrap
                .interval(values.len(), |drawn| Some(mean(&values, drawn)))
                .unwrap()
        };
        assert_eq!(interval(7), interval(7));
        assert_ne!(interval(7), interval(8));
    }

    #[test]
    fn the_interval_of_a_mean_has_the_width_that_theory_gives() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let found = PairedBootstrap::new(3)
            .interval(values.len(), |drawn| Some(mean(&values, drawn)))
            .unwrap()
            .interval
            .unwrap();
        let expected = 2.0 * 1.96 * (0.25f64 / 400.0).sqrt();
        assert!(
            ((found.high - found.low) - expected).abs() < 0.006,
            "{found:?}"
        );
    }

    #[test]
    fn a_statistic_that_is_often_undefined_has_no_interval() {
        let bootstrap = PairedBootstrap {
            resamples: 1000,
            seed: 1,
        };
        let found = bootstrap
            .interval(2, |drawn| (drawn[0] != drawn[1]).then_some(1.0))
            .unwrap();
        assert_eq!(found.interval, None);
        assert!((300..700).contains(&found.undefined), "{found:?}");
    }

    #[test]
    fn nothing_to_draw_from_is_an_error() {
        let error = PairedBootstrap::new(0)
            .interval(0, |_| Some(0.0))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no item to evaluate on; give at least one"
        );
        let none = PairedBootstrap {
            resamples: 0,
            seed: 0,
        };
        assert!(
            none.interval(3, |_| Some(0.0))
                .unwrap_err()
                .to_string()
                .contains("resamples is 0")
        );
    }
}
