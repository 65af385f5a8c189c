//! A value whose gradient is known already.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::prelude::*;

use crate::portable::cast;

#[cfg(feature = "flex")]
mod host;

/// `value` as a function of `input` whose gradient was computed along with it.
///
/// For operations that learn their gradient in the forward pass, such as a loss over logits that
/// never exist all at once. Call it once for each input. The derivative is of first order:
/// differentiating again gives 0.
///
/// ```text
/// ∂out/∂value = 1      ∂out/∂input = gradient
/// ```
///
/// # Shapes
///
/// - `value`, output: `[1]`
/// - `gradient`: as `input`, without autodiff and of its dtype
///
/// # Panics
///
/// Panics if the gradient has another shape than its input.
#[must_use]
pub fn attach_gradient<const D: usize>(
    value: Tensor<1>,
    input: Tensor<D>,
    gradient: Tensor<D>,
) -> Tensor<1> {
    assert_eq!(
        input.dims(),
        gradient.dims(),
        "a gradient has the shape of its input"
    );
    Tensor::from_dispatch(<Dispatch as AttachBackend>::attach_gradient(
        value.into_dispatch(),
        input.into_dispatch(),
        gradient.into_dispatch(),
    ))
}

/// Backends that can tie a value to a graph.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote"),
    Autodiff
)]
pub(crate) trait AttachBackend: Backend {
    /// `value`, unchanged where nothing is differentiated.
    fn attach_gradient(
        value: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let _ = (input, gradient);
        value
    }

    /// `gradient · slope`, with a slope of one element.
    fn scale_gradient(gradient: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self> {
        let ones = vec![1; gradient.shape().num_dims()];
        let slope = cast::<Self>(slope, gradient.dtype());
        Self::float_mul(gradient, Self::float_reshape(slope, ones.into()))
    }
}

crate::bodies::portable_off_host!(AttachBackend);

impl<B: AttachBackend, C: CheckpointStrategy> AttachBackend for Autodiff<B, C> {
    fn attach_gradient(
        value: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Attach;
        impl<B: AttachBackend> Backward<B, 2> for Attach {
            type State = FloatTensor<B>;

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let slope = gradients.consume::<B>(&ops.node);
                let [value, input] = ops.parents;
                if let Some(node) = input {
                    let gradient = B::scale_gradient(ops.state, slope.clone());
                    gradients.register::<B>(node.id, gradient);
                }
                if let Some(node) = value {
                    gradients.register::<B>(node.id, slope);
                }
            }
        }
        let nodes = [value.node(), input.node()];
        let value = value.into_primitive();
        match Attach.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(gradient.into_primitive(), value),
            OpsKind::UnTracked(prep) => prep.finish(value),
        }
    }
}

#[cfg(test)]
mod tests;
