//! Layer normalization (arXiv:1607.06450).
//!
//! ```text
//! r = (mean_j (x_j − μ)² + ε)^(−1/2)      n_j = (x_j − μ) · r      y_j = n_j · w_j + b_j
//! ∂L/∂w_j = Σ_rows g_j · n_j              ∂L/∂b_j = Σ_rows g_j
//! ∂L/∂x_j = r · (g_j w_j − mean_i(g_i w_i) − n_j · mean_i(g_i w_i n_i))      with g = ∂L/∂y
//! ```

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, backend_extension};
use burn::prelude::*;

#[cfg(feature = "flex")]
mod host;
mod portable;

/// `(x − mean(x)) / deviation(x) · weight + bias` over the last dimension, in f32 whatever the dtype
/// of `x`.
///
/// # Shapes
///
/// - `x`, output: `[.., width]`
/// - `weight`, `bias`: `[width]`
///
/// # Panics
///
/// Panics if `weight` or `bias` is not as wide as `x`.
#[must_use]
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let dims = x.dims();
    let width = dims[D - 1];
    assert_eq!(weight.dims(), [width], "the weight is as wide as a row");
    assert_eq!(bias.dims(), [width], "the bias is as wide as a row");
    let rows = x.reshape([dims[..D - 1].iter().product(), width]);
    let y = <Dispatch as LayerNormBackend>::normalize_rows(
        rows.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
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
pub(crate) trait LayerNormBackend: Backend {
    /// The normalized rows.
    fn normalize_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        portable::forward::<Self>(x, weight, bias, epsilon)
    }

    /// The gradients of `x` and, if wanted, of `weight` and `bias`.
    fn normalize_rows_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
        want_parameters: bool,
    ) -> (
        FloatTensor<Self>,
        Option<FloatTensor<Self>>,
        Option<FloatTensor<Self>>,
    ) {
        portable::backward::<Self>(x, weight, gradient, epsilon, want_parameters)
    }
}

crate::bodies::portable_off_host!(LayerNormBackend);

impl<B: LayerNormBackend, C: CheckpointStrategy> LayerNormBackend for Autodiff<B, C> {
    fn normalize_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct LayerNorm;
        impl<B: LayerNormBackend> Backward<B, 3> for LayerNorm {
            type State = (FloatTensor<B>, FloatTensor<B>, f64);

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [x_node, weight_node, bias_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (x, weight, epsilon) = ops.state;
                let want_parameters = weight_node.is_some() || bias_node.is_some();
                let (x, weight, bias) =
                    B::normalize_rows_backward(x, weight, gradient, epsilon, want_parameters);
                for (node, gradient) in
                    [(x_node, Some(x)), (weight_node, weight), (bias_node, bias)]
                {
                    if let Some((node, gradient)) = node.zip(gradient) {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight, bias) = (
            x.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        match LayerNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::normalize_rows(x.clone(), weight.clone(), bias, epsilon);
                prep.finish((x, weight, epsilon), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::normalize_rows(x, weight, bias, epsilon)),
        }
    }

    fn normalize_rows_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
        want_parameters: bool,
    ) -> (
        FloatTensor<Self>,
        Option<FloatTensor<Self>>,
        Option<FloatTensor<Self>>,
    ) {
        let (x, weight, bias) = B::normalize_rows_backward(
            x.into_primitive(),
            weight.into_primitive(),
            gradient.into_primitive(),
            epsilon,
            want_parameters,
        );
        (
            Self::from_inner(x),
            weight.map(Self::from_inner),
            bias.map(Self::from_inner),
        )
    }
}

#[cfg(test)]
mod tests;
