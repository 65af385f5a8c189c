//! What can be wrong with the settings of an operation.

/// Why an operation cannot be built.
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

pub(crate) fn check_share(name: &'static str, value: f64) -> Result<f64, Error> {
    check(name, value, (0.0..=1.0).contains(&value), "between 0 and 1")
}
