//! A linear map of rows.
//!
//! ```text
//! y = x · W                    ∂L/∂x = g · Wᵀ      ∂L/∂W = xᵀ · g
//! add_bias: y = x + b          ∂L/∂x = g           ∂L/∂b = Σ_rows g      with g = ∂L/∂y
//! ```
//!
//! A gradient that nobody asks for is not computed, and what only it needs is not kept.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::QTensorOps;
use burn::backend::tensor::{FloatTensor, QuantizedTensor};
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, TensorMetadata, backend_extension,
};
use burn::prelude::*;
use burn::tensor::DType;

use crate::portable::cast;

#[cfg(feature = "flex")]
mod few_rows;
#[cfg(feature = "flex")]
mod flex;

/// `x · weight + bias`, as one product of two matrices.
///
/// The weight may be of a lower precision than `x`, if it is not differentiated. Few rows on flex then
/// take the less time the smaller the weight is, and the arithmetic is in f32; elsewhere it is in the
/// dtype of the weight. A weight that burn has quantized is not differentiated either; on flex it is read
/// as the integers that it is, elsewhere, if burn holds it at all, it makes floats of all of it first.
///
/// # Shapes
///
/// - `x`: `[.., d_in]`
/// - `weight`: `[d_in, d_out]`
/// - `bias`: `[d_out]`
/// - output: `[.., d_out]`
///
/// # Panics
///
/// Panics if the shapes do not fit.
#[must_use]
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let mut dims = x.dims();
    let [d_in, d_out] = weight.dims();
    assert_eq!(
        dims[D - 1],
        d_in,
        "the weight has a row for each column of x"
    );
    let rows = x.reshape([dims[..D - 1].iter().product(), d_in]);
    let quantized = matches!(weight.dtype(), DType::QFloat(_));
    let (rows, weight) = (rows.into_dispatch(), weight.into_dispatch());
    let mut y = if quantized {
        <Dispatch as LinearBackend>::multiply_quantized(rows, weight)
    } else {
        <Dispatch as LinearBackend>::multiply_rows(rows, weight)
    };
    if let Some(bias) = bias {
        assert_eq!(
            bias.dims(),
            [d_out],
            "the bias has a value for each column of the weight"
        );
        y = <Dispatch as LinearBackend>::add_bias(y, bias.into_dispatch());
    }
    dims[D - 1] = d_out;
    Tensor::<2>::from_dispatch(y).reshape(dims)
}

/// The parts of the operation, on `[rows, d_in]`.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote"),
    Autodiff
)]
pub(crate) trait LinearBackend: Backend {
    /// `x · weight`, in the dtype of `x`.
    fn multiply_rows(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let dtype = x.dtype();
        let y = Self::float_matmul(cast::<Self>(x, weight.dtype()), weight);
        cast::<Self>(y, dtype)
    }

    /// The same with a quantized weight, which gets no gradient.
    fn multiply_quantized(
        x: FloatTensor<Self>,
        weight: QuantizedTensor<Self>,
    ) -> FloatTensor<Self> {
        let weight = Self::dequantize(weight, x.dtype().into());
        Self::multiply_rows(x, weight)
    }

    /// `bias` added to each row.
    fn add_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let width = bias.shape()[0];
        Self::float_add(x, Self::float_reshape(bias, [1, width].into()))
    }

    /// The sum of the rows, `[width]`.
    fn sum_of_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let width = x.shape()[1];
        Self::float_reshape(Self::float_sum_dim(x, 0), [width].into())
    }
}

crate::bodies::portable_on_other_backends!(LinearBackend);

impl<B: LinearBackend, C: CheckpointStrategy> LinearBackend for Autodiff<B, C> {
    fn multiply_rows(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Linear;
        impl<B: LinearBackend> Backward<B, 2> for Linear {
            type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [x_node, weight_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (x, weight) = ops.state;
                if let Some((node, weight)) = x_node.zip(weight) {
                    let product = B::multiply_rows(gradient.clone(), B::float_transpose(weight));
                    gradients.register::<B>(node.id, product);
                }
                if let Some((node, x)) = weight_node.zip(x) {
                    let product = B::multiply_rows(B::float_transpose(x), gradient);
                    gradients.register::<B>(node.id, product);
                }
            }
        }
        let (want_x, want_weight) = (x.is_tracked(), weight.is_tracked());
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        match Linear
            .prepare::<C>([x_node, weight_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let state = (
                    want_weight.then(|| x.clone()),
                    want_x.then(|| weight.clone()),
                );
                prep.finish(state, B::multiply_rows(x, weight))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::multiply_rows(x, weight)),
        }
    }

    fn multiply_quantized(
        x: FloatTensor<Self>,
        weight: QuantizedTensor<Self>,
    ) -> FloatTensor<Self> {
        if x.is_tracked() {
            let weight = Self::dequantize(weight, x.dtype().into());
            return Self::multiply_rows(x, weight);
        }
        Self::from_inner(B::multiply_quantized(x.into_primitive(), weight))
    }

    fn add_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct AddBias;
        impl<B: LinearBackend> Backward<B, 2> for AddBias {
            type State = ();

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [x_node, bias_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                if let Some(node) = bias_node {
                    gradients.register::<B>(node.id, B::sum_of_rows(gradient.clone()));
                }
                if let Some(node) = x_node {
                    gradients.register::<B>(node.id, gradient);
                }
            }
        }
        let ((x, x_node), (bias, bias_node)) = (x.into_parts(), bias.into_parts());
        AddBias
            .prepare::<C>([x_node, bias_node])
            .compute_bound()
            .stateless(B::add_bias(x, bias))
    }

    fn sum_of_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::from_inner(B::sum_of_rows(x.into_primitive()))
    }
}

#[cfg(test)]
mod tests;
