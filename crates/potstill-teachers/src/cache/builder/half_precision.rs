//! Hidden states in two bytes a value.

use burn::prelude::*;
use half::f16;

use super::super::CacheError;

/// Hidden states of `rows` in f16, row by row.
pub(super) fn half_precision(
    state: Tensor<2>,
    rows: &[(u128, u32)],
) -> Result<Vec<u8>, CacheError> {
    let [_, d_model] = state.dims();
    let values = state.try_into_vec_as::<f32>().map_err(CacheError::device)?;
    let mut bytes = Vec::with_capacity(2 * values.len());
    for (i, value) in values.into_iter().enumerate() {
        let half = f16::from_f32(value);
        if !half.is_finite() {
            return Err(CacheError::NotFinite {
                what: "hidden state",
                position: rows[i / d_model].1,
                reason: "a value is not a number, or beyond the 65,504 of f16",
            });
        }
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    Ok(bytes)
}
