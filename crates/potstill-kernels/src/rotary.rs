//! Rotary positions in the layout that rotates halves (RoFormer, arXiv:2104.09864).
//!
//! ```text
//! channel i is paired with channel i + h, h = head_dim / 2, and each pair turned by the angle a_i:
//! y_i       = x_i · cos a_i − x_{i+h} · sin a_i
//! y_{i+h}   = x_{i+h} · cos a_i + x_i · sin a_i
//! ```
//!
//! The gradient of a rotation is the rotation back.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::prelude::*;

#[cfg(feature = "flex")]
mod host;
mod portable;

/// `x` with the pairs of channels of each head turned by the angles of its position, in place when
/// nothing else holds `x`.
///
/// The angles are constants: no gradient flows into their cosines and sines.
///
/// # Shapes
///
/// - `x`, output: `[batch, seq, heads, head_dim]`
/// - `cos`, `sin`: `[batch · seq, head_dim / 2]`
///
/// # Panics
///
/// Panics if the shapes do not fit.
#[must_use]
pub fn rotate_halves(x: Tensor<4>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<4> {
    let [batch, seq, _, head_dim] = x.dims();
    assert_eq!(
        [batch * seq, head_dim],
        [cos.dims()[0], 2 * cos.dims()[1]],
        "there is one angle for each position and pair of channels"
    );
    assert_eq!(cos.dims(), sin.dims(), "each angle has a cosine and a sine");
    Tensor::from_dispatch(<Dispatch as RotaryBackend>::rotate(
        x.into_dispatch(),
        cos.into_dispatch(),
        sin.into_dispatch(),
        Direction::Forth,
    ))
}

/// Which way to turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forth,
    Back,
}

impl Direction {
    fn reversed(self) -> Self {
        match self {
            Self::Forth => Self::Back,
            Self::Back => Self::Forth,
        }
    }
}

/// The operation, and its reverse.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote"),
    Autodiff
)]
pub(crate) trait RotaryBackend: Backend {
    /// The turned heads.
    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self> {
        portable::rotate::<Self>(x, cos, sin, direction)
    }
}

crate::bodies::portable_off_host!(RotaryBackend);

impl<B: RotaryBackend, C: CheckpointStrategy> RotaryBackend for Autodiff<B, C> {
    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Rotate;
        impl<B: RotaryBackend> Backward<B, 1> for Rotate {
            type State = (FloatTensor<B>, FloatTensor<B>, Direction);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (cos, sin, direction) = ops.state;
                if let Some(node) = node {
                    let gradient = B::rotate(gradient, cos, sin, direction.reversed());
                    gradients.register::<B>(node.id, gradient);
                }
            }
        }
        let (x, node) = x.into_parts();
        let (cos, sin) = (cos.into_primitive(), sin.into_primitive());
        match Rotate.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::rotate(x, cos.clone(), sin.clone(), direction);
                prep.finish((cos, sin, direction), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::rotate(x, cos, sin, direction)),
        }
    }
}

#[cfg(test)]
mod tests;
