//! What the tests of the operations share.

use burn::prelude::*;
use burn::tensor::DType;
use potstill_testkit::{
    Tolerance, assert_close, assert_gradient, autodiff_device, normals, tensor_f64, values,
};

/// Normally distributed values in a matrix.
pub(crate) type Input = (Vec<f64>, [usize; 2]);

pub(crate) fn normal(shape: [usize; 2], seed: u64) -> Input {
    (normals(shape[0] * shape[1], 1.0, seed), shape)
}

/// The output of `operation` and the gradients of its inputs, for an upstream gradient drawn from
/// `seed`.
///
/// In f64 the portable body runs, in f32 that of flex.
pub(crate) fn run<const N: usize, const D: usize>(
    dtype: DType,
    inputs: &[Input; N],
    seed: u64,
    operation: impl Fn([Tensor<2>; N]) -> Tensor<D>,
) -> Vec<Vec<f64>> {
    let device = autodiff_device();
    let inputs = inputs.each_ref().map(|(values, shape)| {
        Tensor::<2>::from_data(TensorData::new(values.clone(), *shape), (&device, dtype))
            .require_grad()
    });
    let y = operation(inputs.clone());
    let upstream = normals(y.shape().num_elements(), 1.0, seed);
    let upstream = TensorData::new(upstream, y.shape());
    let upstream = Tensor::<D>::from_data(upstream, (&device, dtype));
    let gradients = (y.clone() * upstream).sum().backward();
    let mut results = vec![values(&y)];
    results.extend(
        inputs
            .iter()
            .map(|input| values(&input.grad(&gradients).expect("it is part of the graph"))),
    );
    results
}

/// Both bodies give the same output and gradients.
#[track_caller]
pub(crate) fn assert_bodies_agree<const N: usize, const D: usize>(
    inputs: &[Input; N],
    seed: u64,
    operation: impl Fn([Tensor<2>; N]) -> Tensor<D>,
) {
    let fused = run(DType::F32, inputs, seed, &operation);
    let portable = run(DType::F64, inputs, seed, &operation);
    for (fused, portable) in fused.iter().zip(&portable) {
        let tolerance = Tolerance {
            absolute: 3e-5,
            relative: 3e-5,
        };
        assert_close(fused, portable, tolerance);
    }
}

/// The gradient of each input agrees with finite differences, in f64.
#[track_caller]
pub(crate) fn assert_gradients<const N: usize, const D: usize>(
    inputs: &[Input; N],
    operation: impl Fn([Tensor<2>; N]) -> Tensor<D>,
) {
    for at in 0..N {
        assert_gradient(
            |x: Tensor<2>| {
                let mut x = Some(x);
                let inputs = std::array::from_fn(|i| match x.take_if(|_| i == at) {
                    Some(x) => x,
                    None => tensor_f64(&inputs[i].0, inputs[i].1),
                });
                let y = operation(inputs);
                let upstream = normals(y.shape().num_elements(), 1.0, 99);
                (y.clone() * tensor_f64(&upstream, y.dims())).sum()
            },
            &inputs[at].0,
            inputs[at].1,
        );
    }
}

/// One thread and three give the same bits.
#[track_caller]
pub(crate) fn assert_threads_change_nothing<const N: usize, const D: usize>(
    inputs: &[Input; N],
    operation: impl Fn([Tensor<2>; N]) -> Tensor<D> + Sync,
) {
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be started")
            .install(|| run(DType::F32, inputs, 5, &operation))
    };
    assert_eq!(with_threads(1), with_threads(3));
}
