//! Rows of a table.
//!
//! ```text
//! y_i = W[id_i]          ∂L/∂W[r] = Σ_{i : id_i = r} g_i      with g = ∂L/∂y
//! ```
//!
//! The gradient is as large as the table, although a batch touches few of its rows. When the table
//! is the head as well, the head's gradient is there already, and the rows are added to it in place;
//! nothing else of that size is made.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, TensorMetadata, backend_extension,
};
use burn::prelude::*;
use burn::tensor::IndexingUpdateOp;

#[cfg(feature = "flex")]
mod flex;

/// The rows of `table` that `ids` name.
///
/// # Shapes
///
/// - `table`: `[rows, width]`
/// - `ids`: `[batch, seq]`
/// - output: `[batch, seq, width]`
///
/// # Panics
///
/// Panics, or returns nonsense on a GPU, if an id is not a row of the table.
#[must_use]
pub fn embedding(table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    let ([batch, seq], [_, width]) = (ids.dims(), table.dims());
    let ids = ids.reshape([batch * seq]);
    let rows = <Dispatch as EmbeddingBackend>::look_up(table.into_dispatch(), ids.into_dispatch());
    Tensor::<2>::from_dispatch(rows).reshape([batch, seq, width])
}

/// The operation on flat ids.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote"),
    Autodiff
)]
pub(crate) trait EmbeddingBackend: Backend {
    /// `[ids, width]`.
    fn look_up(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        Self::float_select(table, 0, ids)
    }

    /// The gradient of a table that nothing has contributed to.
    fn zeros_like(table: &FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_zeros(table.shape(), &table.device(), table.dtype().into())
    }
}

crate::bodies::portable_on_other_backends!(EmbeddingBackend);

impl<B: EmbeddingBackend, C: CheckpointStrategy> EmbeddingBackend for Autodiff<B, C> {
    fn look_up(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Embedding;
        impl<B: EmbeddingBackend> Backward<B, 1> for Embedding {
            // The table with its node, which is how its gradient is taken out of the container. It is
            // an ancestor of this operation and so cannot keep it alive.
            type State = (FloatTensor<Autodiff<B>>, IntTensor<B>);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (table, ids) = ops.state;
                if let Some(node) = node {
                    let so_far = gradients
                        .remove::<B>(&table)
                        .unwrap_or_else(|| B::zeros_like(table.primitive()));
                    let sum =
                        B::float_select_assign(so_far, 0, ids, gradient, IndexingUpdateOp::Add);
                    gradients.register::<B>(node.id, sum);
                }
            }
        }
        let node = table.node();
        match Embedding.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let rows = B::look_up(table.primitive().clone(), ids.clone());
                prep.finish((table, ids), rows)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::look_up(table.into_primitive(), ids)),
        }
    }

    fn zeros_like(table: &FloatTensor<Self>) -> FloatTensor<Self> {
        Self::from_inner(B::zeros_like(table.primitive()))
    }
}

#[cfg(test)]
mod tests;
