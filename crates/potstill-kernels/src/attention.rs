//! Grouped-query attention inside segments, causal or both ways, without a matrix of all scores.
//!
//! ```text
//! s_ij = cap · tanh(scale · q_i·k_j / cap)        without a cap: scale · q_i·k_j
//! p_ij = exp(s_ij − ℓ_i)                          ℓ_i = ln Σ_j exp(s_ij), over the keys that i sees
//! o_i  = Σ_j p_ij · v_j
//!
//! ∂L/∂v_j = Σ_i p_ij · g_i                        with g = ∂L/∂o
//! ∂L/∂s_ij = p_ij · (g_i·v_j − g_i·o_i)           times 1 − (s_ij / cap)² under a cap
//! ∂L/∂q_i = scale · Σ_j ∂L/∂s_ij · k_j            ∂L/∂k_j = scale · Σ_i ∂L/∂s_ij · q_i
//! ```
//!
//! The body for flex goes tile by tile and keeps of each row only ℓ, so that the backward pass
//! computes the scores again (FlashAttention, arXiv:2205.14135); on libtorch's CPU, libtorch's own kernel
//! does the same. The query heads of a group share
//! their key head (arXiv:2305.13245), and no body ever repeats keys or values.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, ExtensionType, backend_extension,
};
use burn::prelude::*;

#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "tch")]
mod libtorch;
mod mask;
mod portable;
mod ranges;

pub use mask::AttentionMask;
use ranges::Ranges;

/// What attention does to its scores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttentionOptions {
    /// Factor of the products of queries and keys; `1 / √head_dim` if there is none.
    pub scale: Option<f64>,
    /// Bound that scores approach smoothly, if any.
    pub softcap: Option<f64>,
}

impl AttentionOptions {
    fn scale(&self, head_dim: usize) -> f64 {
        self.scale
            .unwrap_or_else(|| (head_dim as f64).sqrt().recip())
    }
}

/// Softmax attention of each query to the keys that `mask` shows it.
///
/// Takes projections as they are, without moving their heads, and views of a key-value cache: a
/// cache of `[batch, n_kv_heads, room, head_dim]` is read in place through
/// `keys.narrow(2, 0, columns).swap_dims(1, 2)`.
///
/// Scores and sums are in f32 for half-precision inputs.
///
/// # Shapes
///
/// - `query`, output: `[batch, queries, n_heads, head_dim]`
/// - `key`, `value`: `[batch, keys, n_kv_heads, head_dim]`
///
/// # Panics
///
/// Panics if the shapes or dtypes do not fit each other, if the mask is for other numbers of queries
/// and keys, or if the key heads do not divide the query heads.
///
/// # Examples
///
/// ```
/// use burn::prelude::*;
/// use potstill_kernels::{AttentionMask, AttentionOptions, attention};
/// use potstill_testkit::plain_device;
///
/// let device = plain_device();
/// let query = Tensor::<4>::ones([1, 2, 4, 8], &device); // 4 heads that share
/// let key = Tensor::<4>::ones([1, 2, 2, 8], &device); //   2 key heads
/// let value = Tensor::<1, Int>::arange(0..32, &device).float().reshape([1, 2, 2, 8]);
/// let mask = AttentionMask::causal(2, None);
/// let context = attention(query, key, value, &mask, AttentionOptions::default());
/// let seen: Vec<f32> = context.slice(s![0, .., 0, 0]).into_data().iter().collect();
/// assert_eq!(seen, [0.0, 8.0]); // the first position sees itself, the second the mean of both
/// ```
#[must_use]
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask: &AttentionMask,
    options: AttentionOptions,
) -> Tensor<4> {
    let [batch, queries, heads, head_dim] = query.dims();
    let [_, keys, kv_heads, _] = key.dims();
    assert_eq!(
        key.dims(),
        [batch, keys, kv_heads, head_dim],
        "keys have the batch and the head width of the queries"
    );
    assert_eq!(key.dims(), value.dims(), "every key has a value");
    assert_eq!(
        mask.dims(),
        [queries, keys],
        "the mask is for these columns"
    );
    assert!(
        kv_heads > 0 && heads.is_multiple_of(kv_heads),
        "{kv_heads} key heads cannot serve {heads} query heads"
    );
    assert!(
        query.dtype() == key.dtype() && key.dtype() == value.dtype(),
        "queries, keys and values have one dtype"
    );
    let device = query.device().without_autodiff();
    let query = query.into_dispatch();
    let visible = if <Dispatch as AttentionBackend>::fuses_attention(query.clone()) {
        let ranges = mask.ranges();
        assert!(
            [1, batch].contains(&ranges.rows()),
            "the mask has a row for each of the batch"
        );
        Visible::Ranges(ranges)
    } else {
        match mask.bias(&device) {
            Some(bias) if mask.is_triangle() => Visible::Causal(bias.into_dispatch()),
            Some(bias) => Visible::Bias(bias.into_dispatch()),
            None => Visible::All,
        }
    };
    Tensor::from_dispatch(<Dispatch as AttentionBackend>::attend(
        query,
        key.into_dispatch(),
        value.into_dispatch(),
        visible,
        options,
    ))
}

/// Who sees whom, in the form that a body needs.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) enum Visible<B: Backend> {
    /// All see all.
    All,
    /// Added to the scores, `[batch or 1, 1, queries, keys]`.
    Bias(FloatTensor<B>),
    /// The same of queries that see all keys up to their own.
    Causal(FloatTensor<B>),
    /// Read by a fused body.
    Ranges(Arc<Ranges>),
}

/// What the backward pass needs.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct Saved<B: Backend> {
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    context: FloatTensor<B>,
    /// ℓ, `[batch, queries, heads]`, for a fused body, otherwise p, `[batch, heads, queries, keys]`.
    statistics: FloatTensor<B>,
    #[extension_type]
    visible: Visible<B>,
    options: AttentionOptions,
}

/// The operation, in its own layout of heads.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote"),
    Autodiff
)]
pub(crate) trait AttentionBackend: Backend {
    /// Whether the body for such a query reads ranges instead of a bias.
    fn fuses_attention(query: FloatTensor<Self>) -> bool {
        let _ = query;
        false
    }

    /// The context.
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        #[extension_type] visible: Visible<Self>,
        options: AttentionOptions,
    ) -> FloatTensor<Self> {
        Self::attend_with_statistics(query, key, value, visible, options).0
    }

    /// The context and what the backward pass needs besides.
    fn attend_with_statistics(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        #[extension_type] visible: Visible<Self>,
        options: AttentionOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::forward::<Self>(query, key, value, &visible, options)
    }

    /// The gradients of query, key and value, where they are wanted.
    #[allow(clippy::type_complexity, reason = "three gradients, as three inputs")]
    fn attention_backward(
        #[extension_type] saved: Saved<Self>,
        gradient: FloatTensor<Self>,
        wanted: [bool; 3],
    ) -> (
        Option<FloatTensor<Self>>,
        Option<FloatTensor<Self>>,
        Option<FloatTensor<Self>>,
    ) {
        portable::backward::<Self>(saved, gradient, wanted)
    }
}

crate::bodies::portable_off_host!(AttentionBackend);

impl<B: AttentionBackend, C: CheckpointStrategy> AttentionBackend for Autodiff<B, C> {
    fn fuses_attention(query: FloatTensor<Self>) -> bool {
        B::fuses_attention(query.into_primitive())
    }

    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        visible: Visible<Self>,
        options: AttentionOptions,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Attention;
        impl<B: AttentionBackend> Backward<B, 3> for Attention {
            type State = Saved<B>;

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let gradient = gradients.consume::<B>(&ops.node);
                let wanted = ops.parents.each_ref().map(Option::is_some);
                let (query, key, value) = B::attention_backward(ops.state, gradient, wanted);
                for (node, gradient) in ops.parents.into_iter().zip([query, key, value]) {
                    if let (Some(node), Some(gradient)) = (node, gradient) {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let nodes = [query.node(), key.node(), value.node()];
        let (query, key) = (query.into_primitive(), key.into_primitive());
        let (value, visible) = (value.into_primitive(), visible.into_primitive());
        match Attention.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (context, statistics) = B::attend_with_statistics(
                    query.clone(),
                    key.clone(),
                    value.clone(),
                    visible.clone(),
                    options,
                );
                let saved = Saved {
                    query,
                    key,
                    value,
                    context: context.clone(),
                    statistics,
                    visible,
                    options,
                };
                prep.finish(saved, context)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::attend(query, key, value, visible, options)),
        }
    }

    fn attend_with_statistics(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        visible: Visible<Self>,
        options: AttentionOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (context, statistics) = B::attend_with_statistics(
            query.into_primitive(),
            key.into_primitive(),
            value.into_primitive(),
            visible.into_primitive(),
            options,
        );
        (Self::from_inner(context), Self::from_inner(statistics))
    }

    fn attention_backward(
        saved: Saved<Self>,
        gradient: FloatTensor<Self>,
        wanted: [bool; 3],
    ) -> (
        Option<FloatTensor<Self>>,
        Option<FloatTensor<Self>>,
        Option<FloatTensor<Self>>,
    ) {
        let saved = Saved {
            query: saved.query.into_primitive(),
            key: saved.key.into_primitive(),
            value: saved.value.into_primitive(),
            context: saved.context.into_primitive(),
            statistics: saved.statistics.into_primitive(),
            visible: saved.visible.into_primitive(),
            options: saved.options,
        };
        let (query, key, value) = B::attention_backward(saved, gradient.into_primitive(), wanted);
        (
            query.map(Self::from_inner),
            key.map(Self::from_inner),
            value.map(Self::from_inner),
        )
    }
}

impl<B: Backend, C: CheckpointStrategy> Visible<Autodiff<B, C>> {
    fn into_primitive(self) -> Visible<B> {
        match self {
            Self::All => Visible::All,
            Self::Bias(bias) => Visible::Bias(bias.into_primitive()),
            Self::Causal(bias) => Visible::Causal(bias.into_primitive()),
            Self::Ranges(ranges) => Visible::Ranges(ranges),
        }
    }
}

#[cfg(test)]
mod tests;
