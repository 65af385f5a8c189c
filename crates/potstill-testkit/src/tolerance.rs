//! How close is close enough.

/// `|actual − expected| ≤ absolute + relative · |expected|`, as `numpy.allclose` has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Allowed whatever the size of the value.
    pub absolute: f64,
    /// Allowed in proportion to the expected value.
    pub relative: f64,
}

impl Tolerance {
    /// For values computed in f64.
    pub const F64: Self = Self {
        absolute: 1e-9,
        relative: 1e-9,
    };
    /// For losses and gradients computed in f32.
    pub const F32: Self = Self {
        absolute: 1e-5,
        relative: 1e-5,
    };
    /// For logits of a model computed in f32.
    pub const LOGITS: Self = Self {
        absolute: 2e-4,
        relative: 0.0,
    };

    /// An absolute tolerance.
    #[must_use]
    pub const fn absolute(absolute: f64) -> Self {
        Self {
            absolute,
            relative: 0.0,
        }
    }

    /// A relative tolerance.
    #[must_use]
    pub const fn relative(relative: f64) -> Self {
        Self {
            absolute: 0.0,
            relative,
        }
    }

    /// The error as a share of what is allowed: at most 1 when close enough, infinite for a NaN or
    /// an unequal infinity.
    #[must_use]
    pub fn excess(self, actual: f64, expected: f64) -> f64 {
        if actual == expected {
            return 0.0;
        }
        let error = (actual - expected).abs();
        if !error.is_finite() {
            return f64::INFINITY;
        }
        error / (self.absolute + self.relative * expected.abs())
    }
}

/// The largest [`Tolerance::excess`] of two slices and where it is.
///
/// # Panics
///
/// Panics if the slices differ in length.
#[must_use]
pub fn largest_excess(actual: &[f64], expected: &[f64], tolerance: Tolerance) -> (f64, usize) {
    assert_eq!(
        actual.len(),
        expected.len(),
        "slices of different lengths cannot be compared"
    );
    let excesses = actual
        .iter()
        .zip(expected)
        .map(|(&a, &e)| tolerance.excess(a, e));
    excesses.enumerate().fold(
        (0.0, 0),
        |worst, (i, excess)| if excess > worst.0 { (excess, i) } else { worst },
    )
}

/// Asserts that two slices are close.
///
/// # Panics
///
/// Panics if they are not, with the worst place.
#[track_caller]
pub fn assert_close(actual: &[f64], expected: &[f64], tolerance: Tolerance) {
    let (excess, i) = largest_excess(actual, expected, tolerance);
    assert!(
        excess <= 1.0,
        "value {i} is {}, expected {}: {excess:.3} times the allowed error of {tolerance:?}",
        actual[i],
        expected[i],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_within_the_tolerance_passes() {
        assert_close(&[1.0, 100.0], &[1.0, 100.0005], Tolerance::F32);
    }

    #[test]
    #[should_panic(expected = "value 1 is 2, expected 2.1")]
    fn the_worst_value_is_named() {
        assert_close(&[1.0, 2.0], &[1.0, 2.1], Tolerance::F32);
    }

    #[test]
    fn a_nan_is_never_close() {
        assert_eq!(Tolerance::F64.excess(f64::NAN, 1.0), f64::INFINITY);
        assert_eq!(Tolerance::F64.excess(f64::NAN, f64::NAN), f64::INFINITY);
        assert_eq!(Tolerance::F64.excess(f64::INFINITY, 1.0), f64::INFINITY);
        assert_eq!(Tolerance::F64.excess(f64::INFINITY, f64::INFINITY), 0.0);
    }
}
