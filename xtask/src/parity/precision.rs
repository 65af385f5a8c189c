//! The arithmetic in which a loss is checked, and how far it may be off.

use burn::tensor::FloatDType;

use super::reference::{largest_error, scale};
use super::report::Measure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    F64,
    F32,
}

impl Precision {
    pub(super) const ALL: [Self; 2] = [Self::F64, Self::F32];

    pub(super) fn dtype(self) -> FloatDType {
        match self {
            Self::F64 => FloatDType::F64,
            Self::F32 => FloatDType::F32,
        }
    }

    /// Losses or their gradient: the largest error, relative to the largest entry where that is
    /// above 1.
    pub(super) fn measure(self, what: &str, actual: &[f64], expected: &[f64]) -> Measure {
        let error = largest_error(actual, expected, |_| true) / scale(expected, |_| true);
        match self {
            Self::F64 => Measure::new(what, error, 1e-9),
            Self::F32 => Measure::new(&format!("f32 {what}"), error, 1e-5),
        }
    }
}
