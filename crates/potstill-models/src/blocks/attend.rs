//! Scaled dot-product attention.

use burn::prelude::*;
use burn::tensor::activation::softmax;
use potstill_kernels::{AttentionMask, AttentionOptions, attention};

use super::{cast_to, widened};

/// Attention of query heads to the key heads that they share.
///
/// ```text
/// softmax(q · kᵀ / sqrt(head_dim) + mask) · v
/// ```
///
/// Returns the context and, when `want_map`, the attention probabilities in f32. Only then is there
/// ever a matrix of all scores.
///
/// # Shapes
///
/// - `query`, context: `[batch, queries, n_heads, head_dim]`
/// - `key`, `value`: `[batch, keys, n_kv_heads, head_dim]`
/// - map: `[batch, n_heads, queries, keys]`
pub(crate) fn attend(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask: &AttentionMask,
    want_map: bool,
) -> (Tensor<4>, Option<Tensor<4>>) {
    if want_map {
        let (context, map) = attend_with_map(query, key, value, mask);
        (context, Some(map))
    } else {
        let options = AttentionOptions::default();
        (attention(query, key, value, mask, options), None)
    }
}

/// The query heads that share a key head (arXiv:2305.13245) lie one below the other along the query
/// axis, so that neither keys nor values are ever repeated.
fn attend_with_map(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask: &AttentionMask,
) -> (Tensor<4>, Tensor<4>) {
    let (dtype, device) = (query.dtype(), query.device());
    let [batch, queries, n_heads, head_dim] = query.dims();
    let [_, keys, n_kv_heads, _] = key.dims();
    let stacked = |width| [batch, n_kv_heads, n_heads / n_kv_heads * queries, width];
    let by_head = [batch, n_heads, queries, head_dim];
    let scale = 1.0 / (head_dim as f64).sqrt();
    let query = (query * scale).swap_dims(1, 2).reshape(stacked(head_dim));
    let scores = widened(query.matmul(key.swap_dims(1, 2).swap_dims(2, 3)));
    let scores = scores.reshape([batch, n_heads, queries, keys]);
    let scores = match mask.bias(&device) {
        Some(bias) => {
            let bias = cast_to(bias, scores.dtype());
            scores + bias
        }
        None => scores,
    };
    let map = softmax(scores, 3);
    let weights = cast_to(map.clone(), dtype).reshape(stacked(keys));
    let context = weights.matmul(value.swap_dims(1, 2));
    (context.reshape(by_head).swap_dims(1, 2), map)
}
