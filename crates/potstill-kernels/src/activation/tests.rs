//! Tests of activation.

use burn::prelude::*;
use potstill_testkit::plain_device;
use proptest::prelude::*;

use super::{Activation, activate, gated};
use crate::check::{assert_bodies_agree, assert_gradients, assert_threads_change_nothing, normal};

const ALL: [Activation; 3] = [Activation::Silu, Activation::Gelu, Activation::GeluTanh];

#[test]
fn the_gradients_agree_with_finite_differences() {
    for activation in ALL {
        assert_gradients(&[normal([3, 5], 1)], |[x]| activate(activation, x));
        assert_gradients(&[normal([3, 5], 1), normal([3, 5], 2)], |[gate, up]| {
            gated(activation, gate, up)
        });
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for activation in ALL {
        let inputs = [normal([301, 97], 7), normal([301, 97], 8)];
        assert_threads_change_nothing(&inputs, |[gate, up]| gated(activation, gate, up));
    }
}

/// In float64: `torch.nn.functional.silu(x)`, `gelu(x)` and `gelu(x, approximate="tanh")`.
#[test]
fn values_agree_with_torch() {
    let x = [-6.0f32, -1.5, 0.0, 0.5, 3.0];
    let expected = [
        [
            -1.483_573_9e-2,
            -2.736_382_9e-1,
            0.0,
            3.112_296_7e-1,
            2.857_722_38,
        ],
        [
            -5.919_525_9e-9,
            -1.002_108_0e-1,
            0.0,
            3.457_312_3e-1,
            2.995_950_31,
        ],
        [
            -8.439_649_0e-11,
            -1.004_284_2e-1,
            0.0,
            3.457_140_1e-1,
            2.996_362_61,
        ],
    ];
    for (activation, expected) in ALL.into_iter().zip(expected) {
        let y = activate(activation, Tensor::<1>::from_floats(x, &plain_device()));
        y.into_data().assert_approx_eq(
            &TensorData::from(expected.map(|value: f64| value as f32)),
            burn::tensor::Tolerance::<f32>::absolute(3e-7),
        );
    }
}

#[test]
fn large_inputs_pass_or_vanish() {
    let x = Tensor::<1>::from_floats([-1e4, -200.0, 200.0, 1e4], &plain_device());
    for activation in ALL {
        let y = activate(activation, x.clone()).into_data();
        let expected = TensorData::from([0.0f32, 0.0, 200.0, 1e4]);
        y.assert_approx_eq(&expected, burn::tensor::Tolerance::<f32>::absolute(1e-30));
    }
}

proptest! {
    #[test]
    fn flex_agrees_with_the_portable_body(rows in 0usize..90, width in 1usize..230, seed: u16) {
        let seed = u64::from(seed);
        let inputs = [normal([rows, width], seed), normal([rows, width], seed + 1)];
        for activation in ALL {
            assert_bodies_agree(&inputs, seed, |[gate, up]| gated(activation, gate, up));
            let [x, _] = inputs.clone();
            assert_bodies_agree(&[x], seed, |[x]| activate(activation, x));
        }
    }
}
