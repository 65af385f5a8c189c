//! An axis with round ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use super::ticks;

/// A range of values, divided evenly or by powers.
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// Where on the axis a value lies, up to a linear map.
    place: fn(f64) -> f64,
    ticks: Vec<f64>,
}

impl Axis {
    pub(super) fn linear((low, high): (f64, f64)) -> Self {
        Self {
            low,
            high,
            place: |value| value,
            ticks: ticks::linear(low, high, 6),
        }
    }

    pub(super) fn logarithmic((low, high): (f64, f64)) -> Self {
        Self {
            low,
            high,
            place: f64::ln,
            ticks: ticks::logarithmic(low, high, 8),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let (low, high) = ((self.place)(self.low), (self.place)(self.high));
        let share = ((self.place)(*value) - low) / (high - low);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}
