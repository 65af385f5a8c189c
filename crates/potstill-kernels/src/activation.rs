//! The nonlinearity of an MLP, alone or as a gate (*GLU Variants Improve Transformer*,
//! arXiv:2002.05202).
//!
//! ```text
//! activate: y = f(x)            ∂L/∂x = g · f′(x)
//! gate:     y = f(a) · b        ∂L/∂a = g · b · f′(a)      ∂L/∂b = g · f(a)      with g = ∂L/∂y
//! ```
//!
//! The backward passes recompute `f`: all they keep is the input.

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
#[cfg(feature = "flex")]
mod scalar;

/// A nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// `x · Φ(x)`, Φ the normal distribution function (arXiv:1606.08415).
    Gelu,
    /// GELU by its tanh approximation: `x · sigmoid(2 · sqrt(2/π) · (x + 0.044715 · x³))`.
    GeluTanh,
}

/// `f(x)`.
///
/// # Shapes
///
/// - `x`, output: any
#[must_use]
pub fn activate<const D: usize>(activation: Activation, x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as ActivationBackend>::activate(
        x.into_dispatch(),
        activation,
    ))
}

/// `f(gate) · up`: SwiGLU with [`Activation::Silu`], GEGLU with the others.
///
/// # Shapes
///
/// - `gate`, `up`, output: any, all the same
///
/// # Panics
///
/// Panics if the shapes differ.
#[must_use]
pub fn gated<const D: usize>(activation: Activation, gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    assert_eq!(gate.dims(), up.dims(), "a gate for each value");
    Tensor::from_dispatch(<Dispatch as ActivationBackend>::gated(
        gate.into_dispatch(),
        up.into_dispatch(),
        activation,
    ))
}

/// Both operations, on any shape.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote"),
    Autodiff
)]
pub(crate) trait ActivationBackend: Backend {
    /// `f(x)`.
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        portable::activate::<Self>(x, activation)
    }

    /// `gradient · f′(x)`.
    fn activate_backward(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        portable::activate_backward::<Self>(x, gradient, activation)
    }

    /// `f(gate) · up`.
    fn gated(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        portable::gated::<Self>(gate, up, activation)
    }

    /// The gradients of `gate` and `up`.
    fn gated_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::gated_backward::<Self>(gate, up, gradient, activation)
    }
}

crate::bodies::portable_off_host!(ActivationBackend);

impl<B: ActivationBackend, C: CheckpointStrategy> ActivationBackend for Autodiff<B, C> {
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Activate;
        impl<B: ActivationBackend> Backward<B, 1> for Activate {
            type State = (FloatTensor<B>, Activation);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (x, activation) = ops.state;
                if let Some(node) = node {
                    let gradient = B::activate_backward(x, gradient, activation);
                    gradients.register::<B>(node.id, gradient);
                }
            }
        }
        let (x, node) = x.into_parts();
        match Activate.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::activate(x.clone(), activation);
                prep.finish((x, activation), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::activate(x, activation)),
        }
    }

    fn activate_backward(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let (x, gradient) = (x.into_primitive(), gradient.into_primitive());
        Self::from_inner(B::activate_backward(x, gradient, activation))
    }

    fn gated(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Gated;
        impl<B: ActivationBackend> Backward<B, 2> for Gated {
            type State = (FloatTensor<B>, FloatTensor<B>, Activation);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [gate_node, up_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (gate, up, activation) = ops.state;
                let (gate, up) = B::gated_backward(gate, up, gradient, activation);
                if let Some(node) = gate_node {
                    gradients.register::<B>(node.id, gate);
                }
                if let Some(node) = up_node {
                    gradients.register::<B>(node.id, up);
                }
            }
        }
        let nodes = [gate.node(), up.node()];
        let (gate, up) = (gate.into_primitive(), up.into_primitive());
        match Gated.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::gated(gate.clone(), up.clone(), activation);
                prep.finish((gate, up, activation), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::gated(gate, up, activation)),
        }
    }

    fn gated_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (gate, up) = B::gated_backward(
            gate.into_primitive(),
            up.into_primitive(),
            gradient.into_primitive(),
            activation,
        );
        (Self::from_inner(gate), Self::from_inner(up))
    }
}

#[cfg(test)]
mod tests;
