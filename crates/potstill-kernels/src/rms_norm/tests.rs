use burn::prelude::*;
use burn::tensor::DType;
use potstill_testkit::{
    Tolerance, assert_close, assert_gradient, autodiff_device, normals, tensor_f64, values,
};
use proptest::prelude::*;

use super::rms_norm;

const EPSILON: f64 = 1e-5;

/// Output and gradients of `x` and `weight`, for an upstream gradient, in `dtype`.
///
/// In f64 the portable body runs, in f32 that of flex.
fn run(dtype: DType, [rows, width]: [usize; 2], seed: u64) -> [Vec<f64>; 3] {
    let device = autodiff_device();
    let input = |values: Vec<f64>, shape: [usize; 2]| {
        Tensor::<2>::from_data(TensorData::new(values, shape), (&device, dtype))
    };
    let x = input(normals(rows * width, 1.0, seed), [rows, width]).require_grad();
    let weight = input(normals(width, 1.0, seed + 1), [1, width])
        .reshape([width])
        .require_grad();
    let upstream = input(normals(rows * width, 1.0, seed + 2), [rows, width]);
    let y = rms_norm(x.clone(), weight.clone(), EPSILON);
    let gradients = (y.clone() * upstream).sum().backward();
    [
        values(&y),
        values(&x.grad(&gradients).expect("it is part of the graph")),
        values(&weight.grad(&gradients).expect("it is part of the graph")),
    ]
}

#[test]
fn the_gradient_agrees_with_finite_differences() {
    let (x, weight) = (normals(3 * 5, 1.0, 1), normals(5, 1.0, 2));
    let direction = tensor_f64(&normals(3 * 5, 1.0, 3), [3, 5]);
    let at_weight = tensor_f64(&weight, [5]);
    assert_gradient(
        |x| (rms_norm::<2>(x, at_weight.clone(), EPSILON) * direction.clone()).sum(),
        &x,
        [3, 5],
    );
    let at_x = tensor_f64(&x, [3, 5]);
    assert_gradient(
        |weight| (rms_norm(at_x.clone(), weight, EPSILON) * direction.clone()).sum(),
        &weight,
        [5],
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be started")
            .install(|| run(DType::F32, [301, 37], 7))
    };
    assert_eq!(with_threads(1), with_threads(3));
}

proptest! {
    #[test]
    fn flex_agrees_with_the_portable_body(rows in 0usize..150, width in 1usize..130, seed: u16) {
        let seed = u64::from(seed);
        let (fused, portable) = (
            run(DType::F32, [rows, width], seed),
            run(DType::F64, [rows, width], seed),
        );
        for (fused, portable) in fused.iter().zip(&portable) {
            assert_close(fused, portable, Tolerance { absolute: 2e-5, relative: 2e-5 });
        }
    }
}
