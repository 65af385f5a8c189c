//! A part of a model whose inner values are computed a second time instead of kept.
//!
//! ```text
//! forward:  y = f(x, θ), of which only x is kept
//! backward: f once more, with a graph of its own, then ∂L/∂x and ∂L/∂θ from it
//! ```
//!
//! Chen et al., *Training Deep Nets with Sublinear Memory Cost*, arXiv:1604.06174.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, DispatchTensor, backend_extension,
};
use burn::prelude::*;

/// What is computed twice: a function of one tensor, with parameters of its own.
///
/// Both calls get tensors without autodiff, on the same device, and have to compute the same.
pub trait Recompute: Debug + Send + Sync {
    /// The output, of any shape.
    fn forward(&self, x: Tensor<3>) -> Tensor<3>;

    /// The gradients for the gradient of the output.
    fn backward(&self, x: Tensor<3>, gradient: Tensor<3>) -> RecomputedGradients;
}

/// What [`Recompute::backward`] found.
#[derive(Debug)]
pub struct RecomputedGradients {
    /// That of the input.
    pub x: Tensor<3>,
    /// Those of the parameters, in the order in which [`recomputed`] got them; `None` where the output
    /// does not hang on one.
    pub parameters: Vec<Option<DispatchTensor>>,
}

/// `part.forward(x)`, of which nothing is kept for the backward pass but `x`.
///
/// `parameters` are the tensors, of any rank, that get the gradients that `part` finds.
///
/// # Shapes
///
/// - `x`: `[batch, seq, d]`
///
/// # Panics
///
/// The backward pass panics if `part` finds gradients of another number of parameters.
#[must_use]
pub fn recomputed(
    x: Tensor<3>,
    parameters: Vec<DispatchTensor>,
    part: Arc<dyn Recompute>,
) -> Tensor<3> {
    let plain = x.clone().without_autodiff();
    let y = part.forward(plain.clone()).without_autodiff();
    let pass = Arc::new(Pass {
        part,
        x: plain,
        parameters: parameters.len(),
        found: Mutex::new(None),
    });
    let sources = std::iter::once(x.into_dispatch()).chain(parameters);
    // An operation of burn's graph has a fixed number of parents, so each source gets one of its own.
    let y = sources
        .enumerate()
        .fold(y.into_dispatch(), |y, (index, source)| {
            <Dispatch as RecomputeBackend>::hang(y, source, Arc::clone(&pass), index)
        });
    Tensor::from_dispatch(y)
}

/// What one backward pass needs, and finds when the first of the sources asks.
#[derive(Debug)]
pub(crate) struct Pass {
    part: Arc<dyn Recompute>,
    x: Tensor<3>,
    parameters: usize,
    /// Gradients of the sources, each until it is fetched.
    found: Mutex<Option<Vec<Option<DispatchTensor>>>>,
}

impl Pass {
    /// The gradient of a source.
    fn take(&self, gradient: impl FnOnce() -> Tensor<3>, index: usize) -> Option<DispatchTensor> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = found.get_or_insert_with(|| {
            let RecomputedGradients { x, parameters } =
                self.part.backward(self.x.clone(), gradient());
            assert_eq!(
                parameters.len(),
                self.parameters,
                "a gradient for each parameter"
            );
            std::iter::once(Some(x.into_dispatch()))
                .chain(parameters)
                .collect()
        });
        found[index].take()
    }
}

/// The operation on one source.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    LibTorch: cfg(feature = "tch"),
    Remote: cfg(feature = "remote"),
    Autodiff
)]
pub(crate) trait RecomputeBackend: Backend {
    /// `y`, whose gradient becomes that of `source` as well.
    fn hang(
        y: FloatTensor<Self>,
        source: FloatTensor<Self>,
        pass: Arc<Pass>,
        index: usize,
    ) -> FloatTensor<Self> {
        let _ = (source, pass, index);
        y
    }

    /// The gradient of a source for that of `y`.
    fn gradient_of(
        gradient: FloatTensor<Self>,
        pass: Arc<Pass>,
        index: usize,
    ) -> Option<FloatTensor<Self>>;
}

/// Implements it for a backend without autodiff.
#[cfg(any(
    feature = "flex",
    feature = "wgpu",
    feature = "cuda",
    feature = "tch",
    feature = "remote"
))]
macro_rules! on_backend {
    ($backend:ident) => {
        impl RecomputeBackend for burn::backend::$backend {
            fn gradient_of(
                gradient: FloatTensor<Self>,
                pass: Arc<Pass>,
                index: usize,
            ) -> Option<FloatTensor<Self>> {
                let found = pass.take(|| Tensor::from_primitive::<Self>(gradient), index)?;
                // The rank of a tensor is no matter of its backend.
                let found = Tensor::<1>::from_dispatch(found).without_autodiff();
                let found = found.try_into_primitive::<Self>();
                Some(found.expect("gradients stay on the device"))
            }
        }
    };
}
#[cfg(feature = "flex")]
on_backend!(Flex);
#[cfg(any(feature = "wgpu", feature = "cuda"))]
on_backend!(Cube);
#[cfg(feature = "tch")]
on_backend!(LibTorch);
#[cfg(feature = "remote")]
on_backend!(Remote);

impl<B: RecomputeBackend, C: CheckpointStrategy> RecomputeBackend for Autodiff<B, C> {
    fn hang(
        y: FloatTensor<Self>,
        source: FloatTensor<Self>,
        pass: Arc<Pass>,
        index: usize,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Hang;
        impl<B: RecomputeBackend> Backward<B, 2> for Hang {
            type State = (Arc<Pass>, usize);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                gradients: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [y_node, source_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (pass, index) = ops.state;
                if let Some(node) = source_node
                    && let Some(found) = B::gradient_of(gradient.clone(), pass, index)
                {
                    gradients.register::<B>(node.id, found);
                }
                if let Some(node) = y_node {
                    gradients.register::<B>(node.id, gradient);
                }
            }
        }
        let ((y, y_node), (_, source_node)) = (y.into_parts(), source.into_parts());
        match Hang
            .prepare::<C>([y_node, source_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((pass, index), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn gradient_of(
        gradient: FloatTensor<Self>,
        pass: Arc<Pass>,
        index: usize,
    ) -> Option<FloatTensor<Self>> {
        B::gradient_of(gradient.into_primitive(), pass, index).map(Self::from_inner)
    }
}

#[cfg(test)]
mod tests;
