//! Attention composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};

use super::{AttentionOptions, Saved, Visible};
use crate::portable::{cast, widened};

/// The context, `[batch, queries, heads, head_dim]`, and the probabilities,
/// `[batch, heads, queries, keys]`.
pub(super) fn forward<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    visible: &Visible<B>,
    options: AttentionOptions,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let dtype = query.dtype();
    let dims = Dims::of::<B>(&query, &key);
    let value = by_head::<B>(value);
    let query = dims.stack::<B>(query);
    let scores = capped::<B>(scores::<B>(query, by_head::<B>(key), options), options);
    let scores = B::float_reshape(scores, dims.map().into());
    let scores = match visible {
        Visible::All => scores,
        Visible::Bias(bias) | Visible::Causal(bias) => {
            let bias = cast::<B>(bias.clone(), scores.dtype());
            B::float_add(scores, bias)
        }
        Visible::Ranges(_) => unreachable!("composed operations are given a bias"),
    };
    let map = B::softmax(scores, 3);
    let weights = B::float_reshape(cast::<B>(map.clone(), dtype), dims.stacked_map().into());
    let context = dims.unstack::<B>(B::float_matmul(weights, value));
    (context, map)
}

/// The gradients of query, key and value that are wanted.
#[allow(clippy::type_complexity, reason = "three gradients, as three inputs")]
pub(super) fn backward<B: Backend>(
    saved: Saved<B>,
    gradient: FloatTensor<B>,
    [want_query, want_key, want_value]: [bool; 3],
) -> (
    Option<FloatTensor<B>>,
    Option<FloatTensor<B>>,
    Option<FloatTensor<B>>,
) {
    let Saved {
        query,
        key,
        value,
        context,
        statistics: map,
        options,
        ..
    } = saved;
    let dtype = query.dtype();
    let dims = Dims::of::<B>(&query, &key);
    let (key, value) = (by_head::<B>(key), by_head::<B>(value));
    let query = dims.stack::<B>(query);
    let gradient = dims.stack::<B>(gradient);
    let map = B::float_reshape(map, dims.stacked_map().into());
    let value_gradient = want_value.then(|| {
        let weights = B::float_transpose(cast::<B>(map.clone(), dtype));
        by_head::<B>(B::float_matmul(weights, gradient.clone()))
    });
    if !want_query && !want_key {
        return (None, None, value_gradient);
    }
    let towards = widened::<B>(B::float_matmul(gradient.clone(), B::float_transpose(value)));
    let context = widened::<B>(dims.stack::<B>(context));
    let along = B::float_sum_dim(B::float_mul(widened::<B>(gradient), context), 3);
    let mut scores_gradient = B::float_mul(map, B::float_sub(towards, along));
    if let Some(cap) = options.softcap {
        let scores = scores::<B>(query.clone(), key.clone(), options);
        let tanh = B::float_tanh(B::float_mul_scalar(scores, (1.0 / cap).into()));
        let square = B::float_mul(tanh.clone(), tanh);
        let slope = B::float_add_scalar(B::float_neg(square), 1.0f32.into());
        scores_gradient = B::float_mul(scores_gradient, slope);
    }
    let scale = options.scale(dims.head_dim);
    let scores_gradient = cast::<B>(B::float_mul_scalar(scores_gradient, scale.into()), dtype);
    let key_gradient = want_key.then(|| {
        let transposed = B::float_transpose(scores_gradient.clone());
        by_head::<B>(B::float_matmul(transposed, query))
    });
    let query_gradient =
        want_query.then(|| dims.unstack::<B>(B::float_matmul(scores_gradient, key)));
    (query_gradient, key_gradient, value_gradient)
}

/// `scale · q · kᵀ`, in f32 at least.
fn scores<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    options: AttentionOptions,
) -> FloatTensor<B> {
    let scale = options.scale(query.shape()[3]);
    let query = B::float_mul_scalar(query, scale.into());
    widened::<B>(B::float_matmul(query, B::float_transpose(key)))
}

fn capped<B: Backend>(scores: FloatTensor<B>, options: AttentionOptions) -> FloatTensor<B> {
    match options.softcap {
        Some(cap) => {
            let tanh = B::float_tanh(B::float_mul_scalar(scores, (1.0 / cap).into()));
            B::float_mul_scalar(tanh, cap.into())
        }
        None => scores,
    }
}

/// `[batch, n, heads, head_dim]` as `[batch, heads, n, head_dim]`, and back.
fn by_head<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    B::float_swap_dims(tensor, 1, 2)
}

#[derive(Clone, Copy)]
struct Dims {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Dims {
    fn of<B: Backend>(query: &FloatTensor<B>, key: &FloatTensor<B>) -> Self {
        let [batch, queries, heads, head_dim] = query.shape().dims();
        let [_, keys, kv_heads, _] = key.shape().dims();
        Self {
            batch,
            queries,
            keys,
            heads,
            kv_heads,
            head_dim,
        }
    }

    fn map(self) -> [usize; 4] {
        [self.batch, self.heads, self.queries, self.keys]
    }

    /// The query heads that share a key head lie one below the other along the query axis, so that
    /// neither keys nor values are ever repeated.
    fn stacked(self, width: usize) -> [usize; 4] {
        let groups = self.heads / self.kv_heads;
        [self.batch, self.kv_heads, groups * self.queries, width]
    }

    fn stacked_map(self) -> [usize; 4] {
        self.stacked(self.keys)
    }

    fn stack<B: Backend>(self, query: FloatTensor<B>) -> FloatTensor<B> {
        B::float_reshape(by_head::<B>(query), self.stacked(self.head_dim).into())
    }

    fn unstack<B: Backend>(self, context: FloatTensor<B>) -> FloatTensor<B> {
        let shape = [self.batch, self.heads, self.queries, self.head_dim];
        by_head::<B>(B::float_reshape(context, shape.into()))
    }
}
