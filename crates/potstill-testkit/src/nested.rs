//! Arrays of any rank in JSON.

use anyhow::{Context, bail};
use burn::prelude::*;
use burn::tensor::FloatDType;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A rectangular array of numbers, as nested JSON lists.
///
/// The strings `"-inf"`, `"inf"` and `"nan"` stand for what JSON cannot write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NestedArray {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f64>,
}

impl NestedArray {
    /// Reads a JSON value.
    ///
    /// # Errors
    ///
    /// When the lists are ragged or hold something that is not a number.
    pub fn from_json(value: &Value) -> anyhow::Result<Self> {
        let mut array = Self::default();
        array.push(value, 0)?;
        Ok(array)
    }

    fn push(&mut self, value: &Value, depth: usize) -> anyhow::Result<()> {
        if let Value::Array(items) = value {
            match self.shape.get(depth) {
                Some(&length) if length != items.len() => {
                    bail!("a list of {} where the others have {length}", items.len())
                }
                Some(_) => {}
                None if self.values.is_empty() => self.shape.push(items.len()),
                None => bail!("a list where others have a number"),
            }
            return items.iter().try_for_each(|item| self.push(item, depth + 1));
        }
        if depth != self.shape.len() {
            bail!("a number where others have a list");
        }
        self.values.push(match value {
            Value::Number(number) => number.as_f64().context("a number beyond f64")?,
            Value::Bool(flag) => f64::from(u8::from(*flag)),
            Value::String(text) if text == "-inf" => f64::NEG_INFINITY,
            Value::String(text) if text == "inf" => f64::INFINITY,
            Value::String(text) if text == "nan" => f64::NAN,
            other => bail!("expected a number, found {other}"),
        });
        Ok(())
    }

    /// The array as a tensor.
    ///
    /// # Panics
    ///
    /// Panics if the rank is not `D`.
    #[must_use]
    pub fn tensor<const D: usize>(&self, dtype: FloatDType, device: &Device) -> Tensor<D> {
        let shape: [usize; D] =
            self.shape.as_slice().try_into().unwrap_or_else(|_| {
                panic!("an array of shape {:?} is not of rank {D}", self.shape)
            });
        crate::tensor(&self.values, shape, dtype, device)
    }
}

impl<'de> Deserialize<'de> for NestedArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_infinity_is_a_string() {
        let array: NestedArray = serde_json::from_str(r#"[[1, "-inf"], [2.5, 0]]"#).unwrap();
        assert_eq!(array.shape, [2, 2]);
        assert_eq!(array.values, [1.0, f64::NEG_INFINITY, 2.5, 0.0]);
    }

    #[test]
    fn a_ragged_array_is_refused() {
        for ragged in ["[[1, 2], [3]]", "[1, [2]]", "[[1], 2]", r#"["one"]"#] {
            assert!(
                serde_json::from_str::<NestedArray>(ragged).is_err(),
                "{ragged}"
            );
        }
    }
}
