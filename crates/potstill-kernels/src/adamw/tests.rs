//! The update against its formula, and fused against composed.

use burn::prelude::*;
use burn::tensor::DType;
use potstill_testkit::{
    Tolerance, assert_close, autodiff_device, normals, plain_device, tensor_f64, values,
};
use proptest::prelude::*;

use super::{AdamWUpdate, adamw};

fn update(time: usize) -> AdamWUpdate {
    AdamWUpdate {
        learning_rate: 0.05,
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.3,
        time,
    }
}

/// Parameter and means after three updates with random gradients, in `dtype`.
///
/// In f64 the portable body runs, in f32 that of flex.
fn run(dtype: DType, shape: [usize; 2], seed: u64) -> [Vec<f64>; 3] {
    let device = plain_device();
    let random = |seed| {
        let values = normals(shape[0] * shape[1], 1.0, seed);
        Tensor::<2>::from_data(TensorData::new(values, shape), (&device, dtype))
    };
    let zeros = || Tensor::<2>::zeros(shape, (&device, dtype));
    let mut parameter = random(seed);
    let mut means = [zeros(), zeros()];
    for time in 1..=3 {
        (parameter, means) = adamw(parameter, random(seed + time as u64), means, &update(time));
    }
    let [mean, square] = means;
    [values(&parameter), values(&mean), values(&square)]
}

#[test]
fn it_is_the_formula() {
    let settings = update(1);
    let gradients = normals(12, 2.0, 1);
    let (mut theta, mut m, mut v) = (0.5, 0.0, 0.0);
    let mut parameter = tensor_f64(&[theta], [1]);
    let mut means = [tensor_f64(&[0.0], [1]), tensor_f64(&[0.0], [1])];
    for (i, g) in gradients.into_iter().enumerate() {
        let t = i32::try_from(i).unwrap() + 1;
        (parameter, means) = adamw(parameter, tensor_f64(&[g], [1]), means, &update(i + 1));
        m = settings.beta_1 * m + (1.0 - settings.beta_1) * g;
        v = settings.beta_2 * v + (1.0 - settings.beta_2) * g * g;
        let m_hat = m / (1.0 - settings.beta_1.powi(t));
        let v_hat = v / (1.0 - settings.beta_2.powi(t));
        theta = theta * (1.0 - settings.learning_rate * settings.weight_decay)
            - settings.learning_rate * m_hat / (v_hat.sqrt() + settings.epsilon);
    }
    let actual = [&parameter, &means[0], &means[1]].map(|tensor| values(tensor)[0]);
    for (actual, expected) in actual.into_iter().zip([theta, m, v]) {
        assert!((actual - expected).abs() < 1e-12, "{actual} {expected}");
    }
}

#[test]
fn memory_that_others_hold_is_left_alone() {
    let device = plain_device();
    let tensor = |value: f32| Tensor::<1>::from_data([value; 5], &device);
    let (held, gradient, means) = (tensor(1.0), tensor(2.0), [tensor(0.0), tensor(0.0)]);
    let (moved, _) = adamw(held.clone(), gradient, means.clone(), &update(1));
    assert_eq!(values(&held), [1.0; 5]);
    assert_eq!(values(&means[0]), [0.0; 5]);
    assert!(values(&moved).iter().all(|&value| value < 1.0));
}

#[test]
fn a_view_into_a_larger_tensor_is_updated_alone() {
    let device = plain_device();
    let whole = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &device);
    let zeros = || Tensor::<2>::zeros([1, 2], &device);
    let view = whole.narrow(0, 1, 1);
    let (moved, [mean, _]) = adamw(view, zeros(), [zeros(), zeros()], &update(1));
    let expected = [3.0, 4.0].map(|value| value * (1.0 - 0.05 * 0.3));
    assert_close(
        &values(&moved),
        &expected,
        Tolerance {
            absolute: 1e-6,
            relative: 0.0,
        },
    );
    assert_eq!(values(&mean), [0.0, 0.0]);
}

#[test]
#[should_panic(expected = "an update is not differentiated")]
fn tensors_with_autodiff_are_refused() {
    let tensor = || Tensor::<1>::ones([2], &autodiff_device());
    let _ = adamw(tensor(), tensor(), [tensor(), tensor()], &update(1));
}

proptest! {
    #[test]
    fn flex_agrees_with_the_portable_body(rows in 0usize..80, width in 1usize..500, seed: u16) {
        let (shape, seed) = ([rows, width], u64::from(seed));
        let (fused, portable) = (run(DType::F32, shape, seed), run(DType::F64, shape, seed));
        for (fused, portable) in fused.iter().zip(&portable) {
            assert_close(fused, portable, Tolerance { absolute: 1e-5, relative: 1e-5 });
        }
    }
}
