//! What the bodies for the processor share: rows of memory, vector instructions, buffers.
//!
//! They run on flex, and on the tensors that libtorch keeps in host memory.

mod awake;
mod exponential;
mod fill;
mod memory;
mod prefetch;
mod product;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::prelude::*;
use burn::tensor::DType;

use crate::bodies::portable_bodies;

pub(crate) use awake::keep_threads_awake;
pub(crate) use exponential::exp;
pub(crate) use fill::filled;
pub(crate) use memory::{HostBackend, Values, ValuesMut};
pub(crate) use prefetch::prefetch;
pub(crate) use product::{Matrix, MatrixMut, Threads, product, product_into};

/// Whether the body for the processor is to run: it knows f32, and may have been switched off.
pub(crate) fn is_fused<B: HostBackend, const N: usize>(tensors: [&FloatTensor<B>; N]) -> bool {
    !portable_bodies() && tensors.iter().all(|tensor| B::is_on_host(tensor))
}

/// What a tensor holds, if it is on flex and in f32; in an order that runs forwards.
pub(crate) fn primitive<const D: usize>(tensor: &Tensor<D>) -> Option<FlexTensor> {
    let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
    let runs_forwards = tensor.layout().strides().iter().all(|&stride| stride >= 0);
    match tensor.dtype() {
        DType::F32 if runs_forwards => Some(tensor),
        DType::F32 => Some(tensor.to_contiguous()),
        _ => None,
    }
}

/// Indices on flex.
pub(crate) fn indices<const D: usize>(tensor: &Tensor<D, Int>) -> Option<Vec<usize>> {
    tensor.clone().try_into_primitive::<Flex>().ok()?;
    Some(index_values(&tensor.to_data()))
}

/// The values of indices; a negative one becomes larger than any other.
pub(crate) fn index_values(data: &TensorData) -> Vec<usize> {
    let index = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
    data.iter::<i64>().map(index).collect()
}

/// A tensor of `values`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

/// Runs `work` with the widest vector instructions of this processor.
///
/// What `work` calls has to be inlined to profit.
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Work<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}

/// Partial sums that one accumulation keeps, so that it runs in vector registers. Fixed, so that the
/// order of additions does not depend on the processor.
const LANES: usize = 32;

/// `Σ f(a_i, b_i)`.
#[inline(always)]
pub(crate) fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut partial = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            partial[lane] += f(a[lane], b[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f(a, b)).sum();
    partial.iter().sum::<f32>() + rest
}

/// The sum of rows of `width`, from the first to the last.
pub(crate) fn sum_of_rows(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    for row in rows.chunks_exact(width.max(1)) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
    sums
}
