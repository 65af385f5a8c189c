//! What every layer's attention shares: heads, mask, rotation, cache.

use burn::prelude::*;

use super::attend::attend;
use super::mask::Mask;
use super::rotary::Rotation;
use crate::ModelConfig;
use crate::cache::LayerCache;

/// What one forward pass computes once for all its layers.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) mask: Option<Mask>,
    pub(crate) rotation: Option<Rotation>,
}

/// How a projection splits into heads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl Heads {
    pub(crate) fn of(config: &ModelConfig) -> Self {
        Self {
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            head_dim: config.head_dim,
        }
    }

    /// Query heads that share a key head.
    pub(crate) fn groups(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    /// Width of all query heads.
    pub(crate) fn width(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Width of all key heads.
    pub(crate) fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Splits queries, `[batch, seq, width]` into `[batch, seq, n_heads, head_dim]`.
    pub(crate) fn split_query(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, seq, _] = x.dims();
        x.reshape([batch, seq, self.n_heads, self.head_dim])
    }

    /// Splits keys or values, `[batch, seq, kv_width]` into `[batch, seq, n_kv_heads, head_dim]`.
    pub(crate) fn split_key(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, seq, _] = x.dims();
        x.reshape([batch, seq, self.n_kv_heads, self.head_dim])
    }

    /// Attention from split queries, keys and values to a merged context.
    ///
    /// # Shapes
    ///
    /// - `query`: `[batch, seq, n_heads, head_dim]`
    /// - `key`, `value`: `[batch, seq, n_kv_heads, head_dim]`
    /// - context: `[batch, seq, width]`; map: `[batch, n_heads, seq, keys]`
    pub(crate) fn attend(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        value: Tensor<4>,
        plan: &Plan,
        cache: Option<&mut LayerCache>,
        want_map: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let (query, key) = match &plan.rotation {
            Some(rotation) => (rotation.apply(query), rotation.apply(key)),
            None => (query, key),
        };
        let [batch, seq, n_heads, head_dim] = query.dims();
        let query =
            query
                .swap_dims(1, 2)
                .reshape([batch, self.n_kv_heads, self.groups() * seq, head_dim]);
        let (key, value) = (key.swap_dims(1, 2), value.swap_dims(1, 2));
        let (key, value) = match cache {
            Some(cache) => cache.append(key, value),
            None => (key, value),
        };
        let keys = key.dims()[2];
        let (context, map) = attend(query, key, value, plan.mask.as_ref(), want_map);
        let context = context
            .reshape([batch, n_heads, seq, head_dim])
            .swap_dims(1, 2)
            .reshape([batch, seq, n_heads * head_dim]);
        (
            context,
            map.map(|map| map.reshape([batch, n_heads, seq, keys])),
        )
    }
}
