//! Tensors whose values lie in host memory.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn::prelude::*;

mod flex;
#[cfg(feature = "tch")]
mod libtorch;

/// A backend that keeps f32 values where the processor reads them, so that the bodies written for the
/// processor run on its tensors without a copy.
pub(crate) trait HostBackend: Backend {
    /// Whether the tensor holds f32 values in host memory.
    fn is_on_host(tensor: &FloatTensor<Self>) -> bool;

    /// The tensor with its values row after row, copied if they are in another order.
    fn in_order(tensor: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The values of a tensor that is [in order](Self::in_order).
    fn values(tensor: &FloatTensor<Self>) -> &[f32];

    /// The tensor row after row in memory that nothing else reads, copied if something does.
    fn unshared(tensor: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The values of an [unshared](Self::unshared) tensor.
    fn values_mut(tensor: &mut FloatTensor<Self>) -> &mut [f32];

    /// A tensor that `fill(start, values)` writes in parallel, block by block, and finds zeros in.
    fn filled(
        shape: Shape,
        block: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> FloatTensor<Self>;

    /// A tensor of `values`.
    fn tensor(values: Vec<f32>, shape: Shape) -> FloatTensor<Self>;
}

/// The values of a tensor, row after row.
pub(crate) struct Values<B: HostBackend>(FloatTensor<B>);

impl<B: HostBackend> Values<B> {
    /// Copies only what is not in order; the first rows of a larger tensor are.
    pub(crate) fn of(tensor: FloatTensor<B>) -> Self {
        Self(B::in_order(tensor))
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        B::values(&self.0)
    }
}

/// The values of a tensor, row after row, to be overwritten: in place when nothing else holds them.
pub(crate) struct ValuesMut<B: HostBackend>(FloatTensor<B>);

impl<B: HostBackend> ValuesMut<B> {
    pub(crate) fn of(tensor: FloatTensor<B>) -> Self {
        Self(B::unshared(tensor))
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        B::values_mut(&mut self.0)
    }

    pub(crate) fn into_tensor(self) -> FloatTensor<B> {
        self.0
    }
}
