//! Attention of f32 heads on flex.

mod backward;
mod few;
mod forward;
mod heads;
mod product;
mod tile;

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};

use super::{AttentionBackend, AttentionOptions, Saved, Visible, portable};
use crate::host::{Values, is_fused, tensor};
use heads::Heads;

impl AttentionBackend for Flex {
    fn fuses_attention(query: FlexTensor) -> bool {
        is_fused::<Self, _>([&query])
    }

    fn attend_with_statistics(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        visible: Visible<Self>,
        options: AttentionOptions,
    ) -> (FlexTensor, FlexTensor) {
        let Visible::Ranges(ranges) = &visible else {
            return portable::forward::<Self>(query, key, value, &visible, options);
        };
        let [batch, queries, heads, head_dim] = query.shape().dims();
        let query = Strided::of(query);
        let (key, value) = (Strided::of(key), Strided::of(value));
        let (query, key, value) = (query.heads(), key.heads(), value.heads());
        let problem = forward::Forward {
            query: &query,
            key: &key,
            value: &value,
            ranges,
            scale: options.scale(head_dim) as f32,
            softcap: options.softcap.map(|cap| cap as f32),
        };
        let (context, statistics) = if queries <= few::QUERIES {
            few::attend(&problem)
        } else {
            forward::attend(&problem)
        };
        (
            tensor(context, [batch, queries, heads, head_dim]),
            tensor(statistics, [batch, queries, heads]),
        )
    }

    fn attention_backward(
        saved: Saved<Self>,
        gradient: FlexTensor,
        wanted: [bool; 3],
    ) -> (Option<FlexTensor>, Option<FlexTensor>, Option<FlexTensor>) {
        let Visible::Ranges(ranges) = &saved.visible else {
            return portable::backward::<Self>(saved, gradient, wanted);
        };
        let query_shape = saved.query.shape();
        let key_shape = saved.key.shape();
        let head_dim = query_shape[3];
        let inputs =
            [saved.query, saved.key, saved.value, saved.context, gradient].map(Strided::of);
        let [query, key, value, context, gradient] = inputs.each_ref().map(Strided::heads);
        let statistics = Values::<Self>::of(saved.statistics);
        let gradients = backward::differentiate(&backward::Backward {
            forward: forward::Forward {
                query: &query,
                key: &key,
                value: &value,
                ranges,
                scale: saved.options.scale(head_dim) as f32,
                softcap: saved.options.softcap.map(|cap| cap as f32),
            },
            context: &context,
            gradient: &gradient,
            statistics: statistics.as_slice(),
            wanted,
        });
        let [query, key, value] = gradients;
        (
            query.map(|values| tensor(values, query_shape)),
            key.map(|values| tensor(values, key_shape.clone())),
            value.map(|values| tensor(values, key_shape)),
        )
    }
}

/// A tensor `[batch, positions, heads, head_dim]` whose heads can be read in place.
struct Strided(FlexTensor);

impl Strided {
    fn of(tensor: FlexTensor) -> Self {
        let strides = tensor.layout().strides();
        let readable = strides.iter().all(|&stride| stride >= 0) && strides[3] == 1;
        Self(if readable {
            tensor
        } else {
            tensor.to_contiguous()
        })
    }

    fn heads(&self) -> Heads<'_> {
        let layout = self.0.layout();
        let [batch, positions, heads, dim] = layout.shape().dims();
        let stride = |axis: usize| layout.strides()[axis].unsigned_abs();
        let values = self.0.storage::<f32>();
        Heads {
            values: &values[layout.start_offset().min(values.len())..],
            strides: [stride(0), stride(1), stride(2)],
            batch,
            positions,
            heads,
            dim,
        }
    }
}
