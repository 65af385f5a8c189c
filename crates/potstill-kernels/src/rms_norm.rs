//! Root-mean-square normalization (arXiv:1910.07467).
//!
//! ```text
//! r = (mean_j x_j² + ε)^(−1/2)          y_j = x_j · r · w_j
//! ∂L/∂w_j = Σ_rows g_j · x_j · r
//! ∂L/∂x_j = r · (g_j w_j − x_j · r² · mean_i(g_i w_i x_i))      with g = ∂L/∂y
//! ```

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, backend_extension};
use burn::prelude::*;

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube;
#[cfg(feature = "flex")]
mod host;
mod portable;

/// `x / rms(x) · weight` over the last dimension, in f32 whatever the dtype of `x`.
///
/// # Shapes
///
/// - `x`, output: `[.., width]`
/// - `weight`: `[width]`
///
/// # Panics
///
/// Panics if `weight` is not as wide as `x`.
#[must_use]
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let dims = x.dims();
    let width = dims[D - 1];
    assert_eq!(weight.dims(), [width], "the weight is as wide as a row");
    let rows = x.reshape([dims[..D - 1].iter().product(), width]);
    let y = <Dispatch as RmsNormBackend>::rms_norm(
        rows.into_dispatch(),
        weight.into_dispatch(),
        epsilon,
    );
    Tensor::<2>::from_dispatch(y).reshape(dims)
}

/// The operation on `[rows, width]`.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote"),
    Autodiff
)]
pub(crate) trait RmsNormBackend: Backend {
    /// The normalized rows.
    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        portable::forward::<Self>(x, weight, epsilon)
    }

    /// The gradients of `x` and, if wanted, of `weight`.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
        want_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        portable::backward::<Self>(x, weight, gradient, epsilon, want_weight)
    }
}

crate::bodies::portable_on_remote!(RmsNormBackend);

impl<B: RmsNormBackend, C: CheckpointStrategy> RmsNormBackend for Autodiff<B, C> {
    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct RmsNorm;
        impl<B: RmsNormBackend> Backward<B, 2> for RmsNorm {
            type State = (FloatTensor<B>, FloatTensor<B>, f64);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [x_node, weight_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (x, weight, epsilon) = ops.state;
                let (x, weight) =
                    B::rms_norm_backward(x, weight, gradient, epsilon, weight_node.is_some());
                if let Some(node) = x_node {
                    gradients.register::<B>(node.id, x);
                }
                if let Some((node, weight)) = weight_node.zip(weight) {
                    gradients.register::<B>(node.id, weight);
                }
            }
        }
        let nodes = [x.node(), weight.node()];
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        match RmsNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::rms_norm(x.clone(), weight.clone(), epsilon);
                prep.finish((x, weight, epsilon), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::rms_norm(x, weight, epsilon)),
        }
    }

    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
        want_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let (x, weight) = B::rms_norm_backward(
            x.into_primitive(),
            weight.into_primitive(),
            gradient.into_primitive(),
            epsilon,
            want_weight,
        );
        (Self::from_inner(x), weight.map(Self::from_inner))
    }
}

#[cfg(test)]
mod tests;
