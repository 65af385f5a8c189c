//! Reference values computed elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use burn::prelude::*;
use burn::tensor::DType;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::NestedArray;

/// Parameters of a reference case; which are there depends on the loss.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LossParams {
    /// Divides both logits.
    pub temperature: Option<f64>,
    /// The loss's own α.
    pub alpha: Option<f64>,
    /// The loss's own β.
    pub beta: Option<f64>,
    /// The loss's own ε.
    pub epsilon: Option<f64>,
    /// The right token of each row.
    pub targets: Option<Vec<u32>>,
    /// Relation heads of a MiniLM loss.
    pub relation_heads: Option<usize>,
    /// What is special about the case.
    pub note: Option<String>,
}

/// One case of `logit_losses.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct LogitCase {
    /// Name of the loss.
    pub loss: String,
    /// Its parameters.
    pub params: LossParams,
    /// `[rows, vocab]`.
    pub teacher_logits: NestedArray,
    /// `[rows, vocab]`.
    pub student_logits: NestedArray,
    /// 1 for rows that count, `[rows]`.
    pub mask: NestedArray,
    /// The loss of each row, masked or not.
    pub rows: Vec<f64>,
    /// Mean over the rows that count.
    pub mean: f64,
    /// Gradient of `mean` with respect to the student's logits.
    pub grad_student: NestedArray,
}

/// One case of `feature_losses.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct FeatureCase {
    /// Name of the loss.
    pub loss: String,
    /// Its parameters.
    pub params: LossParams,
    /// The teacher's features.
    pub teacher: NestedArray,
    /// The student's features.
    pub student: NestedArray,
    /// The loss.
    pub value: f64,
    /// Gradient of `value` with respect to the student's features.
    pub grad_student: NestedArray,
    /// 1 for positions that count.
    pub mask: Option<NestedArray>,
    /// Matrix that the student's features are multiplied with on the right.
    pub regressor: Option<NestedArray>,
}

/// Reads a JSON file.
///
/// # Errors
///
/// When it cannot be read or does not have the layout of `T`; names the file.
pub fn read_json<T: DeserializeOwned>(path: impl AsRef<Path>) -> anyhow::Result<T> {
    let path = path.as_ref();
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("in {}", path.display()))
}

/// Reads all tensors of a safetensors file.
///
/// # Errors
///
/// When it cannot be read, is not a safetensors file, or holds a dtype other than F64, F32, F16,
/// BF16, I64, I32, U8 or BOOL; names the file.
pub fn read_safetensors(path: impl AsRef<Path>) -> anyhow::Result<BTreeMap<String, TensorData>> {
    let path = path.as_ref();
    let read = || -> anyhow::Result<BTreeMap<String, TensorData>> {
        let bytes = fs::read(path)?;
        let file = SafeTensors::deserialize(&bytes)?;
        file.iter()
            .map(|(name, view)| {
                let dtype = match view.dtype() {
                    Dtype::F64 => DType::F64,
                    Dtype::F32 => DType::F32,
                    Dtype::F16 => DType::F16,
                    Dtype::BF16 => DType::BF16,
                    Dtype::I64 => DType::I64,
                    Dtype::I32 => DType::I32,
                    Dtype::U8 | Dtype::BOOL => DType::U8,
                    other => bail!("tensor {name} has the unsupported dtype {other:?}"),
                };
                let data = TensorData::try_from_bytes_vec(
                    view.data().to_vec(),
                    view.shape().to_vec(),
                    dtype,
                )
                .with_context(|| format!("tensor {name}"))?;
                Ok((name.to_owned(), data))
            })
            .collect()
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}
