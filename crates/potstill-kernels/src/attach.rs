//! A value whose gradient is known already.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;

/// `value` as a function of two inputs whose gradients were computed along with it.
///
/// For operations that learn their gradient in the forward pass, such as a loss over logits that
/// never exist all at once. The derivative is of first order: differentiating again gives 0.
///
/// ```text
/// ∂out/∂first = first_gradient      ∂out/∂second = second_gradient
/// ```
///
/// # Shapes
///
/// - `value`: `[1]`, without autodiff
/// - `first_gradient`, `second_gradient`: as `first` and `second`, without autodiff
///
/// # Panics
///
/// Panics if a gradient has another shape than its input.
#[must_use]
pub fn attach_gradients<const A: usize, const B: usize>(
    value: Tensor<1>,
    (first, first_gradient): (Tensor<A>, Tensor<A>),
    (second, second_gradient): (Tensor<B>, Tensor<B>),
) -> Tensor<1> {
    assert_eq!(
        first.dims(),
        first_gradient.dims(),
        "a gradient has the shape of its input"
    );
    assert_eq!(
        second.dims(),
        second_gradient.dims(),
        "a gradient has the shape of its input"
    );
    Tensor::from_dispatch(<Dispatch as AttachBackend>::attach_gradients(
        value.into_dispatch(),
        first.into_dispatch(),
        first_gradient.into_dispatch(),
        second.into_dispatch(),
        second_gradient.into_dispatch(),
    ))
}

/// Backends that can tie a value to a graph.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Autodiff
)]
pub(crate) trait AttachBackend: Backend {
    /// `value`, unchanged where nothing is differentiated.
    fn attach_gradients(
        value: FloatTensor<Self>,
        first: FloatTensor<Self>,
        first_gradient: FloatTensor<Self>,
        second: FloatTensor<Self>,
        second_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let _ = (first, first_gradient, second, second_gradient);
        value
    }
}

crate::bodies::portable_on_other_backends!(AttachBackend);
#[cfg(feature = "flex")]
impl AttachBackend for burn::backend::Flex {}

impl<B: AttachBackend, C: CheckpointStrategy> AttachBackend for Autodiff<B, C> {
    fn attach_gradients(
        value: FloatTensor<Self>,
        first: FloatTensor<Self>,
        first_gradient: FloatTensor<Self>,
        second: FloatTensor<Self>,
        second_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Attach;
        impl<B: Backend> Backward<B, 2> for Attach {
            type State = (FloatTensor<B>, FloatTensor<B>);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let slope = gradients.consume::<B>(&ops.node);
                let (first, second) = ops.state;
                for (node, gradient) in ops.parents.into_iter().zip([first, second]) {
                    if let Some(node) = node {
                        let ones = vec![1; gradient.shape().num_dims()];
                        let slope = B::float_reshape(slope.clone(), ones.into());
                        gradients.register::<B>(node.id, B::float_mul(gradient, slope));
                    }
                }
            }
        }
        let nodes = [first.node(), second.node()];
        let value = value.into_primitive();
        match Attach.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(
                (
                    first_gradient.into_primitive(),
                    second_gradient.into_primitive(),
                ),
                value,
            ),
            OpsKind::UnTracked(prep) => prep.finish(value),
        }
    }
}
