//! What can be wrong with the settings of a loss.

/// Why a loss cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number outside its range.
    #[error("{name} is {value}, it must be {expected}")]
    Parameter {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// A setting of a divergence.
    #[error(transparent)]
    Divergence(#[from] potstill_kernels::Error),
    /// A setting that is needed and not there.
    #[error("{name} is empty, give at least one {expected}")]
    Empty {
        /// The setting.
        name: &'static str,
        /// What it holds.
        expected: &'static str,
    },
}

pub(crate) fn check(
    name: &'static str,
    value: f64,
    valid: bool,
    expected: &'static str,
) -> Result<f64, Error> {
    if valid {
        Ok(value)
    } else {
        Err(Error::Parameter {
            name,
            value,
            expected,
        })
    }
}

pub(crate) fn check_temperature(value: f64) -> Result<f64, Error> {
    check(
        "temperature",
        value,
        value.is_finite() && value > 0.0,
        "a finite number above 0",
    )
}

pub(crate) fn check_weight(value: f64) -> Result<f64, Error> {
    check(
        "weight",
        value,
        value.is_finite() && value >= 0.0,
        "a finite number, 0 or more",
    )
}

pub(crate) fn check_chunk_rows(rows: Option<usize>) -> Result<Option<usize>, Error> {
    check("chunk_rows", 0.0, rows != Some(0), "at least 1")?;
    Ok(rows)
}

pub(crate) fn check_share(name: &'static str, value: f64) -> Result<f64, Error> {
    check(name, value, (0.0..=1.0).contains(&value), "between 0 and 1")
}

pub(crate) fn check_clip(clip: Option<f64>) -> Result<Option<f64>, Error> {
    if let Some(value) = clip {
        check("clip", value, value > 0.0 && value < 1.0, "between 0 and 1")?;
    }
    Ok(clip)
}
