//! Curves over the steps of a run.

mod axis;
mod decimate;
mod labels;
mod pareto;
mod reliability;
mod scatter;
mod svg;
mod ticks;

use serde::{Deserialize, Serialize};

use crate::number::any_float;

/// A value at a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Optimizer steps so far.
    pub step: u64,
    /// The value; one that is not finite leaves a gap.
    #[serde(with = "any_float")]
    pub value: f64,
}

impl Point {
    /// Finite, and not so large that the length of an axis is not.
    fn is_drawable(&self) -> bool {
        self.value.abs() < 1e300
    }
}

/// A curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Its points, by ascending step.
    pub points: Vec<Point>,
}

/// How the vertical axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By powers, where the values span more than a factor of ten and all are positive; evenly
    /// otherwise.
    Log,
}

/// Curves that share their axes; the horizontal one is the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Title.
    pub title: String,
    /// Label of the vertical axis, with the unit.
    pub value_label: String,
    /// How the vertical axis is divided.
    pub scale: Scale,
    /// The curves.
    pub series: Vec<Series>,
}

impl Chart {
    fn drawable(&self) -> impl Iterator<Item = Point> {
        let points = self
            .series
            .iter()
            .flat_map(|series| series.points.iter().copied());
        points.filter(Point::is_drawable)
    }

    /// Number of values that cannot be drawn.
    #[must_use]
    pub fn gaps(&self) -> usize {
        let points = self
            .series
            .iter()
            .map(|series| series.points.len())
            .sum::<usize>();
        points - self.drawable().count()
    }

    /// The scale that the values allow.
    fn usable_scale(&self) -> Scale {
        let (low, high) = self.drawable().fold((f64::INFINITY, 0.0f64), |(l, h), p| {
            (l.min(p.value), h.max(p.value))
        });
        if self.scale == Scale::Log && low > 0.0 && high > 10.0 * low {
            Scale::Log
        } else {
            Scale::Linear
        }
    }
}

#[cfg(test)]
mod tests;
