//! Tensors of a reference file, and the distance to them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::TensorData;
use potstill_testkit::read_safetensors;

/// The tensors of a safetensors file.
#[derive(Debug)]
pub(super) struct Reference(BTreeMap<String, TensorData>);

impl Reference {
    pub(super) fn read(path: &Path) -> Result<Self> {
        read_safetensors(path).map(Self)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn get(&self, name: &str) -> Result<&TensorData> {
        self.0
            .get(name)
            .with_context(|| format!("the reference lacks the tensor {name}"))
    }

    pub(super) fn shape<const D: usize>(&self, name: &str) -> Result<[usize; D]> {
        let data = self.get(name)?;
        let shape: Vec<usize> = data.shape().iter().copied().collect();
        match shape.try_into() {
            Ok(shape) => Ok(shape),
            Err(shape) => bail!("the reference tensor {name} has the shape {shape:?}"),
        }
    }

    pub(super) fn floats(&self, name: &str) -> Result<Vec<f64>> {
        Ok(self.get(name)?.clone().iter::<f64>().collect())
    }

    pub(super) fn tokens(&self, name: &str) -> Result<Vec<u32>> {
        let values = self
            .get(name)?
            .clone()
            .iter::<i64>()
            .map(u32::try_from)
            .collect::<Result<_, _>>();
        values.with_context(|| format!("the reference tensor {name} holds a negative id"))
    }
}

/// The largest absolute difference where `counts` is true of the index; infinite when the lengths
/// differ, NaN when a value is.
pub(super) fn largest_error(
    actual: &[f64],
    expected: &[f64],
    counts: impl Fn(usize) -> bool,
) -> f64 {
    if actual.len() != expected.len() {
        return f64::INFINITY;
    }
    let mut largest = 0.0;
    for index in (0..actual.len()).filter(|&index| counts(index)) {
        let (actual, expected) = (actual[index], expected[index]);
        let error = if actual == expected {
            0.0
        } else {
            (actual - expected).abs()
        };
        if error > largest || error.is_nan() {
            largest = error;
        }
        if error.is_nan() {
            break;
        }
    }
    largest
}

/// The largest magnitude where `counts` is true, and at least 1.
pub(super) fn scale(expected: &[f64], counts: impl Fn(usize) -> bool) -> f64 {
    let magnitudes = (0..expected.len())
        .filter(|&i| counts(i))
        .map(|i| expected[i].abs());
    magnitudes
        .filter(|magnitude| magnitude.is_finite())
        .fold(1.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_counts_is_compared() {
        let (actual, expected) = ([1.0, 2.0, f64::NEG_INFINITY], [1.5, 9.0, f64::NEG_INFINITY]);
        assert_eq!(largest_error(&actual, &expected, |i| i != 1), 0.5);
        assert_eq!(largest_error(&actual, &expected, |_| true), 7.0);
        assert_eq!(scale(&expected, |_| true), 9.0);
        assert_eq!(scale(&expected, |_| false), 1.0);
    }

    #[test]
    fn a_nan_or_another_length_is_never_close() {
        assert!(largest_error(&[1.0, f64::NAN, 2.0], &[1.0, 1.0, 9.0], |_| true).is_nan());
        assert_eq!(largest_error(&[1.0], &[1.0, 1.0], |_| true), f64::INFINITY);
    }
}
