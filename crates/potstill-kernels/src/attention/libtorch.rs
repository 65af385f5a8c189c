//! Attention by libtorch's own kernel for the processor, which keeps no matrix of scores either.
//!
//! The kernel wants as many key heads as query heads. It runs once for each query head of a group, on
//! views of queries and keys, so that nothing is repeated.

use burn::backend::libtorch::TchTensor;
use burn::backend::{LibTorch, TensorMetadata};
use tch::{Device, Tensor};

use super::{AttentionBackend, AttentionOptions, Saved, Visible, portable};
use crate::bodies::portable_bodies;

impl AttentionBackend for LibTorch {
    fn attend_with_statistics(
        query: TchTensor,
        key: TchTensor,
        value: TchTensor,
        visible: Visible<Self>,
        options: AttentionOptions,
    ) -> (TchTensor, TchTensor) {
        if !is_known(&query, &key, options) {
            return portable::forward::<Self>(query, key, value, &visible, options);
        }
        let call = Call::new(&query, &key, &visible, options);
        let (key, value) = (by_head(&key.tensor), by_head(&value.tensor));
        let (contexts, statistics): (Vec<_>, Vec<_>) = (0..call.groups)
            .map(|group| {
                let query = call.of_group(&query.tensor, group);
                let (context, logs) = Tensor::internal_scaled_dot_product_flash_attention_for_cpu(
                    &query,
                    &key,
                    &value,
                    0.0,
                    call.is_causal,
                    call.bias.as_ref(),
                    call.scale,
                );
                (by_head(&context), logs.transpose(1, 2))
            })
            .unzip();
        (
            TchTensor::new(call.join(&contexts)),
            TchTensor::new(Tensor::cat(&statistics, 0)),
        )
    }

    fn attention_backward(
        saved: Saved<Self>,
        gradient: TchTensor,
        wanted: [bool; 3],
    ) -> (Option<TchTensor>, Option<TchTensor>, Option<TchTensor>) {
        // The portable body has kept a matrix for each head.
        if saved.statistics.shape().num_dims() != STATISTICS {
            return portable::backward::<Self>(saved, gradient, wanted);
        }
        let call = Call::new(&saved.query, &saved.key, &saved.visible, saved.options);
        let batch = saved.query.shape()[0] as i64;
        let (key, value) = (by_head(&saved.key.tensor), by_head(&saved.value.tensor));
        let mut query_gradients = Vec::new();
        let mut shared: Option<[Tensor; 2]> = None;
        for group in 0..call.groups {
            let logs = saved.statistics.tensor.narrow(0, group * batch, batch);
            let (query, key_part, value_part) =
                Tensor::internal_scaled_dot_product_flash_attention_for_cpu_backward(
                    &call.of_group(&gradient.tensor, group),
                    &call.of_group(&saved.query.tensor, group),
                    &key,
                    &value,
                    &call.of_group(&saved.context.tensor, group),
                    &logs.transpose(1, 2),
                    0.0,
                    call.is_causal,
                    call.bias.as_ref(),
                    call.scale,
                );
            query_gradients.push(by_head(&query));
            shared = Some(match shared {
                None => [key_part, value_part],
                Some([key, value]) => [key + key_part, value + value_part],
            });
        }
        let [key, value] = match shared {
            Some(parts) => parts.map(|part| TchTensor::new(by_head(&part).contiguous())),
            None => unreachable!("every key head serves a query head"),
        };
        let [want_query, want_key, want_value] = wanted;
        (
            want_query.then(|| TchTensor::new(call.join(&query_gradients))),
            want_key.then_some(key),
            want_value.then_some(value),
        )
    }
}

/// Axes of what the kernel keeps: `[groups · batch, queries, kv_heads]`.
const STATISTICS: usize = 3;

/// Whether the kernel does what is asked for.
fn is_known(query: &TchTensor, key: &TchTensor, options: AttentionOptions) -> bool {
    !portable_bodies()
        && query.tensor.device() == Device::Cpu
        && options.softcap.is_none()
        && query.tensor.numel() > 0
        && key.tensor.numel() > 0
}

/// What the calls for the query heads of a group have in common.
struct Call {
    groups: i64,
    kv_heads: i64,
    is_causal: bool,
    bias: Option<Tensor>,
    scale: f64,
}

impl Call {
    fn new(
        query: &TchTensor,
        key: &TchTensor,
        visible: &Visible<LibTorch>,
        options: AttentionOptions,
    ) -> Self {
        let ([_, _, heads, head_dim], [_, _, kv_heads, _]) =
            (query.shape().dims(), key.shape().dims());
        let (is_causal, bias) = match visible {
            Visible::All => (false, None),
            Visible::Causal(_) => (true, None),
            Visible::Bias(bias) => (false, Some(bias.tensor.to_kind(query.tensor.kind()))),
            Visible::Ranges(_) => unreachable!("libtorch is given a bias"),
        };
        Self {
            groups: (heads / kv_heads) as i64,
            kv_heads: kv_heads as i64,
            is_causal,
            bias,
            scale: options.scale(head_dim),
        }
    }

    /// One head of each group, `[batch, kv_heads, n, head_dim]`, of `[batch, n, heads, head_dim]`.
    fn of_group(&self, heads: &Tensor, group: i64) -> Tensor {
        let [batch, n, _, head_dim] = sizes(heads);
        let groups = heads.reshape([batch, n, self.kv_heads, self.groups, head_dim]);
        by_head(&groups.select(3, group))
    }

    /// `[batch, n, heads, head_dim]` of the heads of each group, `[batch, n, kv_heads, head_dim]`.
    fn join(&self, groups: &[Tensor]) -> Tensor {
        let [batch, n, _, head_dim] = sizes(&groups[0]);
        Tensor::stack(groups, 3).reshape([batch, n, self.kv_heads * self.groups, head_dim])
    }
}

/// `[batch, n, heads, head_dim]` as `[batch, heads, n, head_dim]`, and back.
fn by_head(tensor: &Tensor) -> Tensor {
    tensor.transpose(1, 2)
}

fn sizes(tensor: &Tensor) -> [i64; 4] {
    <[i64; 4]>::try_from(tensor.size()).expect("attention is about four axes")
}
