//! From the tensors of burn's cube backend to those that kernels read.

use std::any::TypeId;

use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;

#[cfg(feature = "fusion")]
mod fusion;

/// What tensors of numbers of any kind are on [`Cube`].
pub(crate) type Primitive = FloatTensor<Cube>;

/// Whether kernels can be run.
///
/// burn's feature `fusion` wraps the cube backend and is turned on by whoever builds the program; the
/// wrapped tensors can be opened only if the feature of the same name is on here, too.
pub(crate) fn is_reached() -> bool {
    cfg!(feature = "fusion") || TypeId::of::<Primitive>() == TypeId::of::<CubeTensor>()
}

/// Runs `body`, at once or, under fusion, when the result is asked for.
///
/// `outputs` are the shapes of the f32 tensors that `body` returns.
///
/// # Panics
///
/// Panics unless [`is_reached`].
pub(crate) fn on_cube<const I: usize, const O: usize>(
    name: &'static str,
    inputs: [Primitive; I],
    outputs: [Shape; O],
    body: impl Fn([CubeTensor; I]) -> [CubeTensor; O] + Send + Sync + 'static,
) -> [Primitive; O] {
    #[cfg(feature = "fusion")]
    return fusion::deferred(name, inputs, outputs, body);
    #[cfg(not(feature = "fusion"))]
    {
        let _ = (name, outputs);
        body(inputs.map(same)).map(same)
    }
}

/// The tensor as the type that it has, in programs without fusion.
#[cfg(not(feature = "fusion"))]
fn same<A: 'static, B: 'static>(tensor: A) -> B {
    let tensor: Box<dyn std::any::Any> = Box::new(tensor);
    *tensor
        .downcast()
        .unwrap_or_else(|_| panic!("a fused body was chosen where fusion hides the tensors"))
}
