//! What every layer's attention shares: heads, mask, rotation, cache.

use std::rc::Rc;
use std::sync::Arc;

use burn::prelude::*;
use potstill_kernels::AttentionMask;

use super::attend::attend;
use super::rotary::Rotation;
use crate::ModelConfig;
use crate::cache::LayerCache;
use crate::probe::Probe;

/// What one forward pass computes once for all its layers.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) mask: Arc<AttentionMask>,
    pub(crate) rotation: Option<Rotation>,
    pub(crate) probe: Option<Rc<Probe>>,
}

impl Plan {
    /// Lets the probe look, where there is one.
    pub(crate) fn show(&self, look: impl FnOnce(&Probe)) {
        if let Some(probe) = &self.probe {
            look(probe);
        }
    }
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
        let (key, value) = match cache {
            Some(cache) => {
                let (keys, values) = cache.append(key.swap_dims(1, 2), value.swap_dims(1, 2));
                (keys.swap_dims(1, 2), values.swap_dims(1, 2))
            }
            None => (key, value),
        };
        let (context, map) = attend(query, key, value, &plan.mask, want_map);
        plan.show(|probe| probe.heads(&context));
        let [batch, seq, n_heads, head_dim] = context.dims();
        (context.reshape([batch, seq, n_heads * head_dim]), map)
    }
}
