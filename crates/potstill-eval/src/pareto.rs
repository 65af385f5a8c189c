//! Which models are worth what they cost.

use serde::{Deserialize, Serialize};

use crate::number::any_float;
use crate::{Better, Interval, Profile};

/// What a model costs, in one number; less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostAxis {
    /// Megabytes of weights in memory.
    Size,
    /// Milliseconds of one whole answer.
    Latency,
    /// Price of a million tokens that are written.
    Price,
}

impl CostAxis {
    /// The cost of a profile; `None` where it is unknown.
    #[must_use]
    pub fn of(self, profile: &Profile) -> Option<f64> {
        match self {
            Self::Size => Some(profile.parameter_bytes as f64 / 1e6),
            Self::Latency => Some(1e3 * profile.latency_seconds),
            Self::Price => Some(profile.prices.as_ref()?.output_per_million),
        }
    }

    /// The axis in words, with its unit.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Size => "weights in memory, MB",
            Self::Latency => "time of an answer, ms",
            Self::Price => "price of a million tokens",
        }
    }
}

/// Where a model stands among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Standing {
    /// No other is at least as good and as cheap, and better in one of the two.
    Front {
        /// Another one has the same quality at the same cost.
        tied: bool,
    },
    /// Another one is.
    Dominated {
        /// The best of those; of equal ones the cheapest.
        by: String,
        /// Chance could have made it so: no model that is as cheap is better by more than the intervals
        /// of both. Intervals that overlap do not show that two models are equal;
        /// [`PairedComparison`](crate::PairedComparison) sees more.
        within_noise: bool,
    },
    /// Its quality or its cost is unknown.
    Unplaced,
}

/// A model by what it does and what it costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParetoPoint {
    /// The model.
    pub name: String,
    /// How good it is; NaN where nobody knows.
    #[serde(with = "any_float")]
    pub quality: f64,
    /// The 95 % interval of that.
    pub interval: Option<Interval>,
    /// What it costs; NaN where nobody knows.
    #[serde(with = "any_float")]
    pub cost: f64,
}

/// Models by quality and cost, and which of them are on the front.
///
/// ```
/// use potstill_eval::{Better, CostAxis, Pareto, ParetoPoint, Standing};
///
/// let point = |name: &str, quality, cost| ParetoPoint {
///     name: name.into(), quality, interval: None, cost,
/// };
/// let points = vec![point("small", 0.7, 1.0), point("odd", 0.6, 2.0), point("large", 0.9, 4.0)];
/// let pareto = Pareto::new("exact_match", Better::Higher, CostAxis::Size, points);
///
/// let front: Vec<&str> = pareto.front().map(|point| point.name.as_str()).collect();
/// assert_eq!(front, ["small", "large"]);
/// assert!(matches!(&pareto.standings()[1], Standing::Dominated { by, .. } if by == "small"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pareto {
    /// Name of the metric that says how good a model is.
    pub metric: String,
    /// Which way is up there.
    pub better: Better,
    /// What the cost is.
    pub axis: CostAxis,
    /// The models.
    pub points: Vec<ParetoPoint>,
}

impl Pareto {
    /// Models by `metric` and what they cost on `axis`.
    #[must_use]
    pub fn new(
        metric: impl Into<String>,
        better: Better,
        axis: CostAxis,
        points: Vec<ParetoPoint>,
    ) -> Self {
        Self {
            metric: metric.into(),
            better,
            axis,
            points,
        }
    }

    /// Where each model stands, in their order.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        let of = |point| self.standing(point);
        self.points.iter().map(of).collect()
    }

    /// The models on the front, the cheapest first.
    pub fn front(&self) -> impl Iterator<Item = &ParetoPoint> {
        let is_front =
            |point: &&ParetoPoint| matches!(self.standing(point), Standing::Front { .. });
        let mut front: Vec<&ParetoPoint> = self.points.iter().filter(is_front).collect();
        front.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        front.into_iter()
    }

    fn standing(&self, point: &ParetoPoint) -> Standing {
        if !is_placed(point) {
            return Standing::Unplaced;
        }
        let height = self.height(point.quality);
        let placed = || self.points.iter().filter(|other| is_placed(other));
        let dominates = |other: &&ParetoPoint| {
            let theirs = self.height(other.quality);
            other.cost <= point.cost
                && theirs >= height
                && (other.cost < point.cost || theirs > height)
        };
        let best = placed().filter(dominates).reduce(|best, other| {
            let higher = self
                .height(other.quality)
                .total_cmp(&self.height(best.quality));
            if higher.then(best.cost.total_cmp(&other.cost)).is_gt() {
                other
            } else {
                best
            }
        });
        let Some(best) = best else {
            let same =
                |other: &&ParetoPoint| other.cost == point.cost && other.quality == point.quality;
            return Standing::Front {
                tied: placed().filter(same).count() > 1,
            };
        };
        let top = self.heights(point).high;
        Standing::Dominated {
            by: best.name.clone(),
            within_noise: !placed()
                .filter(dominates)
                .any(|other| self.heights(other).low >= top),
        }
    }

    /// Quality such that more is better.
    fn height(&self, quality: f64) -> f64 {
        match self.better {
            Better::Higher => quality,
            Better::Lower => -quality,
        }
    }

    fn heights(&self, point: &ParetoPoint) -> Interval {
        let exact = Interval {
            low: point.quality,
            high: point.quality,
        };
        let Interval { low, high } = point.interval.unwrap_or(exact);
        let (a, b) = (self.height(low), self.height(high));
        Interval {
            low: a.min(b),
            high: a.max(b),
        }
    }
}

fn is_placed(point: &ParetoPoint) -> bool {
    point.quality.is_finite() && point.cost.is_finite()
}

#[cfg(test)]
mod tests;
