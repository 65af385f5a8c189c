//! Quality against cost.

use super::scatter::{Look, Mark, Scatter};
use crate::{Error, Interval, Pareto, Standing};

/// Colors of what is on the front, of what is not, and of the ring around the chosen one.
const FRONT: usize = 0;
const DOMINATED: usize = 3;
const CHOSEN: usize = 1;

impl Pareto {
    /// A picture: cost to the right, quality upwards, 95 % intervals as bars; models on the front are
    /// disks joined by a line, the others circles; `chosen` has a ring. `None` when there is nothing to
    /// draw.
    ///
    /// # Errors
    ///
    /// When the picture cannot be drawn.
    pub fn to_svg(&self, chosen: Option<&str>) -> Result<Option<String>, Error> {
        let standings = self.standings();
        let placed: Vec<_> = self
            .points
            .iter()
            .zip(&standings)
            .filter(|(_, standing)| **standing != Standing::Unplaced)
            .collect();
        let costs = placed.iter().map(|(point, _)| point.cost);
        let heights = placed.iter().flat_map(|(point, _)| {
            let Interval { low, high } = point.interval.unwrap_or(Interval {
                low: point.quality,
                high: point.quality,
            });
            [low, high]
        });
        let (Some(costs), Some(heights)) = (extent(costs), extent(heights)) else {
            return Ok(None);
        };
        let marks = placed.iter().map(|(point, standing)| {
            let look = match standing {
                Standing::Front { .. } if chosen == Some(&point.name) => {
                    Look::Ringed(FRONT, CHOSEN)
                }
                Standing::Front { .. } => Look::Disk(FRONT),
                _ if chosen == Some(&point.name) => Look::Ringed(DOMINATED, CHOSEN),
                _ => Look::Circle(DOMINATED),
            };
            Mark {
                at: (point.cost, point.quality),
                interval: point.interval,
                name: Some(point.name.clone()),
                look,
            }
        });
        let log = costs.0 > 0.0 && costs.1 > 5.0 * costs.0;
        let scatter = Scatter {
            title: self.title(),
            labels: [self.axis.label().into(), self.metric.clone()],
            ranges: [
                if log {
                    (costs.0 / 1.25, costs.1 * 1.25)
                } else {
                    widened(costs)
                },
                widened(heights),
            ],
            log,
            marks: marks.collect(),
            line: self
                .front()
                .map(|point| (point.cost, point.quality))
                .collect(),
            reference: Vec::new(),
        };
        Ok(Some(scatter.to_svg()?))
    }

    /// What the picture shows, in words.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} against {}", self.metric, self.axis.label())
    }
}

/// The least and the largest of them.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .map(|value| (value, value))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// A range with room at both ends; what cannot be negative stays so.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    let margin = if high > low {
        0.1 * (high - low)
    } else {
        0.5 * high.abs().max(1e-3)
    };
    let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    ((low - margin).max(floor), high + margin)
}
