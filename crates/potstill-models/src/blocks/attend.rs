//! Scaled dot-product attention.

use burn::prelude::*;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;

use super::mask::Mask;
use super::{cast_to, widened};

/// Attention of stacked query heads to their shared key head.
///
/// ```text
/// softmax(q · kᵀ / sqrt(head_dim) + mask) · v
/// ```
///
/// The query heads that share a key head (arXiv:2305.13245) lie one below the other along the query
/// axis, so that neither keys nor values are ever repeated.
///
/// Returns the context and, when `want_map`, the attention probabilities in f32.
///
/// # Shapes
///
/// - `query`: `[batch, n_kv_heads, groups · queries, head_dim]`
/// - `key`, `value`: `[batch, n_kv_heads, keys, head_dim]`
/// - context: as `query`; map: `[batch, n_kv_heads, groups · queries, keys]`
pub(crate) fn attend(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask: Option<&Mask>,
    want_map: bool,
) -> (Tensor<4>, Option<Tensor<4>>) {
    let [_, _, queries, head_dim] = query.dims();
    let [_, _, keys, _] = key.dims();
    let scale = 1.0 / (head_dim as f64).sqrt();
    // The fused operation has no backward pass of its own, keeps no map, and copies a cache that is
    // read through a view.
    let decoding = queries < keys;
    if !want_map && !decoding && !query.is_autodiff() && !key.is_autodiff() {
        let options = AttentionModuleOptions {
            scale: Some(scale),
            ..Default::default()
        };
        // Never as a mask of booleans: libtorch reads `true` as visible, and burn hands it on as it is.
        let bias = mask.map(|mask| cast_to(mask.bias(), query.dtype()));
        return (attention(query, key, value, None, bias, options), None);
    }
    let dtype = query.dtype();
    let scores = widened((query * scale).matmul(key.swap_dims(2, 3)));
    let scores = match mask {
        Some(mask) => {
            let bias = cast_to(mask.bias(), scores.dtype());
            scores + bias
        }
        None => scores,
    };
    let map = softmax(scores, 3);
    let context = cast_to(map.clone(), dtype).matmul(value);
    (context, want_map.then_some(map))
}
